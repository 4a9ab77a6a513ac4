// `node run.mjs FIXTURES` prints what differs from the answers.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { mismatches } from "../records.mjs";

const fixtures = process.argv[2];
const found = [];
for (const folder of (await readdir(fixtures)).sort()) {
  found.push(...(await mismatches(ort, folder, (name) => readFile(join(fixtures, folder, name)))));
}
for (const line of found) console.log(line);
console.log(`node ${process.version}, onnxruntime-node ${ort.env.versions.node}: ${found.length} mismatches`);
process.exitCode = found.length > 0 ? 1 : 0;
