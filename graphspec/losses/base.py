"""What a loss is: it lowers to one value per sample (and time step); a common reduction makes the scalar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from graphspec.codes import Code
from graphspec.config import WHATEVER, Config, Neutral, Rate, Registry, invalid
from graphspec.errors import Problem
from graphspec.ir.dims import show
from graphspec.ir.graph import Type
from graphspec.ir.ranges import Range
from graphspec.ops import OPS, Op

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Targets = Literal["like", "one_hot", "ids", "groups", "labels"]
"""Values of the head's shape; one-hot rows; class ids, each of which is a unit of the head; ids of groups of rows, any
integers; or sequences of class ids."""

EPSILON = 1e-7  # Keras's backend epsilon, by which probabilities keep away from 0 and 1
PROBABILITIES = Range(0, 1)


def _trainable(reduction: Any) -> Any:
    if reduction in (None, "none"):
        raise invalid("cannot be none: training needs one number, and none gives one per sample", "leave it out")
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

    neutral: ClassVar[Mapping[str, Neutral]] = {"name": WHATEVER, "dtype": WHATEVER}
    label: ClassVar[str]
    """The name that messages use."""
    targets: ClassVar[Targets] = "like"
    """What the targets are."""
    fits: ClassVar[Literal["classes", "numbers"] | None] = None
    """Whether the head is fitted to classes, one of which a row has, or to numbers; None where it may be either."""
    binary: ClassVar[bool] = False
    """Whether every unit is a class of its own, which a row has or has not."""
    shares: ClassVar[bool] = False
    """Whether targets lie between 0 and 1."""
    uses_mask: ClassVar[bool] = True
    """Whether the reduction leaves out what the head's mask hides; otherwise the mask is the loss's own business."""

    reduction: Reduction = "sum_over_batch_size"

    def target(self, y_pred: Value) -> Type:
        """The type of the targets for a head of this shape."""
        return Type("float32", y_pred.shape)

    def class_axis(self, y_pred: Value) -> int | None:
        """The axis of the head, from the front, that has a unit for each class; None where no unit stands for a class."""
        return None if self.targets == "groups" else y_pred.rank - 1

    def check(self, y_pred: Value) -> list[Problem]:
        """What of the head does not fit: its shape (GS402, errors), its activation (GS401, warnings).

        The subject of the problems is the loss.
        """
        if not y_pred.type.is_float:
            return refuse(f"needs float32 values, got {y_pred.dtype}", "use the layer that computes these values")
        if y_pred.rank == 0:
            return refuse("needs one value per sample, got a single one", "use a layer that keeps the batch")
        found = self.check_shape(y_pred)
        return found or self.check_activation(y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        mask = y_pred.mask if self.uses_mask else None
        if mask is not None and mask.rank > max(y_pred.rank - 1, 1):
            text = f"gives one value per sample, but the mask {show(mask.shape)} hides time steps"
            return refuse(text, "give the head a feature axis: (batch, time, units)")
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        """GS401; for every loss, a softmax over a single unit."""
        axis = axis_of(y_pred, "Softmax")
        if axis is not None and y_pred.shape[axis] == 1:
            text = "gets a softmax over a single unit, which is always 1: nothing can be learned"
            return warn(text, "use `activation: sigmoid`, or one unit per class")
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        """One value per sample: the mean over the last axis, or the sum over the classes.

        The result's mask, where it has one, hides values that do not count.
        """
        raise NotImplementedError


class OfProbabilities(Loss):
    """A loss of probabilities that is not computed from logits: the head's activation must give them."""

    fitting: ClassVar[str] = "`activation: softmax`"

    def check_activation(self, y_pred: Value) -> list[Problem]:
        hint = f"add {self.fitting} to the layer"
        return super().check_activation(y_pred) or check_probabilities(y_pred, hint)


LOSSES: Registry[Loss] = Registry("loss", "binary_crossentropy")


def reduce(
    g: Builder, values: Value, *, weight: Value | None, mask: Value | None, reduction: Reduction = "sum_over_batch_size"
) -> Value:
    """The scalar loss: values times weights, summed, or averaged over what is not masked (weights do not count there).

    A single value for the whole batch is its own sum and mean; weights multiply it row by row, and it has no mask.

    Args:
        weight: float32, the leading axes of ``values``.
        mask: bool, likewise; what is False does not count.
    """
    if values.rank == 0:
        if weight is None:
            return g.RowShare(values)
        values, mask = g.Expand(values, g.ints([g.size(weight, 0)])), None
    hidden = values.mask
    if mask is not None and hidden is not None:
        if mask.rank < hidden.rank:
            mask = g.Unsqueeze(mask, g.constant(list(range(mask.rank, hidden.rank))))
        hidden = g.And(mask, hidden)
    return g.ReduceLoss(values, weight, mask if hidden is None else hidden, reduction=reduction)


def producer(y_pred: Value) -> type[Op]:
    """The operator that computes the head's values, seen through views and dropout; ``Op`` itself for an input."""
    value: Value | None = y_pred
    while value is not None and value.node is not None:
        op = OPS[value.node.op]
        if not (op.is_view or op.identity_in_inference):
            return op
        value = value.node.inputs[0]
    return Op


def gives_probabilities(op: type[Op]) -> bool:
    """Whether an operator is an activation with values from 0 to 1."""
    return op.value_range.within(PROBABILITIES)


def other_activation(op: type[Op]) -> str | None:
    """The name of an operator's activation, if its values are not probabilities; ``linear`` for sums of products."""
    return None if gives_probabilities(op) else op.activation


def axis_of(y_pred: Value, op: str) -> int | None:
    """The axis, from the front, that ``op`` works along, if it computes ``y_pred`` directly."""
    if y_pred.node is None or y_pred.node.op != op:
        return None
    return int(y_pred.node.attrs["axis"]) % y_pred.rank


def source(y_pred: Value) -> Value:
    """The input of the operator that computes ``y_pred``."""
    assert y_pred.node is not None
    X = y_pred.node.inputs[0]
    assert X is not None
    return X


def mean(g: Builder, X: Value, axis: int = -1) -> Value:
    """The mean over ``axis``; a vector, one value per sample, is its own mean."""
    if X.rank == 1:
        return X
    if X.shape[axis] == 1:
        return g.Squeeze(X, g.constant([axis % X.rank]))
    return g.ReduceMean(X, axes=(axis % X.rank,), keepdims=0)


def total(g: Builder, X: Value) -> Value:
    """The sum over the last axis; a vector, one value per sample, is its own sum."""
    return X if X.rank == 1 else g.ReduceSum(X, g.constant([X.rank - 1]), keepdims=0)


def clip(g: Builder, probabilities: Value) -> Value:
    return g.Clip(probabilities, g.constant(EPSILON), g.constant(1.0 - EPSILON))


def smooth(g: Builder, y_true: Value, smoothing: float, share: float) -> Value:
    """``y_true · (1 - smoothing) + smoothing · share``."""
    if not smoothing:
        return y_true
    return g.Add(g.Mul(y_true, g.constant(1.0 - smoothing)), g.constant(smoothing * share))


def refuse(message: str, hint: str) -> list[Problem]:
    """GS402: a loss that cannot be computed for a head."""
    return [Problem(Code.LOSS_MISMATCH, message, hint)]


def warn(message: str, hint: str) -> list[Problem]:
    """GS401: a loss that expects other values than the head's activation gives."""
    return [Problem(Code.ACTIVATION_MISMATCH, message, hint, severity="warning")]


def check_axis(axis: int, y_pred: Value) -> list[Problem]:
    if not -y_pred.rank < axis < y_pred.rank or axis == 0:
        text = f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}"
        return refuse(text, f"use an axis from 1 to {y_pred.rank - 1}, or -1")
    if y_pred.mask is not None and axis % y_pred.rank < y_pred.mask.rank:
        text = f"runs over axis {axis}, some of which the mask {show(y_pred.mask.shape)} hides"
        return refuse(text, "use axis -1, or a head without a mask")
    return []


def check_classes(axis: int, y_pred: Value) -> list[Problem]:
    """GS402 unless ``axis`` is one of a fixed number of classes, two at least (one of a softmax has its own warning)."""
    if y_pred.rank < 2:
        return refuse(f"needs a class axis, but the head has shape {show(y_pred.shape)}", "use one unit per class")
    if found := check_axis(axis, y_pred):
        return found
    classes = y_pred.shape[axis]
    if not isinstance(classes, int):
        text = f"needs a fixed number of classes, but axis {axis} of {show(y_pred.shape)} varies"
        return refuse(text, "put the classes on an axis of fixed size")
    if classes == 1 and axis_of(y_pred, "Softmax") != axis % y_pred.rank:
        text = "needs at least two classes, but the head has one unit"
        return refuse(text, "use binary_crossentropy, or one unit per class")
    return []


def check_probabilities(y_pred: Value, hint: str) -> list[Problem]:
    """GS401 if the head's activation does not give probabilities."""
    name = other_activation(producer(y_pred))
    return [] if name is None else warn(f"needs probabilities, but the activation is {name}", hint)


def of_class(g: Builder, X: Value, ids: Value) -> Value:
    """The values of the classes ``ids`` (…) among ``X`` (…, classes)."""
    last = g.constant([ids.rank])
    return g.Squeeze(g.GatherElements(X, g.Unsqueeze(ids, last), axis=ids.rank), last)
