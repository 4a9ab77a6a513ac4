"""A confusion matrix as text: a table where it fits, with numbered columns or as a list of classes where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.text import display_width, shorten_middle, wrapped
from graphspec.cli.console import columns, count

if TYPE_CHECKING:
    from graphspec.engine.runtime.running_metrics import ResultTable
    from graphspec.graph.ir.graph import Array

_LISTED = 12  # classes that a list shows
_NUMBERED = ((20, 2), (12, 2), (12, 1), (7, 1), (0, 1))
"""Columns of a label beside numbered columns, and of the gap before a count; the widest that fits is taken."""
_LIST_COLUMNS = 41  # of a list, without its two labels
_LONGEST = 24  # columns of a label in a list


def matrix_lines(
    table: ResultTable, width: int | None, *, has_ratios: bool = True, may_be_list: bool = True
) -> list[str]:
    """Return the lines of a matrix.

    Args:
        width: the columns of the terminal; None for the whole table, whatever its width.
        has_ratios: whether the recall and the precision of every class are on the right.
        may_be_list: whether a matrix that is too wide becomes a list of classes; else there are no lines for it.
    """
    title = wrapped(f"{table.key}: a row for each true class, a column for each answer", width, indent=2)
    for found in _tables(table, width, has_ratios=has_ratios):
        if width is None or all(display_width(line) <= width for line in found):
            return [*title, *found]
    return list(_listed(table, width or 80)) if may_be_list else []


def _tables(table: ResultTable, width: int | None, *, has_ratios: bool) -> Iterator[list[str]]:
    """Yield the whole matrix, each time narrower."""
    labels = _one_line(table.labels)
    numbers = [str(k + 1) for k in range(len(labels))]
    size = len(numbers[-1])
    yield _matrix(table.counts, labels, labels, 2, has_ratios=has_ratios)
    for longest, gap in _NUMBERED:
        pairs = zip(numbers, labels, strict=True)
        rows = [
            f"{number:>{size}} {shorten_middle(label, longest) if longest else ''}".rstrip() for number, label in pairs
        ]
        legend = ", ".join(f"{number} = {label}" for number, label in zip(numbers, labels, strict=True))
        found = _matrix(table.counts, rows, numbers, gap, has_ratios=has_ratios)
        yield found if longest else [*found, *wrapped(legend, width)]


def _one_line(labels: Sequence[str]) -> list[str]:
    return [" ".join(label.split()) for label in labels]


def _matrix(counts: Array, rows: Sequence[str], heads: Sequence[str], gap: int, *, has_ratios: bool) -> list[str]:
    cells = [["", *heads], *([label, *map(str, counts[k])] for k, label in enumerate(rows))]
    if has_ratios:
        for name, ratios in (("recall", _ratios(counts, 1)), ("precision", _ratios(counts, 0))):
            added = [f"{' ' * (2 - gap)}{name}", *ratios]
            cells = [[*row, cell] for row, cell in zip(cells, added, strict=True)]
    return columns(cells, right=range(1, len(cells[0])), gap=gap)


def _ratios(counts: Array, axis: int) -> list[str]:
    """Return the recall (axis 1) or the precision (axis 0) of each class, ``-`` without rows."""
    return [f"{a / b:.3f}" if b else "-" for a, b in zip(counts.diagonal(), counts.sum(axis), strict=True)]


def _listed(table: ResultTable, width: int) -> Iterator[str]:
    """Yield the classes with the most wrong answers."""
    counts, labels = table.counts, _one_line(table.labels)
    right, true = counts.diagonal(), counts.sum(1)
    yield from wrapped(
        f"{table.key}: {len(labels):,} classes, {int(right.sum()):,} of {count(int(true.sum()), 'row')} right",
        width,
        indent=2,
    )
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = sorted(range(len(labels)), key=lambda k: (right[k] - true[k], k))
    room = min(max((width - _LIST_COLUMNS) // 2, 6), _LONGEST)
    recalls, precisions = _ratios(counts, 1), _ratios(counts, 0)
    rows = [("class", "rows", "wrong", "recall", "precision", "taken for")]
    for k in order[:_LISTED]:
        other = int(wrong[k].argmax())
        taken = f"{wrong[k][other]} {shorten_middle(labels[other], room)}" if wrong[k][other] else ""
        name = shorten_middle(labels[k], room)
        rows.append((name, str(true[k]), str(true[k] - right[k]), recalls[k], precisions[k], taken))
    yield from columns(rows, right=(1, 2, 3, 4))
    if len(order) > _LISTED:
        more = f"… and {count(len(order) - _LISTED, 'class', 'classes')} with fewer wrong answers"
        yield from wrapped(f"{more}; a file or a pipe gets the whole table", width, indent=2)
