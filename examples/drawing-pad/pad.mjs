// A drawing pad: strokes become the picture that the network knows, and the network's answer becomes bars.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href; // an absolute address
ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins

const SIZE = 32; // the drawing is scaled to this many pixels, of which each 4 × 4 become one
const PEN = 6; // pixels of SIZE

const pad = document.getElementById("pad");
const seen = document.getElementById("seen");
const answer = document.getElementById("answer");
const bars = document.getElementById("bars");
let strokes = []; // lists of points [x, y]

// The picture of the strokes as the training pictures were made: the digit fills the height, and each of the
// 8 × 8 values counts the ink in 4 × 4 pixels, from 0 to 16.
function picture(strokes) {
  const points = strokes.flat();
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = SIZE - PEN;
  const scale = room / Math.max(bottom - top, right - left, 1);
  const small = new OffscreenCanvas(SIZE, SIZE).getContext("2d", { willReadFrequently: true });
  Object.assign(small, { lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    small.beginPath();
    for (const [x, y] of [stroke[0], ...stroke]) {
      small.lineTo(SIZE / 2 + (x - (left + right) / 2) * scale, SIZE / 2 + (y - (top + bottom) / 2) * scale);
    }
    small.stroke();
  }
  const ink = small.getImageData(0, 0, SIZE, SIZE).data;
  const values = new Uint8Array(64);
  for (let k = 0; k < 64; k += 1) {
    let sum = 0;
    for (let dy = 0; dy < 4; dy += 1) {
      for (let dx = 0; dx < 4; dx += 1) sum += ink[4 * ((4 * (k >> 3) + dy) * SIZE + 4 * (k & 7) + dx) + 3];
    }
    values[k] = Math.round(sum / 255);
  }
  return values;
}

function draw() {
  const context = pad.getContext("2d");
  context.clearRect(0, 0, pad.width, pad.height);
  Object.assign(context, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: getComputedStyle(pad).color });
  for (const stroke of strokes) {
    context.beginPath();
    for (const [x, y] of [stroke[0], ...stroke]) context.lineTo(x, y);
    context.stroke();
  }
}

function show(values, probabilities) {
  const context = seen.getContext("2d");
  context.clearRect(0, 0, 8, 8);
  context.fillStyle = getComputedStyle(seen).color;
  values.forEach((value, k) => {
    context.globalAlpha = value / 16;
    context.fillRect(k & 7, k >> 3, 1, 1);
  });
  bars.replaceChildren(
    ...Array.from(probabilities, (p, digit) => {
      const row = document.createElement("li");
      row.style.setProperty("--share", `${100 * p}%`);
      row.textContent = `${digit}: ${(100 * p).toFixed(0)} %`;
      return row;
    }),
  );
}

async function ask(session) {
  const values = picture(strokes);
  const { digit, digit_label } = await session.run({ image: new ort.Tensor("uint8", values, [1, 8, 8, 1]) });
  show(values, digit.data);
  answer.textContent = `This is a ${digit_label.data[0]}.`;
}

// One call at a time; while it runs, only the last drawing waits.
let running = false;
let waiting = false;
async function askLatest(session) {
  waiting = true;
  if (running) return;
  running = true;
  try {
    while (waiting) {
      waiting = false;
      if (strokes.length) await ask(session);
    }
  } catch (error) {
    answer.textContent = `It does not work here: ${error.message}`;
  } finally {
    running = false;
  }
}

function clear() {
  strokes = [];
  draw();
  seen.getContext("2d").clearRect(0, 0, 8, 8);
  bars.replaceChildren();
  answer.textContent = "Draw a digit.";
}

try {
  const session = await ort.InferenceSession.create("digits.onnx");
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
  };
  let drawing = false;
  pad.addEventListener("pointerdown", (event) => {
    drawing = true;
    if (event.isTrusted) pad.setPointerCapture(event.pointerId); // a stroke may leave the pad and come back
    strokes.push([place(event)]);
    draw();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    strokes.at(-1).push(place(event));
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    pad.addEventListener(end, () => {
      if (drawing) askLatest(session);
      drawing = false;
    });
  }
  document.getElementById("clear").addEventListener("click", clear);
  clear();
} catch (error) {
  answer.textContent = `It does not work here: ${error.message}`;
}
