"""BatchNormalization and LayerNormalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
from pydantic import AfterValidator, Field

from graphspec.compiler.dims import show
from graphspec.config import IntOrInts, Positive, Rate
from graphspec.errors import ShapeError
from graphspec.layers.base import (
    LAYERS,
    Constraint,
    InitializerField,
    Layer,
    Machinery,
    RegularizerField,
    as_float,
    cast_to,
    need_rank,
    only,
    starts,
)

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value

Renorm = Annotated[
    bool,
    AfterValidator(only(False, "batch renormalization is not available: only false is accepted")),
    Field(description="Refused: batch renormalization is not available."),
]
Epsilon = Annotated[Positive, Field(description="Added to the variance.")]
Center = Annotated[bool, Field(description="Whether beta is added.")]
Scale = Annotated[bool, Field(description="Whether gamma is a factor.")]


@LAYERS.add("BatchNormalization")
class BatchNormalization(Layer):
    """``gamma · (x − mean) / √(variance + epsilon) + beta`` by channel (Ioffe and Szegedy, 2015).

    Mean and variance are the batch's in training, over what is not masked, and the moving ones otherwise or where
    ``trainable: false``. Shapes: (batch, …) → the same.
    """

    supports_masking = True

    axis: Annotated[int, Field(description="The axis of the channels.")] = -1
    momentum: Annotated[Rate, Field(description="How much of the moving statistics stays at every step.")] = 0.99
    epsilon: Epsilon = 1e-3
    center: Center = True
    scale: Scale = True
    beta_initializer: InitializerField = starts("zeros")
    gamma_initializer: InitializerField = starts("ones")
    moving_mean_initializer: InitializerField = starts("zeros")
    moving_variance_initializer: InitializerField = starts("ones")
    beta_regularizer: RegularizerField = Field(default=None, description="Penalty on beta.")
    gamma_regularizer: RegularizerField = Field(default=None, description="Penalty on gamma.")
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None
    renorm: Renorm = False
    renorm_clipping: Machinery = None
    renorm_momentum: Machinery = 0.99
    synchronized: Machinery = False

    @property
    def mixes_rows(self) -> bool:
        return True

    def lower(self, g: Builder, X: Value) -> Value:
        axis = _axis(X, self.axis)
        mask = X.mask
        if mask is not None and mask.rank >= X.rank:
            raise ShapeError(
                "GS301", f"needs a mask of lower rank than its data {show(X.shape)}, got {show(mask.shape)}"
            )
        X = as_float(g, X)
        shape = (X.fixed(axis),)
        gamma = self.weight(g, "gamma", shape) if self.scale else g.constant(np.broadcast_to(np.float32(1), shape))
        beta = self.weight(g, "beta", shape) if self.center else g.constant(np.broadcast_to(np.float32(0), shape))
        mean = self.weight(g, "moving_mean", shape, state=True)
        variance = self.weight(g, "moving_variance", shape, state=True)
        order = (0, axis, *(k for k in range(1, X.rank) if k != axis))  # ONNX's channels are axis 1
        attributes: dict[str, Any] = {"epsilon": self.epsilon, "momentum": self.momentum}
        inputs: list[Value] = [g.transpose(X, order), gamma, beta, mean, variance]
        if mask is not None and g.trainable:
            keep = g.Unsqueeze(cast_to(g, mask, "float32"), g.constant(list(range(mask.rank, X.rank))))
            inputs.insert(1, g.transpose(keep, order))
            Y = g.emit("MaskedBatchNormalization", inputs, attributes)
        else:
            Y = g.emit("BatchNormalization", inputs, attributes | {"training_mode": int(g.trainable)})
        return g.transpose(Y, tuple(int(k) for k in np.argsort(order)))


def _axis(X: Value, axis: int) -> int:
    """An axis other than the batch, counted from the front; GS301 if there is none such."""
    need_rank(X, 2, None, "(batch, …, channels)", hint="give the input a shape such as [1]")
    if not -X.rank <= axis < X.rank or axis % X.rank == 0:
        text = f"needs an axis from 1 to {X.rank - 1} of {show(X.shape)}, got {axis}"
        raise ShapeError("GS301", text, key="axis")
    return axis % X.rank


@LAYERS.add("LayerNormalization")
class LayerNormalization(Layer):
    """``gamma · (x − mean) / √(variance + epsilon) + beta`` over ``axis``, row by row (Ba et al., 2016).

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    axis: Annotated[IntOrInts, Field(description="The axis or axes over which mean and variance are taken.")] = -1
    epsilon: Epsilon = 1e-3
    center: Center = True
    scale: Scale = True
    beta_initializer: InitializerField = starts("zeros")
    gamma_initializer: InitializerField = starts("ones")
    beta_regularizer: RegularizerField = Field(default=None, description="Penalty on beta.")
    gamma_regularizer: RegularizerField = Field(default=None, description="Penalty on gamma.")
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        given = (self.axis,) if isinstance(self.axis, int) else self.axis
        axes = sorted({_axis(X, axis) for axis in given})
        X = as_float(g, X)
        shape = tuple(X.fixed(axis) for axis in axes)
        gamma = self.weight(g, "gamma", shape) if self.scale else g.constant(np.broadcast_to(np.float32(1), shape))
        beta = self.weight(g, "beta", shape) if self.center else None
        order = (*(k for k in range(X.rank) if k not in axes), *axes)  # ONNX normalises the last axes
        Y = g.LayerNormalization(g.transpose(X, order), gamma, beta, axis=-len(axes), epsilon=self.epsilon)
        return g.transpose(cast("Value", Y), tuple(int(k) for k in np.argsort(order)))
