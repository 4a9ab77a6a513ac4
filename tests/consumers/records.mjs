// Records as tensors, and outputs compared with answers: for Node and for browsers.
const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };
const MISSING = { string: "", float32: NaN, int64: -(2n ** 63n) };

// The feeds of records, which have a value of each input: null where it is missing.
export function feedsOf(ort, session, records) {
  const feeds = {};
  for (const { name, type, shape } of session.inputMetadata) {
    const given = records.map((record) => record[name]);
    const dims = [records.length];
    for (let value = given[0]; Array.isArray(value); value = value[0]) dims.push(value.length);
    if (dims.length < shape.length) dims.push(1);
    const values = given.flat(Infinity).map((value) => value ?? MISSING[type]);
    const data =
      type === "string" ? values.map((text) => text.toWellFormed().replaceAll("\0", "\ufffd")) // a NUL would end the text
      : type === "int64" ? BigInt64Array.from(values, BigInt)
      : ARRAYS[type].from(values);
    feeds[name] = new ort.Tensor(type, data, dims);
  }
  return feeds;
}

// What differs between an output and the answers of `count` rows from `first`, or null.
function different(name, answer, tensor, first, count) {
  const dims = [count, ...answer.dims.slice(1)];
  if (tensor.type !== answer.dtype) return `${name} is ${tensor.type}, not ${answer.dtype}`;
  if (tensor.dims.join() !== dims.join()) return `${name} has the shape ${tensor.dims}, not ${dims}`;
  const size = dims.slice(1).reduce((a, b) => a * b, 1);
  const wanted = answer.data.slice(first * size, (first + count) * size);
  const limit = 1e-5 + 1e-4 * Math.max(0, ...wanted.map((value) => Math.abs(value) || 0));
  for (let k = 0; k < wanted.length; k++) {
    const found = tensor.data[k];
    const same =
      answer.dtype !== "float32" ? String(found) === String(answer.dtype === "bool" ? Number(wanted[k]) : wanted[k])
      : wanted[k] === null ? Number.isNaN(found)
      : Math.abs(found - wanted[k]) <= limit;
    if (!same) return `${name}[${k}] is ${found}, not ${wanted[k]}`;
  }
  return null;
}

// What differs for all records at once, and for each one alone. `read` returns a file's bytes.
export async function mismatches(ort, folder, read) {
  const text = async (name) => new TextDecoder().decode(await read(name));
  const session = await ort.InferenceSession.create(await read("model.onnx"));
  const records = (await text("records.jsonl")).trimEnd().split("\n").map((line) => JSON.parse(line));
  const answers = JSON.parse(await text("answers.json"));
  const found = [];
  for (const [first, count] of [[0, records.length], ...records.map((_, k) => [k, 1])]) {
    const outputs = await session.run(feedsOf(ort, session, records.slice(first, first + count)));
    for (const [name, answer] of Object.entries(answers)) {
      const text = different(name, answer, outputs[name], first, count);
      if (text !== null) found.push(`${folder}: records ${first} to ${first + count - 1}: ${text}`);
    }
  }
  return found;
}
