"""Losses: each lowers to one value per sample (and time step); a common reduction makes the scalar.

Cross-entropies are computed from logits wherever the head's values come straight from a Softmax or Sigmoid operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from graphspec.compiler.dims import show
from graphspec.compiler.ir import Type
from graphspec.config import Config, Positive, Rate, Registry

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value
    from graphspec.errors import Severity

Problem = tuple["Severity", str, str, str | None]
"""Severity, code, message without the head's name in front, hint."""

_EPSILON = 1e-7  # Keras's backend epsilon, by which probabilities keep away from 0 and 1
_VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout", "Slice"))
_UNBOUNDED = {
    **dict.fromkeys(("Gemm", "MatMul", "Add", "Sub", "Conv", "ConvTranspose", "BatchNormalization"), "linear"),
    **{name: name.lower() for name in ("Relu", "Tanh", "Elu", "Selu", "Softplus", "Softsign")},
    "LeakyRelu": "leaky_relu",
    "PRelu": "PReLU",
    "LogSoftmax": "log_softmax",
}
"""Operators whose values are no probabilities, and the activation to name."""


def _trainable(reduction: Any) -> Any:
    if reduction in (None, "none"):
        text = "training needs one number: reduction 'none' gives one per sample"
        raise PydanticCustomError("GS105", "{reason}", {"reason": text})
    return reduction


Reduction = Annotated[
    Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"],
    BeforeValidator(_trainable),
    Field(description="How the values of all samples make the loss."),
]
FromLogits = Annotated[bool, Field(description="Whether the head's values are logits, not probabilities.")]
Axis = Annotated[int, Field(description="The axis of the classes.")]
Smoothing = Annotated[Rate, Field(description="How far targets are drawn towards equal probabilities.")]


class Loss(Config):
    """Base of the losses."""

    label: ClassVar[str]
    """The name that messages use."""
    uses_mask: ClassVar[bool] = True
    """Whether the reduction leaves out what the head's mask hides; otherwise the mask is the loss's own business."""

    reduction: Reduction = "sum_over_batch_size"

    def target(self, y_pred: Value) -> Type:
        """The type of the targets for a head of this shape."""
        return Type("float32", y_pred.shape)

    def check(self, y_pred: Value) -> list[Problem]:
        """What is wrong with the head: its shape (GS402, errors), its activation (GS401, warnings)."""
        if not y_pred.type.is_float:
            text = f"{self.label} needs float32 values, got {y_pred.dtype}"
            return [("error", "GS402", text, "use the layer that computes these values")]
        if y_pred.rank == 0:
            return [("error", "GS402", f"{self.label} needs one value per sample, got a single one", None)]
        found = self.check_shape(y_pred)
        return found or self.check_activation(y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        mask = y_pred.mask if self.uses_mask else None
        if mask is not None and mask.rank > max(y_pred.rank - 1, 1):
            text = f"{self.label} gives one value per sample, but the mask {show(mask.shape)} hides time steps"
            return [("error", "GS402", text, "give the head a feature axis: (batch, time, units)")]
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        """GS401; for every loss, a softmax over a single unit."""
        axis = _axis_of(y_pred, "Softmax")
        if axis is not None and y_pred.shape[axis] == 1:
            text = "softmax over a single unit is always 1, so nothing can be learned"
            return [("warning", "GS401", text, "use `activation: sigmoid`, or one unit per class")]
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        """One value per sample: the mean over the last axis, or the sum over the classes.

        The result's mask, where it has one, hides values that do not count.
        """
        raise NotImplementedError


LOSSES: Registry[Loss] = Registry("loss")


def reduce(
    g: Builder, values: Value, *, weight: Value | None, mask: Value | None, reduction: Reduction = "sum_over_batch_size"
) -> Value:
    """The scalar loss: values times weights, summed, or averaged over what is not masked (weights do not count there).

    Args:
        weight: float32, the leading axes of ``values``.
        mask: bool, likewise; what is False does not count.
    """
    hidden = values.mask
    if mask is not None and hidden is not None:
        if mask.rank < hidden.rank:
            mask = g.Unsqueeze(mask, g.constant(list(range(mask.rank, hidden.rank))))
        hidden = g.And(mask, hidden)
    return cast("Value", g.ReduceLoss(values, weight, mask if hidden is None else hidden, reduction=reduction))


def _producer(y_pred: Value) -> str:
    """The operator that computes the head's values, seen through those that only move them."""
    value: Value | None = y_pred
    while value is not None and value.node is not None:
        if value.node.op not in _VIEWS:
            return value.node.op
        value = value.node.inputs[0]
    return ""


def _axis_of(y_pred: Value, op: str) -> int | None:
    """The axis, from the front, that ``op`` works along, if it computes ``y_pred`` directly."""
    if y_pred.node is None or y_pred.node.op != op:
        return None
    return int(y_pred.node.attrs["axis"]) % y_pred.rank


def _source(y_pred: Value) -> Value:
    """The input of the operator that computes ``y_pred``."""
    assert y_pred.node is not None
    X = y_pred.node.inputs[0]
    assert X is not None
    return X


def _mean(g: Builder, X: Value, axis: int = -1) -> Value:
    """The mean over ``axis``; a vector, one value per sample, is its own mean."""
    if X.rank == 1:
        return X
    if X.shape[axis] == 1:
        return cast("Value", g.Squeeze(X, g.constant([axis % X.rank])))
    return cast("Value", g.ReduceMean(X, axes=(axis % X.rank,), keepdims=0))


def _clip(g: Builder, probabilities: Value) -> Value:
    return cast("Value", g.Clip(probabilities, g.constant(_EPSILON), g.constant(1.0 - _EPSILON)))


def _smooth(g: Builder, y_true: Value, smoothing: float, share: float) -> Value:
    """``y_true · (1 - smoothing) + smoothing · share``."""
    if not smoothing:
        return y_true
    return cast("Value", g.Add(g.Mul(y_true, g.constant(1.0 - smoothing)), g.constant(smoothing * share)))


class Probabilistic(Loss):
    """A cross-entropy: the head's values are probabilities, or logits with ``from_logits``."""

    activation: ClassVar[str]
    """The activation that fits."""
    from_logits: FromLogits = False

    def unfit(self, op: str, y_pred: Value) -> tuple[str, str] | None:
        """A message and a hint where the activation ``op`` does not give this loss's probabilities."""
        raise NotImplementedError

    def check_activation(self, y_pred: Value) -> list[Problem]:
        if found := super().check_activation(y_pred):
            return found
        op = _producer(y_pred)
        if self.from_logits:
            if op in ("Softmax", "Sigmoid"):
                text = f"{self.label} with `from_logits: true` applies {self.activation} again to a {op.lower()}"
                hint = "set `from_logits: false`: the loss is computed from the logits all the same"
                return [("warning", "GS401", text, hint)]
            return []
        if problem := self.unfit(op, y_pred):
            return [("warning", "GS401", *problem)]
        if op in _UNBOUNDED:
            text = f"{self.label} needs probabilities, but the activation is {_UNBOUNDED[op]}"
            hint = f"add `activation: {self.activation}` to the layer, or set `from_logits: true` in the loss"
            return [("warning", "GS401", text, hint)]
        return []


@LOSSES.add("binary_crossentropy", "BinaryCrossentropy", "BCE", "bce")
class BinaryCrossentropy(Probabilistic):
    """``-mean(y log p + (1 - y) log(1 - p))`` over ``axis``.

    Targets: like the head, numbers from 0 to 1; smoothing draws them towards 1/2.
    """

    label, activation = "binary_crossentropy", "sigmoid"
    label_smoothing: Smoothing = 0.0
    axis: Annotated[int, Field(description="The axis of the mean.")] = -1

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or (_check_axis(self.label, self.axis, y_pred) if y_pred.rank > 1 else [])

    def unfit(self, op: str, y_pred: Value) -> tuple[str, str] | None:
        if op != "Softmax":
            return None
        text = "binary_crossentropy takes every unit by itself, but softmax makes them compete"
        return text, "use categorical_crossentropy, or `activation: sigmoid`"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        y_true = _smooth(g, y_true, self.label_smoothing, 0.5)
        if self.from_logits:
            values = g.SigmoidCrossEntropy(y_pred, y_true)
        elif y_pred.node is not None and y_pred.node.op == "Sigmoid":
            values = g.SigmoidCrossEntropy(_source(y_pred), y_true)
        else:
            p, one = _clip(g, y_pred), g.constant(1.0)
            hit = g.Mul(y_true, g.Log(p))
            values = g.Neg(g.Add(hit, g.Mul(g.Sub(one, y_true), g.Log(g.Sub(one, p)))))
        return _mean(g, values, self.axis)


class Categorical(Probabilistic):
    """A cross-entropy over the classes, which are ``axis``."""

    activation = "softmax"
    axis: Axis = -1

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank < 2:
            text = f"{self.label} needs a class axis, but the head has shape {show(y_pred.shape)}"
            return [("error", "GS402", text, "use one unit per class")]
        if found := super().check_shape(y_pred) or _check_axis(self.label, self.axis, y_pred):
            return found
        classes = y_pred.shape[self.axis]
        if not isinstance(classes, int):
            text = f"{self.label} needs a fixed number of classes, but axis {self.axis} of {show(y_pred.shape)} varies"
            return [("error", "GS402", text, "put the classes on an axis of fixed size")]
        if classes == 1 and _axis_of(y_pred, "Softmax") != self.axis % y_pred.rank:
            text = f"{self.label} needs at least two classes, but the head has one unit"
            return [("error", "GS402", text, "use binary_crossentropy, or one unit per class")]
        return []

    def unfit(self, op: str, y_pred: Value) -> tuple[str, str] | None:
        if op == "Sigmoid":
            text = f"{self.label} needs probabilities that sum to 1 over the classes, but the activation is sigmoid"
            return text, "use `activation: softmax`, or binary_crossentropy where several classes may apply"
        axis = _axis_of(y_pred, "Softmax")
        if axis is not None and axis != self.axis % y_pred.rank:
            text = f"{self.label} takes axis {self.axis} as the classes, but softmax runs over axis {axis}"
            return text, "give both the same `axis`"
        return None

    def logits(self, y_pred: Value) -> Value | None:
        """The logits, where they are known."""
        if self.from_logits:
            return y_pred
        return _source(y_pred) if _axis_of(y_pred, "Softmax") == self.axis % y_pred.rank else None

    def log_probabilities(self, g: Builder, y_pred: Value) -> Value:
        """Of the last axis, normalised by its sum."""
        total = g.ReduceSum(y_pred, g.constant([y_pred.rank - 1]), keepdims=1)
        return cast("Value", g.Log(_clip(g, g.Div(y_pred, total))))

    def classes_last(self, g: Builder, X: Value) -> Value:
        axis = self.axis % X.rank
        return g.transpose(X, [*(k for k in range(X.rank) if k != axis), axis])


def _check_axis(label: str, axis: int, y_pred: Value) -> list[Problem]:
    if not -y_pred.rank < axis < y_pred.rank or axis == 0:
        text = f"{label} with axis {axis} does not fit the head's shape {show(y_pred.shape)}"
        return [("error", "GS402", text, f"use an axis from 1 to {y_pred.rank - 1}, or -1")]
    return []


@LOSSES.add("categorical_crossentropy", "CategoricalCrossentropy")
class CategoricalCrossentropy(Categorical):
    """``-Σ y log p`` over the classes.

    Targets: like the head, one-hot or any distribution; smoothing draws them towards equal shares.
    """

    label = "categorical_crossentropy"
    label_smoothing: Smoothing = 0.0

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        y_true = _smooth(g, self.classes_last(g, y_true), self.label_smoothing, 1.0 / y_pred.fixed(self.axis))
        logits = self.logits(y_pred)
        if logits is not None:
            return cast("Value", g.SoftmaxCrossEntropy(self.classes_last(g, logits), y_true))
        weighted = g.Mul(y_true, self.log_probabilities(g, self.classes_last(g, y_pred)))
        return cast("Value", g.Neg(g.ReduceSum(weighted, g.constant([y_true.rank - 1]), keepdims=0)))


@LOSSES.add("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(Categorical):
    """``-log p[y]``; the class ``ignore_class`` does not count, also not in the average.

    Targets: class ids from 0, of the head's shape without the class axis.
    """

    label = "sparse_categorical_crossentropy"
    ignore_class: Annotated[int | None, Field(description="A class that does not count; null for none.")] = None

    def target(self, y_pred: Value) -> Type:
        axis = self.axis % y_pred.rank
        return Type("int64", tuple(d for k, d in enumerate(y_pred.shape) if k != axis))

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        counts = None
        if self.ignore_class is not None:
            counts = g.Not(g.Equal(y_true, g.constant(self.ignore_class)))
            y_true = g.Where(counts, y_true, g.constant(0))
        logits = self.logits(y_pred)
        if logits is not None:
            values = g.SparseSoftmaxCrossEntropy(self.classes_last(g, logits), y_true)
        else:
            log_p, last = self.log_probabilities(g, self.classes_last(g, y_pred)), g.constant([y_true.rank])
            chosen = g.GatherElements(log_p, g.Unsqueeze(y_true, last), axis=y_true.rank)
            values = g.Neg(g.Squeeze(chosen, last))
        return cast("Value", values.with_mask(counts))


@LOSSES.add("mean_squared_error", "MeanSquaredError", "mse", "MSE")
class MeanSquaredError(Loss):
    """Mean of ``(y_pred - y_true)²`` over the last axis."""

    label = "mean_squared_error"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        if y_pred.rank == 1:
            y_true, y_pred = (g.Unsqueeze(X, g.constant([1])) for X in (y_true, y_pred))
        return cast("Value", g.SquaredError(y_pred, y_true))


@LOSSES.add("mean_absolute_error", "MeanAbsoluteError", "mae", "MAE")
class MeanAbsoluteError(Loss):
    """Mean of ``|y_pred - y_true|`` over the last axis."""

    label = "mean_absolute_error"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        return _mean(g, g.Abs(g.Sub(y_pred, y_true)))


@LOSSES.add("huber", "Huber", "huber_loss")
class Huber(Loss):
    """Mean over the last axis of ``e² / 2`` where ``|e| ≤ delta``, else ``delta · (|e| - delta / 2)``; e is the error."""

    label = "huber"
    delta: Annotated[Positive, Field(description="Where the loss turns from quadratic to linear.")] = 1.0

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        error = g.Sub(y_pred, y_true)
        held = g.Clip(error, g.constant(-self.delta), g.constant(self.delta))  # the loss is held · (error - held / 2)
        return _mean(g, g.Mul(held, g.Sub(error, g.Mul(held, g.constant(0.5)))))


@LOSSES.add("ctc", "CTC")
class CTC(Loss):
    """Connectionist temporal classification (Graves et al., 2006): ``-log p(labels)`` over all alignments.

    The head's values are logits (batch, time, classes); of one that ends in softmax, its logits. Class 0 is the blank.
    Targets: class ids (batch, labels), padded with 0. ``lower`` takes ``input_length`` and ``label_length``, int64
    (batch,); without them the mask and the padding tell.
    """

    label, uses_mask = "ctc", False

    def target(self, y_pred: Value) -> Type:
        return Type("int64", (y_pred.shape[0], "labels"))

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank != 3 or not isinstance(y_pred.shape[-1], int) or y_pred.shape[-1] < 2:
            text = f"ctc needs values (batch, time, classes) with at least two classes, got {show(y_pred.shape)}"
            return [
                ("error", "GS402", text, "use one unit per class and one for the blank, class 0, at every time step")
            ]
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = _producer(y_pred)
        if op == "Sigmoid" or (op == "Softmax" and _axis_of(y_pred, "Softmax") != 2):
            text = f"ctc takes the head's values as logits, but the activation is {op.lower()}"
            return [("warning", "GS401", text, "remove the activation, or use softmax over the last axis")]
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        logits = _source(y_pred) if _axis_of(y_pred, "Softmax") == 2 else y_pred
        steps, labels = more.get("input_length"), more.get("label_length")
        if steps is None and y_pred.mask is not None:
            steps = g.ReduceSum(g.Cast(y_pred.mask, to="int64"), g.constant([1]), keepdims=0)
        return cast("Value", g.CTCLoss(logits, y_true, steps, labels))
