"""True and false positives and negatives at thresholds, and the scores that are computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.base.config import FROM_LIST, PositiveInt, Rate
from graphspec.base.errors import Problem
from graphspec.vocabulary.losses.base import Targets
from graphspec.vocabulary.metrics.base import METRICS, Metric, dense, divide, has_logits, width

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Value
    from graphspec.vocabulary.losses import Loss


def confusion(y_true: Array, y_pred: Array, limits: Array, weights: Array | None = None) -> Array:
    """Return the confusion counts at every threshold.

    Args:
        y_true: (rows, units), bool.
        y_pred: (rows, units).
        limits: the thresholds in any order. A value is positive if it is larger; NaN is never positive.
        weights: of the units; 1 if None.

    Returns:
        True positives, false positives, true negatives, false negatives: (4, units, thresholds).
    """
    count, order = y_pred.shape[-1], np.argsort(limits)
    buckets = _below(limits[order], y_pred) + (len(limits) + 1) * np.arange(count)
    weight = None if weights is None else np.broadcast_to(weights, y_pred.shape)

    def above_and_not(rows: Array) -> tuple[Array, Array]:
        totals = np.bincount(buckets[rows], None if weight is None else weight[rows], (len(limits) + 1) * count)
        sums = totals.reshape(count, -1)[:, ::-1].cumsum(1)[:, ::-1]
        return sums[:, 1:], sums[:, :1] - sums[:, 1:]

    (tp, fn), (fp, tn) = above_and_not(y_true), above_and_not(~y_true)
    counts = np.empty((4, count, len(limits)))
    counts[..., order] = tp, fp, tn, fn
    return counts


def _below(limits: Array, values: Array) -> Array:
    """Return how many of the sorted ``limits`` each value exceeds.

    Limits that are evenly spaced from 0 to 1, as for curves, need no search: rounding finds the count up to ±1, 20
    times as fast.
    """
    values, last = np.where(np.isnan(values), -np.inf, values), len(limits) - 1
    if last < 2 or np.abs(limits * last - np.arange(last + 1)).max() > 0.25:
        return np.searchsorted(limits, values, side="left")
    edges = np.concatenate([[-np.inf], limits, [np.inf]], dtype=limits.dtype)
    values = np.clip(values, -1, 2)
    counts: Array = np.clip(np.ceil(values * last), 0, last + 1).astype(np.intp)
    counts -= edges[counts] >= values
    counts += edges[counts + 1] < values
    return counts


def fraction(a: Array, b: Array) -> Array:
    """Return ``a / (a + b)``, 0 where the sum is 0: ``fraction(tp, fp)`` is the precision, ``(tp, fn)`` the recall."""
    fractions: Array = divide(a, a + b)
    return fractions


class Thresholded(Metric):
    """Base: the confusion counts of all units together at every threshold: counters (4, 1, thresholds)."""

    instead = "use `confusion_matrix`, or `precision` and `recall` with a `class_id`"

    def limits(self) -> Array:
        """Return the thresholds, float32."""
        raise NotImplementedError

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (4, 1, len(self.limits()))

    def select(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the targets and values that count; the base returns all."""
        return y_true, y_pred

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = self.select(y_true != 0 if y_true.shape == y_pred.shape else dense(y_true, y_pred), y_pred)
        return confusion(y_true.reshape(-1, 1), y_pred.reshape(-1, 1), self.limits())

    def finish(self, counters: Array) -> float | Array:
        scores = self.scores(*counters[:, 0])
        return scores if len(scores) > 1 else float(scores[0])

    def scores(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        """Return the scores from the counts, each (thresholds,): one per threshold, or a single one."""
        raise NotImplementedError

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if has_logits(loss):
            text = "compares the head's values with thresholds from 0 to 1, but they are logits"
            return self.warning(text, "end the head in a sigmoid or softmax, with `from_logits: false` in the loss")
        return []


ClassId = Annotated[int | None, Field(ge=0, description="The id of the only class that counts; null for all.")]


def check_class(metric: Metric, class_id: int | None, y_pred: Value) -> list[Problem]:
    """Return GS403 unless the head has the class."""
    if class_id is None:
        return []
    classes = width(y_pred)
    if isinstance(classes, int) and class_id >= classes:
        hint = f"use a class from 0 to {classes - 1}" if classes > 1 else "leave `class_id` out"
        return metric.error(f"requests class {class_id} of {classes}", hint)
    return []


def of_class(y_true: Array, y_pred: Array, class_id: int | None) -> tuple[Array, Array]:
    """Return the targets and values of one class, or of all if ``class_id`` is None."""
    k = slice(None) if class_id is None else class_id
    return y_true[..., k], y_pred[..., k]


Thresholds = Annotated[
    Rate | Annotated[tuple[Rate, ...], Field(min_length=1)] | None,
    FROM_LIST,
    Field(description="One threshold from 0 to 1, or a list for one result each; larger values are positive."),
]


class Counted(Thresholded):
    """Base of the metrics with one result per threshold in ``thresholds``."""

    default: ClassVar[float] = 0.5
    """The threshold if there is none in the spec."""
    thresholds: Thresholds = None

    def resolved_thresholds(self) -> tuple[float, ...]:
        """Return the thresholds of the spec, or the default."""
        if self.thresholds is None:
            return (self.default,)
        return self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)

    def limits(self) -> Array:
        return np.array(self.resolved_thresholds(), np.float32)

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        return [f"above {limit:g}" for limit in self.resolved_thresholds()]


class _Count(Counted):
    """Base: one of the four counts."""

    index: ClassVar[int]
    """The index of the count in (tp, fp, tn, fn)."""

    def scores(self, *counts: Array) -> Array:
        return counts[self.index]


@METRICS.add("TruePositives", "true_positives")
class TruePositives(_Count):
    """The number of values above the threshold with a nonzero target.

    Shapes: head (N, …, units), targets of the same shape; one result per threshold. Masked rows do not count.
    """

    label, index = "true_positives", 0


@METRICS.add("FalsePositives", "false_positives")
class FalsePositives(_Count):
    """The number of values above the threshold with the target 0.

    Shapes: head (N, …, units), targets of the same shape; one result per threshold. Masked rows do not count.
    """

    label, index, direction = "false_positives", 1, "down"


@METRICS.add("TrueNegatives", "true_negatives")
class TrueNegatives(_Count):
    """The number of values at or below the threshold with the target 0.

    Shapes: head (N, …, units), targets of the same shape; one result per threshold. Masked rows do not count.
    """

    label, index = "true_negatives", 2


@METRICS.add("FalseNegatives", "false_negatives")
class FalseNegatives(_Count):
    """The number of values at or below the threshold with a nonzero target.

    Shapes: head (N, …, units), targets of the same shape; one result per threshold. Masked rows do not count.
    """

    label, index, direction = "false_negatives", 3, "down"


class _Retrieval(Counted):
    """Base: only the ``top_k`` values of a row, or only one class, can be positive; then targets may be class ids."""

    instead = "set `class_id`, or use `{type: F1Score, average: macro}`"
    top_k: PositiveInt | None = Field(None, description="Only the `top_k` largest values of a row can be positive.")
    class_id: ClassId = None

    def accepts(self, targets: Targets) -> bool:
        return super().accepts(targets) or (targets == "ids" and (self.class_id, self.top_k) != (None, None))

    def class_axis(self, y_pred: Value) -> int | None:
        return None if (self.class_id, self.top_k) == (None, None) else y_pred.rank - 1

    def check_shape(self, y_pred: Value) -> list[Problem]:
        classes = width(y_pred)
        if self.top_k is not None and isinstance(classes, int) and self.top_k > classes:
            return self.error(f"uses the top {self.top_k} of {classes} values", f"set `top_k` to at most {classes}")
        return check_class(self, self.class_id, y_pred)

    def resolved_thresholds(self) -> tuple[float, ...]:
        if self.top_k is None or self.thresholds is not None:
            return super().resolved_thresholds()
        return (-1e10,)  # every one of the top_k values is positive, as in Keras

    def select(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        if self.top_k is not None:
            best = np.argsort(-y_pred, axis=-1, kind="stable")[..., : self.top_k]
            top = np.full_like(y_pred, -np.inf)
            np.put_along_axis(top, best, np.take_along_axis(y_pred, best, -1), -1)
            y_pred = top
        return of_class(y_true, y_pred, self.class_id)


@METRICS.add("Precision", "precision")
class Precision(_Retrieval):
    """The fraction of the values above the threshold whose target is nonzero: ``tp / (tp + fp)``.

    Shapes: head (N, …, units), targets of the same shape, zero or nonzero; with ``class_id`` or ``top_k`` also class
    ids (N, …). One result per threshold. Masked rows do not count.
    """

    label = "precision"

    def scores(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        return fraction(tp, fp)

    def parts_of(self, counters: Array) -> tuple[Array, Array]:
        return counters[0, 0], counters[0, 0] + counters[1, 0]


@METRICS.add("Recall", "recall")
class Recall(_Retrieval):
    """The fraction of the nonzero targets whose value is above the threshold: ``tp / (tp + fn)``.

    Shapes: head (N, …, units), targets of the same shape, zero or nonzero; with ``class_id`` or ``top_k`` also class
    ids (N, …). One result per threshold. Masked rows do not count.
    """

    label = "recall"

    def scores(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        return fraction(tp, fn)

    def parts_of(self, counters: Array) -> tuple[Array, Array]:
        return counters[0, 0], counters[0, 0] + counters[3, 0]
