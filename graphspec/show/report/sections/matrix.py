"""A confusion matrix: counts, and with a switch the shares of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Cell, Column, Element, Group, Inline, Span, Table
from graphspec.base.text import shorten_end

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

MOST_CLASSES = 30
_NARROW = 8  # classes from which on the headers of the columns are written upwards


def matrix_table(counts: Array, labels: Sequence[str], anchor: str) -> Block:
    """Return the table: true classes are rows, predicted classes are columns.

    The colour is the share of the row. ``heads.js`` adds the switch between counts and shares, and tooltips.

    Args:
        counts: ``(classes, classes)``.
        anchor: begins the ids of its elements.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [shorten_end(label, 24) for label in labels]
    columns = [Column("true ↓ predicted →"), *(Column(Span(name)) for name in names)]
    rows: list[list[Inline | Cell]] = [
        [
            names[k],
            *(_cell(int(n), float(s), k == c) for c, (n, s) in enumerate(zip(counts[k], shares[k], strict=True))),
        ]
        for k in range(len(names))
    ]
    kind = "matrix upwards" if len(counts) >= _NARROW else "matrix"
    control = (
        f'<p class="controls js-only"><button type="button" data-shares="{anchor}-matrix" aria-pressed="false">'
        "Shares of each row</button></p>"
    )
    return Group("", [Table(columns, rows, "Confusion matrix", kind=kind, id=f"{anchor}-matrix"), Element(control)])


def _cell(n: int, share: float, right: bool) -> Cell:
    return Cell(str(n), kind="right" if right else "", style=f"--s:{share:.2f}" if n else "")
