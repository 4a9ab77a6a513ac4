"""The frame of a report: one HTML document without network, with its styles and its script inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from graphspec.drawing.svg import escape
from graphspec.text import printable


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        id: its anchor, a word.
        title: its heading.
        html: its content; all text of data and specs in it is escaped (:func:`text`).
    """

    id: str
    title: str
    html: str


def text(value: str) -> str:
    """Return text of specs and data as HTML, without characters that a page must not contain."""
    return escape(printable(value))


def page(title: str, sections: Sequence[Section]) -> str:
    """Return the whole document."""
    links = "".join(f'<a href="#{s.id}">{text(s.title)}</a>' for s in sections)
    body = "\n".join(
        f'<section id="{s.id}" aria-labelledby="{s.id}-title"><h2 id="{s.id}-title">{text(s.title)}</h2>'
        f"\n{s.html}\n</section>"
        for s in sections
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{_asset('report.css')}</style></head>\n"
        f'<body><header><h1>{text(title)}</h1><nav aria-label="Sections">{links}</nav></header>\n<main>\n{body}\n</main>\n'
        f"<script>\n{_asset('report.js')}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return files("graphspec.report").joinpath(name).read_text(encoding="utf-8")
