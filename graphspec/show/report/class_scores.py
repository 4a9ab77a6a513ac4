"""Precision, recall and F1 of classes from a confusion matrix, the pairs that are confused most, and top-k accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


@dataclass(frozen=True)
class ClassScores:
    """The scores of each class, ``(classes,)``, NaN where they are not defined.

    Attributes:
        support: rows of the class.
        called: rows that are predicted as the class.
        precision: not defined for a class that is never predicted.
        recall: not defined for a class that never occurs.
        f1: not defined for a class that neither occurs nor is predicted.
    """

    support: Array
    called: Array
    precision: Array
    recall: Array
    f1: Array

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
    """Return the scores of classes from the counts of each, ``(classes,)``.

    Args:
        tp: rows of the class that are predicted as it.
    """
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
    order = np.argsort(-flat, kind="stable")[:most]
    size = len(counts)
    return [(int(k) // size, int(k) % size, int(flat[k])) for k in order if flat[k]]


def top_k(true: Array, scores: Array, k: int) -> float:
    """Return the share of rows in which fewer than ``k`` scores exceed that of the true class.

    Args:
        true: class ids, ``(n,)``.
        scores: ``(n, classes)``.
    """
    own = np.take_along_axis(scores, true[:, None], 1)
    return float(np.mean(np.count_nonzero(scores > own, axis=1) < k)) if len(true) else float("nan")
