"""Softmax and other functions along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Axes
from graphspec.base.errors import ShapeError
from graphspec.vocabulary.activations.base import ACTIVATIONS, Activation, feature_axes, feature_axis

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def fixed_axis(X: Value, axis: int) -> tuple[int, int]:
    """Return the axis counted from the front, and its size.

    Raises:
        ShapeError: ``GS305`` if the size is symbolic.
    """
    at = feature_axis(X, axis)
    try:
        return at, X.fixed(at)
    except ShapeError as error:
        hint = f"replace '{X.shape[at]}' by a number in `inputs`, or choose another `axis`"
        raise error.changed(key="activation", hint=hint) from None


class OverAxes(Activation):
    """A function over one axis or several; the batch is not one of them. The output has the shape of x."""

    axis: Annotated[Axes, Field(description="The axis, or axes, of the sum.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        return self.lower_over(g, X, feature_axes(X, self.axis))

    def lower_over(self, g: Builder, X: Value, axes: Sequence[int]) -> Value:
        """Lower the function over ``axes``, counted from the front; a single axis has an operator of its own."""
        if len(axes) == 1:
            Y: Value = g.emit(self.op, (X,), {"axis": axes[0]})
            return Y
        Z = g.Sub(X, g.ReduceMax(X, axes=tuple(axes), keepdims=1))
        e = g.Exp(Z)
        return self.normalize(g, Z, e, g.ReduceSum(e, g.constant(list(axes)), keepdims=1))

    def normalize(self, g: Builder, Z: Value, e: Value, total: Value) -> Value:
        """Return the result, given ``Z = x − max x``, its exponentials ``e``, and their sum ``total``."""
        raise NotImplementedError


@ACTIVATIONS.add("softmax")
class Softmax(OverAxes):
    """``eˣ / Σ eˣ`` over ``axis``; the output has the shape of x."""

    op = "Softmax"

    def normalize(self, g: Builder, Z: Value, e: Value, total: Value) -> Value:
        return g.Div(e, total)


@ACTIVATIONS.add("log_softmax")
class LogSoftmax(OverAxes):
    """``x − log Σ eˣ`` over ``axis``; the output has the shape of x."""

    op = "LogSoftmax"

    def normalize(self, g: Builder, Z: Value, e: Value, total: Value) -> Value:
        return g.Sub(Z, g.Log(total))


@ACTIVATIONS.add("sparsemax")
class Sparsemax(Activation):
    """``max(x − τ, 0)``, where τ makes the sum along ``axis`` 1; the output has the shape of x.

    Martins and Astudillo, ICML 2016. Keras 3.15 derives τ from a sum of partial sums, so its results do not sum to 1; this
    is the function of the paper.
    """

    axis: Annotated[int, Field(description="The axis along which the outputs sum to 1.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        axis, n = fixed_axis(X, self.axis)
        along, count = g.constant([axis]), np.ones(X.rank, int)
        count[axis] = n
        Z = g.Sub(X, g.ReduceMax(X, axes=(axis,), keepdims=1))
        ranked, _ = g.TopK(Z, g.constant([n]), axis=axis)
        rank = g.constant(np.arange(1.0, n + 1).reshape(count))
        partial_sums = g.CumSum(ranked, g.constant(axis))
        support = g.Greater(g.Add(g.Mul(ranked, rank), g.constant(1.0)), partial_sums)
        size = g.ReduceSum(g.Cast(support, to="float32"), along, keepdims=1)
        total = g.ReduceSum(g.Where(support, ranked, g.constant(0.0)), along, keepdims=1)
        threshold = g.Div(g.Sub(total, g.constant(1.0)), size)
        return g.Clip(g.Sub(Z, threshold), g.constant(0.0), g.constant(1.0))


@ACTIVATIONS.add("glu")
class Glu(Activation):
    """``a · sigmoid(b)`` for the two halves a and b of x along ``axis``; the output has half the size there.

    Dauphin et al., ICML 2017.
    """

    axis: Annotated[int, Field(description="The axis that is divided in halves; its size must be even.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        axis, n = fixed_axis(X, self.axis)
        if n % 2:
            text = f"divides axis {self.axis} into halves with glu, but its size is {n}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, key="activation", hint=f"make the size even, such as {n + 1}")
        value, gate = g.Split(X, g.constant([n // 2, n // 2]), axis=axis)
        return g.Mul(value, g.Sigmoid(gate))
