// Heads: shares in matrices ([data-shares]) with tooltips, and thresholds that move ([data-threshold]).
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const whole = new Intl.NumberFormat("en");
  for (const matrix of all("table.matrix")) {
    const names = [...matrix.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    for (const row of matrix.tBodies[0].rows) {
      const [name, ...cells] = row.cells;
      const counts = cells.map((cell) => Number(cell.textContent)), total = counts.reduce((a, b) => a + b, 0);
      cells.forEach((cell, k) => {
        const share = total ? `${((100 * counts[k]) / total).toFixed(1)} %` : "–";
        cell.dataset.count = counts[k];
        cell.dataset.share = total ? Math.round((100 * counts[k]) / total) + " %" : "–";
        cell.dataset.tip = `true ${name.textContent}, predicted ${names[k]}: ${whole.format(counts[k])}, ${share} of the row`;
      });
    }
  }
  for (const button of all("button[data-shares]"))
    button.addEventListener("click", () => {
      const shares = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", shares);
      for (const cell of all("td", document.getElementById(button.dataset.shares)))
        cell.textContent = shares ? cell.dataset.share : cell.dataset.count;
    });
  for (const control of all("[data-threshold]")) {
    const name = control.dataset.threshold;
    const { t, tp, fp, positive, negative } = JSON.parse(document.getElementById(`${name}-thresholds`).textContent);
    const range = control.querySelector("input"), output = control.querySelector("output"), shown = all("dd", control);
    const dots = all(`[data-moves="${name}"]`);
    const part = (a, b) => (b ? (a / b).toFixed(3) : "–");
    const update = () => {
      const k = Number(range.value), fn = positive - tp[k], tn = negative - fp[k];
      const values = [part(tp[k], tp[k] + fp[k]), part(tp[k], positive), part(2 * tp[k], 2 * tp[k] + fp[k] + fn),
        part(tp[k] + tn, positive + negative), ...[tp[k], fp[k], fn, tn].map((n) => whole.format(n))];
      values.forEach((value, i) => (shown[i].textContent = value));
      output.textContent = t[k];
      range.setAttribute("aria-valuetext", `${t[k]}: precision ${values[0]}, recall ${values[1]}`);
      for (const dot of dots) {
        const recall = tp[k] / positive, called = tp[k] + fp[k];
        const [x, y] = dot.dataset.curveKind === "0" ? [fp[k] / negative, recall] : [recall, called ? tp[k] / called : 1];
        dot.setAttribute("cx", x * dot.dataset.width);
        dot.setAttribute("cy", (1 - y) * dot.dataset.height);
        dot.dataset.tip = `above ${t[k]}: ${dot.dataset.curveKind === "0" ? "false positive rate, true positive rate" : "recall, precision"} ${x.toFixed(3)}, ${y.toFixed(3)}`;
      }
    };
    range.addEventListener("input", update);
    update();
  }
})();
