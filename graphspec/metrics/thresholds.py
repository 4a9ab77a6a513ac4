"""True and false positives and negatives above thresholds, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.config import FROM_LIST, PositiveInt, Rate
from graphspec.errors import Problem
from graphspec.metrics.base import METRICS, Kind, Metric, dense, divide, has_logits, width

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Value
    from graphspec.losses import Loss


def confusion(y_true: Array, y_pred: Array, limits: Array, weights: Array | None = None) -> Array:
    """How often a value is above a threshold, of either class.

    Args:
        y_true, y_pred: ``(rows, units)``, the targets bool.
        limits: thresholds in any order; a value counts as positive if it is larger, so NaN never does.
        weights: of the units; 1 if None.

    Returns:
        True positives, false positives, true negatives, false negatives: ``(4, units, thresholds)``.
    """
    count, order = y_pred.shape[-1], np.argsort(limits)
    places = _below(limits[order], y_pred) + (len(limits) + 1) * np.arange(count)
    weigh = None if weights is None else np.broadcast_to(weights, y_pred.shape)

    def above(chosen: Array) -> tuple[Array, Array]:
        taken = None if weigh is None else weigh[chosen]
        buckets = np.bincount(places[chosen], taken, (len(limits) + 1) * count).reshape(count, -1)
        sums = buckets[:, ::-1].cumsum(1)[:, ::-1]
        return sums[:, 1:], sums[:, :1] - sums[:, 1:]

    (tp, fn), (fp, tn) = above(y_true), above(~y_true)
    counts = np.empty((4, count, len(limits)))
    counts[..., order] = tp, fp, tn, fn
    return counts


def _below(limits: Array, values: Array) -> Array:
    """How many of the sorted ``limits`` each value exceeds.

    Where they are evenly spread from 0 to 1, as the curves' are, the place is known but for one: 20 times as fast.
    """
    values, last = np.where(np.isnan(values), -np.inf, values), len(limits) - 1
    if last < 2 or np.abs(limits * last - np.arange(last + 1)).max() > 0.25:
        return np.searchsorted(limits, values, side="left")
    edges = np.concatenate([[-np.inf], limits, [np.inf]], dtype=limits.dtype)
    values = np.clip(values, -1, 2)
    found: Array = np.clip(np.ceil(values * last), 0, last + 1).astype(np.intp)
    found -= edges[found] >= values
    found += edges[found + 1] < values
    return found


def fraction(some: Array, others: Array) -> Array:
    """``some / (some + others)``, 0 where there are none: precision of true and false positives, recall of … negatives."""
    shares: Array = divide(some, some + others)
    return shares


class Thresholded(Metric):
    """Base: the confusion counts of all units together, at every one of :meth:`limits`: ``(4, 1, thresholds)``."""

    instead = "use `confusion_matrix`, or `precision` and `recall` with a `class_id`"

    def limits(self) -> Array:
        raise NotImplementedError

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (4, 1, len(self.limits()))

    def chosen(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """What is compared with the thresholds."""
        return y_true, y_pred

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = self.chosen(y_true != 0 if y_true.shape == y_pred.shape else dense(y_true, y_pred), y_pred)
        return confusion(y_true.reshape(-1, 1), y_pred.reshape(-1, 1), self.limits())

    def finish(self, counters: Array) -> float | Array:
        figures = self.figures(*counters[:, 0])
        return figures if len(figures) > 1 else float(figures[0])

    def figures(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        """One figure a threshold."""
        raise NotImplementedError

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if has_logits(loss):
            text = "compares the head's values with thresholds from 0 to 1, but they are logits"
            return self.warning(text, "end the head in a sigmoid or softmax, with `from_logits: false` in the loss")
        return []


ClassId = Annotated[int | None, Field(ge=0, description="The only class that counts; null for all.")]


def check_class(metric: Metric, class_id: int | None, y_pred: Value) -> list[Problem]:
    """Whether the head has the class."""
    if class_id is None:
        return []
    classes = width(y_pred)
    if isinstance(classes, int) and class_id >= classes:
        hint = f"classes are 0 to {classes - 1}" if classes > 1 else "leave `class_id` out"
        return metric.error(f"asks for class {class_id} of {classes}", hint)
    return []


def of_class(y_true: Array, y_pred: Array, class_id: int | None) -> tuple[Array, Array]:
    """What counts of the units."""
    k = slice(None) if class_id is None else class_id
    return y_true[..., k], y_pred[..., k]


Thresholds = Annotated[
    Rate | Annotated[tuple[Rate, ...], Field(min_length=1)] | None,
    FROM_LIST,
    Field(description="Above it a value is positive: a number from 0 to 1, or a list for a figure each."),
]


class Counted(Thresholded):
    """Base of the metrics with a figure for every threshold given."""

    default: ClassVar[float] = 0.5
    thresholds: Thresholds = None

    def given(self) -> tuple[float, ...]:
        if self.thresholds is None:
            return (self.default,)
        return self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)

    def limits(self) -> Array:
        return np.array(self.given(), np.float32)

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        return [f"above {limit:g}" for limit in self.given()]


class _Count(Counted):
    """One of the four counts."""

    place: ClassVar[int]
    """Where it stands among them."""

    def figures(self, *counts: Array) -> Array:
        return counts[self.place]


@METRICS.add("TruePositives", "true_positives")
class TruePositives(_Count):
    """How often a value above the threshold has a target other than 0."""

    label, place = "true_positives", 0


@METRICS.add("FalsePositives", "false_positives")
class FalsePositives(_Count):
    """How often a value above the threshold has the target 0."""

    label, place, direction = "false_positives", 1, "down"


@METRICS.add("TrueNegatives", "true_negatives")
class TrueNegatives(_Count):
    """How often a value not above the threshold has the target 0."""

    label, place = "true_negatives", 2


@METRICS.add("FalseNegatives", "false_negatives")
class FalseNegatives(_Count):
    """How often a value not above the threshold has a target other than 0."""

    label, place, direction = "false_negatives", 3, "down"


class _Retrieval(Counted):
    """Positives may be limited to the ``top_k`` values of a row, or to one class; class ids will do as targets then."""

    instead = "set `class_id`, or use `{type: F1Score, average: macro}`"
    top_k: PositiveInt | None = Field(None, description="Only so many of the largest values of a row are positive.")
    class_id: ClassId = None

    def takes(self, given: Kind) -> bool:
        return super().takes(given) or (given == "ids" and (self.class_id, self.top_k) != (None, None))

    def class_axis(self, y_pred: Value) -> int | None:
        return None if (self.class_id, self.top_k) == (None, None) else y_pred.rank - 1

    def check_shape(self, y_pred: Value) -> list[Problem]:
        classes = width(y_pred)
        if self.top_k is not None and isinstance(classes, int) and self.top_k > classes:
            return self.error(f"takes the top {self.top_k} of {classes} values", f"set `top_k` to at most {classes}")
        return check_class(self, self.class_id, y_pred)

    def given(self) -> tuple[float, ...]:
        return super().given() if self.top_k is None or self.thresholds is not None else (-1e10,)

    def chosen(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        if self.top_k is not None:
            best = np.argsort(-y_pred, axis=-1, kind="stable")[..., : self.top_k]
            kept = np.full_like(y_pred, -np.inf)
            np.put_along_axis(kept, best, np.take_along_axis(y_pred, best, -1), -1)
            y_pred = kept
        return of_class(y_true, y_pred, self.class_id)


@METRICS.add("Precision", "precision")
class Precision(_Retrieval):
    """The share of true ones among the values above the threshold: ``tp / (tp + fp)``."""

    label = "precision"

    def figures(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        return fraction(tp, fp)


@METRICS.add("Recall", "recall")
class Recall(_Retrieval):
    """The share of those above the threshold among the true ones: ``tp / (tp + fn)``."""

    label = "recall"

    def figures(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        return fraction(tp, fn)
