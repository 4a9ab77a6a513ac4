"""Errors of predicted numbers, beside what a constant answer would reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


@dataclass(frozen=True)
class NumberErrors:
    """The errors of some predicted numbers, in their own unit.

    Attributes:
        count: how many.
        mae: the mean absolute error.
        rmse: the root of the mean squared error.
        median: the median absolute error.
        bias: the mean of predicted minus true.
        r2: the coefficient of determination; NaN if all true values are equal.
    """

    count: int
    mae: float
    rmse: float
    median: float
    bias: float
    r2: float


def number_errors(true: Array, predicted: Array) -> NumberErrors:
    """Return the errors of ``predicted``, ``(n,)``, n at least 1.

    Args:
        predicted: ``(n,)``, or a single value for all rows, ``()``.
    """
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
    """Return the coefficient of determination of each output, ``(units,)``; NaN where all true values are equal.

    Args:
        true: ``(n, units)``.
        predicted: ``(n, units)``, or the same for all rows, ``(units,)``.
    """
    spread = np.square(true - true.mean(0)).sum(0)
    squares = np.square(predicted - true).sum(0)
    varies = spread > 1e-12 * np.square(true).sum(0)
    return np.where(varies, 1 - squares / np.where(varies, spread, 1), np.nan)


@dataclass(frozen=True)
class Box:
    """The spread of some values: the range of their predictions, their number, and quantiles of their errors."""

    low: float
    high: float
    count: int
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


def boxes(predicted: Array, differences: Array, groups: int = 10) -> list[Box]:
    """Return the spread of the errors by predicted value: groups of equal size in rising order, ties in one group.

    Args:
        predicted, differences: ``(n,)``.
    """
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, groups + 1)))
    found = []
    numbers = np.searchsorted(edges[1:-1], predicted, side="left") if len(edges) > 2 else np.zeros(len(predicted), int)
    for k in range(max(len(edges) - 1, 1)):
        chosen = numbers == k
        if chosen.any():
            spread = np.quantile(differences[chosen], [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
            own = predicted[chosen]
            found.append(Box(float(own.min()), float(own.max()), int(chosen.sum()), *spread))
    return found
