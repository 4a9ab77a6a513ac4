"""How far a sample has drifted from another: the population stability index over bins, and what chance alone gives."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array

BINS = 10
MODERATE, LARGE = 0.1, 0.25
"""The index from which on a drift counts as moderate, and as large."""
_Z = 2.326  # of the normal distribution: 1 % of samples without any drift are above
MAX_CATEGORIES = 50
"""Categories with a bin of their own, the most frequent ones; the others share one."""


def stability(before: Array, after: Array) -> float:
    """Return the population stability index ``Σ (q − p) · ln(q / p)`` of two samples' counts by bin.

    A bin that one of them lacks counts as half an element there. Bins that both lack do not count.
    """
    some = (before > 0) | (after > 0)
    p, q = (np.maximum(counts[some], 0.5) / max(float(counts.sum()), 1) for counts in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def by_chance(before: int, after: int, bins: int) -> float:
    """Return the index that 1 % of pairs of samples of one distribution exceed: its scaled χ² distribution.

    Args:
        before, after: the sizes of the samples.
        bins: the number of bins.
    """
    free = bins - 1
    if free < 1 or not before or not after:
        return 0.0
    quantile = free * (1 - 2 / (9 * free) + _Z * math.sqrt(2 / (9 * free))) ** 3  # Wilson and Hilferty
    return quantile * (1 / before + 1 / after)


def edges(values: Array) -> Array:
    """Return the inner borders of at most ``BINS`` bins with equally many of the finite values, rising, each once."""
    if not len(values):
        return np.zeros(0)
    return np.unique(np.quantile(values, np.arange(1, BINS) / BINS))


def binned(values: Array, borders: Array) -> Array:
    """Return how many finite values each bin has; a bin contains its lower border."""
    return np.bincount(np.searchsorted(borders, values, side="right"), minlength=len(borders) + 1)


def binned_numbers(before: Array, after: Array) -> tuple[Array, Array]:
    """Return the counts of two samples in bins of the first one's quantiles; values that are not finite have their own."""
    kept = [values[np.isfinite(values)] for values in (before, after)]
    borders = edges(kept[0])
    counts = [
        np.append(binned(finite, borders), len(values) - len(finite))
        for finite, values in zip(kept, (before, after), strict=True)
    ]
    return counts[0], counts[1]


def binned_categories(before: Mapping[Hashable, int], after: Mapping[Hashable, int]) -> tuple[Array, Array]:
    """Return the counts of two samples by category: the most frequent ones of the first, and all others together."""
    own = sorted(before, key=lambda key: -before[key])[:MAX_CATEGORIES]
    counts = []
    for sample in (before, after):
        known = [sample.get(key, 0) for key in own]
        counts.append(np.array([*known, sum(sample.values()) - sum(known)]))
    return counts[0], counts[1]


def drift_word(index: float, chance: float) -> str:
    """Return how large a drift is: ``none`` if chance alone explains it."""
    if index <= chance:
        return "none"
    return "small" if index < MODERATE else "moderate" if index < LARGE else "large"
