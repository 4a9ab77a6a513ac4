"""Curves of each class, or label, against all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import UNDEFINED, Block, Figure, Legend, Text
from graphspec.base.text import count
from graphspec.show.drawing.curves import linear
from graphspec.show.report.charts import Plot, share
from graphspec.show.report.kinds import Flat, some
from graphspec.show.report.scores import Curve, both_curves, macro

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

MOST_CURVES = 10  # classes with a curve each
_SCORES = 2_000_000  # that are sorted; of more, as many, spread evenly
_KINDS = (
    ("ROC", "False positive rate", "True positive rate", "AUC"),
    ("Precision and recall", "Recall", "Precision", "AP"),
)

Areas = list[tuple[Curve | None, Curve | None]]
"""For each class the ROC curve and the curve of precision and recall, None where it is not defined."""


def sample(flat: Flat) -> tuple[Flat, list[Text]]:
    """Return as many positions as curves are computed from, and a note if these are not all."""
    units = flat.scores.shape[1] if flat.scores.ndim > 1 else 1
    fewer = some(flat, max(_SCORES // units, 1000))
    if fewer is flat:
        return flat, []
    part = f"{len(fewer.scores):,} of {len(flat.scores):,} {flat.noun}s"
    return fewer, [Text(f"Curves and the areas below them are of {part}, spread evenly.", "note")]


def areas(positive: Array, scores: Array) -> Areas:
    """Return the curves of each class.

    Args:
        positive: class ids ``(n,)``, or bool ``(n, classes)``.
        scores: ``(n, classes)``.
    """
    found: Areas = []
    for k in range(scores.shape[1]):
        own = positive == k if positive.ndim == 1 else positive[:, k]
        found.append(both_curves(own, scores[:, k]))
    return found


def means(found: Areas) -> list[float]:
    """Return the mean areas of both kinds of curves over the classes that have them; NaN if none has."""
    both = [[c.area for pair in found if (c := pair[which]) is not None] for which in (0, 1)]
    return [float(np.mean(each)) if each else float("nan") for each in both]


def area_cells(pair: tuple[Curve | None, Curve | None]) -> list[str]:
    """Return the areas of a class as cells of a table."""
    return [UNDEFINED if curve is None else share(curve.area) for curve in pair]


def curve_charts(found: Areas, labels: Sequence[str], what: str) -> list[Block]:
    """Return the charts of both kinds of curves: one of each class, or their mean if there are many.

    Args:
        what: such as ``each class against the rest``.
    """
    charts: list[Block] = []
    for which, (title, x, y, area) in enumerate(_KINDS):
        curves = {k: curve for k, pair in enumerate(found) if (curve := pair[which]) is not None}
        if not curves:
            continue
        mean, lowest = means(found)[which], min(curves, key=lambda k: curves[k].area)
        low = f"lowest {share(curves[lowest].area)} for '{labels[lowest]}'"
        summary = f"{title}, {what}: mean {area} {share(mean)} of {count(len(curves), 'curve')}, {low}"
        plot = Plot(linear([0, 1]), linear([0, 1]), x, y, summary)
        if which == 0:
            plot.line([(0, 0), (1, 1)], "soft")
        if len(labels) <= MOST_CURVES:
            for k, curve in curves.items():
                plot.line(curve.points(), f"k{k}", tip=f"{labels[k]}: {area} {share(curve.area)}")
            below: Block = Legend([(f"line k{k}", f"{labels[k]}, {area} {share(c.area)}") for k, c in curves.items()])
        else:
            plot.line(macro(list(curves.values())).points(), "a", tip=f"mean: {area} {share(mean)}")
            below = Text(f"Mean of {len(curves):,} curves: {area} {share(mean)}; {low}.", "note")
        charts.append(Figure(f"{title}, {what.split()[0]} {what.split()[1]}", plot.drawing(), [below]))
    return charts
