"use strict";
// What a report does beyond its text: tooltips ([data-tip]), tabs ([data-tabs]), tables that sort ([data-sort]), the
// current section in the bar, buttons that switch ([data-switch]). All of it can be read without this script.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // Tooltips: on hover, on touch, on keyboard focus. In a chart, the arrow keys go from mark to mark.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  const spoken = document.createElement("div");
  spoken.className = "hidden-text";
  spoken.setAttribute("role", "status");
  document.querySelector("main").append(spoken);
  document.body.append(tip);
  const place = (x, y) => {
    tip.style.left = tip.style.top = "0";
    const { width, height } = tip.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    const left = Math.max(4, Math.min(x - width / 2, wide - width - 4));
    const top = y - height - 12 < 4 ? y + 20 : y - height - 12;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${top + scrollY}px`;
  };
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    place(x, y);
  };
  const hide = () => (tip.hidden = true);
  const showAt = (element) => {
    const box = element.getBoundingClientRect();
    show(element.dataset.tip, box.left + box.width / 2, box.top);
  };
  const tipped = (event) => event.target instanceof Element && event.target.closest("[data-tip]");
  for (const kind of ["pointerover", "pointerdown", "pointermove"])
    document.addEventListener(kind, (event) => {
      const element = tipped(event);
      if (element) show(element.dataset.tip, event.clientX, event.clientY);
      else if (kind !== "pointermove" && !event.target.closest?.("[data-curve]")) hide();
    });
  document.addEventListener("focusin", (event) => tipped(event) === event.target && event.target.matches(":focus-visible") && showAt(event.target));
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  for (const chart of all("svg.chart")) {
    const marks = () => all("[data-tip]", chart).filter((mark) => mark.getClientRects().length);
    if (!chart.querySelector("[data-tip]")) continue;
    let at = -1;
    chart.setAttribute("tabindex", "0");
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const found = marks();
      if (!step || !found.length) return;
      event.preventDefault();
      at = (at + step + found.length) % found.length;
      found.forEach((mark, k) => mark.classList.toggle("on", k === at));
      showAt(found[at]);
      spoken.textContent = found[at].dataset.tip;
    });
    chart.addEventListener("blur", () => marks().forEach((mark) => mark.classList.remove("on")));
  }

  // Tabs: <div data-tabs><button data-tab="ID">…</button>…</div>, and elements with these ids.
  for (const group of all("[data-tabs]")) {
    const buttons = all("button[data-tab]", group).filter((b) => b.closest("[data-tabs]") === group);
    const panels = buttons.map((button) => document.getElementById(button.dataset.tab));
    if (!buttons.length || panels.includes(null)) continue;
    const list = panels.some((panel) => group.contains(panel)) ? buttons[0].parentElement : group;
    list.setAttribute("role", "tablist");
    if (group !== list && group.hasAttribute("aria-label")) {
      list.setAttribute("aria-label", group.getAttribute("aria-label"));
      group.removeAttribute("aria-label");
    }
    const choose = (chosen, focus) => {
      buttons.forEach((button, k) => {
        button.setAttribute("aria-selected", k === chosen);
        button.tabIndex = k === chosen ? 0 : -1;
        panels[k].toggleAttribute("data-off", k !== chosen);
      });
      if (focus) buttons[chosen].focus();
    };
    buttons.forEach((button, k) => {
      button.id ||= `${button.dataset.tab}-tab`;
      button.type = "button";
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", button.dataset.tab);
      panels[k].setAttribute("role", "tabpanel");
      panels[k].setAttribute("aria-labelledby", button.id);
      button.addEventListener("click", () => choose(k));
      button.addEventListener("keydown", (event) => {
        const last = buttons.length - 1;
        const next = { ArrowRight: k < last ? k + 1 : 0, ArrowLeft: k ? k - 1 : last, Home: 0, End: last }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        choose(next, true);
      });
    });
    choose(Math.max(0, buttons.findIndex((button) => button.getAttribute("aria-selected") === "true")));
  }

  // Tables that sort: by data-value of a cell, else by its text. <th data-fixed> does not sort.
  const valueOf = (row, k) => {
    const cell = row.cells[k];
    return cell ? (cell.dataset.value ?? cell.textContent.trim()) : "";
  };
  const numeric = (value) => Number(value.replace(/[,\s%]/g, "").replace("−", "-"));
  for (const table of all("table[data-sort]")) {
    const head = table.tHead && table.tHead.rows[table.tHead.rows.length - 1];
    if (!head || !table.tBodies.length) continue;
    [...head.cells].forEach((cell, k) => {
      if (cell.hasAttribute("data-fixed") || !cell.textContent.trim()) return;
      let button = cell.querySelector("button");
      if (!button) {
        button = document.createElement("button");
        button.append(...cell.childNodes);
        cell.append(button);
      }
      button.type = "button";
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of head.cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows], sign = down ? -1 : 1;
        const values = new Map(rows.map((row) => [row, valueOf(row, k)]));
        const numbers = rows.every((row) => values.get(row) === "" || !Number.isNaN(numeric(values.get(row))));
        const order = (a, b) => {
          const [one, two] = [values.get(a), values.get(b)];
          if (one === "" || two === "") return (one === "") - (two === "");
          return sign * (numbers ? numeric(one) - numeric(two) : one.localeCompare(two, "en", { numeric: true }));
        };
        table.tBodies[0].append(...rows.sort(order));
      });
    });
  }

  // Switches: <button data-switch="NAME" aria-pressed="false"> puts the class NAME on its section.
  for (const button of all("button[data-switch]"))
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      (button.closest("section") ?? document.body).classList.toggle(button.dataset.switch, on);
    });

  // The section that is read, in the bar.
  const links = new Map(all(".menu a").map((link) => [link.hash.slice(1), link]));
  if (links.size) {
    const seen = new Set();
    const observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) seen[entry.isIntersecting ? "add" : "delete"](entry.target.id);
        const current = [...links.keys()].find((id) => seen.has(id));
        for (const [id, link] of links)
          if (id === current) link.setAttribute("aria-current", "true");
          else link.removeAttribute("aria-current");
      },
      { rootMargin: "-70px 0px -50% 0px" },
    );
    for (const section of all("main > section[id]")) observer.observe(section);
  }
  window.graphspecReport = { show, hide, say: (text) => (spoken.textContent = text) };
})();
