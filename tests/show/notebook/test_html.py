"""Pages of notebooks contain no script and load nothing; text of specs is escaped."""

from __future__ import annotations

import pickle
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from graphspec.show.drawing.curves import Best
from graphspec.show.notebook.pages import MAX_DRAWING, PageFile, history_html, model_html, text

BAD = "</pre><script>alert(1)</script>\x1b[31m&"


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> None:
    tags = Tags(page)
    assert tags.open == []
    assert tags.seen <= {
        *["img", "div", "table", "thead", "tbody", "tr", "th", "td", "p", "b", "br", "pre", "details", "summary"]
    }
    assert not re.search(r"src=\"(?!data:image/svg)", page)


def test_pages_are_closed_and_harmless() -> None:
    check(model_html(BAD, BAD, BAD, [BAD, BAD], f"<svg>{BAD}</svg>"))
    check(history_html("<svg/>", {BAD: 1.0, "loss": 2.0}, {BAD: None, "loss": Best(1, "loss", 2.0)}))
    assert text(BAD) == "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;�[31m&amp;"


def test_a_drawing_that_is_too_large_is_left_out() -> None:
    assert "<img" in model_html("n", "", "", [], "<svg/>")
    assert "<img" not in model_html("n", "", "", [], "x" * (MAX_DRAWING + 1))
    assert "<img" not in model_html("n", "", "", [], None)


def test_a_page_is_shown_in_a_frame_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = "<!doctype html><p title='a'>\"&amp;\u00e9</p>"
    Path("my page.html").write_text(page, encoding="utf-8")
    file = PageFile("my page.html")
    assert (str(file), pickle.loads(pickle.dumps(file))) == ("my page.html", file)
    shown = file._repr_html_() or ""
    found = re.search(r'srcdoc="([^"]*)"', shown)
    assert found is not None
    assert unescape(found[1]) == page
    assert 'sandbox="allow-scripts allow-downloads"' in shown  # of an origin of its own: it cannot reach the notebook
    assert file.parent._repr_html_() is None
    file.write_text("x" * (MAX_DRAWING + 1), encoding="utf-8")  # such as one with its engine
    assert 'src="my%20page.html"' in (file._repr_html_() or "")
    assert file.resolve()._repr_html_() is None  # Jupyter serves no place of this computer
