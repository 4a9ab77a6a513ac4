"""Metrics of classes: F-scores, confusion matrices, overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from graphspec.base.config import Ints, Positive, PositiveInt, described, invalid, setting
from graphspec.base.errors import Problem
from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.losses.loss import EPSILON, Axis, Loss, gives_probabilities, producer
from graphspec.vocabulary.metrics import metric as base
from graphspec.vocabulary.metrics.metric import METRICS, Ignored, Metric, add_row, divide, rows, units


# F-scores: precision and recall as one score, per class or for all classes.
class FScore(Metric, by_class=True, targets=("like", "one_hot", "ids")):
    """Base: ``(1 + β²) precision · recall / (β² precision + recall)`` of every class.

    The counters are (3, classes): true positives, false positives, false negatives.
    """

    average: Literal["micro", "macro", "weighted"] | None = setting(
        None,
        "`micro`: the score of the summed counts; `macro`: the mean of the classes' scores; `weighted`: their "
        "mean by class size; null: one score per class.",
    )
    threshold: Annotated[float, Field(gt=0, le=1)] | None = setting(
        None, "A larger value is positive; null: the largest value of a row is."
    )

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if found := base.check_fixed(self, y_pred):
            return found
        if self.threshold is None and units(y_pred) == 1:
            text = "uses the largest value of a row, but the head has only one value"
            return self.error(text, "set `threshold: 0.5`")
        return [] if self.average else base.check_results(self, y_pred, "set `average: macro`, `micro` or `weighted`")

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if self.threshold is not None and base.has_logits(loss):
            text = f"compares the head's values with {self.threshold:g}, but they are logits"
            return self.warning(text, "end the head in a sigmoid, with `from_logits: false` in the loss")
        if self.threshold is None and loss.binary:
            text = f"predicts one class per row, but with {type(loss).__name__} several may apply"
            return self.warning(text, "set `threshold: 0.5`")
        return []

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        if self.average is not None:
            return None
        return base.one_each("class", y_pred) if labels is None else list(labels)

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (3, units(y_pred))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = rows(base.dense(y_true, y_pred)).astype(np.float64), rows(y_pred)
        if self.threshold is None:
            positive = (y_pred >= y_pred.max(-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            positive = y_pred > self.threshold
        tp = np.sum(y_true, axis=0, where=positive)
        return np.stack([tp, np.count_nonzero(positive, axis=0) - tp, y_true.sum(0) - tp])

    def finish(self, counters: Array) -> float | Array:
        tp, fp, fn = counters.sum(1, keepdims=True) if self.average == "micro" else counters
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        square = getattr(self, "beta", 1.0) ** 2
        scores: Array = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float(np.sum(scores * (tp + fn)) / (np.sum(tp + fn) + EPSILON))
        return float(scores.mean())


_POSITIVE = """A value is positive if it exceeds ``threshold``; without a threshold, the largest value of each row is.

Shapes: head (N, …, classes), targets of the same shape, or class ids (N, …); one result per class unless
``average`` is set. Masked rows do not count.

Source: van Rijsbergen, *Information Retrieval*, 1979."""
_text = "The harmonic mean of precision and recall, ``2 · precision · recall / (precision + recall)``."
add_row("F1Score f1_score", FScore, f"{_text}\n\n{_POSITIVE}")
_text = "``(1 + β²) · precision · recall / (β² · precision + recall)``: recall is β times as important as precision."
_beta = {"beta": (Positive, setting(1.0, "The weight β of recall relative to precision."))}
add_row("FBetaScore f_beta_score", FScore, f"{_text}\n\n{_POSITIVE}", fields=_beta, label="fbeta_score")


# The confusion matrix, and the overlaps of predicted and true classes that are computed from it.
def pairs(y_true: Array, y_pred: Array, classes: int, ignored: int | None = None) -> Array:
    """Return how often each true class (row) is predicted as each class (column): (classes, classes).

    Pairs with an id outside the classes, or with the true class ``ignored``, do not count.
    """
    t, p = (y.ravel().astype(np.int64) for y in (y_true, y_pred))
    inside = (t >= 0) & (t < classes) & (p >= 0) & (p < classes)
    if ignored is not None:
        inside &= t != ignored
    counts = np.bincount(t[inside] * classes + p[inside], minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


@METRICS.add("ConfusionMatrix", "confusion_matrix")
class ConfusionMatrix(
    Metric, label="confusion_matrix", by_class=True, direction=None, targets=("ids", "one_hot", "like")
):
    """How often each true class (row) is predicted as each class (column).

    The history does not contain this table, and callbacks cannot monitor it. ``evaluate`` returns it as an array; the
    command line prints it with the head's labels and the recall and precision of every class.

    Shapes: head (N, …, classes), targets (N, …), class ids, or one-hot → (classes, classes). A head with one unit has
    two classes, with targets 0 and 1. Masked rows do not count.
    """

    threshold: float = setting(0.5, "A larger value of a head with one unit predicts class 1.")

    def keys(self, y_pred: Value) -> list[str]:
        return []

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return base.check_fixed(self, y_pred)

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        if found := base.check_classifies(self, y_pred, loss):
            return found
        if units(y_pred) == 1:
            return base.check_threshold(self, self.threshold, loss)
        if base.targets_of(loss) == "like" and producer(y_pred).activation != "softmax":
            text = f"counts one class per row, but with {type(loss).__name__} several may apply"
            return self.error(text, "use `{type: F1Score, threshold: 0.5}`, or a softmax head with a categorical loss")
        return []

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        classes = max(units(y_pred), 2)
        return (classes, classes)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        if y_pred.ndim == 1 or y_pred.shape[-1] == 1:
            return pairs(y_true > 0.5, y_pred > self.threshold, 2)
        t = y_true.argmax(-1) if y_true.shape == y_pred.shape else base.ids(y_true, y_pred)
        return pairs(t, y_pred.argmax(-1), y_pred.shape[-1])

    def finish(self, counters: Array) -> float | Array:
        return counters.astype(np.int64)


Target = Annotated[Ints, described("The ids of the classes that are averaged over.", min_length=1)]
SparsePred = Annotated[bool, described("Whether the head outputs class ids, not one value per class.")]


class Overlap(Metric, targets=("one_hot", "like")):
    """Base: the mean of ``tp / (tp + fp + fn)`` over some classes, except those that are neither true nor predicted."""

    def classes(self) -> int:
        raise NotImplementedError

    def averaged(self) -> tuple[int, ...]:
        """Return the ids of the classes that are averaged over."""
        return tuple(range(self.classes()))

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (self.classes(), self.classes())

    def finish(self, counters: Array) -> float | Array:
        chosen = list(self.averaged())
        tp = counters.diagonal()[chosen]
        union = counters.sum(0)[chosen] + counters.sum(1)[chosen] - tp
        return float(np.sum(divide(tp, union + EPSILON)) / (np.count_nonzero(union) + EPSILON))


class _Chosen(Overlap):
    """Base: the mean over ``target_class_ids``."""

    target_class_ids: Target

    @model_validator(mode="after")
    def _ids(self) -> _Chosen:
        if wrong := [k for k in self.target_class_ids if not 0 <= k < self.classes()]:
            text, hint = f"must be from 0 to {self.classes() - 1}", f"there is no class {wrong[0]}"
            raise invalid(text, hint, key="target_class_ids", show_value=True)
        return self

    def averaged(self) -> tuple[int, ...]:
        return self.target_class_ids


class _Segments(Overlap):
    """Base: any number of classes, along ``axis`` if the head does not output class ids."""

    num_classes: PositiveInt = setting(..., "The number of classes.")
    ignore_class: Ignored = None
    axis: Axis = -1
    sparse_y_pred: SparsePred = False

    def classes(self) -> int:
        return self.num_classes

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return base.from_end(self, y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if self.sparse_y_pred:
            if y_pred.rank > 1 and y_pred.shape[-1] == self.num_classes > 1:
                text = f"expects class ids, but the head outputs one value for each of {self.num_classes} classes"
                return self.error(text, "set `sparse_y_pred: false`")
            if gives_probabilities(op := producer(y_pred)):
                text = f"expects class ids, but the head outputs the values of a {op.activation}"
                return self.error(text, "use `BinaryIoU`" if units(y_pred) == 1 else "set `sparse_y_pred: false`")
            return []
        if found := base.check_axis(self, self.axis, y_pred):
            return found
        classes = y_pred.shape[self.axis]
        text = f"has {self.num_classes} classes, but the head has {classes}"
        return [] if classes == self.num_classes else self.error(text, "use the same number for both")

    def class_axis(self, y_pred: Value) -> int | None:
        return None if self.sparse_y_pred else self.axis % y_pred.rank

    def true_ids(self, y_true: Array) -> Array:
        return np.asarray(y_true.argmax(self.axis))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        predicted = y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)
        return pairs(self.true_ids(y_true), predicted, self.num_classes, self.ignore_class)


class _Sparse(_Segments, targets=("ids", "one_hot", "like")):
    """Base: targets are class ids unless ``sparse_y_true`` is false."""

    sparse_y_true: bool = setting(True, "Whether the targets are class ids, not one-hot rows.")
    sparse_y_pred: SparsePred = True

    def true_ids(self, y_true: Array) -> Array:
        return y_true if self.sparse_y_true else super().true_ids(y_true)

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        targets = base.targets_of(loss)
        if self.sparse_y_true == (targets == "ids") or (self.sparse_y_true and self.sparse_y_pred):
            return []
        text = f"expects {base.TARGET_NAMES['ids' if self.sparse_y_true else 'one_hot']}"
        text += f", but the targets of {type(loss).__name__} are {base.TARGET_NAMES[targets]}"
        return self.error(text, f"set `sparse_y_true: {'false' if self.sparse_y_true else 'true'}`")


_HEAD = "Shapes: head (N, …, classes), or (N, …) with ``sparse_y_pred``; targets"
_SPARSE = f"""{_HEAD} (N, …), class ids, or one-hot with
``sparse_y_true: false``. Masked rows do not count.

Source: Jaccard, 1901."""
_ONE_HOT = f"{_HEAD} (N, …, classes), one-hot. Masked rows do not\ncount."
_CHOSEN, _ALL = "the mean over the classes ``target_class_ids``.\n\n", "the mean over all classes.\n\n"
_IOU = "``tp / (tp + fp + fn)``, "
for _name, _label, _bases, _averaged in (("IoU", "io_u", (_Chosen,), _CHOSEN), ("MeanIoU", "mean_io_u", (), _ALL)):
    add_row(f"{_name} {_label}", (*_bases, _Sparse), f"Intersection over union {_IOU}{_averaged}{_SPARSE}")
    _names, _text = f"OneHot{_name} one_hot_{_label}", f"{_name} for one-hot targets: {_IOU}{_averaged}{_ONE_HOT}"
    add_row(_names, (*_bases, _Segments), _text, instead=f"use `{_name}` with `sparse_y_pred: false`")


@METRICS.add("BinaryIoU", "binary_io_u")
class BinaryIoU(_Chosen, label="binary_io_u", targets=("like", "one_hot")):
    """Intersection over union ``tp / (tp + fp + fn)`` of two classes, the mean over ``target_class_ids``.

    A value predicts class 1 if it is at least ``threshold``, else class 0.

    Shapes: head (N, …), targets of the same shape, 0 or 1. Masked rows do not count.
    """

    instead = "use `{type: MeanIoU, num_classes: …, sparse_y_pred: false}`"
    target_class_ids: Target = (0, 1)
    threshold: float = setting(0.5, "This value or a larger one predicts class 1.")

    def classes(self) -> int:
        return 2

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return base.check_threshold(self, self.threshold, loss)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        return pairs(y_true, y_pred >= self.threshold, 2)
