// Trains by a step file with onnxruntime's WebAssembly: node train.mjs FOLDER, which has step.onnx, step.start.onnx and feeds.json.
import { readFileSync } from "node:fs";

const ort = await import(new URL("node_modules/onnxruntime-web/dist/ort.wasm.min.mjs", import.meta.url));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("node_modules/onnxruntime-web/dist/", import.meta.url).href;
const [folder] = process.argv.slice(2);
const tensor = ({ type, data, dims }) =>
  new ort.Tensor(type, type === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data), dims);
const given = JSON.parse(readFileSync(`${folder}/feeds.json`, "utf8"));
const open = (name) => ort.InferenceSession.create(readFileSync(`${folder}/${name}`));
let feeds = Object.fromEntries(Object.entries(given).map(([name, array]) => [name, tensor(array)]));
const session = await open("step.onnx");
feeds = { ...feeds, ...(await (await open("step.start.onnx")).run({})) };
const losses = [];
for (let k = 0; k < 5; k++) {
  const found = await session.run({ ...feeds, step: tensor({ type: "int64", data: [k], dims: [] }) });
  losses.push(found.loss.data[0]);
  for (const name of session.outputNames.filter((n) => n.endsWith("/next"))) feeds[name.slice(0, -5)] = found[name];
}
console.log(JSON.stringify(losses));
