"""A document as HTML: its blocks, and the frame of a page without network, with its styles and its scripts inside.

The policy of a page (Content-Security-Policy) lets no script run but graphspec's own: a spec or data with markup cannot,
even if some text was not escaped.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from graphspec.base import document as doc
from graphspec.base.document import UNDEFINED, Block, Cell, Column, Inline, Row, Section, Span, Table, plain
from graphspec.base.errors import UsageError
from graphspec.base.files import why_not_writable
from graphspec.base.text import printable
from graphspec.base.version import __version__
from graphspec.show.drawing.svg import escape

GENERATOR = '<meta name="generator" content="graphspec">'  # the mark by which a report is known as one
_TAGS = ("code", "b", "strong", "mark")


def text(value: str) -> str:
    """Return text of specs and data as HTML, without characters that a page must not contain."""
    return escape(printable(value))


def html_of(blocks: Iterable[Block]) -> str:
    """Return blocks as HTML."""
    return "".join(map(_block, blocks))


def inline(content: Inline) -> str:
    """Return a text with its meanings as HTML."""
    match content:
        case str():
            return text(content)
        case tuple():
            return "".join(map(inline, content))
        case doc.Drawing(markup=markup):
            return markup
        case Span(kind="br"):
            return "<br>"
        case Span():
            first, _, rest = content.kind.partition(" ")
            tag, kind = (first, rest) if first in _TAGS else ("a" if content.link else "span", content.kind)
            return f"<{tag}{_attributes(class_=kind, href=content.link, data_tip=content.tip)}>{text(content.text)}</{tag}>"
        case doc.Rest(title=title, text=rest):
            return f"<details><summary>{text(title)}</summary>{text(rest)}</details>"
        case doc.Bar(share=share, against=against):
            kind = "soft" if against else "a"
            return (
                '<svg class="rail" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
                f'<rect class="bar {kind}" x="0" y="3" width="{share * 100:.1f}" height="10"/></svg>'
            )
        case doc.Spark():
            return ""


def _attributes(**values: str) -> str:
    """Return attributes, less those without a value; words need no quotes."""
    written = []
    for name, value in values.items():
        if value:
            shown = value if value.isascii() and value.isalnum() else f'"{text(value)}"'
            written.append(f" {name.rstrip('_').replace('_', '-')}={shown}")
    return "".join(written)


def _block(block: Block) -> str:
    match block:
        case doc.Text(content=content, kind=kind):
            return f"<p{_attributes(class_=kind)}>{inline(content)}</p>"
        case doc.Heading(content=content, level=level):
            return f"<h{level}{_attributes(id=block.id)}>{inline(content)}</h{level}>"
        case doc.Items(entries=entries, kind=kind):
            return f"<ul{_attributes(class_=kind)}>{''.join(f'<li>{inline(entry)}</li>' for entry in entries)}</ul>"
        case doc.Facts(entries=facts, kind=kind):
            shown = "".join(f"<div><dt>{inline(name)}</dt>{_value(value)}</div>" for name, value in facts)
            return f"<dl{_attributes(class_=kind)}>{shown}</dl>"
        case Table():
            return _table(block)
        case doc.Code():
            return _code(block)
        case doc.Figure(title=title, drawing=drawing, below=below):
            return f"<figure><figcaption>{text(title)}</figcaption>{drawing.markup}{html_of(below)}</figure>"
        case doc.Legend(entries=lines):
            shown = "".join(f"<li>{stroke(kind)}{text(name)}</li>" for kind, name in lines)
            return f'<ul class="legend">{shown}</ul>'
        case doc.Group(kind="beside", blocks=inner):
            return f'<div class="beside">{"".join(f"<div>{_block(each)}</div>" for each in inner)}</div>'
        case doc.Group(kind=kind, blocks=inner):
            return f"<div{_attributes(class_=kind)}>{html_of(inner)}</div>"
        case doc.Folded(title=title, blocks=inner):
            return f"<details><summary>{text(title)}</summary>{html_of(inner)}</details>"
        case doc.Tabs(label=label, parts=parts):
            buttons = "".join(f'<button data-tab="{id_}">{text(title)}</button>' for id_, title, _ in parts)
            panels = "".join(
                f'<div id="{id_}"><h3>{text(title)}</h3>{html_of(inner)}</div>' for id_, title, inner in parts
            )
            return f'<div class="tabs" data-tabs aria-label="{text(label)}"><div>{buttons}</div>{panels}</div>'
        case doc.Cards(kind=kind, cards=cards):
            shown = "".join(f'<li class="case">{html_of(card)}</li>' for card in cards)
            return f'<ol class="cases {kind}">{shown}</ol>'
        case doc.Element(markup=markup):
            return markup


def stroke(kind: str) -> str:
    """Return a line as a legend shows it."""
    return f'<svg viewBox="0 0 22 10" aria-hidden="true"><line class="{kind}" x1="0" x2="22" y1="5" y2="5"/></svg>'


def _value(value: Inline | Cell) -> str:
    cell = value if isinstance(value, Cell) else Cell(value)
    return f"<dd{_attributes(class_=cell.kind)}>{inline(cell.content)}</dd>"


def _code(block: doc.Code) -> str:
    """Return text to copy, with the button for it if it has a name."""
    shown = text(block.text)
    if not block.name:
        return wide(f'<pre tabindex="0"{_attributes(aria_label=block.label)}><code>{shown}</code></pre>', block.label)
    return (
        f'<div class="copyable"><button class="copy js-only" type="button" data-copy="copy-{block.name}">Copy</button>'
        f'<pre id="copy-{block.name}" tabindex="0">{shown}</pre></div>'
    )


def _table(table: Table) -> str:
    columns = table.described()
    head = "".join(map(_header, columns))
    kinds = [column.kind for column in columns for _ in range(column.span)]
    body = "".join(_row(row if isinstance(row, Row) else Row(row), kinds) for row in table.rows)
    caption = f"<caption>{text(table.caption)}</caption>" if table.caption else ""
    opening = f"<table{' data-sort' if table.sort else ''}{_attributes(class_=table.kind, id=table.id)}>"
    html = f"{opening}{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return wide(html, table.label or table.caption, table.frame)


def _header(column: Column) -> str:
    if not plain(column.name):
        return "<td></td>"
    spanned = str(column.span) if column.span > 1 else ""
    kind = _attributes(scope="col", class_="number" if column.kind == "number" else "", colspan=spanned)
    return f"<th{kind}{' data-fixed' if column.fixed else ''}>{inline(column.name)}</th>"


def _row(row: Row, kinds: Sequence[str]) -> str:
    shown = []
    for k, (each, kind) in enumerate(zip(row.cells, kinds, strict=True)):
        cell = each if isinstance(each, Cell) else Cell(each)
        order = "" if cell.order is None else f"{cell.order:.6g}" if isinstance(cell.order, float) else str(cell.order)
        sorted_by = f' data-value="{text(order)}"' if cell.order is not None or cell.content == UNDEFINED else ""
        style = f' style="{cell.style}"' if cell.style else ""
        tag, scope = ("th", " scope=row") if k == 0 else ("td", "")
        classes = _attributes(class_=" ".join(filter(None, [kind, cell.kind])))
        shown.append(f"<{tag}{scope}{classes}{sorted_by}{style}>{inline(cell.content)}</{tag}>")
    data = "".join(f' data-{name}="{text(value)}"' for name, value in row.data)
    return f"<tr{data}>{''.join(shown)}</tr>"


def row_size(row: Row | Sequence[Inline | Cell], columns: Sequence[Column]) -> int:
    """Return the characters that a row of a table takes on a page."""
    return len(_row(row if isinstance(row, Row) else Row(row), [column.kind for column in columns]))


def wide(html: str, label: str, kind: str = "") -> str:
    """Return an element that may be wider than a phone, such as a table, in a frame that scrolls.

    The plain text ``label`` says what it is to readers who go through the page by keyboard.
    """
    classes = f"scroll {kind}".rstrip()
    return f'<div class="{classes}" tabindex="0" role="region" aria-label="{text(label)}">{html}</div>'


class Opening(NamedTuple):
    """What stands above the sections of a page: plain text, not markup."""

    title: str  # the heading of the page
    kind: str = ""  # what the page is about, above the heading
    lead: tuple[str, ...] = ()  # sentences below the heading; an empty one is left out
    said: Sequence[Block] = ()  # what a reader must see first, between the heading and these


def page(opening: Opening, sections: Sequence[Section], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the whole document; ``others`` are pages beside it, by their titles."""
    links = "".join(f'<a href="{text(place)}">{text(title)}</a>' for title, place in others.items())
    links += "".join(f'<a href="#{s.id}">{text(s.title)}{_finding(s)}</a>' for s in sections)
    body = "\n".join(
        f'<section id="{s.id}" aria-labelledby="{s.id}-title"><h2 id="{s.id}-title">{text(s.title)}</h2>'
        f"\n{html_of(s.blocks)}\n</section>"
        for s in sections
    )
    kind = f'<p class="kind">{text(opening.kind)}</p>' if opening.kind else ""
    lead = "".join(f'<p class="lead">{text(sentence)}</p>' for sentence in opening.lead if sentence)
    script = assets("js")
    policy = f"style-src 'unsafe-inline'; script-src '{digest(script)}'; img-src data:"
    body = (
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header class="top">{kind}<h1>{text(opening.title)}</h1>{html_of(opening.said)}{lead}</header>\n'
        f'<div class="menu"><nav aria-label="Sections">{links}</nav></div>\n'
        f'<main id="content" tabindex="-1">\n{body}\n</main>\n'
        f"<footer>Written by graphspec {text(__version__)}. The page needs no network.</footer>\n"
        f"<script>{script}</script>"
    )
    return framed(opening.title, policy, f"\n{assets('css')}", body)


def _finding(section: Section) -> str:
    kind = "bad" if section.alarm else ""
    return f"<small{_attributes(class_=kind)}>{text(section.finding)}</small>" if section.finding else ""


def framed(title: str, policy: str, style: str, body: str) -> str:
    """Return an HTML document of a plain title, what a page may load and run besides nothing, a style sheet, and markup."""
    policy = f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'{GENERATOR}<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body>{body}</body></html>\n"
    )


def digest(content: str) -> str:
    """Return the hash of a script or a style sheet, as policies name it."""
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def refuse_foreign(path: Path, what: str) -> None:
    """Raise UsageError if a file of this name cannot be written, or is none of graphspec's; ``what`` is its kind."""
    if (why := why_not_writable(path)) is not None:
        raise UsageError(why)
    if path.is_file():
        with path.open("rb") as file:
            if GENERATOR.encode() not in file.read(4096):
                raise UsageError(f"{path} exists, and no {what} is in it; name another place")


@cache
def assets(suffix: str) -> str:
    """Return the files of the report that end in ``suffix``, ``css`` or ``js``, one after the other: ``report`` first."""
    found = [file for file in files("graphspec.show.report").iterdir() if file.name.endswith(f".{suffix}")]
    found.sort(key=lambda file: (not file.name.startswith("report."), file.name))
    return "\n".join(file.read_text(encoding="utf-8") for file in found)
