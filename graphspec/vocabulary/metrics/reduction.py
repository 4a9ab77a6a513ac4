"""Metrics of the head's values only, without targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphspec.base.errors import Problem
from graphspec.vocabulary.metrics.base import METRICS, Average, total, visible

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.vocabulary.losses import Loss


@METRICS.add("Mean", "mean")
class Mean(Average):
    """The mean of the head's values; the head does not need a loss.

    Shapes: head (N, …). Masked rows do not count.
    """

    label = "mean"
    direction = None

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return []

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        return total(visible(y_pred, mask))


@METRICS.add("Sum", "sum")
class Sum(Mean):
    """The sum of the head's values; the head does not need a loss.

    Shapes: head (N, …). Masked rows do not count.
    """

    label = "sum"

    def finish(self, counters: Array) -> float | Array:
        return float(counters[0])
