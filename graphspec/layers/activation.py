"""Activations as layers of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from graphspec import activations
from graphspec.activations import rectifiers, softmax
from graphspec.codes import Code
from graphspec.config import Axes, IntOrInts, NonNegative, as_tuple
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import (
    LAYERS,
    ActivationField,
    Constraint,
    InitializerField,
    Layer,
    RegularizerField,
    as_float,
    starts,
)

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LAYERS.add("Activation")
class Activation(Layer):
    """``activation(x)``."""

    supports_masking = True

    activation: ActivationField = Field(description="The function.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")

    def lower(self, g: Builder, X: Value) -> Value:
        return g.activate(self.activation, as_float(g, X))


class Function(Layer):
    """Base of the activations whose arguments are the layer's."""

    supports_masking = True
    function: ClassVar[type[activations.Activation]]

    def lower(self, g: Builder, X: Value) -> Value:
        return self.function(**dict(self)).lower(g, as_float(g, X))


@LAYERS.add("ReLU")
class ReLU(Function):
    """``max(x, 0)``, with a ceiling, a slope below and a threshold where given."""

    function = rectifiers.Relu

    max_value: Annotated[NonNegative | None, Field(description="Largest output; null for no limit.")] = None
    negative_slope: Annotated[NonNegative, Field(description="Slope below the threshold.")] = 0.0
    threshold: Annotated[NonNegative, Field(description="Inputs up to here count as 0.")] = 0.0


@LAYERS.add("LeakyReLU")
class LeakyReLU(Function):
    """``x`` above 0, ``negative_slope · x`` below."""

    function = rectifiers.LeakyRelu

    negative_slope: Annotated[NonNegative, Field(description="Slope below 0.")] = 0.3


@LAYERS.add("ELU")
class ELU(Function):
    """``x`` above 0, ``alpha · (eˣ − 1)`` below (Clevert et al., 2016).

    Shapes: any → the same.
    """

    function = rectifiers.Elu

    alpha: Annotated[NonNegative, Field(description="The limit for small x is −alpha.")] = 1.0


@LAYERS.add("PReLU")
class PReLU(Layer):
    """``x`` above 0, ``alpha · x`` below, with an alpha that is learnt for each feature (He et al., 2015).

    Shapes: (batch, …) → the same; ``alpha`` has the shape of one row, with size 1 along ``shared_axes``.
    """

    supports_masking = True

    alpha_initializer: InitializerField = starts("Zeros")
    alpha_regularizer: RegularizerField = Field(default=None, description="Penalty on the slopes.")
    alpha_constraint: Constraint = None
    shared_axes: Annotated[
        IntOrInts | None, Field(description="Axes along which one slope serves all, such as [1, 2] for images.")
    ] = None

    def lower(self, g: Builder, X: Value) -> Value:
        shared = as_tuple(self.shared_axes)
        for axis in shared:
            if not 0 < axis < X.rank:
                text = f"needs shared_axes from 1 to {X.rank - 1}, got {axis} for {show(X.shape)}"
                raise ShapeError(Code.WRONG_RANK, text, key="shared_axes", hint="axes count from 0, the batch")
        shape: list[int] = []
        for axis, size in enumerate(X.shape[1:], 1):
            if axis not in shared and not isinstance(size, int):
                text = f"needs a fixed size on axis {axis}, each part of which has a slope, but {show(X.shape)} varies"
                hint = f"share one slope along it: `shared_axes: {sorted({*shared, axis})}`"
                raise ShapeError(Code.SIZE_NOT_FIXED, text, key="shared_axes", hint=hint)
            shape.append(1 if axis in shared else X.fixed(axis))
        return g.PRelu(as_float(g, X), self.weight(g, "alpha", shape))


@LAYERS.add("Softmax")
class Softmax(Layer):
    """``eˣ / Σ eˣ`` over one axis or several. A mask of the input's own shape takes no part and gets 0."""

    supports_masking = True

    axis: Annotated[Axes, Field(description="The axis, or axes, that sum to 1.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        axes = activations.feature_axes(X, self.axis, key="axis")
        X = as_float(g, X)
        mask = X.mask if X.mask is not None and X.mask.rank == X.rank else None
        if mask is not None:
            X = g.Where(mask, X, g.constant(-1e9))
        Y = softmax.Softmax().lower_over(g, X, axes)
        return Y if mask is None else g.Where(mask, Y, g.constant(0.0))
