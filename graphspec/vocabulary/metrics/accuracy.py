"""Accuracies: the fraction of correct predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from graphspec.base.config import PositiveInt
from graphspec.base.errors import Problem
from graphspec.vocabulary import Array, Builder, Value
from graphspec.vocabulary.losses.loss import Loss, producer
from graphspec.vocabulary.metrics import metric as base
from graphspec.vocabulary.metrics.metric import METRICS, Average, Metric, check_classes, ids


@METRICS.add("accuracy", "acc")
class AccuracyOfLoss(Metric, label="accuracy"):
    """The fraction of correct predictions: BinaryAccuracy, CategoricalAccuracy or SparseCategoricalAccuracy.

    The loss decides which; without a loss that decides, Keras's rule: BinaryAccuracy for a head with one unit, else
    CategoricalAccuracy.
    """

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return _FAMILY[base.matching(loss, y_pred)](name=self.key)

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return base.check_classifies(self, y_pred, loss) or self.resolve(loss, y_pred).check(y_pred, loss)


class _Share(Average):
    """Base of the metrics that are the share of right answers."""

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_classes(self, y_pred) if self.by_class else []

    def parts_of(self, counters: Array) -> tuple[Array, Array]:
        return counters[:1], counters[1:]

    def right(self, g: Builder, y_true: Value, y_pred: Value) -> Value | None:
        """Emit whether each answer is right; None for a metric that is not written so."""
        return None

    def lower(self, g: Builder, y_true: Value, y_pred: Value) -> tuple[Value, Value] | None:
        if (right := self.right(g, y_true, y_pred)) is None:
            return None
        mask = y_pred.mask
        seen = g.Expand(g.constant(1.0), g.Shape(right))
        if mask is not None:
            axes = list(range(mask.rank, right.rank))
            seen = seen * g.Cast(g.Unsqueeze(mask, g.constant(axes)) if axes else mask, to="float32")
        return g.ReduceSum(g.Cast(right, to="float32") * seen, keepdims=0), g.ReduceSum(seen, keepdims=0)


@METRICS.add("Accuracy")
class Accuracy(_Share, label="accuracy"):
    """The fraction of elements with ``y_pred == y_true``; ``accuracy``, in lower case, follows the loss instead.

    Shapes: head (N, …), targets of the same shape; masked rows do not count.
    """

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if producer(y_pred).activation in ("linear", "sigmoid", "softmax"):
            text = "counts values that exactly equal their target, but the values of this head hardly ever do"
            return self.warning(text, "use `accuracy`, in lower case, which follows the loss")
        return []

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.asarray(y_true == y_pred)


@METRICS.add("BinaryAccuracy", "binary_accuracy")
class BinaryAccuracy(_Share, label="binary_accuracy"):
    """The fraction of elements with ``(y_pred > threshold) == y_true``, over all units.

    Shapes: head (N, …, units), targets of the same shape, 0 or 1; masked rows do not count.
    """

    threshold: float = Field(0.5, description="A larger value predicts 1.")

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return base.check_threshold(self, self.threshold, loss)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.asarray((y_pred > self.threshold) == y_true)

    def right(self, g: Builder, y_true: Value, y_pred: Value) -> Value | None:
        same = y_true.shape == y_pred.shape
        return g.Equal(g.Cast(y_pred > self.threshold, to="float32"), g.Cast(y_true, to="float32")) if same else None


@METRICS.add("CategoricalAccuracy", "categorical_accuracy")
class CategoricalAccuracy(_Share, label="categorical_accuracy", by_class=True, targets=("one_hot", "like")):
    """The fraction of rows with ``argmax(y_pred) == argmax(y_true)`` over the last axis; the first of equal values wins.

    Shapes: head (N, …, classes), targets of the same shape, one-hot; masked rows do not count.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.asarray(y_true.argmax(-1) == y_pred.argmax(-1))

    def right(self, g: Builder, y_true: Value, y_pred: Value) -> Value | None:
        best = [g.ArgMax(v, axis=-1, keepdims=0) for v in (y_true, y_pred)]
        return g.Equal(*best) if y_true.shape == y_pred.shape else None


@METRICS.add("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
class SparseCategoricalAccuracy(_Share, label="sparse_categorical_accuracy", by_class=True, targets=("ids",)):
    """The fraction of rows with ``argmax(y_pred) == y_true`` over the last axis; the first of equal values wins.

    Shapes: head (N, …, classes), targets (N, …), class ids; masked rows do not count.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.asarray(y_pred.argmax(-1) == ids(y_true, y_pred))

    def right(self, g: Builder, y_true: Value, y_pred: Value) -> Value | None:
        fits = y_true.shape == y_pred.shape[:-1]
        return g.Equal(g.ArgMax(y_pred, axis=-1, keepdims=0), g.Cast(y_true, to="int64")) if fits else None


_FAMILY: dict[str, type[Metric]]
_FAMILY = {"binary": BinaryAccuracy, "categorical": CategoricalAccuracy, "sparse": SparseCategoricalAccuracy}


def _in_top_k(classes: Array, y_pred: Array, k: int) -> Array:
    """Return True per row if fewer than ``k`` values exceed the value of the class; False for a class outside the head."""
    inside = (classes >= 0) & (classes < y_pred.shape[-1])
    value = np.take_along_axis(y_pred, np.where(inside, classes, 0).astype(np.intp)[..., None], -1)
    return np.asarray(inside & (np.count_nonzero(y_pred > value, axis=-1) < k) & ~np.isnan(value[..., 0]))


@METRICS.add("TopKCategoricalAccuracy", "top_k_categorical_accuracy")
class TopKCategoricalAccuracy(_Share, label="top_k_categorical_accuracy", by_class=True, targets=("one_hot", "like")):
    """The fraction of rows in which fewer than ``k`` values exceed the value of the target's class, ``argmax(y_true)``.

    Shapes: head (N, …, classes), targets of the same shape, one-hot; masked rows do not count.
    """

    k: Annotated[PositiveInt, Field(description="The number of largest values that count.")] = 5

    def check_shape(self, y_pred: Value) -> list[Problem]:
        problems, classes = super().check_shape(y_pred), y_pred.shape[-1]
        if problems or not isinstance(classes, int) or self.k < classes:
            return problems
        return self.warning(f"is always 1 with k={self.k} for {classes} classes", f"set `k` below {classes}")

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _in_top_k(y_true.argmax(-1), y_pred, self.k)


@METRICS.add("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(
    TopKCategoricalAccuracy, label="sparse_top_k_categorical_accuracy", targets=("ids",)
):
    """The fraction of rows in which fewer than ``k`` values exceed the value of the target's class.

    With ``from_sorted_ids`` the head outputs class ids, the best first, and the target must be one of the first ``k``.

    Shapes: head (N, …, classes), targets (N, …), class ids; masked rows do not count.
    """

    from_sorted_ids: bool = Field(False, description="Whether the head outputs class ids, the best first.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return [] if self.from_sorted_ids else super().check_shape(y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        classes = ids(y_true, y_pred)
        if self.from_sorted_ids:
            return np.asarray((y_pred[..., : self.k] == classes[..., None]).any(-1))
        return _in_top_k(classes, y_pred, self.k)
