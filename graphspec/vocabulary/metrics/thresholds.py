"""Metrics of values that are compared with one threshold, or with many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from graphspec.base.config import FROM_LIST, PositiveInt, Rate, as_tuple, described, invalid, setting
from graphspec.base.errors import Problem
from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.losses.loss import EPSILON, FromLogits, Loss, Targets
from graphspec.vocabulary.metrics import metric as base
from graphspec.vocabulary.metrics.metric import METRICS, Metric, add_row, dense, divide, rows, units, width
from graphspec.vocabulary.metrics.of_loss import check_logits


# True and false positives and negatives at thresholds, and the scores that are computed from them.
def confusion(y_true: Array, y_pred: Array, limits: Array, weights: Array | None = None) -> Array:
    """Return tp, fp, tn, fn at each threshold, (4, units, thresholds), from bools and values, both (rows, units).

    The ``limits`` may be in any order. A value is positive if it is larger; NaN never is. ``weights`` are those of units.
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
    return np.asarray(divide(a, a + b))


class Thresholded(Metric):
    """Base: the confusion counts of all units together at every threshold: counters (4, 1, thresholds)."""

    instead = "use `confusion_matrix`, or `precision` and `recall` with a `class_id`"

    def limits(self) -> Array:
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

    def scores(self, *counts: Array) -> Array:
        """Return the scores from tp, fp, tn and fn, each (thresholds,): one per threshold, or a single one."""
        raise NotImplementedError

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if base.has_logits(loss):
            text = "compares the head's values with thresholds from 0 to 1, but they are logits"
            return self.warning(text, "end the head in a sigmoid or softmax, with `from_logits: false` in the loss")
        return []


ClassId = Annotated[int | None, described("The id of the only class that counts; null for all.", ge=0)]


class OfClass(Thresholded):
    """Base: only the class ``class_id`` counts, if it is given; then targets may be class ids."""

    if TYPE_CHECKING:  # a field of each subclass, behind its others
        class_id: ClassId

    def of_rows(self) -> bool:
        """Return whether a row is the values of one target, which may be a class id."""
        return self.class_id is not None

    def accepts(self, targets: Targets) -> bool:
        return super().accepts(targets) or (targets == "ids" and self.of_rows())

    def class_axis(self, y_pred: Value) -> int | None:
        return y_pred.rank - 1 if self.of_rows() else None

    def check_shape(self, y_pred: Value) -> list[Problem]:
        """Return GS403 unless the head has the class."""
        classes = width(y_pred)
        if self.class_id is None or not isinstance(classes, int) or self.class_id < classes:
            return []
        hint = f"use a class from 0 to {classes - 1}" if classes > 1 else "leave `class_id` out"
        return self.error(f"requests class {self.class_id} of {classes}", hint)

    def select(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        k = slice(None) if self.class_id is None else self.class_id
        return y_true[..., k], y_pred[..., k]


Thresholds = Annotated[
    Rate | Annotated[tuple[Rate, ...], Field(min_length=1)] | None,
    FROM_LIST,
    described("One threshold from 0 to 1, or a list for one result each; larger values are positive."),
]


class Counted(Thresholded):
    """Base of the metrics with one result per threshold in ``thresholds``."""

    thresholds: Thresholds = None

    def resolved_thresholds(self) -> tuple[float, ...]:
        return as_tuple(0.5 if self.thresholds is None else self.thresholds)

    def limits(self) -> Array:
        return np.array(self.resolved_thresholds(), np.float32)

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        return [f"above {limit:g}" for limit in self.resolved_thresholds()]


class _Count(Counted):
    """Base: one of the four counts."""

    index: ClassVar[int]  # the index of the count in (tp, fp, tn, fn)

    def scores(self, *counts: Array) -> Array:
        return counts[self.index]


COUNTS = (
    ("TruePositives true_positives", "up", "above the threshold with a nonzero target"),
    ("FalsePositives false_positives", "down", "above the threshold with the target 0"),
    ("TrueNegatives true_negatives", "up", "at or below the threshold with the target 0"),
    ("FalseNegatives false_negatives", "down", "at or below the threshold with a nonzero target"),
)
_SAME_SHAPE = "Shapes: head (N, …, units), targets of the same shape"
for _index, (_names, _direction, _which) in enumerate(COUNTS):
    _shapes = f"{_SAME_SHAPE}; one result per threshold. Masked rows do not count."
    add_row(_names, _Count, f"The number of values {_which}.\n\n{_shapes}", index=_index, direction=_direction)


class _Retrieval(Counted, OfClass):
    """Base: only the ``top_k`` values of a row, or only one class, can be positive; then targets may be class ids."""

    wrong: ClassVar[int]  # the index in (tp, fp, tn, fn) of what lowers the score, the share of tp of both
    instead = "set `class_id`, or use `{type: F1Score, average: macro}`"
    top_k: PositiveInt | None = setting(None, "Only the `top_k` largest values of a row can be positive.")
    class_id: ClassId = None

    def of_rows(self) -> bool:
        return (self.class_id, self.top_k) != (None, None)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        classes = width(y_pred)
        if self.top_k is not None and isinstance(classes, int) and self.top_k > classes:
            return self.error(f"uses the top {self.top_k} of {classes} values", f"set `top_k` to at most {classes}")
        return super().check_shape(y_pred)

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
        return super().select(y_true, y_pred)

    def scores(self, *counts: Array) -> Array:
        return fraction(counts[0], counts[self.wrong])

    def parts_of(self, counters: Array) -> tuple[Array, Array]:
        return counters[0, 0], counters[0, 0] + counters[self.wrong, 0]


RETRIEVALS = {
    "Precision precision": (1, "values above the threshold whose target is nonzero: ``tp / (tp + fp)``"),
    "Recall recall": (3, "nonzero targets whose value is above the threshold: ``tp / (tp + fn)``"),
}
for _names, (_index, _which) in RETRIEVALS.items():
    _shapes = f"{_SAME_SHAPE}, zero or nonzero; with ``class_id`` or ``top_k`` also class\nids (N, …)."
    _shapes += " One result per threshold. Masked rows do not count."
    add_row(_names, _Retrieval, f"The fraction of the {_which}.\n\n{_shapes}", wrong=_index)


# Areas under curves, and points on curves, from the confusion counts at many thresholds.
MOST = 1_000_000  # thresholds that one metric may evaluate


def _even(count: int) -> Array:
    """Return ``count`` evenly spaced thresholds from 0 to 1."""
    return np.linspace(0, 1, count) if count > 1 else np.array([0.5])


class _Point(OfClass, instead="set `class_id`"):
    """Base: the largest value of one score over all thresholds at which another score is at least the required value."""

    best: ClassVar[str]  # the score that is the result
    given: ClassVar[str]  # the score that is required, and the argument that says how much of it
    num_thresholds: Annotated[int, Field(ge=1, le=MOST)] = setting(200, "How many thresholds, evenly from 0 to 1.")
    class_id: ClassId = None

    def limits(self) -> Array:
        return _even(self.num_thresholds).astype(np.float32)

    def scores(self, *counts: Array) -> Array:
        enough = RATIOS[self.given](*counts) >= getattr(self, self.given)
        return np.asarray(np.max(RATIOS[self.best](*counts), where=enough, initial=0.0, keepdims=True))


RATIOS: Mapping[str, Callable[..., Array]] = {
    "precision": lambda tp, fp, tn, fn: fraction(tp, fp),
    "recall": lambda tp, fp, tn, fn: fraction(tp, fn),
    "sensitivity": lambda tp, fp, tn, fn: fraction(tp, fn),
    "specificity": lambda tp, fp, tn, fn: fraction(tn, fp),
}
_SENSITIVITY = "The sensitivity is ``tp / (tp + fn)``, the specificity ``tn / (tn + fp)``.\n\n"
for _best, _given, _text in (
    ("precision", "recall", ""),
    ("recall", "precision", ""),
    ("sensitivity", "specificity", _SENSITIVITY),
    ("specificity", "sensitivity", _SENSITIVITY),
):
    _names = f"{_best.title()}At{_given.title()} {_best}_at_{_given}"
    _text = f"The largest {_best} over all thresholds at which the {_given} is at least ``{_given}``.\n\n{_text}"
    _text += f"{_SAME_SHAPE}, zero or nonzero; with ``class_id`` also class ids (N, …).\nMasked rows do not count."
    _fields = {_given: (Rate, described(f"The required {_given}."))}
    add_row(_names, _Point, _text, fields=_fields, best=_best, given=_given)


@METRICS.add("AUC", "auc")
class AUC(Metric, label="auc", instead="set `multi_label: true` for the mean of the classes' areas"):
    """The area under recall over false positive rate (ROC), precision over recall (PR), or the gains of these (PRGAIN).

    The curve has one point per threshold, as in Keras: ``num_thresholds`` evenly spaced ones, or ``thresholds`` plus 0
    and 1. With ``multi_label`` every unit has a curve of its own and the areas are averaged; otherwise all units share
    one curve.

    Shapes: head (N, …, units), targets of the same shape, zero or nonzero; with ``multi_label`` also class ids (N, …).
    Masked rows do not count.

    Sources: Davis and Goadrich, *The Relationship Between Precision-Recall and ROC Curves*, ICML 2006; Flach and Kull,
    *Precision-Recall-Gain Curves*, NIPS 2015.
    """

    num_thresholds: Annotated[int, described("The number of points of the curve.", ge=2, le=MOST)] = 200
    curve: Literal["ROC", "PR", "PRGAIN", "roc", "pr", "prgain"] = setting("ROC", "The curve.")
    summation_method: Literal["interpolation", "minoring", "majoring", "Interpolation", "Minoring", "Majoring"] = (
        setting(
            "interpolation",
            "The height between two points: their mean (for PR of the counts), the smaller, or the larger one.",
        )
    )
    thresholds: Annotated[tuple[Rate, ...] | None, FROM_LIST] = setting(None, "Instead of `num_thresholds`: 0 to 1.")
    multi_label: bool = setting(False, "Whether every unit has a curve of its own.")
    num_labels: PositiveInt | None = setting(None, "The number of units, with `multi_label`.")
    label_weights: Annotated[tuple[Annotated[float, Field(ge=0)], ...] | None, FROM_LIST] = setting(
        None, "One weight per unit: of the areas with `multi_label`, else of the counts."
    )
    from_logits: FromLogits = False

    @model_validator(mode="after")
    def _labels(self) -> AUC:
        if self.num_labels is not None and not self.multi_label:
            raise invalid("must be null unless `multi_label` is set", "leave it out", key="num_labels", show_value=True)
        return self

    def accepts(self, targets: Targets) -> bool:
        return super().accepts(targets) or (targets == "ids" and self.multi_label)

    def class_axis(self, y_pred: Value) -> int | None:
        return y_pred.rank - 1 if self.multi_label else None

    def check_shape(self, y_pred: Value) -> list[Problem]:
        found = base.check_fixed(self, y_pred)
        if self.multi_label:
            found = found or base.check_classes(self, y_pred, "leave `multi_label` out")
        if found:
            return found
        count = units(y_pred)
        if self.num_labels not in (None, count):
            return self.error(f"has {self.num_labels} labels, but the head has {count}", f"set `num_labels: {count}`")
        if self.label_weights is not None and len(self.label_weights) != count:
            text = f"has {len(self.label_weights)} label weights for {count} units"
            return self.error(text, f"give {count} weights, in the order of the units")
        return []

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)

    def limits(self) -> Array:
        """Return the thresholds; every value exceeds the first one, no value exceeds the last one."""
        inner = _even(self.num_thresholds)[1:-1] if self.thresholds is None else np.sort(self.thresholds)
        return np.array([-EPSILON, *inner, 1 + EPSILON], np.float32)

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (4, units(y_pred) if self.multi_label else 1, len(self.limits()))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = rows(dense(y_true, y_pred) != 0), rows(y_pred)
        y_pred = np.clip(1 / (1 + np.exp(-y_pred)) if self.from_logits else y_pred, 0, 1)
        if self.multi_label:
            return confusion(y_true, y_pred, self.limits())
        given = self.label_weights
        weights = None if given is None else np.broadcast_to(given, y_pred.shape).reshape(-1, 1)
        return confusion(y_true.reshape(-1, 1), y_pred.reshape(-1, 1), self.limits(), weights)

    def finish(self, counters: Array) -> float | Array:
        areas = self._areas(*counters)
        if not self.multi_label or self.label_weights is None:
            return float(areas.mean() if self.multi_label else areas[0])
        return float(divide(np.sum(areas * self.label_weights), np.sum(self.label_weights)))

    def _areas(self, tp: Array, fp: Array, tn: Array, fn: Array) -> Array:
        curve, method = self.curve.upper(), self.summation_method.lower()
        if curve == "PR" and method == "interpolation":
            return _interpolated_precision(tp, tp + fp, tp + fn)
        recall, precision = fraction(tp, fn), fraction(tp, fp)
        x, y = fraction(fp, tn), recall
        if curve == "PR":
            x, y = recall, precision
        elif curve == "PRGAIN":
            odds = divide(tp + fn, tn + fp)
            x = np.where(tp == 0, 0.0, np.maximum(1 - odds * divide(fn, tp), 0))
            y = np.where(tp == 0, 1.0, 1 - odds * divide(fp, tp))
        left, right = y[:, :-1], y[:, 1:]
        heights = {"interpolation": (left + right) / 2, "minoring": np.minimum(left, right)}
        return np.asarray(np.sum((x[:, :-1] - x[:, 1:]) * heights.get(method, np.maximum(left, right)), axis=1))


def _interpolated_precision(tp: Array, positive: Array, true: Array) -> Array:
    """Return the area under precision over recall. Between points the two counts, not their ratio, are interpolated."""
    before, after = positive[:, :-1], positive[:, 1:]
    gained = tp[:, :-1] - tp[:, 1:]
    slope = divide(gained, np.maximum(before - after, 0))
    ratio = np.where((before > 0) & (after > 0), divide(before, np.maximum(after, 0)), 1.0)
    steps = slope * (gained + (tp[:, 1:] - slope * after) * np.log(ratio))
    return np.asarray(divide(steps, np.maximum(true[:, 1:], 0)).sum(axis=1))
