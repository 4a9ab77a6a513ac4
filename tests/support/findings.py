"""What a report finds out of a model and rows, without a run on disk."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import graphspec as gs
from graphspec.base.document import Drawing, Rest, Span
from graphspec.data.batches import Dataset
from graphspec.data.signature import user_arrays
from graphspec.show.html import html_of, inline
from graphspec.show.report.findings import Findings
from graphspec.show.report.kinds import score

ATTACK = '</script><b onclick="x">\'&\u202e\x1b[31m'
"""A text that a page must not repeat as it is."""
DATA = {"train": {"file": "train.csv"}, "test": {"file": "test.csv"}}
"""Parts of a spec whose files do not exist: the rows are given."""
_VOID = ("img", "rect", "circle", "path", "polyline", "line")


def rows_of(model: gs.Model, x: Any, y: Any, weights: Any = None) -> Dataset:
    """The checked rows of arrays."""
    rows: Dataset = user_arrays(model.needed, x, y, weights)
    return rows


def findings_of(model: gs.Model, x: Any, y: Any, train: tuple[Any, Any] | None = None, **more: Any) -> Findings:
    """What is known of a model with these test rows, and with ``train`` or the same rows as training rows."""
    judged = rows_of(model, x, y)
    model.parts["test"] = judged
    model.parts["train"] = judged if train is None else rows_of(model, *train)
    directory = more.pop("directory", Path("runs/none"))
    return Findings(model, directory, {}, more.pop("record", {}), score(model, judged, "test"), **more)


class _Checker(HTMLParser):
    """Raises AssertionError if tags are not nested, or if an element has an attribute twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open[-1:] == [tag], (tag, self.open[-5:])
            self.open.pop()


def html_from(shown: Any) -> str:
    """A block, a list of blocks, or a text, as the page has it."""
    blocks = shown if isinstance(shown, list) else [shown]
    return inline(shown) if isinstance(shown, str | tuple | Span | Drawing | Rest) else html_of(blocks)


def check_html(html: str) -> None:
    """Refuse HTML that is not nested, and text that was not escaped."""
    checker = _Checker()
    checker.feed(html)
    assert checker.open == []
    assert "<b onclick" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
