// ---- a page that learns: examples under names of the visitor's own, and a new head over what the network's last weights read
// `about.learn`: `features`, outputs of the file; `size`, how many numbers they are; `most`, classes of the step; `step`, its record.
const HELD_BACK = 4; // of a name's examples, every fourth is not learnt from
const STEPS = 400; // at most
const SHOWN = 5; // steps between two looks
const NO_CLASS = -1e9; // the bias of a class without a name: its probability is 0, and so is every gradient of its weights
const categories = [];
let own = null; // the new head: names, kernel and bias of each
let trainer;

// The features of records of one size, as one array of numbers for each.
async function featuresOf(records) {
  const found = await ask(records, about.learn.features);
  return found.map((each) => Float32Array.from(about.learn.features.flatMap((name) => each[name].data)));
}
function sharesOf(features) {
  const logits = own.bias.map((bias, k) => own.kernel[k].reduce((sum, weight, f) => sum + weight * features[f], bias));
  const top = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
// What the new head says of a record: a section of the answers.
async function ownAnswer(record) {
  if (!own) return [];
  const shares = sharesOf((await featuresOf([record]))[0]);
  const sorted = own.names.map((name, k) => [name, shares[k]]).toSorted((a, b) => b[1] - a[1]);
  return [made("section", { class: "answer" }, made("h3", {}, "Your own names"), made("p", { class: "main", dir: "auto" }, sorted[0][0]), made("ul", { class: "bars" }, ...sorted.map(([name, share], k) => bar(name, share, k === 0))))];
}

// Train a new head: the steps are those of the file; features are scaled for it, and the scale becomes part of the weights.
async function train() {
  const { size, most, step } = about.learn;
  const named = categories.filter(({ examples }) => examples.length);
  const all = named.flatMap(({ examples }, label) => examples.map(({ features }, k) => ({ features, label, held: (k + 1) % HELD_BACK === 0 })));
  const learnt = all.filter(({ held }) => !held);
  const mean = new Float64Array(size), scale = new Float64Array(size);
  for (const { features } of learnt) features.forEach((value, f) => { mean[f] += value / learnt.length; });
  for (const { features } of learnt) features.forEach((value, f) => { scale[f] += (value - mean[f]) ** 2 / learnt.length; });
  scale.forEach((variance, f) => { scale[f] = 1 / (Math.sqrt(size) * (Math.sqrt(variance) || 1)); });
  const x = new Float32Array(learnt.length * size);
  learnt.forEach(({ features }, n) => features.forEach((value, f) => { x[n * size + f] = (value - mean[f]) * scale[f]; }));
  const target = step.targets[0];
  const feeds = {
    [step.inputs[0].name]: new ort.Tensor("float32", x, [learnt.length, size]),
    [target.name]: new ort.Tensor(target.dtype, ARRAYS[target.dtype].from(learnt, ({ label }) => (target.dtype === "int64" ? BigInt(label) : label)), [learnt.length, ...target.shape.slice(1)]),
  };
  const state = [...step.weights, ...step.slots];
  const [kernel, bias] = [2, 1].map((rank) => step.weights.find(({ shape }) => shape.length === rank));
  for (const { name, shape } of state) feeds[name] = new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  feeds[bias.name].data.fill(NO_CLASS, named.length);
  const losses = [];
  let best = Infinity, since = 0;
  for (let k = 0; k < STEPS && since < 40; k++) {
    feeds.step = new ort.Tensor("int64", BigInt64Array.of(BigInt(k)), []);
    const found = await trainer.run(feeds);
    for (const { name, next } of state) feeds[name] = found[next];
    losses.push(found.loss.data[0]);
    since = losses[k] < best * 0.99 ? 0 : since + 1; // settled: a hundredth less in none of so many steps
    best = Math.min(best, losses[k]);
    if (k % SHOWN === 0) {
      told(losses, null);
      await new Promise((done) => setTimeout(done));
    }
  }
  const weights = feeds[kernel.name].data;
  own = { names: named.map(({ name }) => name), kernel: [], bias: [] };
  for (let c = 0; c < named.length; c++) {
    own.kernel.push(Float32Array.from(mean, (_, f) => weights[f * most + c] * scale[f]));
    own.bias.push(feeds[bias.name].data[c] - own.kernel[c].reduce((sum, weight, f) => sum + weight * mean[f], 0));
  }
  told(losses, all.filter(({ held }) => held));
  await changed();
}
// The loss of the steps as a curve; at the end the held back examples, and the weights to save.
function told(losses, held) {
  const top = Math.max(...losses);
  const line = losses.map((loss, k) => `${((100 * k) / Math.max(1, losses.length - 1)).toFixed(2)},${(38 - (36 * loss) / (top || 1)).toFixed(2)}`).join("L");
  const parts_ = [
    made("p", {}, `step ${shown(losses.length)}: loss ${shown(losses.at(-1))}`),
    made("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": `the loss, from ${shown(losses[0])} to ${shown(losses.at(-1))}` }, made("path", { class: "next", d: `M${line}` })),
  ];
  if (held) {
    const right = held.filter(({ features, label }) => best(sharesOf(features)) === label).length;
    const loss = held.reduce((sum, { features, label }) => sum - Math.log(Math.max(1e-7, sharesOf(features)[label])), 0) / held.length;
    parts_[0].append(held.length ? `. Of ${shown(held.length)} examples that were held back, ${shown(right)} are named right (loss ${shown(loss)}).` : ". No examples were held back: a name needs four.");
    const file = new Blob([safetensors()], { type: "application/octet-stream" });
    parts_.push(made("a", { href: URL.createObjectURL(file), download: "own.safetensors" }, "Save the weights"));
  }
  at("learn-state").replaceChildren(...parts_);
}
// The new head's weights in Keras's layout, for `weights: own.safetensors` of a Dense node.
function safetensors() {
  const { size } = about.learn, count = own.names.length;
  const values = new Float32Array(size * count + count);
  own.kernel.forEach((weights, c) => weights.forEach((weight, f) => { values[f * count + c] = weight; }));
  values.set(own.bias, size * count);
  const middle = 4 * size * count;
  const header = { __metadata__: { labels: JSON.stringify(own.names) }, kernel: { dtype: "F32", shape: [size, count], data_offsets: [0, middle] }, bias: { dtype: "F32", shape: [count], data_offsets: [middle, middle + 4 * count] } };
  let text = new TextEncoder().encode(JSON.stringify(header));
  text = Uint8Array.from({ length: Math.ceil(text.length / 8) * 8 }, (_, k) => text[k] ?? 32);
  const file = new Uint8Array(8 + text.length + values.byteLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(new Uint8Array(values.buffer), 8 + text.length); // browsers' machines are little-endian, as the file is
  return file;
}

// ---- examples
async function added(category, records) {
  for (const record of records) {
    const [features] = await featuresOf([record]);
    category.examples.push({ record, features });
  }
  listed();
}
function sketch({ record }) {
  const picture = fields.find(({ kind }) => kind === "picture");
  if (!picture) return made("li", { dir: "auto" }, fields.slice(0, 4).map(({ input }) => written(record[input])).join(", ").slice(0, 60));
  const pixels = record[picture.input];
  const view = made("canvas", { width: pixels[0].length, height: pixels.length, role: "img", "aria-label": "an example" });
  const image = view.getContext("2d").createImageData(view.width, view.height);
  pixels.flat().forEach((pixel, k) => image.data.set([...(pixel.length === 1 ? Array(3).fill(pixel[0]) : pixel).map((ink) => (255 * ink) / picture.white), 255], 4 * k));
  view.getContext("2d").putImageData(image, 0, 0);
  return made("li", {}, view);
}
const problem = (text) => at("learn-problem").replaceChildren(text);
const button = (text, click) => made("button", { type: "button", click: async () => {
  problem("");
  try { await click(); } catch (error) { problem(error instanceof Wrong ? error.message : `That did not work: ${error.message}`); }
} }, text);
function listed() {
  for (const category of categories) {
    const { examples, list, state } = category;
    state.textContent = `${shown(examples.length)} example${examples.length === 1 ? "" : "s"}`;
    list.replaceChildren(...examples.slice(-12).map(sketch));
  }
}
function another(name) {
  if (categories.length >= about.learn.most) throw new Wrong(`A page learns at most ${about.learn.most} names.`);
  const category = { name: name ?? `name ${categories.length + 1}`, examples: [], list: made("ul", { class: "examples" }), state: made("span", { class: "hint" }) };
  const input = made("input", { type: "text", value: category.name, "aria-label": `Name ${categories.length + 1}`, dir: "auto", input: () => { category.name = input.value; } });
  const shownNow = async () => {
    const record = recordOf();
    if (!record) throw new Wrong("The form is not complete, or has a mistake.");
    await added(category, [record]);
  };
  const camera = controls.find(({ ofFile }) => ofFile);
  const buttons = [button("Add what the form shows", shownNow)];
  if (camera) {
    const files = made("input", { type: "file", accept: "image/*", multiple: "", "aria-label": `Pictures of name ${categories.length + 1}`, change: async () => {
      problem("");
      for (const file of files.files) {
        try { await added(category, [{ ...recordOf(), [camera.field.input]: await camera.ofFile(file) }]); } catch (error) { problem(error.message); }
      }
      files.value = "";
    } });
    buttons.push(button("Take ten", async () => {
      if (!camera.live) throw new Wrong("The camera is off: it is above, below the picture.");
      for (let k = 0; k < 10; k++) {
        await shownNow();
        await new Promise((done) => setTimeout(done, 200));
      }
    }), files);
  }
  buttons.push(button("Remove the last", () => { category.examples.pop(); listed(); }));
  at("learn-names").append(made("li", {}, input, category.state, category.list, made("div", { class: "buttons" }, ...buttons)));
  categories.push(category);
  listed();
  return category;
}
// Rows of a CSV file with a column `category`, or one column that is no field's.
async function examplesOf(text) {
  const { rows } = rowsOf(text);
  const [names, ...body] = rows;
  const strange = names.filter((name) => !fields.some((field) => field.name === name || field.input === name));
  const column = names.indexOf(strange.includes("category") || strange.length !== 1 ? "category" : strange[0]);
  if (column < 0) throw new Wrong("The file needs a column 'category' with the name of each row.");
  const places = placesOf(names);
  for (const [n, row] of body.entries()) {
    let record;
    try { record = recordOfRow(row, places, names.length); } catch (error) { throw new Wrong(`row ${n + 1}: ${error.message}`); }
    await added(categories.find(({ name }) => name === row[column]) ?? another(row[column]), [record]);
  }
}
async function teach() {
  at("learn").hidden = false;
  at("learn").open = true;
  trainer = await ort.InferenceSession.create(bytesOf(at("step").textContent));
  const table = made("input", { type: "file", accept: ".csv,.tsv,text/csv", "aria-label": "A CSV file of examples", change: async () => {
    problem("");
    try { await examplesOf(await table.files[0].text()); } catch (error) { problem(error.message); }
    table.value = "";
  } });
  at("learn-body").append(
    made("p", {}, "Give names of your own, and a few examples of each: what the form above shows, again and again. The network then learns to tell them apart, in this browser."),
    made("ol", { id: "learn-names" }),
    made("div", { class: "buttons" }, button("Another name", () => { another(); }), button("Learn", async () => {
      if (categories.filter(({ examples }) => examples.length).length < 2) throw new Wrong("There must be examples of two names at least.");
      await train();
    })),
    ...(fields.some((field) => field.kind === "picture") ? [] : [made("p", { class: "hint" }, "Or choose a CSV file with the columns of the form, and one called category:"), table]),
    made("p", { class: "problem", id: "learn-problem", role: "status" }), made("div", { id: "learn-state", role: "status" }));
  another();
  another();
}
