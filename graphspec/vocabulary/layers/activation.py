"""Activations as separate layers."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from graphspec.base.config import Axes, IntOrInts, NonNegative, as_tuple, setting
from graphspec.vocabulary import Builder, Value, activations, not_fixed, show, wrong_rank
from graphspec.vocabulary.activations import functions
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.layer import Layer


class Activation(Layer, supports_masking=True):
    """``activation(x)``, mostly element by element.

    Shapes: (batch, …) → the same.
    """

    activation: base.ActivationField = setting(..., "The activation.")
    activity_regularizer: base.RegularizerField = setting(None, "Penalty on the output.")

    def lower(self, g: Builder, X: Value) -> Value:
        return g.activate(self.activation, base.as_float(g, X))


class Function(Layer, supports_masking=True):
    """Base of the layers whose arguments are the arguments of an activation."""

    function: ClassVar[type[activations.Activation]]

    def lower(self, g: Builder, X: Value) -> Value:
        return self.function(**dict(self)).lower(g, base.as_float(g, X))


class ReLU(Function, function=functions.Relu):
    """``max(x, 0)``, optionally with a maximum, a slope below the threshold, and a threshold other than 0.

    ``x`` if ``x > threshold``, else ``negative_slope · (x - threshold)``; then at most ``max_value``.

    Shapes: (batch, …) → the same.
    """

    max_value: NonNegative | None = setting(None, "The largest output; null for no limit.")
    negative_slope: NonNegative = setting(0.0, "The slope below the threshold.")
    threshold: NonNegative = setting(0.0, "Inputs up to this value count as 0.")


class LeakyReLU(Function, function=functions.LeakyRelu):
    """``x`` if ``x ≥ 0``, else ``negative_slope · x``.

    Shapes: (batch, …) → the same.
    """

    negative_slope: NonNegative = setting(0.3, "The slope below 0.")


class ELU(Function, function=functions.Elu):
    """``x`` if ``x > 0``, else ``alpha · (eˣ − 1)``.

    Shapes: (batch, …) → the same. Clevert et al., *Exponential Linear Units*, ICLR 2016.
    """

    alpha: NonNegative = setting(1.0, "The output approaches −alpha for small x.")


class PReLU(Layer, supports_masking=True):
    """``x`` if ``x ≥ 0``, else ``alpha · x``, with one trained alpha per feature.

    Shapes: (batch, …) → the same; ``alpha`` has the shape of a row, with size 1 along ``shared_axes``.
    He et al., *Delving Deep into Rectifiers*, ICCV 2015.
    """

    alpha_initializer: base.InitializerField = base.default_initializer("Zeros")
    alpha_regularizer: base.RegularizerField = setting(None, "Penalty on the slopes.")
    alpha_constraint: base.Constraint = None
    shared_axes: IntOrInts | None = setting(None, "Axes along which one slope is shared, such as [1, 2] for images.")

    def lower(self, g: Builder, X: Value) -> Value:
        shared = as_tuple(self.shared_axes)
        for axis in shared:
            if not 0 < axis < X.rank:
                text = f"needs shared_axes from 1 to {X.rank - 1}, got {axis} for {show(X.shape)}"
                raise wrong_rank(text, "axes count from 0, the batch", key="shared_axes")
        shape: list[int] = []
        for axis, size in enumerate(X.shape[1:], 1):
            if axis not in shared and not isinstance(size, int):
                text = f"needs a fixed size on axis {axis}, with one slope per index, but {show(X.shape)} varies"
                hint = f"share one slope along it: `shared_axes: {sorted({*shared, axis})}`"
                raise not_fixed(text, hint, key="shared_axes")
            shape.append(1 if axis in shared else X.fixed(axis))
        return g.PRelu(base.as_float(g, X), self.weight(g, "alpha", shape))


class Softmax(Layer, supports_masking=True):
    """``eˣ / Σ eˣ`` over ``axis``. With a mask of the input's shape, masked elements do not count and become 0.

    Shapes: (batch, …) → the same.
    """

    axis: Axes = setting(-1, "The axis or axes along which the outputs sum to 1.")

    def lower(self, g: Builder, X: Value) -> Value:
        axes = activations.feature_axes(X, self.axis, key="axis")
        X = base.as_float(g, X)
        mask = X.mask if X.mask is not None and X.mask.rank == X.rank else None
        if mask is not None:
            X = g.Where(mask, X, g.constant(-1e9))
        Y = functions.Softmax().lower_over(g, X, axes)
        return Y if mask is None else g.Where(mask, Y, g.constant(0.0))


class QuantileSteps(Layer, supports_masking=True):
    """Quantiles that do not cross: the middle unit as it is, and from it up and down the sums of ``softplus(x)``.

    Shapes: (batch, …, quantiles) → the same, ascending along the last axis, as the loss ``quantile`` lists them.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        units, X = X.features, base.as_float(g, X)
        middle, axis, last = (units - 1) // 2, g.constant([X.rank - 1]), g.constant(X.rank - 1)
        at = [g.constant([k]) for k in (0, middle, middle + 1, units)]
        below, own, above = (g.Slice(X, begin, end, axis) for begin, end in pairwise(at))
        parts = [own - g.CumSum(g.Softplus(below), last, reverse=1)] if middle else []
        parts += [own, *([own + g.CumSum(g.Softplus(above), last)] if units > 1 else [])]
        return g.Concat(*parts, axis=X.rank - 1) if units > 1 else own
