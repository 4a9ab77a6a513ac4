// `node ask.mjs MODEL RECORDS` prints the outputs of a file for the records of JSON Lines: one object of lists by name.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-node";
import { feedsOf } from "../records.mjs";

const [model, lines] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model);
const records = (await readFile(lines, "utf8")).trimEnd().split("\n").map((line) => JSON.parse(line));
const outputs = await session.run(feedsOf(ort, session, records));
const lists = Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data, (value) => (typeof value === "bigint" ? Number(value) : value))]);
console.log(JSON.stringify(Object.fromEntries(lists)));
