// `node serve_one.mjs MODEL RECORD MODULES` prints the microseconds for one record: the fastest of some rounds.
// RECORD is JSON: a value of each input, a text or a number. MODULES is the folder whose node_modules has onnxruntime-node.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , model, record, modules] = process.argv;
const ort = createRequire(join(modules, "package.json"))("onnxruntime-node");
const values = JSON.parse(record);
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
const feeds = {};
for (const [name, value] of Object.entries(values)) {
  const text = typeof value === "string";
  feeds[name] = new ort.Tensor(text ? "string" : "float32", text ? [value] : Float32Array.of(value), [1, 1]);
}
let best = Infinity;
for (let round = 0; round < 7; round++) {
  const start = process.hrtime.bigint();
  for (let call = 0; call < 200; call++) await session.run(feeds);
  best = Math.min(best, Number(process.hrtime.bigint() - start) / 200 / 1000);
}
console.log(best);
