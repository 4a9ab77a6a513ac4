"""What ``evaluate`` shows of each head: precision, recall and F1 of every class, or the errors of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Column, Table, Text
from graphspec.base.text import count
from graphspec.engine.runtime.head_counts import ClassCounts, NumberErrors

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

_ALL = 20  # classes of which a terminal shows every one
_WORST = 12  # of more, so many are shown
_LONGEST = 24  # columns of a class


def head_tables(found: Sequence[ClassCounts | NumberErrors], width: int | None) -> list[list[Block]]:
    """Return what is shown of heads: a table for each head of classes, and one for all heads of numbers.

    Args:
        width: the columns of the terminal; None for all classes, whatever their number.
    """
    tables = [class_table(each, whole=width is None) for each in found if isinstance(each, ClassCounts)]
    return [*tables, *error_table([each for each in found if isinstance(each, NumberErrors)])]


def class_table(found: ClassCounts, *, whole: bool) -> list[Block]:
    """Return a row for each class, and their mean; of many classes, unless ``whole``, those with the lowest F1."""
    precision, recall = _ratio(found.right, found.answered), _ratio(found.right, found.true)
    f1 = _ratio(2 * found.right, found.answered + found.true)
    order = list(range(len(found.labels)))
    is_cut = not whole and len(order) > _ALL
    if is_cut:
        seen = np.where(np.isnan(f1), np.inf, f1)
        order = sorted(order, key=lambda k: (seen[k], -found.true[k], k))[:_WORST]
    rows = []
    for k in order:
        numbers = (_three(values[k]) for values in (precision, recall, f1))
        rows.append([" ".join(found.labels[k].split()), f"{found.true[k]:,}", *numbers, _taken_for(found, k)])
    mean = ["mean of classes", "", *(_three(_mean(values)) for values in (precision, recall, f1)), ""]
    columns = [Column(found.head, cut="middle", most=_LONGEST)]
    columns += [Column(name, "number") for name in ("rows", "precision", "recall", "F1")]
    taken = "taken for" if any(row[-1] for row in rows) else ""
    columns.append(Column(taken, cut="middle", least=12, most=_LONGEST + 6, drop=1))
    more = f"… and {count(len(found.labels) - _WORST, 'class', 'classes')} with a higher F1"
    note = [Text(f"{more}; a file or a pipe gets all")] if is_cut else []
    return [Table(columns, [*rows, mean]), *note]


def _ratio(part: Array, whole: Array) -> Array:
    """Return ``part / whole``, NaN where there is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = np.where(whole > 0, part / whole, np.nan)
    return ratio


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _three(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _taken_for(found: ClassCounts, k: int) -> str:
    """Return the wrong class that is answered most often for a class, and how often."""
    if found.pairs is None:
        return ""
    wrong = found.pairs[k].copy()
    wrong[k] = 0
    other = int(wrong.argmax())
    return f"{wrong[other]:,} {' '.join(found.labels[other].split())}" if wrong[other] else ""


def error_table(found: Sequence[NumberErrors]) -> list[list[Block]]:
    """Return a row for each head, in the units of its targets, without what every head has among its metrics."""
    texts = {
        "mae": ("MAE", [f"{each.mae:.6g}" for each in found]),
        "rmse": ("RMSE", [f"{each.rmse:.6g}" for each in found]),
        "r2": ("R2", [f"{each.r2:.4f}" for each in found]),
    }
    shown = [text for name, text in texts.items() if not all(name in each.known for each in found)]
    if not shown:
        return []
    columns = [Column(cut="middle"), *(Column(title, "number") for title, _ in shown)]
    return [[Table(columns, list(zip((each.head for each in found), *(cells for _, cells in shown), strict=True)))]]
