"""Whole reports: hostile runs, and pages in Chromium: console, accessibility (axe-core), sizes, keyboard, print."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import chromium
from commands import graphspec, project
from consumers.apps import HERE
from judged import plain
from judged import rows as rows_of

import graphspec as gs
from graphspec.base.document import Element
from graphspec.base.text import significant
from graphspec.data.batches import Dataset
from graphspec.show.report.findings import find
from tools.browser import Page, opened

HOSTILE = "</script><script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=2>\u202egnp"
WIDTHS = (320, 768, 1920)
LARGEST = 400_000  # bytes of a page


def rows(folder: Path) -> None:
    """A table of classes with hostile names, numbers and missing values, for training and testing."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 90), ("test", 40)):
        lines = ["size,colour,kind,price"]
        for k in range(count):
            size = "" if k % 11 == 0 else f"{rng.normal():.3f}"
            colour, kind = ["red", HOSTILE, "blue"][k % 3], ["apple", HOSTILE + "x"][k % 2]
            lines.append(
                ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in (size, colour, kind, f"{k % 7}"))
            )
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def hostile(folder: Path) -> dict[str, Any]:
    """A spec whose texts try to become markup."""
    rows(folder)
    return {
        "graphspec": 1,
        "name": "fruit",
        "description": HOSTILE,
        "inputs": {"row": {"columns": {"size": "number", "colour": "category"}}},
        "layers": [
            {"name": "kind", "type": "Dense", "units": 2, "activation": "softmax", "inputs": "row"},
            {"name": "price", "type": "Dense", "units": 1, "inputs": "row"},
        ],
        "outputs": {
            "kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy", "confusion_matrix"]},
            "price": {"loss": "mse", "metrics": ["mae"], "description": HOSTILE},
        },
        "training": {"epochs": 4, "batch_size": 16, "optimizer": "adam"},
        "data": {"train": {"file": "train.csv"}, "validation": {"split": 0.2}, "test": {"file": "test.csv"}},
    }


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: a hostile run, a plain one, one without data, and a comparison."""
    folder = tmp_path_factory.mktemp("reports")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("fruit.json").write_text(json.dumps(hostile(folder)), encoding="utf-8")
        for k, name in enumerate(("fruit", "second")):
            done = graphspec("train", "fruit.json", "--out", f"runs/{name}", "--set", f"training.seed={k}")
            assert done.exit_code == 0, done.stderr
        assert graphspec("train", project(folder), "--set", "training.epochs=1").exit_code == 0
        assert graphspec("report", "runs/fruit", "runs/second", "runs/tiny", "-o", "compared.html").exit_code == 0
        bare = {k: v for k, v in gs.load("runs/tiny").document().items() if k != "data"}
        gs.compile(bare).save("runs/bare")
        assert graphspec("report", "runs/bare").exit_code == 0
    finally:
        os.chdir(before)
    names = ("fruit", "tiny", "bare")
    return {name: folder / "runs" / name / "report.html" for name in names} | {"compared": folder / "compared.html"}


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.ids += [value or "" for name, value in attrs if name == "id"]


@pytest.mark.slow
def test_a_hostile_run_cannot_inject(reports: dict[str, Path]) -> None:
    for path in reports.values():
        html = path.read_text(encoding="utf-8")
        tags = _Tags(html)
        assert tags.handlers == []
        assert all(source != "x" for source in re.findall(r'<img[^>]*src="([^"]*)"', html))
        executable = re.findall(r"<script(?![^>]*application/json)[^>]*>", html)
        assert executable == ["<script>"]
        assert "\u202e" not in html
        assert len(tags.ids) == len({*tags.ids})


@pytest.mark.slow
def test_pages_are_small_and_need_no_network(reports: dict[str, Path]) -> None:
    for path in reports.values():
        html = path.read_text(encoding="utf-8")
        assert len(html.encode()) < LARGEST
        assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", html)
        assert not re.search(r"url\((?!['\"]?(?:#|data:))", html)


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    found = chromium()
    if found is None or os.name == "nt":
        pytest.skip("Chromium is not installed")
    with opened(found) as page:
        yield page


@pytest.fixture(scope="module")
def axe() -> str:
    path = HERE / "node" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        pytest.skip("axe-core is not installed: run `npm ci --ignore-scripts` in tests/consumers/node")
    return path.read_text(encoding="utf-8")


NAMES = ("fruit", "tiny", "bare", "compared")
OVERFLOW = """(() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const out = (e) => e.getBoundingClientRect().right > wide + 1 && !e.closest(".scroll");
  return [...document.querySelectorAll("body *")].filter(out)
    .slice(0, 5).map((e) => e.outerHTML.slice(0, 120));
})()"""
AUDIT = """axe.run(document, { resultTypes: ["violations"] }).then((found) => found.violations
  .filter((v) => v.impact === "serious" || v.impact === "critical")
  .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + n.failureSummary).join(" | ")}`))"""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_in_chromium(reports: dict[str, Path], browser: Page, name: str, dark: bool) -> None:
    for width in WIDTHS:
        browser.open(reports[name], width, dark=dark)
        assert browser.run(OVERFLOW) == [], width
        assert browser.run("window.hacked ?? 0") == 0
        assert browser.run("document.documentElement.className") == "js"
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(11, 18, 32)" if dark else "rgb(255, 255, 255)")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_serious_for_axe(reports: dict[str, Path], browser: Page, axe: str, name: str, dark: bool) -> None:
    browser.open(reports[name], 1024, dark=dark)
    browser.run("for (const e of document.querySelectorAll('details')) e.open = true")
    browser.run(axe + "; 0")
    assert browser.run(AUDIT) == []


@pytest.mark.slow
def test_the_pointer_and_the_keyboard_show_the_values_of_an_epoch(reports: dict[str, Path], browser: Page) -> None:
    browser.open(reports["fruit"], 1024)
    tip = "document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent"
    assert browser.run(tip) == ""
    browser.run("document.querySelector('[data-curve] svg').scrollIntoView({ block: 'center', behavior: 'instant' })")
    x, y = browser.run(
        "(() => { const b = document.querySelector('[data-curve] svg').getBoundingClientRect();"
        " return [b.right - 20, b.top + b.height / 2]; })()"
    )
    browser.point(x, y)
    assert browser.run(tip).startswith("epoch 4\nloss ")
    assert "val_loss" in browser.run(tip)
    browser.point(2, 2)
    assert browser.run(tip) == ""
    browser.run("document.querySelector('[data-curve] svg').focus()")
    browser.key("Home")
    browser.key("ArrowRight")
    assert browser.run(tip).startswith("epoch 2\n")
    assert browser.run("document.querySelector('[role=status]').textContent").startswith("epoch 2\n")
    browser.key("Escape")
    assert browser.run(tip) == ""


@pytest.mark.slow
def test_scales_and_runs_are_switched(reports: dict[str, Path], browser: Page) -> None:
    browser.open(reports["compared"], 1024)
    shown = "[...document.querySelectorAll('.chart-log')].filter((e) => e.offsetParent).length"
    assert browser.run(shown) == 0
    browser.run("document.querySelector('[data-switch=log]').focus()")
    browser.key("Enter")
    assert browser.run(shown) > 0
    assert browser.run("document.querySelector('[data-switch=log]').getAttribute('aria-pressed')") == "true"
    visible = "(e) => getComputedStyle(e).display !== 'none'"
    lines = f"[...document.querySelectorAll('g[data-run=\"0\"]')].filter({visible}).length"
    assert browser.run(lines) > 0
    browser.run("document.querySelector('[data-run-switch=\"0\"]').click()")
    assert browser.run(lines) == 0


@pytest.mark.slow
def test_tables_sort_by_a_button(reports: dict[str, Path], browser: Page) -> None:
    browser.open(reports["compared"], 1024)
    cells = "[...document.querySelector('table[data-sort]').tBodies[0].rows].map((r) => r.cells[0].textContent)"
    assert browser.run(cells) == ["fruit", "second", "tiny"]
    for order in ("ascending", "descending"):
        browser.run("document.querySelector('table[data-sort] th button').click()")
        assert browser.run("document.querySelector('table[data-sort] th').ariaSort") == order
    assert browser.run(cells) == ["tiny", "second", "fruit"]


@pytest.mark.slow
def test_tabs(browser: Page, tmp_path: Path) -> None:
    from graphspec.base.document import Section
    from graphspec.show.html import Opening, page

    tabs = '<div data-tabs aria-label="t"><button data-tab="a">A</button><button data-tab="b">B</button></div>'
    panels = '<div id="a"><p data-tip="told" tabindex="0">one</p></div><div id="b"><p>two</p></div>'
    path = tmp_path / "tabs.html"
    path.write_text(page(Opening("t"), [Section("s", "S", [Element(tabs + panels)])]), encoding="utf-8")
    browser.open(path, 800)
    visible = "['a', 'b'].filter((id) => document.getElementById(id).offsetParent)"
    assert browser.run(visible) == ["a"]
    browser.run("document.querySelector('[data-tab=a]').focus()")
    browser.key("ArrowRight")
    assert browser.run(visible) == ["b"]
    assert browser.run("document.activeElement.getAttribute('aria-selected')") == "true"
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.run(visible) == ["a", "b"], "a printed page has all panels"
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.key("Home")
    browser.key("Tab")
    assert browser.run("document.activeElement.textContent") == "one"
    assert browser.run("document.getElementById('tip').textContent") == "told"


@pytest.mark.slow
def test_print(reports: dict[str, Path], browser: Page) -> None:
    browser.open(reports["fruit"], 1024)
    assert browser.pdf().startswith(b"%PDF")
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.run("getComputedStyle(document.querySelector('.menu')).display") == "none"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.send("Emulation.setEmulatedMedia", media="")


CUT = """[...document.querySelectorAll("table")].filter((t) => !t.closest("details:not([open])")
  && t.getClientRects()[0].right > innerWidth)
  .map((t) => t.outerHTML.slice(0, 120))"""


@pytest.mark.slow
def test_tables_fit_on_paper(shipped: Path, browser: Page) -> None:
    for name in ("penguins", "housing"):
        path = shipped / f"{name}-paper.html"
        done = graphspec("report", shipped / name, "--allow", SPECS, "-o", path)
        assert done.exit_code == 0, done.stderr
        browser.open(path, 718)  # the width of A4 within its margins
        browser.send("Emulation.setEmulatedMedia", media="print")
        assert browser.run(CUT) == []
        browser.send("Emulation.setEmulatedMedia", media="")


SPECS = Path(__file__).parents[3] / "specs"
SHIPPED = {"penguins": 2, "housing": 3, "bikes": 1}  # epochs


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of each shipped spec whose data are here."""
    folder = tmp_path_factory.mktemp("shipped")
    for name, epochs in SHIPPED.items():
        arguments = ("--out", folder / name, "--allow", SPECS, "--set", f"training.epochs={epochs}", "--no-report")
        done = graphspec("train", SPECS / f"{name}.yaml", *arguments)
        assert done.exit_code == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_page_says_what_evaluate_says(shipped: Path, name: str, part: str) -> None:
    page = shipped / f"{name}-{part}.html"
    told = graphspec("evaluate", shipped / name, "--part", part, "--allow", SPECS)
    done = graphspec("report", shipped / name, "--part", part, "--allow", SPECS, "-o", page)
    assert (told.exit_code, done.exit_code) == (0, 0), done.stderr
    values = dict(re.findall(r"(?m)^(\w+) +([\d.e+-]+)$", told.stdout))
    html = page.read_text(encoding="utf-8")
    said = rows_of(html, f"Losses and metrics on the {part} rows")
    exact = re.findall(r'<th scope=row>(\w+)</th><td class=number data-value="([^"]+)">([^<]+)</td>', html)
    assert {name: value for name, value, _ in exact if name in values} == values
    assert {row[0]: row[1] for row in said} == {name: significant(float(value)) for name, value in values.items()}
    assert "loss" in values
    between = [(float(row[1]), *map(float, row[2].split(" to "))) for row in said if " to " in row[2]]
    assert len(between) == len(said)  # no value is the same for all resamples
    assert all(low <= value <= high for value, low, high in between)
    text = plain(html)
    counts = re.search(rf"Judged on ([\d,]+) {part} (?:rows|windows)", text)
    assert counts is not None
    assert f"From all {counts[1]} {part} rows." in text
    assert f"<tr><th scope=row>{part}</th><td class=number>{counts[1]}</td>" in html
    if name == "penguins":
        lines = [line.split() for line in told.stdout.partition("species")[2].splitlines()[1:4]]
        table, matrix = rows_of(html, "Each class against the rest"), rows_of(html, "Confusion matrix")
        assert [[row[0], row[1], *row[3:6]] for row in table] == [line[:5] for line in lines]
        assert [sum(map(int, row[1:])) for row in matrix] == [int(line[1]) for line in lines]
        recalls = [int(row[k + 1]) / sum(map(int, row[1:])) for k, row in enumerate(matrix)]
        assert [f"{recall:.3f}" for recall in recalls] == [line[3] for line in lines]


@pytest.mark.slow
def test_a_file_with_training_and_validation_rows_is_read_once(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec.engine.runtime.session import Session
    from graphspec.show.report.columns import read_parts

    found, asked = find(gs.load(shipped / "penguins"), shipped / "penguins"), list[str]()
    part = Session.part

    def counted(model: Session, name: str) -> Dataset:
        asked.append(name)
        return part(model, name)

    monkeypatch.setattr(Session, "part", counted)
    assert {name: len(rows) for name, rows in read_parts(found).rows.items()} == {
        "train": 234,
        "validation": 41,
        "test": 69,
    }
    assert asked == ["train"]
