"""The confusion matrix, and the overlaps of predicted and true classes that come from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from graphspec.config import Ints, PositiveInt, invalid
from graphspec.errors import Problem
from graphspec.losses.base import EPSILON, Axis, gives_probabilities, producer
from graphspec.metrics.base import (
    METRICS,
    SAY,
    Kind,
    Metric,
    check_axis,
    check_classifies,
    check_fixed,
    check_threshold,
    divide,
    from_end,
    ids,
    targets_of,
    units,
)

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Value
    from graphspec.losses import Loss


def pairs(y_true: Array, y_pred: Array, classes: int, ignored: int | None = None) -> Array:
    """How often each true class (rows) is answered by each class (columns): ``(classes, classes)``; others do not count."""
    t, p = (y.ravel().astype(np.int64) for y in (y_true, y_pred))
    inside = (t >= 0) & (t < classes) & (p >= 0) & (p < classes)
    if ignored is not None:
        inside &= t != ignored
    counts = np.bincount(t[inside] * classes + p[inside], minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


@METRICS.add("ConfusionMatrix", "confusion_matrix")
class ConfusionMatrix(Metric):
    """How often each true class (row) is answered by each class (column), with recall and precision of every class.

    A table, not a figure: it is no part of the history, nor can callbacks watch it. ``evaluate`` returns it as an
    array, the command line prints it with the head's labels.
    """

    label, by_class = "confusion_matrix", True
    direction = None
    targets: ClassVar[tuple[Kind, ...]] = ("ids", "one_hot", "like")
    threshold: float = Field(0.5, description="Above it the answer of a head with one unit is class 1.")

    def keys(self, y_pred: Value) -> list[str]:
        return []

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_fixed(self, y_pred)

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if found := check_classifies(self, y_pred, loss):
            return found
        if units(y_pred) == 1:
            return check_threshold(self, self.threshold, loss)
        if targets_of(loss) == "like" and producer(y_pred).activation != "softmax":
            text = f"counts one class a row, but with {type(loss).__name__} several may apply"
            return self.error(text, "use `{type: F1Score, threshold: 0.5}`, or a softmax head with a categorical loss")
        return []

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        classes = max(units(y_pred), 2)
        return (classes, classes)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        if y_pred.ndim == 1 or y_pred.shape[-1] == 1:
            return pairs(y_true > 0.5, y_pred > self.threshold, 2)
        t = y_true.argmax(-1) if y_true.shape == y_pred.shape else ids(y_true, y_pred)
        return pairs(t, y_pred.argmax(-1), y_pred.shape[-1])

    def finish(self, counters: Array) -> float | Array:
        return counters.astype(np.int64)


NumClasses = Annotated[PositiveInt, Field(description="The number of classes.")]
Target = Annotated[Ints, Field(min_length=1, description="The classes whose overlaps are averaged.")]
Ignored = Annotated[int | None, Field(description="A true class that does not count; null for none.")]
SparseTrue = Annotated[bool, Field(description="Whether the targets are class ids, not one-hot rows.")]
SparsePred = Annotated[bool, Field(description="Whether the head gives class ids, not a value for each class.")]


class Overlap(Metric):
    """Base: the mean of ``tp / (tp + fp + fn)`` over some classes, but for those that neither occur nor are answered."""

    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")

    def classes(self) -> int:
        raise NotImplementedError

    def wanted(self) -> tuple[int, ...]:
        """The classes that are averaged over."""
        return tuple(range(self.classes()))

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (self.classes(), self.classes())

    def finish(self, counters: Array) -> float | Array:
        chosen = list(self.wanted())
        tp = counters.diagonal()[chosen]
        union = counters.sum(0)[chosen] + counters.sum(1)[chosen] - tp
        return float(np.sum(divide(tp, union + EPSILON)) / (np.count_nonzero(union) + EPSILON))


class _Chosen(Overlap):
    """Of the classes that are named."""

    target_class_ids: Target

    @model_validator(mode="after")
    def _ids(self) -> _Chosen:
        wrong = [k for k in self.target_class_ids if not 0 <= k < self.classes()]
        if wrong:
            text, hint = f"must be from 0 to {self.classes() - 1}", f"there is no class {wrong[0]}"
            raise invalid(text, hint, key="target_class_ids", show_value=True)
        return self

    def wanted(self) -> tuple[int, ...]:
        return self.target_class_ids


class _Segments(Overlap):
    """Of any number of classes, which stand along ``axis`` where they are no ids."""

    num_classes: NumClasses
    ignore_class: Ignored = None
    axis: Axis = -1
    sparse_y_pred: SparsePred = False

    def classes(self) -> int:
        return self.num_classes

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return from_end(self, y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if self.sparse_y_pred:
            if y_pred.rank > 1 and y_pred.shape[-1] == self.num_classes > 1:
                text = f"takes the head's values as class ids, but it gives one for each of {self.num_classes} classes"
                return self.error(text, "set `sparse_y_pred: false`")
            if gives_probabilities(op := producer(y_pred)):
                text = f"takes the head's values as class ids, but they are those of a {op.activation}"
                return self.error(text, "use `BinaryIoU`" if units(y_pred) == 1 else "set `sparse_y_pred: false`")
            return []
        if found := check_axis(self, self.axis, y_pred):
            return found
        if (classes := y_pred.shape[self.axis]) != self.num_classes:
            return self.error(
                f"has {self.num_classes} classes, but the head has {classes}", "give both the same number"
            )
        return []

    def class_axis(self, y_pred: Value) -> int | None:
        return None if self.sparse_y_pred else self.axis % y_pred.rank

    def true_ids(self, y_true: Array) -> Array:
        found: Array = y_true.argmax(self.axis)
        return found

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        answers = y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)
        return pairs(self.true_ids(y_true), answers, self.num_classes, self.ignore_class)


class _Sparse(_Segments):
    """With class ids as targets, unless it is said otherwise."""

    targets: ClassVar[tuple[Kind, ...]] = ("ids", "one_hot", "like")
    sparse_y_true: SparseTrue = True
    sparse_y_pred: SparsePred = True

    def true_ids(self, y_true: Array) -> Array:
        return y_true if self.sparse_y_true else super().true_ids(y_true)

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        given = targets_of(loss)
        if self.sparse_y_true == (given == "ids") or (self.sparse_y_true and self.sparse_y_pred):
            return []
        text = f"takes {SAY['ids' if self.sparse_y_true else 'one_hot']}"
        text += f", but the targets of {type(loss).__name__} are {SAY[given]}"
        return self.error(text, f"set `sparse_y_true: {'false' if self.sparse_y_true else 'true'}`")


@METRICS.add("IoU", "io_u")
class IoU(_Chosen, _Sparse):
    """Intersection over union of predicted and true class, ``tp / (tp + fp + fn)``; the mean over ``target_class_ids``."""

    label = "io_u"


@METRICS.add("MeanIoU", "mean_io_u")
class MeanIoU(_Sparse):
    """Intersection over union of predicted and true class, ``tp / (tp + fp + fn)``; the mean over all classes."""

    label = "mean_io_u"


@METRICS.add("OneHotIoU", "one_hot_io_u")
class OneHotIoU(_Chosen, _Segments):
    """As IoU, for one-hot targets and a head with a value for each class."""

    label = "one_hot_io_u"
    instead = "use `IoU` with `sparse_y_pred: false`"


@METRICS.add("OneHotMeanIoU", "one_hot_mean_io_u")
class OneHotMeanIoU(_Segments):
    """As MeanIoU, for one-hot targets and a head with a value for each class."""

    label = "one_hot_mean_io_u"
    instead = "use `MeanIoU` with `sparse_y_pred: false`"


@METRICS.add("BinaryIoU", "binary_io_u")
class BinaryIoU(_Chosen):
    """Intersection over union of predicted and true class, of which 1 begins at ``threshold``; the mean over both."""

    label = "binary_io_u"
    targets: ClassVar[tuple[Kind, ...]] = ("like", "one_hot")
    instead = "use `{type: MeanIoU, num_classes: …, sparse_y_pred: false}`"
    target_class_ids: Target = (0, 1)
    threshold: float = Field(0.5, description="From it on the answer is class 1.")

    def classes(self) -> int:
        return 2

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_threshold(self, self.threshold, loss)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        return pairs(y_true, y_pred >= self.threshold, 2)
