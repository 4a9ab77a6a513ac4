"""Metrics, exact over a whole pass: sums and counts are kept, not averages of batches."""

from __future__ import annotations

from graphspec.metrics import (
    accuracy,
    correlation,
    crossentropy,
    curves,
    fbeta,
    hinge,
    matrix,
    reduction,
    regression,
    sequences,
    thresholds,
)
from graphspec.metrics.base import METRICS, Metric, State, targets_of

__all__ = [
    "METRICS",
    "Metric",
    "State",
    "accuracy",
    "correlation",
    "crossentropy",
    "curves",
    "fbeta",
    "hinge",
    "matrix",
    "reduction",
    "regression",
    "sequences",
    "targets_of",
    "thresholds",
]
