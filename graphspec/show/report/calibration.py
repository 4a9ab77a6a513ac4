"""Whether probabilities can be believed: of the rows called 80 % sure, 80 % should be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

BINS = 15
FEW = 20
"""Rows below which the share of a bin says little: with 20 rows, its standard error is up to 11 points."""


@dataclass(frozen=True)
class Bin:
    """The rows whose probability is above ``low`` and at most ``high``.

    Attributes:
        low, high: the ends of the bin.
        count: its number of rows, at least 1.
        probability: their mean probability.
        share: the share of them that is right.
    """

    low: float
    high: float
    count: int
    probability: float
    share: float


def reliability(probabilities: Array, right: Array, bins: int = BINS) -> list[Bin]:
    """Return the bins of equal width that have rows, in rising order.

    The bins are ``((m - 1) / M, m / M]``; 0 belongs to the first one.

    Args:
        probabilities: of what is called, from 0 to 1, ``(n,)``: of the top class, or of the positive class.
        right: bool, whether it is so, ``(n,)``.

    Source: Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, section 2.
    """
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.searchsorted(edges[1:-1], probabilities, side="left")
    counts = np.bincount(numbers, minlength=bins)
    sums = np.bincount(numbers, probabilities.astype(np.float64), bins)
    hits = np.bincount(numbers, right.astype(np.float64), bins)
    return [
        Bin(
            float(edges[k]), float(edges[k + 1]), int(counts[k]), float(sums[k] / counts[k]), float(hits[k] / counts[k])
        )
        for k in np.flatnonzero(counts).tolist()
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: ``Σ |share - probability| · count / n``; NaN without rows.

    Source: Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, equation 3.
    """
    total = sum(b.count for b in bins)
    return sum(abs(b.share - b.probability) * b.count for b in bins) / total if total else float("nan")
