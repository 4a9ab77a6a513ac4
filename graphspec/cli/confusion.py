"""A confusion matrix as text: a table where it fits, with numbered columns or as a list of classes where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Column, Table, Text
from graphspec.base.terminal import does_fit, lines_of, paragraph
from graphspec.base.text import count

if TYPE_CHECKING:
    from graphspec.engine.runtime.running_metrics import ResultTable
    from graphspec.graph.ir.graph import Array

_LISTED = 12  # classes that a list shows
_LISTED_LABEL = 24  # columns of a label in a list


def matrix_lines(
    table: ResultTable, width: int | None, *, has_ratios: bool = True, may_be_list: bool = True
) -> list[str]:
    """Return the lines of a matrix.

    Args:
        width: the columns of the terminal; None for the whole table, whatever its width.
        has_ratios: whether the recall and the precision of every class are on the right.
        may_be_list: whether a matrix that is too wide becomes a list of classes; else there are no lines for it.
    """
    title = paragraph(f"{table.key}: a row for each true class, a column for each answer", width)
    for blocks in _tables(table, has_ratios=has_ratios):
        lines = list(lines_of(blocks, width))
        if does_fit(lines, width):
            return [*title, *lines]
    return list(lines_of(_listed(table), width or 80)) if may_be_list else []


def _tables(table: ResultTable, *, has_ratios: bool) -> Iterator[list[Block]]:
    """Yield the whole matrix, each time narrower: with labels above it, with numbers, with a legend."""
    labels = [" ".join(label.split()) for label in table.labels]
    numbers = [str(k + 1) for k in range(len(labels))]
    ratios = [("recall", _ratios(table.counts, 1)), ("precision", _ratios(table.counts, 0))] if has_ratios else []
    counts = [[str(n) for n in row] for row in table.counts]

    def matrix(first: Sequence[Sequence[str]], columns: Sequence[Column], heads: Sequence[str], gap: int) -> Table:
        added = [Column(f"{' ' * (2 - gap)}{name}", "number") for name, _ in ratios]
        rows = [[*first[k], *counts[k], *(values[k] for _, values in ratios)] for k in range(len(labels))]
        return Table([*columns, *(Column(head, "number") for head in heads), *added], rows, gap=gap)

    yield [matrix([[label] for label in labels], [Column()], labels, 2)]
    pairs = list(zip(numbers, labels, strict=True))
    size = len(numbers[-1])
    both = [[f"{number:>{size}} {label}"] for number, label in pairs]
    for least, gap in ((13, 2), (8, 1)):
        yield [matrix(both, [Column(cut="middle", least=least + size, most=21 + size)], numbers, gap)]
    legend = Text(", ".join(f"{number} = {label}" for number, label in pairs))
    yield [matrix([[number] for number in numbers], [Column(kind="number")], numbers, 1), legend]


def _ratios(counts: Array, axis: int) -> list[str]:
    """Return the recall (axis 1) or the precision (axis 0) of each class, ``-`` without rows."""
    return [f"{a / b:.3f}" if b else "-" for a, b in zip(counts.diagonal(), counts.sum(axis), strict=True)]


def _listed(table: ResultTable) -> Iterator[Block]:
    """Yield the classes with the most wrong answers."""
    counts, labels = table.counts, [" ".join(label.split()) for label in table.labels]
    right, true = counts.diagonal(), counts.sum(1)
    yield Text(f"{table.key}: {len(labels):,} classes, {int(right.sum()):,} of {count(int(true.sum()), 'row')} right")
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = sorted(range(len(labels)), key=lambda k: (right[k] - true[k], k))
    recalls, precisions = _ratios(counts, 1), _ratios(counts, 0)
    rows = []
    for k in order[:_LISTED]:
        other = int(wrong[k].argmax())
        taken = f"{wrong[k][other]} {labels[other]}" if wrong[k][other] else ""
        rows.append((labels[k], str(true[k]), str(true[k] - right[k]), recalls[k], precisions[k], taken))
    numbers = [Column(name, "number") for name in ("rows", "wrong", "recall", "precision")]
    label = Column("class", cut="middle", least=6, most=_LISTED_LABEL)
    yield Table([label, *numbers, Column("taken for", cut="middle", least=9, most=_LISTED_LABEL + 6)], rows)
    if len(order) > _LISTED:
        more = f"… and {count(len(order) - _LISTED, 'class', 'classes')} with fewer wrong answers"
        yield Text(f"{more}; a file or a pipe gets the whole table")
