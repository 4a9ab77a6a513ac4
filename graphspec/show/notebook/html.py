"""HTML for notebooks. It has no script and loads nothing; all text of specs is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from graphspec.base.text import printable
from graphspec.show.drawing.curves import Best, number
from graphspec.show.drawing.svg import escape

MAX_ROWS = 60
"""The largest number of metrics in a table."""
_OPEN_ROWS = 12
"""The largest number of metrics in a table that is not folded."""
MAX_DRAWING = 4_000_000
"""Characters of the largest drawing that a page contains: notebooks store it in their file."""


def picture(svg: str) -> str:
    """Return an SVG document as an image: its styles and identifiers cannot meet those of the page."""
    data = b64encode(svg.encode()).decode()
    return f'<img alt="" style="max-width: 100%" src="data:image/svg+xml;base64,{data}">'


def history_html(svg: str, last: Mapping[str, float], best: Mapping[str, Best | None]) -> str:
    """Return the curves of a training, and a table of the last and the best values."""
    rows = []
    for key in list(last)[:MAX_ROWS]:
        found = best.get(key)
        cells = "<td></td><td></td>" if found is None else f"<td>{number(found.value)}</td><td>{found.epoch}</td>"
        rows.append(f"<tr><td>{text(key)}</td><td>{number(last[key])}</td>{cells}</tr>")
    head = "<tr><th></th><th>last epoch</th><th>best</th><th>in epoch</th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return picture(svg) + (table if len(rows) <= _OPEN_ROWS else details("values", table))


def model_html(name: str, description: str, state: str, table: list[str], svg: str | None) -> str:
    """Return a model: its name and description, its state in a line, its table of nodes, and its drawing, folded."""
    parts = [f"<p><b>{text(name)}</b>{': ' if description else ''}{text(description)}<br>{text(state)}</p>"]
    lines = text("\n".join(table))
    parts.append(f'<pre style="line-height: 1.3; white-space: pre; overflow-x: auto">{lines}</pre>')
    if svg is not None and len(svg) <= MAX_DRAWING:
        parts.append(details("drawing", picture(svg)))
    return "".join(parts)


def details(title: str, content: str) -> str:
    """Return ``content``, which is HTML, folded under ``title``."""
    return f"<details><summary>{title}</summary>{content}</details>"


def text(value: str) -> str:
    """Return text of a spec as HTML."""
    return escape(printable(value))
