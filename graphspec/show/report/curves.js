// Curves: the values of an epoch under the pointer, or by the arrow keys; runs that are switched off.
(() => {
  const { show, hide, say } = window.graphspecReport;
  const numbers = new Map();
  const of = (name) => {
    if (!numbers.has(name)) numbers.set(name, JSON.parse(document.getElementById(`${name}-values`).textContent));
    return numbers.get(name);
  };
  const off = new Set();
  for (const figure of document.querySelectorAll("[data-curve]")) {
    const [name, k] = figure.dataset.curve.split(":");
    const [left, wide, low, high] = ["left", "wide", "low", "high"].map((key) => Number(figure.dataset[key]));
    for (const svg of figure.querySelectorAll("svg")) {
      const cross = document.createElementNS("http://www.w3.org/2000/svg", "line");
      const plot = svg.querySelector("g");
      let at = -1;
      cross.setAttribute("class", "cross");
      cross.setAttribute("y1", "0");
      cross.setAttribute("y2", figure.dataset.tall);
      cross.setAttribute("visibility", "hidden");
      plot.append(cross);
      svg.tabIndex = 0;
      const point = (index, y, aloud) => {
        const { epochs, panels } = of(name);
        at = Math.max(0, Math.min(index, epochs.length - 1));
        const x = ((epochs[at] - low) / (high - low)) * wide;
        for (const end of ["x1", "x2"]) cross.setAttribute(end, x);
        cross.setAttribute("visibility", "visible");
        const lines = panels[k].filter(([, values, run]) => values[at] !== null && values[at] !== undefined && !off.has(run));
        const said = `epoch ${epochs[at]}\n` + lines.map(([label, values]) => `${label}  ${values[at]}`).join("\n");
        const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
        show(said, box.left + (left + x) * scale, y ?? box.top + 20);
        if (aloud) say(said);
      };
      const move = (event) => {
        const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
        const epoch = low + (((event.clientX - box.left) / scale - left) / wide) * (high - low);
        const { epochs } = of(name);
        const nearest = epochs.reduce((best, e, i) => (Math.abs(e - epoch) < Math.abs(epochs[best] - epoch) ? i : best), 0);
        point(nearest, event.clientY);
      };
      const leave = () => {
        cross.setAttribute("visibility", "hidden");
        hide();
      };
      svg.addEventListener("pointermove", move);
      svg.addEventListener("pointerdown", move);
      svg.addEventListener("pointerleave", leave);
      svg.addEventListener("blur", leave);
      svg.addEventListener("keydown", (event) => {
        const last = of(name).epochs.length - 1;
        const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? last : at - 1, Home: 0, End: last }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        point(next, undefined, true);
      });
    }
  }
  for (const box of document.querySelectorAll("input[data-run-switch]"))
    box.addEventListener("change", () => {
      const run = Number(box.dataset.runSwitch);
      off[box.checked ? "delete" : "add"](run);
      for (const line of document.querySelectorAll(`[data-run="${run}"]`)) line.toggleAttribute("data-off", !box.checked);
    });
})();
