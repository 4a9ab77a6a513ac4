// The network's boxes, which show what is known of their nodes, and the buttons that copy text.
(() => {
  for (const view of document.querySelectorAll("[data-network]")) {
    const details = view.querySelector(".node-details"), table = document.getElementById("nodes");
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = new Map([...table.tBodies[0].rows].map((row) => [row.dataset.node, row]));
    const element = (tag, text, kind) => {
      const made = document.createElement(tag);
      if (text !== undefined) made.textContent = text;
      if (kind) made.className = kind;
      return made;
    };
    const facts = (pairs) => {
      const list = document.createElement("dl");
      for (const [name, value] of pairs) list.append(element("dt", name), element("dd", value));
      return list;
    };
    const one = (row) => {
      const pairs = [];
      [...row.cells].forEach((cell, k) => {
        const shown = cell.textContent.trim(), more = cell.querySelector("[data-tip]");
        if (k && shown) pairs.push([heads[k], more ? `${shown} (${more.dataset.tip})` : shown]);
      });
      const parts = [element("h3", row.cells[0].textContent)];
      if (row.dataset.problem) parts.push(element("p", row.dataset.problem, "problem"));
      return [...parts, facts(pairs)];
    };
    const numeric = (cell) => Number(cell.dataset.value ?? cell.textContent.replaceAll(",", "")) || 0;
    const sum = (nodes, name) => nodes.reduce((all, row) => all + numeric(row.cells[heads.indexOf(name)]), 0);
    const several = (title, nodes) => {
      const list = element("ul");
      for (const row of nodes) {
        const button = element("button", row.cells[0].textContent, row.dataset.problem ? "problem" : "");
        button.type = "button";
        button.addEventListener("click", () => show([row], title, nodes));
        const item = element("li");
        item.append(button);
        list.append(item);
      }
      const totals = ["parameters", "multiply-adds"].map((name) => [name, Math.round(sum(nodes, name)).toLocaleString("en")]);
      return [element("h3", title), facts([["nodes", String(nodes.length)], ...totals]), list];
    };
    const show = (nodes, title, back) => {
      const parts = nodes.length === 1 ? one(nodes[0]) : several(title, nodes);
      if (back) {
        const button = element("button", `← ${title}`);
        button.type = "button";
        button.addEventListener("click", () => show(back, title));
        parts.push(button);
      }
      details.replaceChildren(...parts);
      details.scrollTop = 0;
    };
    const boxes = [...view.querySelectorAll("[data-nodes]")], canvas = view.querySelector(".canvas");
    if (boxes.length) {
      const [box, frame] = [boxes[0].getBoundingClientRect(), canvas.getBoundingClientRect()];
      canvas.scrollLeft = box.left + box.width / 2 - frame.left - frame.width / 2;
    }
    const choose = (box) => {
      for (const other of boxes) other.setAttribute("aria-pressed", other === box);
      const nodes = box.dataset.nodes.split(" ").map((key) => rows.get(key)).filter(Boolean);
      show(nodes, box.querySelector(".title").textContent);
    };
    for (const box of boxes) {
      box.addEventListener("click", () => choose(box));
      box.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose(box);
      });
    }
  }

  // Without https, as in a file, a page may have no clipboard: the text is then selected, and copied as by hand.
  for (const button of document.querySelectorAll("button[data-copy]"))
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy), label = button.textContent;
      let done = false;
      try {
        await navigator.clipboard.writeText(from.textContent);
        done = true;
      } catch {
        const range = document.createRange();
        range.selectNodeContents(from);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => (button.textContent = label), 1500);
    });
})();
