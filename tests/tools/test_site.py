"""The site of the documentation: every page is on it, every link leads somewhere, and words are found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from paths import ROOT

from tools import site


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


def test_the_site_is_built_without_a_broken_link(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    assert site.build(tmp_path / "site") == []
    places = site.pages()
    for place in places.values():
        html = (tmp_path / "site" / place).with_suffix(".html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"https?:", html.replace('rel="canonical"', "")), place
    words = (tmp_path / "site" / "search.json").read_text(encoding="utf-8")
    assert "sparse_categorical_crossentropy" in words
    assert all(place.replace(".md", ".html") in words for place in places.values())
