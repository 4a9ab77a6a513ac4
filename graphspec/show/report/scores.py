"""Measures of answers: of classes, of numbers, of probabilities, of scores at all thresholds, and of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from graphspec.graph.ir.graph import Array


# Precision, recall and F1 of classes from a confusion matrix, the pairs that are confused most, and top-k accuracy.
class ClassScores(NamedTuple):
    """The scores of each class, ``(classes,)``, NaN where they are not defined."""

    support: Array  # rows of the class
    called: Array  # rows that are predicted as the class
    precision: Array  # not defined for a class that is never predicted
    recall: Array  # not defined for a class that never occurs
    f1: Array  # not defined for a class that neither occurs nor is predicted

    def macro(self) -> tuple[float, float, float]:
        """Return the mean precision, recall and F1 over the classes that occur or are predicted.

        Values that are not defined count as 0, as in scikit-learn.
        """
        used = (self.support > 0) | (self.called > 0)
        if not used.any():
            return float("nan"), float("nan"), float("nan")
        precision, recall, f1 = (float(np.nan_to_num(x[used]).mean()) for x in (self.precision, self.recall, self.f1))
        return precision, recall, f1


def class_scores(tp: Array, support: Array, called: Array) -> ClassScores:
    """Return the scores of classes from the counts of each, ``(classes,)``; ``tp`` are rows that are predicted right."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return ClassScores(support, called, tp / called, tp / support, 2 * tp / (support + called))


def of_matrix(counts: Array) -> ClassScores:
    """Return the scores from counts by true class (rows) and predicted class (columns), ``(classes, classes)``."""
    return class_scores(counts.diagonal().astype(np.float64), counts.sum(1), counts.sum(0))


def confused(counts: Array, most: int) -> list[tuple[int, int, int]]:
    """Return ``(true, predicted, rows)`` for the wrong pairs that occur most often, the most frequent first."""
    wrong = counts.astype(np.int64)
    np.fill_diagonal(wrong, 0)
    flat = wrong.ravel()
    order = np.argsort(-flat, kind="stable")[:most].tolist()
    return [(*divmod(k, len(counts)), int(flat[k])) for k in order if flat[k]]


def top_k(true: Array, scores: Array, k: int) -> float:
    """Return the share of rows in which fewer than ``k`` scores, ``(n, classes)``, exceed that of the true class."""
    own = np.take_along_axis(scores, true[:, None], 1)
    return float(np.mean(np.count_nonzero(scores > own, axis=1) < k)) if len(true) else float("nan")


# Errors of predicted numbers, beside what a constant answer would reach.
class NumberErrors(NamedTuple):
    """The errors of some predicted numbers, in their own unit."""

    size: int  # how many
    mae: float  # mae, rmse: the mean absolute error, and the root of the mean squared error
    rmse: float
    median: float  # the median absolute error
    bias: float  # the mean of predicted minus true
    r2: float  # the coefficient of determination; NaN if all true values are equal


def number_errors(true: Array, predicted: Array) -> NumberErrors:
    """Return the errors of ``predicted``, ``(n,)``, n at least 1, or a single value for all rows, ``()``."""
    t = true.astype(np.float64)
    differences = np.asarray(predicted, np.float64) - t
    spread = float(np.square(t - t.mean()).sum())
    squares = float(np.square(differences).sum())
    scale = float(np.square(t).sum())
    r2 = 1 - squares / spread if spread > 1e-12 * scale else float("nan")
    sizes = np.abs(differences)
    root = float(np.sqrt(squares / len(t)))
    return NumberErrors(len(t), float(sizes.mean()), root, float(np.median(sizes)), float(differences.mean()), r2)


def determination(true: Array, predicted: Array) -> Array:
    """Return the coefficient of determination of each output of ``(n, units)``; NaN where all true values are equal."""
    spread = np.square(true - true.mean(0)).sum(0)
    squares = np.square(predicted - true).sum(0)
    varies = spread > 1e-12 * np.square(true).sum(0)
    return np.where(varies, 1 - squares / np.where(varies, spread, 1), np.nan)


class Box(NamedTuple):
    """The spread of some values: the range of their predictions, their number, and quantiles of their errors."""

    low: float
    high: float
    size: int
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


def boxes(predicted: Array, differences: Array) -> list[Box]:
    """Return the spread of the errors by predicted value: ten groups of equal size in rising order, ties in one group."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, 11)))
    numbers = np.searchsorted(edges[1:-1], predicted, side="left") if len(edges) > 2 else np.zeros(len(predicted), int)
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    found = [(predicted[numbers == k], differences[numbers == k]) for k in np.unique(numbers).tolist()]
    return [Box(float(x.min()), float(x.max()), len(x), *np.quantile(off, quantiles).tolist()) for x, off in found]


# Whether probabilities can be believed: of the rows called 80 % sure, 80 % should be right.
BINS = 15
FEW = 20  # rows below which the share of a bin says little: with 20 rows, its standard error is up to 11 points


class Bin(NamedTuple):
    """The rows whose probability is above ``low`` and at most ``high``: their number, at least 1, and their means."""

    low: float
    high: float
    size: int
    probability: float
    share: float  # the share of them that is right


def reliability(probabilities: Array, right: Array, bins: int = BINS) -> list[Bin]:
    """Return the bins of equal width that have rows, in rising order.

    The bins are ``((m - 1) / M, m / M]``; 0 belongs to the first one. The probabilities are those of what is called, the top
    class or the positive one; ``right`` is whether it is so.

    Source: Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, section 2.
    """
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.searchsorted(edges[1:-1], probabilities, side="left")
    counts = np.bincount(numbers, minlength=bins)
    kept = np.flatnonzero(counts)
    sums, hits = (np.bincount(numbers, x.astype(np.float64), bins)[kept] / counts[kept] for x in (probabilities, right))
    columns = (edges[kept], edges[kept + 1], counts[kept], sums, hits)
    return [Bin(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: ``Σ |share - probability| · count / n``; NaN without rows.

    Source: Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, equation 3.
    """
    total = sum(b.size for b in bins)
    return sum(abs(b.share - b.probability) * b.size for b in bins) / total if total else float("nan")


# Curves of a score against yes and no: ROC, precision and recall, exact, with one point per different score.
class Curve(NamedTuple):
    """A curve, and the area below it."""

    x: Array  # x, y: its points, ``(points,)``, in rising order of ``x``
    y: Array
    area: float  # for ROC the area by the trapezoidal rule, for precision and recall the average precision

    def points(self, most: int = 80) -> list[tuple[float, float]]:
        """Return about ``most`` of its points, evenly spaced along the curve, with both ends."""
        way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(self.x)) + np.abs(np.diff(self.y)))])
        chosen = np.arange(len(way))
        if len(way) > most:
            wanted = np.searchsorted(way, np.linspace(0, way[-1], most)).clip(max=len(way) - 1)
            chosen = np.unique(np.concatenate([[0], wanted]))
        return list(zip(self.x[chosen].tolist(), self.y[chosen].tolist(), strict=True))


def both_curves(positive: Array, scores: Array) -> tuple[Curve | None, Curve | None]:
    """Return the ROC curve, and the precision over the recall; None unless there are rows of both kinds.

    ROC is the true positive rate over the false positive rate. The area below the other curve is the average precision: the
    precisions at all thresholds, each weighted by the rise of the recall. It begins with the precision of its first
    threshold. Scores are finite, and larger for rows that are likelier positive.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else np.zeros(0, np.int64)
    # true and false positives: first at no row, then at each different score from the largest down
    tp = np.concatenate([[0], np.cumsum(positive[order])[ends]]).astype(np.float64)
    fp = np.concatenate([[0], ends + 1]) - tp
    if not tp[-1] or not fp[-1]:
        return None, None
    rate, recall, precision = fp / fp[-1], tp / tp[-1], tp / np.maximum(tp + fp, 1)
    precision[0] = precision[1]
    area = float(np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2))
    return Curve(rate, recall, area), Curve(recall, precision, float(np.sum(np.diff(recall) * precision[1:])))


def macro(curves: Sequence[Curve]) -> Curve:
    """Return the mean of curves, at least one, over the same axis, and the mean of their areas."""
    x = np.linspace(0, 1, 80)
    y = np.mean([np.interp(x, c.x, c.y) for c in curves], axis=0)
    return Curve(x, y, float(np.mean([c.area for c in curves])))


class Counts(NamedTuple):
    """The confusion counts at some thresholds, each int64, ``(thresholds,)``."""

    tp: Array
    fp: Array
    fn: Array
    tn: Array


def at_thresholds(positive: Array, scores: Array, thresholds: Array) -> Counts:
    """Return the confusion counts at thresholds: a row is called positive if its score, which is finite, is larger."""
    yes, no = np.sort(scores[positive]), np.sort(scores[~positive])
    fn, tn = np.searchsorted(yes, thresholds, "right"), np.searchsorted(no, thresholds, "right")
    return Counts(len(yes) - fn, len(no) - tn, fn, tn)


# How a sequence was read: the edits between what is true and what was read.
class Edit(NamedTuple):
    """One step of an alignment; the element that is missing on one side is None."""

    kind: Literal["same", "other", "missed", "added"]
    true: int | None
    read: int | None


def align(true: Sequence[int], read: Sequence[int]) -> list[Edit]:
    """Return a shortest list of edits from ``true`` to ``read``; at ties another element comes before a missed one."""
    table = [list(range(len(read) + 1))]
    for i, element in enumerate(true, 1):
        above, row = table[-1], [i]
        for j, other in enumerate(read, 1):
            row.append(min(above[j - 1] + (element != other), above[j] + 1, row[j - 1] + 1))
        table.append(row)
    edits: list[Edit] = []
    i, j = len(true), len(read)
    while i or j:
        here = table[i][j]
        if i and j and here == table[i - 1][j - 1] + (true[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            edits.append(Edit("same" if true[i] == read[j] else "other", true[i], read[j]))
        elif i and here == table[i - 1][j] + 1:
            i -= 1
            edits.append(Edit("missed", true[i], None))
        else:
            j -= 1
            edits.append(Edit("added", None, read[j]))
    return edits[::-1]
