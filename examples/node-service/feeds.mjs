// Records as tensors, for every file of graphspec: in Node and in browsers.
const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };
const LONGEST = 100; // characters of a key that is compared with the names of the inputs
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

// What is wrong with one record, or null. A key that is not there is most often a misspelt name, so it is wrong.
export function problemOf(record, signature) {
  if (record === null || typeof record !== "object" || Array.isArray(record)) return "a record is an object";
  const known = signature.inputs.map(({ name }) => name);
  const unknown = Object.keys(record).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const meant = unknown.length <= LONGEST && known.find((name) => isClose(unknown, name));
    return `'${unknown}' is no input; ${meant ? `did you mean '${meant}'?` : `the inputs are ${known.join(", ")}`}`;
  }
  for (const { name, dtype, missing, shape } of signature.inputs) {
    const value = record[name];
    if (value === undefined) return `'${name}' is not there; a missing value is null`;
    const column = shape.length === 2 && shape[1] === 1;
    if (value === null && (missing === null || !column)) return `'${name}' may not be missing`;
    if (value === null) continue;
    const wrong = column ? wrongValue(value, dtype) : wrongArray(value, shape.slice(1), dtype);
    if (wrong) return `'${name}' ${wrong}`;
  }
  return null;
}

// Whether two names are alike: at most a third of the letters of the longer one differ. Case and signs do not count.
function isClose(first, second) {
  const [a, b] = [first, second].map((name) => [...name.toLowerCase().replace(/[\s_-]/g, "")]);
  let above = Array.from({ length: b.length + 1 }, (_, k) => k); // letters to change from the start of `a` to that of `b`
  a.forEach((letter, i) => {
    const row = [i + 1];
    b.forEach((other, k) => row.push(Math.min(above[k + 1] + 1, row[k] + 1, above[k] + (letter !== other))));
    above = row;
  });
  return above[b.length] <= Math.max(a.length, b.length) / 3;
}

function wrongValue(value, dtype) {
  const wanted = dtype === "string" ? "string" : dtype === "bool" ? "boolean" : "number";
  const found = value === null ? "null" : Array.isArray(value) ? "list" : typeof value;
  if (found !== wanted) return `is a ${found}, not a ${wanted}`;
  if (/int/.test(dtype) && !Number.isSafeInteger(value)) return "is no whole number";
  if (dtype === "uint8" && (value < 0 || value > 255)) return "is not between 0 and 255";
  return null;
}

function wrongArray(value, sizes, dtype) {
  if (sizes.length === 0) return wrongValue(value, dtype);
  if (!Array.isArray(value)) return "has too few dimensions";
  if (typeof sizes[0] === "number" && value.length !== sizes[0]) return `has ${value.length} values where ${sizes[0]} belong`;
  for (const each of value) {
    const wrong = wrongArray(each, sizes.slice(1), dtype);
    if (wrong) return wrong;
  }
  return null;
}
