"""The site of the documentation: every page is on it, every link leads somewhere, and words are found."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import browsing
import pytest
from consumers.apps import HERE
from filelock import FileLock
from paths import ROOT

from docs.pictures.tiles import TILES
from tools import site
from tools.browser import Page, opened

pytestmark = pytest.mark.slow


def test_every_page_of_the_documentation_has_a_place_of_its_own() -> None:
    places = site.pages()
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md")} <= places.keys()
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "examples").glob("*/README.md")} <= places.keys()
    assert len(set(places.values())) == len(places)
    shown = json.dumps(site.navigation(places))
    assert all(f'"{place}"' in shown for place in places.values())


def test_links_lead_to_the_places_of_the_site() -> None:
    places = {"README.md": "index.md", "docs/a/b.md": "a/b.md", "SECURITY.md": "security.md"}
    needed: dict[str, str] = {}
    assert site.new_target("../../README.md#two-commands", "docs/a/b.md", places, needed) == "../index.md#two-commands"
    assert site.new_target("docs/a/b.md", "README.md", places, needed) == "a/b.md"
    assert site.new_target("https://onnx.ai", "README.md", places, needed) == "https://onnx.ai"
    assert site.new_target("#below", "README.md", places, needed) == "#below"
    assert needed == {}
    assert site.new_target("../../specs/housing.yaml", "docs/a/b.md", places, needed) == "../files/specs/housing.yaml"
    assert needed == {"specs/housing.yaml": "files/specs/housing.yaml"}
    with pytest.raises(ValueError, match=r"README.md: the link to nowhere.md leads nowhere"):
        site.new_target("nowhere.md", "README.md", places, needed)


def test_code_is_no_link() -> None:
    places = site.pages()
    text, _ = site.staged("docs/language.md", places)
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?^```$", page, re.M | re.S)
    assert blocks
    assert all(block in text for block in blocks)


def test_a_broken_link_of_the_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#x">b</a><a href="c.html">c</a><a href="#top">t</a>'
    )
    (tmp_path / "b.html").write_text('<p id="y">B</p><img src="p.svg"><a href="https://onnx.ai">o</a>')
    assert list(site.broken(tmp_path.resolve())) == [
        "a.html: b.html#x (no such heading)",
        "a.html: c.html",
        "b.html: p.svg",
    ]


def test_a_folder_that_is_no_site_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert site.main(["-o", str(tmp_path)]) == 2
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert "is not a site" in capsys.readouterr().err


@pytest.fixture(scope="module")
def built(shared_folder: Path) -> Path:
    """The whole site."""
    pytest.importorskip("zensical")
    folder = shared_folder / "site"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            assert site.build(folder) == []
    return folder


def test_the_site_is_built_without_a_broken_link(built: Path) -> None:
    places = site.pages()
    for place in places.values():
        html = (built / place).with_suffix(".html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"https?:", html.replace('rel="canonical"', "")), place
    words = (built / "search.json").read_text(encoding="utf-8")
    assert "sparse_categorical_crossentropy" in words
    assert all(place.replace(".md", ".html") in words for place in places.values())


def test_the_first_page_shows_what_one_can_build_and_a_report(built: Path) -> None:
    html = (built / "index.html").read_text(encoding="utf-8")
    tiles = re.findall(r'<a href="([^"]+)"><img[^>]* src="([^"]+)"', html.partition('class="tiles"')[2])
    assert {Path(picture).stem for _, picture in tiles} == TILES.keys()
    assert len({page for page, _ in tiles}) == len(tiles)
    assert re.search(r'<a href="report-of-penguins.html"><img[^>]* src="[^"]*screenshots/report.webp"', html)
    report = (built / "report-of-penguins.html").read_text(encoding="utf-8")
    assert re.search(r"<header.*<p class=(verdict|warning)>", report)


def test_every_page_loads_the_style_and_the_script_of_the_site(built: Path) -> None:
    for name in ("site.css", "site.js"):
        assert (built / name).read_text(encoding="utf-8") == (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert f'"../{name}"' in (built / "tutorials" / "table.html").read_text(encoding="utf-8")


SEARCHES = {
    "early stopping": "training.html#epochs-and-early-stopping",
    "GS302": "diagnostics.html#gs302-shapes-differ",
    "missing values": "records.html#missing-values",
    "confusion matrix": "tutorials/pictures.html#the-confusion-matrix",
    "texts": "tutorials/text.html",
    "export": "export.html",
    "sharded": "decisions/parallel-training.html#when-are-dense-kernels-sharded-by-columns",
}
"""What readers search, and a section that is among the first three results."""
_DRIVER = """
<pre id="results">waiting</pre><iframe id="page" src="index.html" width="1280" height="900"></iframe>
<script type="module">
  const pause = (time) => new Promise((done) => setTimeout(done, time));
  const until = async (find) => {
    for (;;) {
      const found = find();
      if (found) return found;
      await pause(100);
    }
  };
  const inside = page.contentDocument.readyState === "complete" ? page.contentDocument : null;
  if (!inside || !inside.body.children.length) await new Promise((done) => (page.onload = done));
  const site = page.contentDocument;
  (await until(() => site.querySelector(".md-search__button"))).click();
  const searching = (e) => e.shadowRoot?.querySelector("input");
  const root = (await until(() => [...site.querySelectorAll("*")].find(searching))).shadowRoot;
  const input = root.querySelector("input");
  const links = () => [...root.querySelectorAll("[role=listbox] a")].map((a) => a.getAttribute("href"));
  const found = {};
  for (const words of QUERIES) {
    const before = links().join();
    input.value = words;
    input.dispatchEvent(new page.contentWindow.InputEvent("input", { bubbles: true, composed: true }));
    await until(() => links().length && links().join() !== before);
    await pause(300);
    found[words] = links();
  }
  const text = JSON.stringify(found);
  for (;;) {  // until the test has seen it
    results.textContent = `found ${text}`;
    await pause(200);
  }
</script>
"""


def test_the_search_finds_what_readers_search(built: Path) -> None:
    if (browser := browsing.chromium()) is None:
        pytest.skip("Chromium is not installed")
    (built / "driver.html").write_text(_DRIVER.replace("QUERIES", json.dumps(list(SEARCHES))), encoding="utf-8")
    try:
        text = browsing.shown(browser, built, "driver.html", lambda text: text.startswith("found "))
    finally:
        (built / "driver.html").unlink()
    found = json.loads(text.removeprefix("found ").partition("\n")[0])
    for words, place in SEARCHES.items():
        links = [re.sub(r"\?[^#]*", "", link) for link in found[words]]  # without the words to mark
        assert any(link.endswith(f"/{place}") for link in links[:3]), (words, links)
        if not place.startswith("decisions"):
            assert not any("/decisions" in link for link in links[:2]), (words, links)


def test_a_search_does_not_see_the_titles_of_the_last_sections(tmp_path: Path) -> None:
    def item(*path: str) -> dict[str, object]:
        return {"location": "x.html", "title": "How are texts kept?", "text": "<p>In a file.</p>", "path": list(path)}

    items = [item("Decisions", "Data"), item("Reference", "Language"), item("Tutorials", "Texts")]
    (tmp_path / "search.json").write_text(json.dumps({"config": {}, "items": items}), encoding="utf-8")
    site.rank(tmp_path)
    found = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))["items"]
    assert found[:2] == [items[2], items[1]]
    assert "texts" not in found[2]["title"]
    assert found[2]["title"].replace("\u2060", "") == "How are texts kept?"
    assert found[2]["text"] == "<p>In a file.</p><p>How are texts kept?, Decisions, Data</p>"


def test_the_navigation_has_the_words_of_the_list_of_pages() -> None:
    places = site.pages()
    words = site.words_of(places)
    assert words["tutorials/table.md"] == "A table in ten minutes"
    assert words["commands.md"] == "Commands"  # and not those of a link to one of its sections
    assert words["tutorials/deploy-python.md"] == "Python"
    sections = [next(iter(entry)) for entry in site.navigation(places) if isinstance(entry, dict)]
    wanted = [
        "Start",
        "Tutorials",
        "Guides",
        "Apps",
        "Reference",
        "Layers and other names",
        "How it works",
        "Contribute",
    ]
    assert sections[: len(wanted)] == wanted


def test_a_link_that_is_named_by_a_path_gets_the_title_of_its_page() -> None:
    text, _ = site.staged("docs/training.md", site.pages())
    assert "[Language](language.md#training)" in text
    assert "[language.md]" not in text


AUDIT = """new Promise((done) => setTimeout(done, 500)).then(() => axe.run(document, { resultTypes: ["violations"] }))
  .then((found) => found.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
  .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`))"""
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if (browser := browsing.chromium()) is None or os.name == "nt":
        pytest.skip("Chromium is not installed")
    with opened(browser) as page:
        yield page


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_are_for_everybody(built: Path, page: Page, width: int, dark: bool) -> None:
    axe = HERE / "node" / "node_modules" / "axe-core" / "axe.min.js"
    for name in ("index", "training", "commands"):
        page.open(built / f"{name}.html", width, dark=dark)
        assert page.run(WIDER) is False, name
        if axe.is_file():  # `npm ci --ignore-scripts` in tests/consumers/node installs it
            page.run(axe.read_text(encoding="utf-8") + "; 0")
            assert page.run(AUDIT) == [], name
