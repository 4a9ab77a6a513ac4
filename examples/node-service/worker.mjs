// A thread with a session of its own: it answers batches of records, so that the server's thread stays free.
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";
import { feedsOf } from "./feeds.mjs";

const { file, signature } = workerData;
const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1 });

// The answers to records: for each one an object with the value of every output.
async function answersTo(records) {
  const outputs = await session.run(feedsOf(ort, session, records));
  return records.map((_, row) => Object.fromEntries(signature.outputs.map((output) => valueOf(output, outputs, row))));
}

function valueOf({ name }, outputs, row) {
  const labels = signature.outputs.find((output) => output.name === `${name}_label`)?.labels;
  const { data, dims } = outputs[name];
  const size = data.length / dims[0];
  const values = Array.from(data.slice(row * size, (row + 1) * size), (v) => (typeof v === "bigint" ? Number(v) : v));
  if (size === 1) return [name, values[0]];
  return [name, labels?.length === size ? Object.fromEntries(labels.map((label, k) => [label, values[k]])) : values];
}

// The example in the signature has the answer of the exporting machine: another answer stops the service at its start.
if (signature.example) {
  const { inputs, outputs } = signature.example;
  const record = Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, values[0]]));
  const found = await session.run(feedsOf(ort, session, [record]));
  for (const [name, [wanted]] of Object.entries(outputs)) {
    const values = Array.from(found[name].data);
    const far = (v, k) => typeof v === "number" && Math.abs(v - [wanted].flat(Infinity)[k]) > 1e-4 * (1 + Math.abs(v));
    if (values.some(far)) throw new Error(`the example gives '${name}' ${values}, not ${wanted}`);
  }
}

parentPort.on("message", async ({ id, records }) => {
  try {
    parentPort.postMessage({ id, answers: await answersTo(records) });
  } catch (error) {
    parentPort.postMessage({ id, error: error.message });
  }
});
parentPort.postMessage({ ready: true });
