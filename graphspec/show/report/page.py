"""The frame of a report: one HTML document without network, with its styles and its scripts inside.

Its policy (Content-Security-Policy) lets no script run but the report's own: a spec or data with markup cannot, even if
a section forgot to escape it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from graphspec.base.text import printable
from graphspec.base.version import __version__
from graphspec.show.drawing.svg import escape

GENERATOR = '<meta name="generator" content="graphspec">'
"""The mark by which a report is known as one."""


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


@dataclass(frozen=True)
class Opening:
    """What stands above the sections: plain text, not markup.

    Attributes:
        title: the heading of the page.
        kind: what the page is about, above the heading.
        lead: sentences below the heading; an empty one is left out.
    """

    title: str
    kind: str = ""
    lead: tuple[str, ...] = ()


def text(value: str) -> str:
    """Return text of specs and data as HTML, without characters that a page must not contain."""
    return escape(printable(value))


def wide(html: str, label: str) -> str:
    """Return an element that may be wider than a phone, such as a table, in a frame that scrolls.

    Args:
        label: what it is, as plain text, for readers who go through the page by keyboard.
    """
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}">{html}</div>'


def page(opening: Opening, sections: Sequence[Section]) -> str:
    """Return the whole document."""
    links = "".join(f'<a href="#{s.id}">{text(s.title)}</a>' for s in sections)
    body = "\n".join(
        f'<section id="{s.id}" aria-labelledby="{s.id}-title"><h2 id="{s.id}-title">{text(s.title)}</h2>'
        f"\n{s.html}\n</section>"
        for s in sections
    )
    kind = f'<p class="kind">{text(opening.kind)}</p>' if opening.kind else ""
    lead = "".join(f'<p class="lead">{text(sentence)}</p>' for sentence in opening.lead if sentence)
    script = assets("js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{GENERATOR}<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}; base-uri 'none'; form-action 'none'\">"
        f"<title>{text(opening.title)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{assets('css')}</style></head>\n"
        '<body><a class="skip" href="#content">Skip to the content</a>\n'
        f'<header class="top">{kind}<h1>{text(opening.title)}</h1>{lead}</header>\n'
        f'<div class="menu"><nav aria-label="Sections">{links}</nav></div>\n'
        f'<main id="content" tabindex="-1">\n{body}\n</main>\n'
        f"<footer>Written by graphspec {text(__version__)}. The page needs no network.</footer>\n"
        f"<script>{script}</script></body></html>\n"
    )


@cache
def assets(suffix: str) -> str:
    """Return the files of this folder that end in ``suffix``, ``css`` or ``js``, one after the other: ``report`` first."""
    found = [file for file in files("graphspec.show.report").iterdir() if file.name.endswith(f".{suffix}")]
    found.sort(key=lambda file: (not file.name.startswith("report."), file.name))
    return "\n".join(file.read_text(encoding="utf-8") for file in found)
