"""Softmax and other functions along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
from pydantic import Field

from graphspec.activations.base import ACTIVATIONS, Activation, feature_axis
from graphspec.errors import ShapeError

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


def fixed_axis(X: Value, axis: int) -> tuple[int, int]:
    """The axis counted from the front, and its size; GS305 where that varies."""
    at = feature_axis(X, axis)
    try:
        return at, X.fixed(at)
    except ShapeError as error:
        error.key = "activation"
        error.hint = f"give '{X.shape[at]}' a number in `inputs`, or choose another `axis`"
        raise


class AlongAxis(Activation):
    """A function along one axis, which is not the batch."""

    axis: Annotated[int, Field(description="The axis that is normalised.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        feature_axis(X, self.axis)
        return super().lower(g, X)


@ACTIVATIONS.add("softmax")
class Softmax(AlongAxis):
    """``eˣ / Σ eˣ`` along ``axis``."""

    op = "Softmax"


@ACTIVATIONS.add("log_softmax")
class LogSoftmax(AlongAxis):
    """``x − log Σ eˣ`` along ``axis``."""

    op = "LogSoftmax"


@ACTIVATIONS.add("sparsemax")
class Sparsemax(AlongAxis):
    """``max(x − τ, 0)`` with the τ that makes the sum along ``axis`` 1 (Martins and Astudillo, 2016).

    Keras 3.15 takes τ from a sum of partial sums, so that its results do not sum to 1; this is the function of the paper.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        axis, n = fixed_axis(X, self.axis)
        along, count = g.constant([axis]), np.ones(X.rank, int)
        count[axis] = n
        Z = g.Sub(X, g.ReduceMax(X, axes=(axis,), keepdims=1))
        ranked, _ = g.TopK(Z, g.constant([n]), axis=axis)
        rank = g.constant(np.arange(1.0, n + 1).reshape(count))
        least = g.CumSum(ranked, g.constant(axis))
        support = g.Greater(g.Add(g.Mul(ranked, rank), g.constant(1.0)), least)
        size = g.ReduceSum(g.Cast(support, to="float32"), along, keepdims=1)
        total = g.ReduceSum(g.Where(support, ranked, g.constant(0.0)), along, keepdims=1)
        threshold = g.Div(g.Sub(total, g.constant(1.0)), size)
        return cast("Value", g.Clip(g.Sub(Z, threshold), g.constant(0.0), g.constant(1.0)))


@ACTIVATIONS.add("glu")
class Glu(Activation):
    """``a · sigmoid(b)`` for the two halves of x along ``axis``, which the output has half of (Dauphin et al., 2017)."""

    axis: Annotated[int, Field(description="The axis that is halved.")] = -1

    def lower(self, g: Builder, X: Value) -> Value:
        axis, n = fixed_axis(X, self.axis)
        if n % 2:
            text = f"divides axis {self.axis} in halves with glu, but its size is {n}"
            raise ShapeError("GS304", text, key="activation", hint=f"give it an even size, such as {n + 1}")
        value, gate = g.Split(X, g.constant([n // 2, n // 2]), axis=axis)
        return cast("Value", g.Mul(value, g.Sigmoid(gate)))
