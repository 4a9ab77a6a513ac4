"""Accuracies: the share of right answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.config import PositiveInt
from graphspec.errors import Problem
from graphspec.losses.base import producer
from graphspec.metrics.base import (
    METRICS,
    Average,
    Kind,
    Metric,
    check_classes,
    check_classifies,
    check_threshold,
    follows,
    ids,
)

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Value
    from graphspec.losses import Loss


@METRICS.add("accuracy", "acc")
class AccuracyOfLoss(Metric):
    """The share of right answers: binary, categorical or sparse, by the loss, else by Keras's rule on shapes."""

    label = "accuracy"

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return _FOLLOWING[follows(loss, y_pred)](name=self.key)

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return check_classifies(self, y_pred, loss) or self.resolve(loss, y_pred).check(y_pred, loss)


@METRICS.add("Accuracy")
class Accuracy(Average):
    """The share of values that equal their target exactly; ``accuracy``, in small letters, follows the loss instead."""

    label = "accuracy"

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if producer(y_pred).activation in ("linear", "sigmoid", "softmax"):
            text = "counts values that equal their target exactly, which those of this head hardly ever do"
            return self.warning(text, "use `accuracy`, in small letters, which follows the loss")
        return []

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right: Array = y_true == y_pred
        return right


@METRICS.add("BinaryAccuracy", "binary_accuracy")
class BinaryAccuracy(Average):
    """The share of ``(y_pred > threshold) == y_true``, over all units."""

    label = "binary_accuracy"
    threshold: float = Field(0.5, description="Above it the answer is 1.")

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_threshold(self, self.threshold, loss)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right: Array = (y_pred > self.threshold) == y_true
        return right


@METRICS.add("CategoricalAccuracy", "categorical_accuracy")
class CategoricalAccuracy(Average):
    """The share of rows whose largest value stands where that of the one-hot target does; the first one of equals."""

    label, by_class = "categorical_accuracy", True
    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_classes(self, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right: Array = y_true.argmax(-1) == y_pred.argmax(-1)
        return right


@METRICS.add("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
class SparseCategoricalAccuracy(Average):
    """The share of rows whose largest value stands at the target's class; the first one of equals."""

    label, by_class = "sparse_categorical_accuracy", True
    targets: ClassVar[tuple[Kind, ...]] = ("ids",)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_classes(self, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right: Array = y_pred.argmax(-1) == ids(y_true, y_pred)
        return right


_FOLLOWING: dict[str, type[Metric]] = {
    "binary": BinaryAccuracy,
    "categorical": CategoricalAccuracy,
    "sparse": SparseCategoricalAccuracy,
}

K = Annotated[PositiveInt, Field(description="How many of the largest values count.")]


def _in_top_k(classes: Array, y_pred: Array, k: int) -> Array:
    """Whether fewer than ``k`` values are larger than that of the class, which the head must have."""
    inside = (classes >= 0) & (classes < y_pred.shape[-1])
    own = np.take_along_axis(y_pred, np.where(inside, classes, 0).astype(np.intp)[..., None], -1)
    found: Array = inside & (np.count_nonzero(y_pred > own, axis=-1) < k) & ~np.isnan(own[..., 0])
    return found


def _check_k(metric: Metric, k: int, y_pred: Value) -> list[Problem]:
    if found := check_classes(metric, y_pred):
        return found
    classes = y_pred.shape[-1]
    if isinstance(classes, int) and k >= classes:
        return metric.warning(f"is always 1 with k={k} for {classes} classes", f"set `k` below {classes}")
    return []


@METRICS.add("TopKCategoricalAccuracy", "top_k_categorical_accuracy")
class TopKCategoricalAccuracy(Average):
    """The share of rows whose one-hot target's class is among the ``k`` largest values."""

    label, by_class = "top_k_categorical_accuracy", True
    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")
    k: K = 5

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return _check_k(self, self.k, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _in_top_k(y_true.argmax(-1), y_pred, self.k)


@METRICS.add("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(Average):
    """The share of rows whose class is among the ``k`` largest values, or the first ``k`` ids if the head gives ids."""

    label, by_class = "sparse_top_k_categorical_accuracy", True
    targets: ClassVar[tuple[Kind, ...]] = ("ids",)
    k: K = 5
    from_sorted_ids: bool = Field(False, description="Whether the head gives ids, the best first.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return [] if self.from_sorted_ids else _check_k(self, self.k, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        classes = ids(y_true, y_pred)
        if self.from_sorted_ids:
            found: Array = (y_pred[..., : self.k] == classes[..., None]).any(-1)
            return found
        return _in_top_k(classes, y_pred, self.k)
