"""Tables of a report: with a caption, headers that say what they are headers of, and numbers to the right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from graphspec.base.text import number
from graphspec.show.report.page import text, wide

UNDEFINED = "–"


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, sort: bool = True, texts: int = 1
) -> str:
    """Return a table whose first column has the headers of the rows.

    Args:
        caption: what it shows.
        columns: the names of the columns.
        rows: their cells; :data:`UNDEFINED` for a value that is not defined.
        sort: whether readers can sort it.
        texts: how many of the columns, from the left, are text; the others are numbers.
    """
    kinds = ["" if k < texts else ' class="number"' for k in range(len(columns))]
    head = "".join(f'<th scope="col"{kind}>{text(name)}</th>' for name, kind in zip(columns, kinds, strict=True))
    body = []
    for cells in rows:
        shown = [_shown(cell) for cell in cells]
        first = f'<th scope="row"{shown[0][1]}>{shown[0][0]}</th>'
        rest = zip(shown[1:], kinds[1:], strict=True)
        body.append(f"<tr>{first}{''.join(f'<td{kind}{by}>{value}</td>' for (value, by), kind in rest)}</tr>")
    kind = " data-sort" if sort else ""
    head = f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
    return wide(f"<table{kind}>{head}<tbody>{''.join(body)}</tbody></table>", caption)


def _shown(cell: object) -> tuple[str, str]:
    """Return a cell and its attribute: a value that is not defined sorts behind all others."""
    return text(str(cell)), ' data-value=""' if cell == UNDEFINED else ""


def share(value: float) -> str:
    """Return a share from 0 to 1 with three decimals; ``–`` if it is not defined."""
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def amount(value: float) -> str:
    """Return a number as a metric is shown; ``–`` if it is not defined."""
    return UNDEFINED if math.isnan(value) else number(value).replace("-", "−", int(value < 0))


def beside(*parts: str) -> str:
    """Return parts, such as tables, beside each other where the page is wide enough."""
    return f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def facts(entries: Iterable[tuple[str, str]]) -> str:
    """Return values with their names: ``(name, value)``."""
    shown = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in entries)
    return f'<dl class="values">{shown}</dl>'
