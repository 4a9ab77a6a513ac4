"""The base of the losses. A loss lowers to one value per sample (and time step); :func:`reduce` makes the scalar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from graphspec.base.config import ANY_VALUE, Config, Neutral, Rate, Registry, described, invalid
from graphspec.base.errors import Code, Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Range, Type
from graphspec.graph.ops import OPS, Op
from graphspec.vocabulary import Array, Builder, Value

Targets = Literal["like", "one_hot", "ids", "groups", "labels", "one", "times", "none"]
"""The form of the targets.

``like``: values of the head's shape. ``one_hot``: one-hot rows. ``ids``: class ids, one unit of the head per class.
``groups``: ids of groups of rows, any integers. ``labels``: sequences of class ids. ``one``: one value for all
units of the last axis. ``times``: a time, and 1 if the event was then, 0 if not until then.
``none``: there are no targets.
"""

EPSILON = 1e-7  # Keras's backend epsilon: probabilities are clipped to EPSILON … 1 - EPSILON
PROBABILITIES = Range(0, 1)


def _trainable(reduction: Any) -> Any:
    if reduction in (None, "none"):
        raise invalid("cannot be none: training needs a scalar, and none returns one value per sample", "leave it out")
    return reduction


Reduction = Annotated[
    Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"],
    BeforeValidator(_trainable),
    described("How the values of all samples are reduced to the loss."),
]
FromLogits = Annotated[bool, described("Whether the head outputs logits, not probabilities.")]
Axis = Annotated[int, described("The axis of the classes.")]
Smoothing = Annotated[Rate, described("The weight of equal probabilities in the targets; 0 for none.")]


class Loss(Config):
    """Base of the losses.

    Samples (and time steps) that the head's mask hides do not count, unless a loss handles the mask itself. Targets and
    sample weights have no gradient.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = {"name": ANY_VALUE, "dtype": ANY_VALUE}
    label: ClassVar[str]
    """The name in messages."""
    targets: ClassVar[Targets] = "like"
    """The form of the targets."""
    nodes: ClassVar[tuple[int, int]] = (1, 1)
    """The least and the largest number of nodes that it compares."""
    has_output: ClassVar[bool] = True
    """Whether its head is an output of the network; False if the head is a term of the loss alone."""
    fits: ClassVar[Literal["classes", "numbers"] | None] = None
    """Whether the head is trained to predict classes or numbers; None if both are possible."""
    of_differences: ClassVar[bool] = False
    """True if the loss depends on the differences of targets and values alone: it is the same after a shift of both."""
    binary: ClassVar[bool] = False
    """True if every unit is an independent class that applies to a row or does not."""
    probability_targets: ClassVar[bool] = False
    """True if targets must be between 0 and 1."""
    uses_mask: ClassVar[bool] = True
    """True if the reduction skips masked values; False if the loss handles the mask itself."""

    reduction: Reduction = "sum_over_batch_size"

    def target(self, y_pred: Value) -> Type:
        """The type of the targets for a head of this shape."""
        shape, kind = y_pred.shape, self.targets
        shapes = {"ids": shape[:-1], "one": shape[:-1], "groups": shape[:1], "times": (*shape[:1], 2)}
        return Type("int64" if kind in ("ids", "groups") else "float32", shapes.get(kind, shape))

    def class_axis(self, y_pred: Value) -> int | None:
        """The non-negative axis of the head with one unit per class; None if units do not stand for classes."""
        return None if self.targets in ("groups", "one", "times") else y_pred.rank - 1

    def point(self, answers: Array) -> Array:
        """Return the one answer for each target, of answers that have several."""
        return answers

    def ends(self, answers: Array) -> tuple[Array, Array] | None:
        """Return the ends of the range that answers which are quantiles give; None for others."""
        return None

    def check(self, y_pred: Value) -> list[Problem]:
        """Return what does not fit this loss: the head's shape (GS402) or its activation (GS401, warnings).

        The subject of the messages is the loss.
        """
        if not y_pred.type.is_float:
            return refuse(f"needs float32 values, got {y_pred.dtype}", "use the layer that computes these values")
        if y_pred.rank == 0:
            return refuse("needs one value per sample, got a scalar", "use a layer that keeps the batch axis")
        return self.check_shape(y_pred) or _always_one(y_pred) or self.check_activation(y_pred)

    def check_values(self, values: Sequence[Value]) -> list[Problem]:
        """Return what does not fit this loss, :meth:`check`, for the values of all its nodes."""
        return self.check(values[0])

    def check_shape(self, y_pred: Value) -> list[Problem]:
        mask = y_pred.mask if self.uses_mask else None
        if mask is not None and mask.rank > max(y_pred.rank - 1, 1):
            text = f"returns one value per sample, but the mask {show(mask.shape)} hides time steps"
            return refuse(text, "give the head a feature axis: (batch, time, units)")
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        return []  # GS401 warnings

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        """Emit one value per sample (and time step): the mean over the last axis, or the sum over the classes.

        If the values have a mask, masked ones do not count. ``lengths`` are ``input_length`` and ``label_length`` for
        ``ctc``, if the data contain them.
        """
        raise NotImplementedError

    def lower_values(self, g: Builder, y_true: Value | None, values: Sequence[Value], **lengths: Value) -> Value:
        """Emit one value per sample for the values of all nodes; ``y_true`` is None for a loss without targets."""
        assert y_true is not None
        return self.lower(g, y_true, values[0], **lengths)


class OfProbabilities(Loss):
    """Base of the losses that are computed from probabilities only: the head's activation must return probabilities."""

    suitable_activation: ClassVar[str] = "`activation: softmax`"
    """The activation that the hint suggests."""

    def check_activation(self, y_pred: Value) -> list[Problem]:
        hint = f"add {self.suitable_activation} to the layer"
        return super().check_activation(y_pred) or check_probabilities(y_pred, hint)


LOSSES: Registry[Loss] = Registry("loss", "binary_crossentropy")


def reduce(
    g: Builder, values: Value, *, weight: Value | None, mask: Value | None, reduction: Reduction = "sum_over_batch_size"
) -> Value:
    """Emit the scalar loss: the sum of ``values · weight``, or its mean over the unmasked values.

    The divisor of the mean is the number of unmasked values; weights do not change it. A scalar for the whole batch is
    its own sum and mean; weights multiply it row by row, and it has no mask. ``weight``, float32, and ``mask``, bool,
    have the leading axes of ``values``.
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
    """Return the operator that computes the head's values, skipping views, means and dropout; ``Op`` for an input."""
    value: Value | None = y_pred
    while value is not None and value.node is not None:
        op = OPS[value.node.op]
        if op is OPS["Mul"] and (averaged := {producer(term) for term in _averaged(value)}):
            return averaged.pop() if len(averaged) == 1 else op
        if not (op.is_view or op.identity_in_inference or op is OPS["ReduceMean"]):
            return op
        value = value.node.inputs[0]
    return Op


def _averaged(value: Value) -> list[Value]:
    """Return the values of which a product is the mean, as an Average emits it: their sum times 1 / n; else nothing."""
    assert value.node is not None
    total, factor = value.node.inputs
    terms, sums = list[Value](), [total]
    while sums:
        term = sums.pop()
        if term is not None and term.node is not None and term.node.op == "Add":
            sums += term.node.inputs
        elif term is not None:
            terms.append(term)
    scale = None if factor is None or factor.data is None or factor.data.size > 1 else factor.data.item()
    return terms if scale is not None and len(terms) > 1 and abs(scale * len(terms) - 1) < 1e-6 else []


def gives_probabilities(op: type[Op]) -> bool:
    """Return True if the operator is an activation with values from 0 to 1."""
    return op.value_range.within(PROBABILITIES)


def other_activation(op: type[Op]) -> str | None:
    """Return the activation's name, ``linear`` for a matmul or convolution; None if its values are probabilities."""
    return None if gives_probabilities(op) else op.activation


def axis_of(y_pred: Value, op: str) -> int | None:
    """Return the non-negative axis of ``op`` if that operator computes ``y_pred`` directly, else None."""
    if y_pred.node is None or y_pred.node.op != op:
        return None
    return int(y_pred.node.attrs["axis"]) % y_pred.rank


def source(y_pred: Value) -> Value:
    """Return the input of the operator that computes ``y_pred``."""
    assert y_pred.node is not None
    X = y_pred.node.inputs[0]
    assert X is not None
    return X


def mean(g: Builder, X: Value, axis: int = -1) -> Value:
    """Emit the mean over ``axis``; a vector has one value per sample and is returned unchanged."""
    if X.rank == 1:
        return X
    if X.shape[axis] == 1:
        return g.Squeeze(X, g.constant([axis % X.rank]))
    return g.ReduceMean(X, axes=(axis % X.rank,), keepdims=0)


def total(g: Builder, X: Value) -> Value:
    """Emit the sum over the last axis; a vector has one value per sample and is returned unchanged."""
    return X if X.rank == 1 else g.ReduceSum(X, g.constant([X.rank - 1]), keepdims=0)


def clip(g: Builder, probabilities: Value) -> Value:
    """Emit ``probabilities`` clipped to ``1e-7 … 1 - 1e-7``: logarithms stay finite."""
    return g.Clip(probabilities, g.constant(EPSILON), g.constant(1.0 - EPSILON))


def smooth(y_true: Value, smoothing: float, probability: float) -> Value:
    """Emit the targets with label smoothing, Szegedy et al., CVPR 2016."""
    return y_true if not smoothing else y_true * (1.0 - smoothing) + smoothing * probability


def refuse(message: str, hint: str) -> list[Problem]:
    """Return GS402: the loss cannot be computed for this head."""
    return [Problem(Code.LOSS_MISMATCH, message, hint)]


def _always_one(y_pred: Value) -> list[Problem]:
    """Return GS401, an error, for a softmax over a single unit."""
    axis = axis_of(y_pred, "Softmax")
    if axis is None or y_pred.shape[axis] != 1:
        return []
    text = "gets a softmax over a single unit, which is always 1: nothing can be learned"
    return [Problem(Code.ACTIVATION_MISMATCH, text, "use `activation: sigmoid`, or one unit per class")]


def warn(message: str, hint: str) -> list[Problem]:
    """Return GS401: the head's activation does not return the values that the loss expects."""
    return [Problem(Code.ACTIVATION_MISMATCH, message, hint, severity="warning")]


def check_axis(axis: int, y_pred: Value) -> list[Problem]:
    """Return GS402 unless ``axis`` is an axis of the head that is neither the batch nor under the mask."""
    if not -y_pred.rank < axis < y_pred.rank or axis == 0:
        text = f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}"
        return refuse(text, f"use an axis from 1 to {y_pred.rank - 1}, or -1")
    if y_pred.mask is not None and axis % y_pred.rank < y_pred.mask.rank:
        text = f"reduces axis {axis}, which the mask {show(y_pred.mask.shape)} partly hides"
        return refuse(text, "use axis -1, or a head without a mask")
    return []


def check_classes(axis: int, y_pred: Value, *, fixed: bool = True) -> list[Problem]:
    """Return GS402 unless ``axis`` has a fixed number of classes, at least two; or one that varies, unless ``fixed``.

    A softmax over one unit has a warning of its own, see :meth:`Loss.check_activation`.
    """
    if y_pred.rank < 2:
        return refuse(f"needs a class axis, but the head has shape {show(y_pred.shape)}", "use one unit per class")
    if found := check_axis(axis, y_pred):
        return found
    classes = y_pred.shape[axis]
    if not isinstance(classes, int) and fixed:
        text = f"needs a fixed number of classes, but axis {axis} of {show(y_pred.shape)} varies"
        return refuse(text, "put the classes on an axis of fixed size")
    if classes == 1 and axis_of(y_pred, "Softmax") != axis % y_pred.rank:
        text = "needs at least two classes, but the head has one unit"
        return refuse(text, "use binary_crossentropy, or one unit per class")
    return []


def check_probabilities(y_pred: Value, hint: str) -> list[Problem]:
    """Return GS401 if the head's activation does not return probabilities."""
    name = other_activation(producer(y_pred))
    return [] if name is None else warn(f"needs probabilities, but the activation is {name}", hint)


def of_class(g: Builder, X: Value, ids: Value) -> Value:
    """Emit the element of ``X`` (…, classes) at the class ``ids`` (…): shape (…)."""
    last = g.constant([ids.rank])
    return g.Squeeze(g.GatherElements(X, g.Unsqueeze(ids, last), axis=ids.rank), last)
