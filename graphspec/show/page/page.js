// The page: fields and heads come from the record `about`, answers from the file itself, and no text becomes markup.
"use strict";
const about = JSON.parse(document.getElementById("about").textContent);
const { fields, heads } = about;
const MISSING = { string: "", float32: NaN, int64: -(2n ** 63n) };
const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };
const POINTS = 25; // of a curve
const EXACT = 8; // fields up to which every set of them is asked about
const SAMPLES = 24; // orders of fields beyond, if they take no longer than
const PATIENCE = 4000; // milliseconds
const SIDE = 6; // parts of a picture, along each side
const ROWS = 256; // of a table, in one call
const WORDS = 120; // of which each one is left out in turn
let ort, session, answers; // answers: the names of the file's own outputs

const at = (id) => document.getElementById(id);
function made(tag, attributes = {}, ...children) {
  const space = ["svg", "path", "circle", "line", "rect"].includes(tag) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "style") element.style.cssText = value; // the policy of the page has no style attributes
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
// Files that are dropped go to `load`; what is no file is a text that is dropped into a field.
function onDrop(box, load) {
  box.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("Files")) event.preventDefault(); });
  box.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files[0]) return;
    event.preventDefault();
    load(event.dataTransfer.files[0]);
  });
}
function shown(number) {
  const size = Math.abs(number);
  if (Number.isNaN(number)) return "not a number";
  const wide = size >= 1000 ? Math.max(4, Math.floor(Math.log10(size)) + 1) : 4; // whole parts stay whole
  const odd = size !== 0 && (size < 1e-4 || size >= 1e15);
  return new Intl.NumberFormat(undefined, odd ? { notation: "scientific", maximumSignificantDigits: 4 } : { maximumSignificantDigits: wide }).format(number);
}
const POINT = new Intl.NumberFormat().formatToParts(1.5).find(({ type }) => type === "decimal").value;
const GROUP = (new Intl.NumberFormat().formatToParts(1234567).find(({ type }) => type === "group")?.value ?? "").replace(/\s/, "\\s").replace(/[.’']/, "[.’']");
const DIGITS = [...new Intl.NumberFormat(undefined, { useGrouping: false }).format(9876543210)].reverse();
const GROUPED = new RegExp(`^[-+]?[1-9]\\d{0,2}(${GROUP}\\d{2,3})*${GROUP}\\d{3}(?=$|[${POINT}])`);
// A number as the browser's language writes it, as JavaScript reads it, and the other way round.
function read(text) {
  let given = Array.from(text.trim(), (sign) => { const k = DIGITS.indexOf(sign); return k < 0 ? sign : k; }).join("").replace(/[\u2212\u2013]/g, "-").replace(/[\u200e\u200f\u061c]/g, "");
  if (GROUP) given = given.replace(GROUPED, (whole) => whole.replace(new RegExp(GROUP, "g"), ""));
  return given.includes(".") ? given : given.replace(POINT, ".");
}
const local = (value) => (/^-?[\d.]+$/.test(value) ? Array.from(String(value), (sign) => (sign === "." ? POINT : DIGITS[sign] ?? sign)).join("") : String(value));
const percent = (share) => new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 }).format(share);

// ---- records and tensors
// A record has a value of each field: null where it is missing. `wide` is what lists are padded to.
function tensorOf(field, values) {
  const dims = [values.length];
  if (field.kind === "words") {
    const wide = Math.max(1, ...values.map((row) => row.length));
    values = values.map((row) => [...row, ...Array(wide - row.length).fill("")]);
    dims.push(wide);
  } else if (Array.isArray(values[0])) for (let value = values[0]; Array.isArray(value); value = value[0]) dims.push(value.length);
  else if (field.dims.length) dims.push(1);
  const flat = values.flat(Infinity).map((value) => value ?? MISSING[field.dtype]);
  const data =
    field.dtype === "string" ? flat.map((text) => String(text).toWellFormed().replaceAll("\0", "\ufffd")) // a NUL would end the text
    : field.dtype === "int64" ? BigInt64Array.from(flat, BigInt)
    : ARRAYS[field.dtype].from(flat, Number);
  return new ort.Tensor(field.dtype, data, dims);
}
// The answers of records of one size: for each one an object of arrays by output.
async function ask(records, outputs = answers) {
  const feeds = Object.fromEntries(fields.map((field) => [field.input, tensorOf(field, records.map((record) => record[field.input]))]));
  const found = await session.run(feeds, outputs);
  return records.map((_, k) =>
    Object.fromEntries(
      Object.entries(found).map(([name, { data, dims }]) => {
        const size = dims.slice(1).reduce((a, b) => a * b, 1);
        return [name, { data: Array.from(data.slice(k * size, (k + 1) * size)), dims: dims.slice(1) }];
      }),
    ),
  );
}

// ---- fields: a control for each; `read` returns its value or throws what is wrong
class Wrong extends Error {}
function numberOf(text, field, typed = text) {
  const given = text.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2");
  if (field.gaps?.some((gap) => gap === given || gap === given.toLowerCase())) return null;
  if (given === "") throw new Wrong("needs a number");
  if (field.dtype === "int64") {
    if (!/^[-+]?\d+$/.test(given)) throw new Wrong(`needs a whole number, not '${typed}'`);
    if (field.ids && (BigInt(given) < field.ids[0] || BigInt(given) > field.ids[1])) throw new Wrong(`needs whole numbers from ${field.ids[0]} to ${field.ids[1]}, not '${typed}'`);
    return String(BigInt(given));
  }
  if (field.dtype === "bool" && /^(true|false)$/i.test(given)) return given.toLowerCase() === "true" ? 1 : 0;
  const number = Number(given);
  if (Number.isNaN(number)) throw new Wrong(`needs a number, not '${typed}'`);
  return number;
}
// Numbers of a text in the shape of a field: one after the other, with spaces, commas or lines between them.
function numbersOf(text, field, plain = (part) => part) {
  const apart = plain(`1${POINT}5`) !== `1${POINT}5` && /\d[\s;]+\S/.test(text) && !/,\s/.test(text) ? /[\s;]+/ : /[\s,;]+/; // a comma may be a point
  const parts = text.trim().split(apart).filter(Boolean);
  const known = field.dims.map((d) => d ?? 0);
  const rest = known.reduce((a, b) => a * (b || 1), 1);
  const dims = field.dims.map((d) => d ?? Math.max(1, Math.floor(parts.length / rest)));
  const size = dims.reduce((a, b) => a * b, 1);
  if (parts.length !== size) throw new Wrong(`needs ${size} numbers, and has ${parts.length}`);
  const values = parts.map((part) => (field.dtype === "string" ? part : /^(nan|\?|na)$/i.test(part) ? null : numberOf(plain(part), field)));
  const nested = (from, [first, ...others]) => {
    const step = others.reduce((a, b) => a * b, 1);
    return Array.from({ length: first }, (_, k) => (others.length ? nested(from + k * step, others) : values[from + k]));
  };
  return nested(0, dims);
}
function valueOf(text, field, plain = (part) => part) {
  if (field.kind === "number" || (field.kind === "category" && field.dtype !== "string")) return numberOf(plain(text), field, text);
  if (field.kind === "words") return text.trim() === "" ? [] : text.trim().split(/\s+/);
  if (field.kind === "numbers") return numbersOf(text, field, plain);
  return text;
}
const written = (value, plain = String) => (value === null ? "" : Array.isArray(value) ? value.flat(Infinity).map((each) => plain(each ?? "NaN")).join(" ") : plain(value));
// The last rows of a CSV file as a list of numbers: of the columns that the spec reads, of the field's own, or of all that are numbers.
function seriesOf(text, field) {
  const { rows } = rowsOf(text);
  const [names] = rows, isNumber = (cell) => cell.trim() !== "" && !Number.isNaN(Number(cell));
  const body = names?.some(isNumber) ? rows : rows.slice(1);
  const wide = field.dims.slice(1).reduce((a, b) => a * (b ?? 1), 1);
  const named = [field.columns, [field.name], [field.input]].find((wanted) => wanted?.length === wide && wanted.every((name) => names.includes(name)));
  const places = named ? named.map((name) => names.indexOf(name)) : (names ?? []).flatMap((_, k) => (body.length && body.every((row) => isNumber(row[k] ?? "")) ? [k] : []));
  if (places.length !== wide) throw new Wrong(`needs the ${wide > 1 ? "columns" : "column"} ${(field.columns ?? [field.name]).join(", ")}; those of the file are ${(names ?? []).join(", ")}`);
  return body.slice(-(field.dims[0] ?? body.length)).map((row) => places.map((k) => (isNumber(row[k] ?? "") ? Number(row[k]) : null)));
}

function controlOf(field, id) {
  const label = made("label", { for: id }, field.name);
  const box = made("div", { class: `field ${field.kind}` }, label, ...(field.description ? [made("p", { class: "hint" }, field.description)] : []));
  const problem = made("p", { class: "problem", id: `${id}-problem`, role: "status" });
  const common = { id, "aria-describedby": `${id}-problem`, input: changed, autocomplete: "off", spellcheck: "false" };
  let control;
  if (field.kind === "picture") return pictureOf(field, id, box, problem);
  if (field.kind === "category") {
    const other = made("input", { class: "other", type: "text", "aria-label": `${field.name}, another value`, input: changed, hidden: "" });
    const options = field.known.map((value, k) => made("option", { value: `k${k}` }, written(value)));
    control = made("select", common, ...options, made("option", { value: "other" }, "another value …"));
    if (field.missing !== null && field.missing !== undefined) control.append(made("option", { value: "missing" }, "not known"));
    box.append(control, other, problem);
    const place = field.known.map(String).indexOf(String(field.first));
    control.value = place >= 0 ? `k${place}` : field.first === "" || field.first === null ? "missing" : "other";
    if (control.value === "other") other.value = local(written(field.first));
    const chosen = () => {
      other.hidden = control.value !== "other";
      if (control.value === "missing") return null;
      return control.value === "other" ? valueOf(other.value, field, read) : field.known[Number(control.value.slice(1))];
    };
    return { field, box, problem, control, read: chosen };
  }
  if (field.kind === "date" && !field.format && (!field.first || DATE.test(field.first))) return dateOf(field, box, problem, common);
  const long = ["text", "words", "numbers"].includes(field.kind);
  control = long ? made("textarea", { ...common, rows: field.kind === "numbers" ? 4 : 3, dir: "auto" }) : made("input", { ...common, type: "text", inputmode: field.kind === "number" ? "decimal" : undefined, dir: "auto" });
  control.value = written(field.first, field.kind.startsWith("number") && field.dtype !== "string" ? local : String);
  box.append(control);
  if (field.kind === "number") {
    const whole = field.dtype.startsWith("int") || field.dtype === "bool";
    const slider = made("input", {
      type: "range", min: field.low, max: field.high, step: whole ? 1 : "any", "aria-label": `${field.name}, slider`,
      input: () => {
        control.value = local(whole ? slider.value : Number(Number(slider.value).toPrecision(4)));
        changed();
      },
    });
    const follow = () => { if (control.value.trim() !== "") slider.value = Number(read(control.value)); };
    control.addEventListener("input", follow);
    follow();
    box.append(slider, made("p", { class: "hint" }, `usual: ${shown(field.low)} to ${shown(field.high)}${field.missing === "NaN" ? "; empty: not known" : ""}`));
  }
  if (field.kind === "date") box.append(made("p", { class: "hint" }, field.format ? `such as ${field.format.replace(/%./g, (part) => DATE_PARTS[part] ?? part)}` : "such as 2024-12-31 or 2024-12-31T23:59"));
  if (field.kind === "numbers") {
    const load = async (file) => {
      if (!file) return;
      try {
        control.value = written(seriesOf(await file.text(), field), local);
        await changed();
      } catch (error) {
        problem.textContent = `${field.name}: '${file.name}' ${error instanceof Wrong ? error.message : `cannot be read: ${error.message}`}`;
      }
    };
    const chosen = made("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv", "aria-label": `${field.name}, from a CSV file`, change: () => load(chosen.files[0]) });
    onDrop(box, load);
    const of = field.columns ? ` of ${field.columns.join(", ")}` : "";
    box.append(made("p", { class: "hint" }, `${field.dims.map((d) => d ?? "any").join(" × ")} numbers${of}; paste them, or drop a CSV file, whose last rows are taken`), chosen);
  }
  box.append(problem);
  return { field, box, problem, control, read: () => valueOf(control.value, field, read) };
}
const DATE_PARTS = { "%Y": "2024", "%y": "24", "%m": "12", "%d": "31", "%H": "23", "%M": "59", "%S": "58", "%f": "0" };
// A date by the browser's own control, which writes it as its language does.
const DATE = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?$/;
function dateOf(field, box, problem, common) {
  const day = (field.first ?? "").slice(0, 10);
  const start = field.time && day ? `${day}T${field.first.slice(11) || "00:00"}` : day;
  const control = made("input", { ...common, type: field.time ? "datetime-local" : "date", value: start, step: start.length > 16 ? 1 : undefined });
  const words = made("p", { class: "hint" });
  const chosen = () => {
    if (control.validity.badInput) throw new Wrong("needs a whole date");
    const { value } = control;
    words.textContent = value === "" ? "empty: not known" : new Intl.DateTimeFormat(undefined, { dateStyle: "full" }).format(new Date(`${value.slice(0, 10)}T12:00`));
    return value === start ? field.first ?? "" : value;
  };
  box.append(control, words, problem);
  return { field, box, problem, control, read: chosen };
}

// How wide a picture is shown: a tall one is at most 420 pixels high, a wide one has more room.
const widthOf = ({ width, height }) => `min(100%, ${Math.round(Math.min(280 * Math.sqrt(Math.max(1, width / height)), (420 * width) / height))}px)`;
// A picture: dropped, chosen, taken by a camera, or drawn; brought to the size that the file wants.
function pictureOf(field, id, box, problem) {
  const [tall, wide, channels] = field.dims;
  let value = field.first;
  const size = [tall ?? value?.length ?? 64, wide ?? value?.[0]?.length ?? 64];
  const view = made("canvas", { width: size[1], height: size[0], role: "img", "aria-label": `${field.name}: the picture that is asked about` });
  const brush = view.getContext("2d", { willReadFrequently: true });
  const { white } = field;
  const dark = channels !== 1 || !value || value[0][0][0] < white / 2; // strokes are as unlike the corner as the example's
  const show = () => {
    view.height = value.length;
    view.width = value[0].length;
    view.style.width = widthOf(view);
    const pixels = brush.createImageData(view.width, view.height);
    value.flat().forEach((pixel, k) => pixels.data.set([...(channels === 1 ? Array(3).fill(pixel[0]) : pixel).map((ink) => (255 * ink) / white), 255], 4 * k));
    brush.putImageData(pixels, 0, 0);
  };
  const pixelsOf = (canvas) => {
    const { data } = canvas.getImageData(0, 0, canvas.canvas.width, canvas.canvas.height);
    const ink = (number) => (field.dtype === "uint8" ? Math.round((number * white) / 255) : (number * white) / 255);
    return Array.from({ length: canvas.canvas.height }, (_, y) =>
      Array.from({ length: canvas.canvas.width }, (_, x) => {
        const k = 4 * (y * canvas.canvas.width + x);
        return channels === 1 ? [ink(0.299 * data[k] + 0.587 * data[k + 1] + 0.114 * data[k + 2])] : [ink(data[k]), ink(data[k + 1]), ink(data[k + 2])];
      }),
    );
  };
  // The pixels of a picture or a video's frame, in the size that the file wants.
  const scaled = (picture, width, height) => {
    const small = Math.min(1, 1024 / Math.max(width, height));
    const canvas = made("canvas", { width: wide ?? Math.max(1, Math.round(width * small)), height: tall ?? Math.max(1, Math.round(height * small)) }).getContext("2d", { willReadFrequently: true });
    canvas.imageSmoothingQuality = "high";
    canvas.drawImage(picture, 0, 0, canvas.canvas.width, canvas.canvas.height);
    return pixelsOf(canvas);
  };
  const take = () => { value = pixelsOf(brush); changed(); };
  const set = (given) => { value = given; show(); changed(); };
  const ofFile = async (file) => {
    const picture = await createImageBitmap(file).catch(() => { throw new Wrong(`'${file.name}' is not a picture that this browser reads`); });
    return scaled(picture, picture.width, picture.height);
  };
  const load = (file) => ofFile(file).then(set, (error) => { problem.textContent = `${field.name}: ${error.message}`; });
  const input = made("input", { id, type: "file", accept: "image/*", change: () => input.files[0] && load(input.files[0]) });
  onDrop(box, load);
  // A camera that answers as it moves, where the browser allows it; else a telephone's own.
  let camera = made("input", { type: "file", accept: "image/*", capture: "environment", "aria-label": `${field.name}, by a camera`, change: () => camera.files[0] && load(camera.files[0]) });
  const own = { field, box, problem, control: input, set, ofFile, live: false, read: () => { if (!value) throw new Wrong("needs a picture"); return value; } };
  if (navigator.mediaDevices) {
    const video = Object.assign(made("video", { playsinline: "" }), { muted: true });
    const off = () => {
      own.live = false;
      camera.textContent = "Camera";
      video.srcObject?.getTracks().forEach((track) => track.stop());
      video.srcObject = null;
    };
    camera = made("button", { type: "button", click: async () => {
      if (own.live) return off();
      try {
        own.live = true;
        camera.textContent = "Stop the camera";
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        await video.play();
        while (own.live) {
          set(scaled(video, video.videoWidth, video.videoHeight));
          await new Promise((done) => setTimeout(done, 150));
        }
      } catch (error) {
        off();
        problem.textContent = `${field.name}: no camera: ${error.message}`;
      }
    } }, "Camera");
  }
  const clear = made("button", { type: "button", click: () => {
    brush.fillStyle = dark ? "#000" : "#fff";
    brush.fillRect(0, 0, view.width, view.height);
    take();
  } }, "Empty the pad");
  let last = null;
  const place = (event) => {
    const frame = view.getBoundingClientRect();
    return [((event.clientX - frame.left) / frame.width) * view.width, ((event.clientY - frame.top) / frame.height) * view.height];
  };
  view.addEventListener("pointerdown", (event) => { last = place(event); view.setPointerCapture(event.pointerId); });
  view.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const next = place(event);
    Object.assign(brush, { strokeStyle: dark ? "#fff" : "#000", lineWidth: Math.max(1.5, view.width / 14), lineCap: "round" });
    brush.beginPath();
    brush.moveTo(...last);
    brush.lineTo(...next);
    brush.stroke();
    last = next;
  });
  view.addEventListener("pointerup", () => { last = null; take(); });
  if (value) show();
  box.append(view, made("div", { class: "buttons" }, input, camera, clear), made("p", { class: "hint" }, "drop a picture, choose one, take one, or draw into it"), problem);
  return own;
}

// ---- answers
const best = (data) => data.reduce((a, value, k) => (value > data[a] ? k : a), 0);
const isClasses = (head) => head.labels !== null && head.dims.length === 1;
// The probabilities of a head's classes by name, or null for other heads.
function classesOf(head, answer) {
  if (!isClasses(head)) return null;
  const { data } = answer[head.name];
  if (data.length === 1 && head.labels.length === 2) return [[head.labels[1], data[0]], [head.labels[0], 1 - data[0]]];
  return data.map((share, k) => [head.labels[k] ?? String(k), share]);
}
function bar(name, share, top) {
  const part = Math.max(0, Math.min(1, share));
  return made("li", { class: top ? "top" : undefined }, made("span", { class: "name", dir: "auto" }, name), made("span", { class: "rail" }, made("span", { class: "part", style: `inline-size:${(100 * part).toFixed(2)}%` })), made("span", { class: "value" }, percent(share)));
}
// The label of an answer: of letters the text that they are, of several places the labels beside each other.
const labelOf = ({ joined }, data) => (data.length === 1 ? String(data[0]) : data.filter((text) => text !== "").join(joined ? "" : " "));
function answerOf(head, answer, record) {
  const { data, dims } = answer[head.name];
  const box = made("section", { class: "answer" }, made("h3", {}, head.name));
  if (head.description) box.append(made("p", { class: "hint" }, head.description));
  const label = head.label && answer[head.label];
  const classes = classesOf(head, answer);
  if (label) box.append(made("p", { class: "main", dir: "auto" }, labelOf(head, label.data) || "(nothing)"));
  if (classes) {
    const sorted = classes.toSorted((a, b) => b[1] - a[1]).slice(0, 10);
    box.append(made("ul", { class: "bars" }, ...sorted.map(([name, share], k) => bar(name, share, k === 0))));
    if (classes.length > 10) box.append(made("p", { class: "hint" }, `and ${shown(classes.length - 10)} less likely ones`));
  } else if (data.length === 1) {
    const [low, high] = head.interval ? head.interval.map((name) => answer[name].data[0]) : [];
    if (!label) box.append(made("p", { class: "main" }, shown(Number(data[0]))));
    if (head.interval) box.append(made("p", { class: "hint" }, `${shown(low)} to ${shown(high)}`));
  } else if (!label || dims.length === 1) {
    const ends = head.interval?.map((name) => answer[name].data);
    const quantiles = dims.length === 2 ? dims[1] : 1;
    const middle = data.filter((_, k) => k % quantiles === quantiles >> 1).map(Number);
    const lows = ends ? ends[0] : quantiles > 1 ? data.filter((_, k) => k % quantiles === 0) : null;
    const highs = ends ? ends[1] : quantiles > 1 ? data.filter((_, k) => k % quantiles === quantiles - 1) : null;
    if (dims.length === 3 && [1, 3].includes(dims[2]) && dims[0] * dims[1] > 16) {
      box.append(painted(data.map(Number), dims));
      return box;
    }
    if (middle.length > 1 && middle.length <= 512 && dims.length <= 2) box.append(forecast(head.past ? record[head.past].map(Number) : [], middle, lows, highs));
    box.append(made("p", { class: "numbers" }, middle.slice(0, 48).map(shown).join("; ") + (middle.length > 48 ? " …" : "")));
  }
  return box;
}
// An answer that is a picture, from its smallest value, black, to its largest one.
function painted(data, [tall, wide, channels]) {
  const [least, most] = data.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const view = made("canvas", { class: "parts", width: wide, height: tall, role: "img", "aria-label": `a picture with values from ${shown(least)} to ${shown(most)}` });
  const image = view.getContext("2d").createImageData(wide, tall);
  for (let k = 0; k < tall * wide; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = (255 * (data[k * channels + (channels === 1 ? 0 : c)] - least)) / (most - least || 1);
    image.data[4 * k + 3] = 255;
  }
  view.getContext("2d").putImageData(image, 0, 0);
  return view;
}
// A line of what was and one of what comes, with its interval.
function forecast(before, next, lows, highs) {
  const all = [...before, ...next, ...(lows ?? []), ...(highs ?? [])];
  if (!all.every(Number.isFinite)) return "";
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const x = (k) => (100 * k) / Math.max(1, before.length + next.length - 1);
  const y = (value) => 38 - (36 * (value - least)) / (most - least || 1);
  const line = (values, from) => "M" + values.map((value, k) => `${x(from + k).toFixed(2)},${y(value).toFixed(2)}`).join("L");
  const chart = made("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": `from ${shown(least)} to ${shown(most)}: the past, and ${next.length} values to come` });
  if (lows) chart.append(made("path", { class: "band", d: line(lows, before.length) + "L" + line(highs, before.length).slice(1).split("L").reverse().join("L") + "Z" }));
  if (before.length) chart.append(made("path", { class: "past", d: line(before, 0) }));
  const joined = before.length ? [before.at(-1), ...next] : next;
  chart.append(made("path", { class: "next", d: line(joined, before.length ? before.length - 1 : 0) }));
  return chart;
}

// ---- what if, and why: by the file's own answers
const scalars = fields.filter((field) => ["number", "category"].includes(field.kind));
// The number of an answer that curves follow: the probability of a class, the value itself, the mean of several ones, or how
// sure labels of several places are.
function follower(answer) {
  const head = heads.find((each) => each.name === at("head").value) ?? heads[0];
  const classes = classesOf(head, answer);
  if (classes === null && head.labels !== null && head.dims.length > 1) {
    const count = head.labels.length;
    const sure = ({ data }) => Array.from({ length: data.length / count }, (_, k) => Math.max(...data.slice(k * count, (k + 1) * count)));
    return { name: `the certainty of ${head.name}`, of: (found) => mean(sure(found[head.name])), text: percent };
  }
  if (classes === null) {
    const several = answer[head.name].data.length > 1 ? ", on average," : "";
    return { name: `${head.name}${several}`, of: (found) => mean(found[head.name].data.map(Number)), text: shown };
  }
  const place = best(classes.map(([, share]) => share));
  return { name: `${head.name}: ${classes[place][0]}`, of: (found) => classesOf(head, found)[place][1], text: percent };
}
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
function tried(field) {
  if (field.kind === "category") return field.known.slice(0, POINTS);
  const whole = field.dtype.startsWith("int") || field.dtype === "bool";
  const points = Array.from({ length: POINTS }, (_, k) => field.low + ((field.high - field.low) * k) / (POINTS - 1));
  return whole ? [...new Set(points.map(Math.round))] : points;
}
async function whatIf(record, answer) {
  const { name, of, text } = follower(answer);
  const shownNow = of(answer);
  const rows = [];
  for (const field of scalars) {
    const values = tried(field);
    if (values.length < 2) continue;
    const found = (await ask(values.map((value) => ({ ...record, [field.input]: value })))).map(of);
    rows.push({ field, values, found });
  }
  const all = rows.flatMap((row) => row.found).concat(shownNow).filter(Number.isFinite);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const y = (value) => 37 - (34 * (value - least)) / (most - least || 1);
  return made("div", { class: "curves" }, ...rows.map(({ field, values, found }) => {
    const chart = made("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": `${name} for ${field.name}: from ${text(Math.min(...found))} to ${text(Math.max(...found))}` });
    if (field.kind === "category") {
      const step = 100 / values.length;
      values.forEach((value, k) => {
        const same = String(value) === String(record[field.input]);
        chart.append(made("rect", { class: same ? "now" : "bar", x: k * step + step / 8, width: (step * 3) / 4, y: y(found[k]), height: Math.max(0.5, 39 - y(found[k])) }));
      });
    } else {
      const x = (value) => (100 * (value - field.low)) / (field.high - field.low || 1);
      chart.append(made("path", { class: "next", d: "M" + values.map((value, k) => `${x(value).toFixed(2)},${y(found[k]).toFixed(2)}`).join("L") }));
      const now = Number(record[field.input]);
      if (record[field.input] !== null && now >= field.low && now <= field.high) chart.append(made("line", { class: "now", x1: x(now), x2: x(now), y1: 0, y2: 40 }));
    }
    const ends = field.kind === "category" ? `${values.length} values` : `${shown(field.low)} to ${shown(field.high)}`;
    return made("figure", {}, made("figcaption", {}, field.name), chart, made("p", { class: "hint" }, `${ends}: ${text(Math.min(...found))} to ${text(Math.max(...found))}`));
  }));
}
// What each of `count` things adds to a value: Shapley values, exact for few of them, else over some orders, each with its
// reverse. `valuesOf` returns the values of sets, texts with a 1 for each thing that is there; `most` of them at a time.
async function shapley(count, valuesOf, most = ROWS) {
  const known = new Map();
  const learn = async (sets) => {
    const unknown = [...new Set(sets)].filter((set) => !known.has(set));
    for (let from = 0; from < unknown.length; from += most) {
      const part = unknown.slice(from, from + most);
      (await valuesOf(part)).forEach((value, k) => known.set(part[k], value));
    }
  };
  const added = Array(count).fill(0);
  if (count <= EXACT) {
    const sets = Array.from({ length: 2 ** count }, (_, k) => k.toString(2).padStart(count, "0"));
    await learn(sets);
    const factorial = (n) => (n < 2 ? 1 : n * factorial(n - 1));
    for (const set of sets) {
      const size = [...set].filter((bit) => bit === "1").length;
      for (let k = 0; k < count; k++) {
        if (set[k] === "1") continue;
        const weight = (factorial(size) * factorial(count - size - 1)) / factorial(count);
        added[k] += weight * (known.get(set.slice(0, k) + "1" + set.slice(k + 1)) - known.get(set));
      }
    }
    return { added, none: known.get("0".repeat(count)), orders: 0 };
  }
  let seed = 1; // the same orders each time
  let orders = 0;
  const until = performance.now() + PATIENCE;
  while (orders < SAMPLES && (orders < 2 || performance.now() < until)) {
    const order = added.map((_, k) => k);
    for (let k = count - 1; k > 0; k--) {
      seed = (seed * 48271) % 2147483647;
      const other = seed % (k + 1);
      [order[k], order[other]] = [order[other], order[k]];
    }
    for (const each of [order, order.toReversed()]) {
      const bits = Array(count).fill("0");
      const path = ["0".repeat(count), ...each.map((k) => { bits[k] = "1"; return bits.join(""); })];
      await learn(path);
      each.forEach((k, place) => { added[k] += known.get(path[place + 1]) - known.get(path[place]); });
      orders += 1;
    }
  }
  return { added: added.map((sum) => sum / orders), none: known.get("0".repeat(count)), orders };
}
const over = (orders) => (orders ? ` (over ${orders} orders)` : "");
// What each field adds to the answer against the typical row.
async function why(record, answer) {
  const { name, of, text } = follower(answer);
  const typical = Object.fromEntries(fields.map((field) => [field.input, field.kind === "picture" ? emptied(record[field.input]) : sameSize(field.typical, record[field.input])]));
  const box = made("div", {});
  const sign = (value) => (value < 0 ? "−" : "+") + text(Math.abs(value));
  if (fields.length > 1 || fields[0].kind !== "picture") {
    const mixed = (set) => Object.fromEntries(fields.map(({ input }, k) => [input, set[k] === "1" ? record[input] : typical[input]]));
    const { added, none, orders } = await shapley(fields.length, async (sets) => (await ask(sets.map(mixed))).map(of));
    const sorted = fields.map((field, k) => [field, added[k]]).toSorted((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const most = Math.max(...sorted.map(([, value]) => Math.abs(value))) || 1;
    box.append(
      made("p", {}, `${name} is ${text(of(answer))}; of the typical row it is ${text(none)}. The difference, by field${over(orders)}:`),
      made("ul", { class: "bars" }, ...sorted.slice(0, 15).map(([field, value]) => made("li", {}, made("span", { class: "name", dir: "auto" }, field.name), made("span", { class: "rail" }, made("span", { class: value < 0 ? "part less" : "part", style: `inline-size:${((100 * Math.abs(value)) / most).toFixed(2)}%` })), made("span", { class: "value" }, sign(value))))));
  }
  for (const field of fields) {
    if (["text", "words"].includes(field.kind)) box.append(await words(field, record, of, of(answer), text));
    if (field.kind === "picture") box.append(await parts(field, record, of, of(answer), text, typical[field.input]));
  }
  return box;
}
// A picture without anything on it: all pixels have the middle value of its edge, by channel.
function emptied(picture) {
  const edge = [...picture[0], ...picture.at(-1), ...picture.map((line) => line[0]), ...picture.map((line) => line.at(-1))];
  const middle = edge[0].map((_, c) => edge.map((pixel) => pixel[c]).toSorted((a, b) => a - b)[edge.length >> 1]);
  return picture.map((line) => line.map(() => middle));
}
// A picture whose parts are coloured by what each adds to the answer against the picture without it.
async function parts(field, record, of, whole, text, empty) {
  const picture = record[field.input], tall = picture.length, wide = picture[0].length;
  const [rows, columns] = [Math.min(SIDE, tall), Math.min(SIDE, wide)];
  const cell = (y, x) => Math.floor((y * rows) / tall) * columns + Math.floor((x * columns) / wide);
  const hidden = (set) => picture.map((line, y) => line.map((pixel, x) => (set[cell(y, x)] === "1" ? pixel : empty[y][x])));
  const most = Math.max(1, Math.min(ROWS, Math.floor(2 ** 21 / (tall * wide * picture[0][0].length))));
  const { added, none, orders } = await shapley(rows * columns, async (sets) => (await ask(sets.map((set) => ({ ...record, [field.input]: hidden(set) })))).map(of), most);
  const scale = Math.ceil(240 / wide);
  const strongest = added.reduce((a, value, k) => (value > added[a] ? k : a), 0);
  const view = made("canvas", { class: "parts", width: wide * scale, height: tall * scale, role: "img", "aria-label": `${field.name}: what its parts add, most in row ${1 + Math.floor(strongest / columns)} and column ${1 + (strongest % columns)} of ${rows} by ${columns}: ${text(added[strongest])}` });
  view.style.width = widthOf(view);
  const brush = view.getContext("2d");
  picture.forEach((line, y) => line.forEach((pixel, x) => {
    const grey = Math.round((255 / field.white) * (pixel.reduce((a, b) => a + b) / pixel.length));
    brush.fillStyle = `rgb(${grey} ${grey} ${grey})`;
    brush.fillRect(x * scale, y * scale, scale, scale);
  }));
  const top = Math.max(...added.map(Math.abs)) || 1;
  const colours = getComputedStyle(document.documentElement);
  picture.forEach((line, y) => line.forEach((_, x) => {
    const value = added[cell(y, x)];
    brush.fillStyle = `rgb(${colours.getPropertyValue(value < 0 ? "--less" : "--more")} / ${((0.7 * Math.abs(value)) / top).toFixed(2)})`;
    brush.fillRect(x * scale, y * scale, scale, scale);
  }));
  return made("div", {}, made("p", { class: "hint" }, `${field.name}: ${text(whole)}, and ${text(none)} with every part hidden; parts that raise it are blue, those that lower it orange${over(orders)}`), view);
}
// A text whose words are coloured by how the answer changes without each of them.
async function words(field, record, of, whole, text) {
  const list = Array.isArray(record[field.input]);
  const parts = list ? record[field.input] : record[field.input].split(/(\s+)/); // of a text: words at even places
  const places = parts.flatMap((part, k) => ((list || k % 2 === 0) && part ? [k] : [])).slice(0, WORDS);
  if (places.length < 2) return "";
  const without = places.map((k) => (list ? parts.toSpliced(k, 1) : parts.toSpliced(k, 1).join("")));
  const found = (await ask(without.map((value) => ({ ...record, [field.input]: value })))).map((answer) => whole - of(answer));
  const most = Math.max(...found.map(Math.abs)) || 1;
  const box = made("p", { class: "text", dir: "auto" });
  parts.forEach((part, k) => {
    const place = places.indexOf(k);
    if (place < 0) return box.append(part, list ? " " : "");
    const effect = found[place];
    box.append(made("span", { title: `${effect < 0 ? "−" : "+"}${text(Math.abs(effect))}`, style: `background:rgb(var(--${effect < 0 ? "less" : "more"}) / ${((0.6 * Math.abs(effect)) / most).toFixed(2)})` }, part), list ? " " : "");
  });
  return made("div", {}, made("p", { class: "hint" }, `${field.name}: words that raise it are blue, those that lower it orange`), box);
}
// The typical value in the size of the given one; of a list of numbers without one, each is the list's mean.
function sameSize(typical, given) {
  if (!Array.isArray(given)) return typical ?? null;
  const flat = given.flat(Infinity).map(Number).filter(Number.isFinite);
  const filled = (value, part) => (Array.isArray(value) ? value.map((each) => filled(each, part)) : part(value));
  const sizes = (value) => JSON.stringify(filled(value, () => 0));
  if (typical && sizes(typical) === sizes(given)) return typical;
  return filled(given, (value) => (typeof value === "string" && flat.length === 0 ? "" : flat.length ? mean(flat) : 0));
}

// ---- the form
const controls = fields.map((field, k) => controlOf(field, `f${k}`));
function recordOf() {
  const record = {};
  let good = true;
  for (const { field, problem, control, read } of controls) {
    try {
      record[field.input] = read();
      problem.textContent = "";
      control.removeAttribute("aria-invalid");
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      problem.textContent = `${field.name} ${error.message}`;
      control.setAttribute("aria-invalid", "true");
      good = false;
    }
  }
  return good ? record : null;
}
let busy = false, waiting = false;
async function changed() {
  if (!session) return;
  if (busy) { waiting = true; return; } // one call at a time: the last value is answered last
  busy = true;
  try {
    do {
      waiting = false;
      const record = recordOf();
      if (record === null) { at("answers").replaceChildren(made("p", { class: "hint" }, "The form is not complete, or has a mistake.")); continue; }
      const [answer] = await ask([record]);
      const taught = about.learn ? await ownAnswer(record) : [];
      at("answers").replaceChildren(...taught, ...heads.map((head) => answerOf(head, answer, record)));
      for (const [id, made_] of [["what-if", whatIf], ["why", why]]) if (at(id).open) at(`${id}-body`).replaceChildren(await made_(record, answer));
    } while (waiting);
  } catch (error) {
    at("answers").replaceChildren(made("p", { class: "problem" }, `The network does not answer: ${error.message}`));
  } finally {
    busy = false;
  }
}

// ---- a table: rows of a CSV file, and its answers
function rowsOf(text) {
  const first = text.slice(0, text.search(/\r?\n|$/));
  const mark = [",", ";", "\t"].toSorted((a, b) => first.split(b).length - first.split(a).length)[0];
  const rows = [[]];
  let cell = "", quoted = false;
  for (let k = text.charCodeAt(0) === 0xfeff ? 1 : 0; k < text.length; k++) {
    const sign = text[k];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[k + 1] === '"') { cell += '"'; k++; }
      else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === mark) { rows.at(-1).push(cell); cell = ""; }
    else if (sign === "\n" || sign === "\r") {
      if (sign === "\r" && text[k + 1] === "\n") k++;
      rows.at(-1).push(cell);
      cell = "";
      rows.push([]);
    } else cell += sign;
  }
  rows.at(-1).push(cell);
  return { mark, rows: rows.filter((row) => row.length > 1 || row[0] !== "") };
}
const cellOf = (text, mark) => (/["\r\n]/.test(text) || text.includes(mark) ? `"${text.replaceAll('"', '""')}"` : text);
// The places of the fields among a table's columns, and the record of a row.
function placesOf(names) {
  const places = fields.map((field) => [field.name, field.input, ...(field.columns?.length === 1 ? field.columns : [])].map((name) => names.indexOf(name)).find((k) => k >= 0) ?? -1);
  const lacking = fields.filter((_, k) => places[k] < 0).map((field) => field.name);
  if (lacking.length) throw new Wrong(`has no column ${lacking.join(", ")}; its columns are ${names.join(", ")}`);
  return places;
}
function recordOfRow(row, places, size) {
  if (row.length !== size) throw new Wrong(`has ${row.length} cells, not ${size}`);
  return Object.fromEntries(fields.map((field, k) => {
    const cell = row[places[k]];
    if (cell === "" && field.kind !== "text" && field.missing !== null && field.missing !== undefined) return [field.input, null];
    try { return [field.input, valueOf(cell, field)]; } catch (error) { throw new Wrong(`${field.name} ${error.message}`); }
  }));
}
// The columns that a head adds to a table, as `predict` names them: pairs of a name and what its cell says of an answer.
function columnsOf(head) {
  const whole = (name, text) => [name, (answer) => text(answer[name].data)];
  const values = (name) => (head.dims.length !== 1 || !(head.dims[0] > 1) ? [whole(name, (data) => written(data.map(plain)))]
    : Array.from({ length: head.dims[0] }, (_, k) => [`${name}_${head.labels?.[k]?.trim() || k}`, (answer) => String(plain(answer[name].data[k]))]));
  return [...(head.label ? [whole(head.label, (data) => labelOf(head, data))] : []), ...[head.name, ...(head.interval ?? [])].flatMap(values)];
}
async function table(text) {
  const { mark, rows } = rowsOf(text);
  const [names, ...body] = rows;
  const places = placesOf(names);
  const good = [], bad = [], answers = Array(body.length).fill(null);
  body.forEach((row, n) => {
    try {
      good.push([n, recordOfRow(row, places, names.length)]);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      bad.push([n, error.message]);
    }
  });
  const free = fields.some((field) => field.kind === "words" || field.dims.includes(null)); // lengths differ: one at a time
  for (let from = 0; from < good.length; from += free ? 1 : ROWS) {
    const part = good.slice(from, from + (free ? 1 : ROWS));
    (await ask(part.map(([, record]) => record))).forEach((answer, k) => { answers[part[k][0]] = answer; });
    at("table-state").textContent = `${shown(from + part.length)} of ${shown(good.length)} rows`;
  }
  const added = heads.flatMap(columnsOf);
  const given = names.map((name) => (added.some(([own]) => own === name) ? `${name}_given` : name));
  const lines = [[...given, ...added.map(([name]) => name)], ...body.map((row, n) => [...row, ...added.map(([, cell]) => (answers[n] ? cell(answers[n]) : ""))])];
  return { csv: lines.map((row) => row.map((cell) => cellOf(cell, mark)).join(mark)).join("\n") + "\n", good: good.length, bad };
}
const plain = (value) => (typeof value === "number" ? Number(value.toPrecision(7)) : typeof value === "bigint" ? String(value) : value);
async function dropped(file) {
  const state = at("table-state");
  try {
    const { csv, good, bad } = await table(await file.text());
    const link = made("a", { href: URL.createObjectURL(new Blob([csv], { type: "text/csv" })), download: file.name.replace(/(\.\w+)?$/, "_answers.csv") }, `Save ${good} rows with their answers`);
    const listed = bad.slice(0, 50).map(([n, why_]) => made("li", {}, `row ${n + 1}: ${why_}`));
    state.replaceChildren(link, ...(bad.length ? [made("p", {}, `${bad.length} rows have no answer:`), made("ul", { class: "problem" }, ...listed)] : []));
  } catch (error) {
    state.replaceChildren(made("p", { class: "problem" }, `'${file.name}' ${error instanceof Wrong ? error.message : `cannot be read: ${error.message}`}`));
  }
}

// ---- the engine, and the start
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text); // several times as fast
  const signs = atob(text), bytes = new Uint8Array(signs.length);
  for (let k = 0; k < signs.length; k++) bytes[k] = signs.charCodeAt(k);
  return bytes;
}
async function part(name) {
  const given = at(`engine-${name}`);
  if (given) return bytesOf(given.textContent);
  const { url, integrity } = about.engine[name];
  const got = await fetch(url, { integrity, credentials: "omit", referrerPolicy: "no-referrer" }).catch(() => {
    throw new Error(`${url} cannot be reached, or is another one; \`graphspec page --engine DIR\` makes a page that needs no network`);
  });
  if (!got.ok) throw new Error(`${url} answers ${got.status}`);
  return new Uint8Array(await got.arrayBuffer());
}
async function start() {
  at("form").replaceChildren(...controls.map(({ box }) => box));
  at("head").replaceChildren(...heads.map((head) => made("option", { value: head.name }, head.name)));
  at("head-choice").hidden = heads.length < 2;
  at("what-if").hidden = scalars.length === 0;
  at("table").hidden = fields.some((field) => field.kind === "picture");
  for (const id of ["what-if", "why"]) at(id).addEventListener("toggle", changed);
  at("head").addEventListener("change", changed);
  at("csv").addEventListener("change", () => at("csv").files[0] && dropped(at("csv").files[0]));
  onDrop(at("table"), dropped);
  try {
    const [code, binary] = await Promise.all([part("code"), part("binary")]);
    ort = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    Object.assign(ort.env.wasm, { wasmBinary: binary.buffer, numThreads: 1 }); // more threads need special headers
    session = await ort.InferenceSession.create(bytesOf(at("model").textContent));
    answers = session.outputNames.filter((name) => !about.learn?.features.includes(name));
    if (about.learn) await teach();
  } catch (error) {
    at("answers").replaceChildren(made("p", { class: "problem" }, `The engine does not start: ${error.message}`));
    return;
  }
  await changed();
}
const ready = start();
