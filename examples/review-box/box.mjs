// A text box: the network answers as you type, and shows which words its answer depends on.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href; // an absolute address
ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins

const MOST = 120; // words of which each one is left out in turn
const text = document.getElementById("text");
const answer = document.getElementById("answer");
const words = document.getElementById("words");

// The probability of praise for each of some texts, in one call.
async function praise(session, texts) {
  const given = texts.map((each) => each.toWellFormed().replaceAll("\0", "\ufffd")); // what is no text, or would end it
  const { positive } = await session.run({ text: new ort.Tensor("string", given, [given.length, 1]) });
  return Array.from(positive.data);
}

async function ask(session, asked) {
  const parts = asked.split(/(\s+)/); // words at even places, the space between them at odd ones
  const places = parts.flatMap((part, k) => (k % 2 === 0 && part ? [k] : [])).slice(0, MOST);
  const without = places.map((k) => parts.toSpliced(k, 1).join(""));
  const [whole, ...others] = await praise(session, [asked, ...without]);
  answer.textContent = `${whole > 0.5 ? "Praise" : "No praise"} (${(100 * whole).toFixed(0)} % sure of praise)`;
  const effects = new Map(places.map((k, n) => [k, whole - others[n]]));
  words.replaceChildren(
    ...parts.map((part, k) => {
      const effect = effects.get(k);
      if (effect === undefined) return part;
      const shown = document.createElement("span");
      shown.textContent = part;
      shown.title = `${effect < 0 ? "−" : "+"}${Math.abs(100 * effect).toFixed(1)} %`;
      shown.style.background = `rgb(var(--${effect < 0 ? "bad" : "good"}) / ${Math.min(Math.abs(effect) * 3, 0.7)})`;
      return shown;
    }),
  );
}

let busy = false;
async function askLatest(session) {
  if (busy) return; // the call that runs sees the last text, too
  busy = true;
  try {
    let asked;
    do {
      asked = text.value;
      await ask(session, asked);
    } while (asked !== text.value);
  } catch (error) {
    answer.textContent = `It does not work here: ${error.message}`;
  } finally {
    busy = false;
  }
}

try {
  const session = await ort.InferenceSession.create("reviews.onnx");
  text.addEventListener("input", () => askLatest(session));
  await askLatest(session);
} catch (error) {
  answer.textContent = `It does not work here: ${error.message}`;
}
