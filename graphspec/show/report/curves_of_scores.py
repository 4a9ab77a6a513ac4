"""Curves of a score against yes and no: ROC, precision and recall, exact, with one point per different score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


@dataclass(frozen=True)
class Curve:
    """A curve, and the area below it.

    Attributes:
        x, y: its points, ``(points,)``, in rising order of ``x``.
        area: for ROC the area by the trapezoidal rule, for precision and recall the average precision.
    """

    x: Array
    y: Array
    area: float

    def points(self, most: int = 80) -> list[tuple[float, float]]:
        """Return about ``most`` of its points, evenly spaced along the curve, with both ends."""
        way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(self.x)) + np.abs(np.diff(self.y)))])
        if len(way) > most:
            wanted = np.linspace(0, way[-1], most)
            chosen = np.unique(np.concatenate([[0], np.searchsorted(way, wanted).clip(max=len(way) - 1)]))
        else:
            chosen = np.arange(len(way))
        return list(zip(self.x[chosen].tolist(), self.y[chosen].tolist(), strict=True))


def both_curves(positive: Array, scores: Array) -> tuple[Curve | None, Curve | None]:
    """Return :func:`roc` and :func:`precision_recall` of the same scores, which are sorted once."""
    counts = _counts(positive, scores)
    return _roc(*counts), _precision_recall(*counts)


def roc(positive: Array, scores: Array) -> Curve | None:
    """Return the true positive rate over the false positive rate; None unless there are rows of both kinds.

    Args:
        positive: bool, ``(n,)``.
        scores: larger for rows that are likelier positive, finite, ``(n,)``.
    """
    return _roc(*_counts(positive, scores))


def _roc(tp: Array, fp: Array) -> Curve | None:
    if not tp[-1] or not fp[-1]:
        return None
    x, y = fp / fp[-1], tp / tp[-1]
    return Curve(x, y, float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)))


def precision_recall(positive: Array, scores: Array) -> Curve | None:
    """Return the precision over the recall; None unless there are rows of both kinds.

    The area is the average precision: the precisions at all thresholds, each weighted by the rise of the recall. The
    curve begins with the precision of its first threshold.

    Args:
        positive: bool, ``(n,)``.
        scores: finite, ``(n,)``.
    """
    return _precision_recall(*_counts(positive, scores))


def _precision_recall(tp: Array, fp: Array) -> Curve | None:
    if not tp[-1] or not fp[-1]:
        return None
    recall, precision = tp / tp[-1], tp / np.maximum(tp + fp, 1)
    precision[0] = precision[1]
    return Curve(recall, precision, float(np.sum(np.diff(recall) * precision[1:])))


def macro(curves: Sequence[Curve], steps: int = 80) -> Curve:
    """Return the mean of curves over the same axis, and the mean of their areas.

    Args:
        curves: at least one.
    """
    x = np.linspace(0, 1, steps)
    y = np.mean([np.interp(x, c.x, c.y) for c in curves], axis=0)
    return Curve(x, y, float(np.mean([c.area for c in curves])))


@dataclass(frozen=True)
class Counts:
    """The confusion counts at some thresholds, each int64, ``(thresholds,)``."""

    tp: Array
    fp: Array
    fn: Array
    tn: Array


def at_thresholds(positive: Array, scores: Array, thresholds: Array) -> Counts:
    """Return the confusion counts at thresholds: a row is called positive if its score is larger.

    Args:
        positive: bool, ``(n,)``.
        scores: finite, ``(n,)``.
        thresholds: in any order.
    """
    yes, no = np.sort(scores[positive]), np.sort(scores[~positive])
    fn, tn = np.searchsorted(yes, thresholds, "right"), np.searchsorted(no, thresholds, "right")
    return Counts(len(yes) - fn, len(no) - tn, fn, tn)


def _counts(positive: Array, scores: Array) -> tuple[Array, Array]:
    """Return true and false positives, first at no row, then at each different score from the largest down."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], positive[order]
    ends = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True)) if len(order) else np.zeros(0, np.int64)
    tp = np.concatenate([[0], np.cumsum(hits)[ends]]).astype(np.float64)
    return tp, np.concatenate([[0], ends + 1]) - tp
