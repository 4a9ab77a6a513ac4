"""A confusion matrix as a table: counts, and with a switch the shares of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.text import shorten_end
from graphspec.show.report.page import text, wide

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

MOST_CLASSES = 30
_NARROW = 8  # classes from which on the headers of the columns are written upwards


def matrix_table(counts: Array, labels: Sequence[str], anchor: str) -> str:
    """Return the table: true classes are rows, predicted classes are columns.

    The colour is the share of the row. ``heads.js`` adds the switch between counts and shares, and tooltips.

    Args:
        counts: ``(classes, classes)``.
        anchor: begins the ids of its elements.
    """
    totals = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    upwards = " upwards" if len(counts) >= _NARROW else ""
    names = [text(shorten_end(label, 24)) for label in labels]
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    rows = []
    for k, name in enumerate(names):
        cells = "".join(
            _cell(int(n), float(s), k == c) for c, (n, s) in enumerate(zip(counts[k], shares[k], strict=True))
        )
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    caption = "Confusion matrix"
    control = (
        f'<p class="controls js-only"><button type="button" data-shares="{anchor}-matrix" aria-pressed="false">'
        "Shares of each row</button></p>"
    )
    inner = (
        f'<table class="matrix{upwards}" id="{anchor}-matrix"><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">true ↓ predicted →</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
    return wide(inner, caption) + control


def _cell(n: int, share: float, right: bool) -> str:
    shown = f' style="--s:{share:.2f}"' if n else ""
    return f"<td{' class=right' if right else ''}{shown}>{n}</td>"
