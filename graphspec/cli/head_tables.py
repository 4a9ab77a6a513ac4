"""What ``evaluate`` shows of each head: precision, recall and F1 of every class, or the errors of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.text import display_width, shorten_end, shorten_middle, wrapped
from graphspec.cli.console import columns, count
from graphspec.engine.runtime.running_metrics import ClassCounts, NumberErrors

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

_ALL = 20  # classes of which a terminal shows every one
_WORST = 12  # of more, so many are shown
_LONGEST = 24  # columns of a class
_SHORTEST = 8
_OTHERS = 34  # columns of the numbers of a class


def head_tables(found: Sequence[ClassCounts | NumberErrors], width: int | None) -> list[list[str]]:
    """Return the lines of each table: one for each head of classes, and one for all heads of numbers.

    Args:
        width: the columns of the terminal; None for all classes, whatever their number.
    """
    tables = [class_lines(each, width) for each in found if isinstance(each, ClassCounts)]
    numbers = [each for each in found if isinstance(each, NumberErrors)]
    lines = error_lines(numbers, width)
    return [*tables, lines] if lines else tables


def class_lines(found: ClassCounts, width: int | None) -> list[str]:
    """Return a line for each class, and their mean; on a terminal, of many classes those with the lowest F1."""
    precision, recall = _ratio(found.right, found.answered), _ratio(found.right, found.true)
    f1 = _ratio(2 * found.right, found.answered + found.true)
    order = list(range(len(found.labels)))
    is_cut = width is not None and len(order) > _ALL
    if is_cut:
        seen = np.where(np.isnan(f1), np.inf, f1)
        order = sorted(order, key=lambda k: (seen[k], -found.true[k], k))[:_WORST]
    room = _LONGEST if width is None else min(max((width - _OTHERS) // 2, _SHORTEST), _LONGEST)
    rows = [[shorten_middle(found.head, room), "rows", "precision", "recall", "F1", ""]]
    for k in order:
        numbers = (_three(values[k]) for values in (precision, recall, f1))
        label = " ".join(found.labels[k].split())
        rows.append([_label(label, width, room), f"{found.true[k]:,}", *numbers, _taken_for(found, k, room)])
    rows.append(["mean of classes", "", *(_three(_mean(values)) for values in (precision, recall, f1)), ""])
    if any(row[-1] for row in rows[1:]):
        rows[0][-1] = "taken for"
    lines = columns(rows, right=(1, 2, 3, 4))
    if width is not None:
        if any(display_width(line) > width for line in lines):  # then without the last column
            lines = columns([row[:-1] for row in rows], right=(1, 2, 3, 4))
        lines = [shorten_end(line, width) for line in lines]
    if is_cut:
        more = f"… and {count(len(found.labels) - _WORST, 'class', 'classes')} with a higher F1"
        lines[-1:] = [*wrapped(f"{more}; a file or a pipe gets all", width, indent=2), lines[-1]]
    return lines


def _label(text: str, width: int | None, room: int) -> str:
    return text if width is None else shorten_middle(text, room)


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


def _taken_for(found: ClassCounts, k: int, room: int) -> str:
    """Return the wrong class that is answered most often for a class, and how often."""
    if found.pairs is None:
        return ""
    wrong = found.pairs[k].copy()
    wrong[k] = 0
    other = int(wrong.argmax())
    if not wrong[other]:
        return ""
    return f"{wrong[other]:,} {shorten_middle(' '.join(found.labels[other].split()), room)}"


def error_lines(found: Sequence[NumberErrors], width: int | None) -> list[str]:
    """Return a line for each head, in the units of its targets, without what every head has among its metrics."""
    texts = {
        "mae": ("MAE", [f"{each.mae:.6g}" for each in found]),
        "rmse": ("RMSE", [f"{each.rmse:.6g}" for each in found]),
        "r2": ("R2", [f"{each.r2:.4f}" for each in found]),
    }
    shown = [text for name, text in texts.items() if not all(name in each.known for each in found)]
    room = max((width or 80) - _OTHERS, _SHORTEST)
    names = [each.head if width is None else shorten_middle(each.head, room) for each in found]
    rows = zip(["", *names], *([title, *cells] for title, cells in shown), strict=True)
    return columns(rows, right=(1, 2, 3)) if shown else []
