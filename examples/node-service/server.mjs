// `node server.mjs MODEL.onnx SIGNATURE.json`: an HTTP service for a file that graphspec exported.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Worker } from "node:worker_threads";
import { Counter, Gauge, Histogram, collectDefaultMetrics, register } from "prom-client";
import { problemOf } from "./feeds.mjs";

// Else onnxruntime (1.29 and later) sends figures of its use to its makers. Its library is loaded by the threads below.
process.env.ORT_DISABLE_TELEMETRY ??= "1";

const [file, described] = process.argv.slice(2);
if (!described) {
  console.error("usage: node server.mjs MODEL.onnx SIGNATURE.json");
  process.exit(2);
}
const PORT = Number(process.env.PORT ?? 8000);
const HOST = process.env.HOST ?? "127.0.0.1";
const THREADS = Number(process.env.THREADS ?? 2);
const MOST_BYTES = 4_000_000; // of a request
const BATCH = 256; // records that one call of the network answers
const signature = JSON.parse(await readFile(described, "utf8"));

// What GET /metrics tells Prometheus, beside the memory and the time of the process.
collectDefaultMetrics();
const sha256 = createHash("sha256").update(await readFile(file)).digest("hex");
new Gauge({ name: "model_info", help: "The file that answers", labelNames: ["file", "sha256"] }).set({ file, sha256 }, 1);
new Gauge({ name: "records_waiting", help: "Records that wait for a thread", collect() { this.set(waiting.length); } });
const recordsAnswered = new Counter({ name: "records_answered_total", help: "Records that were answered" });
const requestSeconds = new Histogram({
  name: "request_duration_seconds",
  help: "Seconds from a request to its answer; `_count` is the number of requests",
  labelNames: ["route", "status"],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
});
const batchRecords = new Histogram({
  name: "batch_records",
  help: "Records that one call of the network answered",
  buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
});

// Records that wait, oldest first: requests that come together are answered together, which is quicker.
const waiting = [];
const idle = [];
const running = new Map(); // batches by number
let count = 0;

function dispatch() {
  while (idle.length && waiting.length) {
    const batch = waiting.splice(0, BATCH);
    const worker = idle.pop();
    const id = (count += 1);
    running.set(id, batch);
    batchRecords.observe(batch.length);
    worker.postMessage({ id, records: batch.map(({ record }) => record) });
  }
}

function answered(worker, { id, ready, answers, error }) {
  idle.push(worker);
  if (!ready) {
    running.get(id).forEach(({ resolve, reject }, k) => (error ? reject(new Error(error)) : resolve(answers[k])));
    running.delete(id);
  }
  dispatch();
}

const ask = (record) => new Promise((resolve, reject) => waiting.push({ record, resolve, reject }));

class BadRequest extends Error {}

async function bodyOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MOST_BYTES) throw new BadRequest(`the request has more than ${MOST_BYTES} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (error) {
    throw new BadRequest(`the request is no JSON: ${error.message}`);
  }
}

// The answer to POST /predict: a list of records, or one.
async function predict(request) {
  const body = await bodyOf(request);
  const records = Array.isArray(body) ? body : [body];
  if (records.length === 0) throw new BadRequest("send one record at least");
  records.forEach((record, k) => {
    const problem = problemOf(record, signature);
    if (problem) throw new BadRequest(records.length === 1 ? problem : `record ${k + 1}: ${problem}`);
  });
  const answers = records.map(ask);
  dispatch();
  const found = await Promise.all(answers);
  recordsAnswered.inc(found.length);
  return Array.isArray(body) ? found : found[0];
}

const ROUTES = {
  "POST /predict": predict,
  "GET /signature": () => signature,
  "GET /health": () => ({ status: "ok", name: signature.name, waiting: waiting.length }),
  "GET /metrics": () => register.metrics(),
};

const server = createServer(async (request, response) => {
  const asked = `${request.method} ${new URL(request.url, "http://localhost").pathname}`;
  const route = Object.hasOwn(ROUTES, asked) ? asked : "other"; // so many series of times, whatever is asked
  const end = requestSeconds.startTimer({ route });
  let [status, answer] = [200, null];
  try {
    if (route === asked) answer = await ROUTES[route](request);
    else [status, answer] = [404, { error: `there is ${Object.keys(ROUTES).join(", ")}` }];
  } catch (error) {
    status = error instanceof BadRequest ? 400 : 500;
    answer = { error: error.message };
  }
  const isText = typeof answer === "string";
  response.writeHead(status, { "Content-Type": isText ? register.contentType : "application/json" });
  response.end(isText ? answer : `${JSON.stringify(answer)}\n`);
  end({ status });
});

let ready = 0;
for (let k = 0; k < THREADS; k += 1) {
  const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData: { file, signature } });
  worker.on("message", (message) => {
    answered(worker, message);
    if (message.ready && (ready += 1) === THREADS) {
      server.listen(PORT, HOST, () => console.log(`listening on http://${HOST}:${server.address().port}`));
    }
  });
  worker.on("error", (error) => {
    console.error(`error: ${error.message}`);
    process.exit(1);
  });
}

// On a signal, running requests get their answers before the service ends.
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
