"""Draw the blocks of a document (:mod:`graphspec.base.document`) as Markdown: headings, texts, lists, tables and code.

Names and labels of specs and data may hold marks of their own: they are escaped, so that a reader sees them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from graphspec.base.document import Block, Cell, Code, Heading, Inline, Items, Row, Span, Table, Text, plain
from graphspec.base.text import printable


def markdown_of(blocks: Iterable[Block]) -> str:
    """Return blocks as Markdown, with an empty line between them."""
    return "\n\n".join(map(_block, blocks)) + "\n"


def line(content: Inline) -> str:
    """Return a text as one line of Markdown that shows it as it is."""
    return _inline(content).strip()


def _inline(content: Inline) -> str:
    if isinstance(content, tuple):
        return "".join(map(_inline, content))
    text = printable(re.sub(r"\s+", " ", plain(content)))
    # Between backticks nothing can be escaped, so what could end there is plain text.
    if isinstance(content, Span) and content.kind == "code" and not set(text) & {"`", "|"}:
        return f"`{text.strip()}`"
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", text)


def _block(block: Block) -> str:
    match block:
        case Heading(content=content, level=level):
            return f"{'#' * level} {line(content)}"
        case Text(content=content):
            return line(content)
        case Items(entries=entries):
            return "\n".join(f"- {line(entry)}" for entry in entries)
        case Code(text=text, label=language):
            return f"```{language}\n{text}\n```"
        case Table():
            head = [line(column.name) for column in block.described()]
            rows = [row.cells if isinstance(row, Row) else row for row in block.rows]
            cells = [[line(cell.content if isinstance(cell, Cell) else cell) for cell in row] for row in rows]
            first, *others = (f"| {' | '.join(row)} |" for row in [head, *cells])
            return "\n".join([first, f"|{' --- |' * len(head)}", *others])
    raise NotImplementedError(f"no Markdown for {type(block).__name__}")
