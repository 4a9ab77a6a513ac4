"""Tables of a report: with a caption, headers that say what they are headers of, and numbers to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphspec.report.page import text


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, sort: bool = True, texts: int = 1
) -> str:
    """Return a table whose first column has the headers of the rows.

    Args:
        caption: what it shows.
        columns: the names of the columns.
        rows: their cells as text, or as a pair of text and the number by which it is sorted.
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
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table{" data-sort" if sort else ""}>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _shown(cell: object) -> tuple[str, str]:
    if isinstance(cell, tuple):
        value, by = cell
        return text(str(value)), f' data-value="{by:.6g}"'
    return text(str(cell)), ""


def share(value: float) -> tuple[str, float] | str:
    """Return a share from 0 to 1 as a cell with three decimals; ``–`` if it is not defined."""
    return "–" if value != value else (f"{value:.3f}", value)
