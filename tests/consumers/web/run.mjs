// `node run.mjs FIXTURES CHROMIUM` opens index.html in headless Chromium and prints what differs from the answers.
import { spawn } from "node:child_process";
import { readFile, readdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [fixtures, chromium] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const ort = join(here, "../node/node_modules/onnxruntime-web/dist");
const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm" };

// The file of a page's address.
function fileOf(url) {
  const [, first, ...rest] = new URL(url, "http://localhost").pathname.split("/");
  if (first === "") return join(here, "index.html");
  if (first === "records.mjs") return join(here, "../records.mjs");
  if (first === "fixtures") return join(fixtures, ...rest.map((part) => basename(part)));
  return join(ort, basename(rest.join("/")));
}

let done;
const reported = new Promise((resolve) => (done = resolve));
const server = createServer(async (request, response) => {
  if (request.method === "POST") {
    const parts = [];
    for await (const part of request) parts.push(part);
    response.end();
    done(JSON.parse(Buffer.concat(parts).toString()));
  } else if (request.url === "/fixtures") {
    response.end(JSON.stringify((await readdir(fixtures)).sort()));
  } else {
    try {
      const file = fileOf(request.url);
      const content = await readFile(file);
      response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const profile = await mkdtemp(join(tmpdir(), "graphspec-web-"));
const page = `http://127.0.0.1:${server.address().port}/`;
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"];
const browser = spawn(chromium, [...flags, "--disable-background-networking", `--user-data-dir=${profile}`, page], {
  env: { ...process.env, HOME: profile },
  stdio: ["ignore", "ignore", "pipe"],
});
process.on("exit", () => browser.kill("SIGKILL"));
let messages = "";
browser.stderr.on("data", (data) => (messages += data));
browser.on("error", (error) => done({ found: [`${chromium} does not start: ${error.message}`] }));
browser.on("exit", () => done({ found: [`${chromium} ended before its answer:\n${messages}`] }));
setTimeout(() => done({ found: [`the page gave no answer:\n${messages}`] }), 90_000).unref();

const { found, version, agent } = await reported;
for (const line of found) console.log(line);
console.log(`web ${agent}, onnxruntime-web ${version}: ${found.length} mismatches`);
const ended = browser.exitCode === null && browser.pid ? new Promise((resolve) => browser.once("exit", resolve)) : null;
browser.kill("SIGKILL");
await ended;
await rm(profile, { recursive: true, force: true, maxRetries: 5 });
server.closeAllConnections();
server.close();
process.exitCode = found.length > 0 ? 1 : 0;
