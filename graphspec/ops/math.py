"""Elementwise mathematics of one input: powers, exponentials, rounding, signs, limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array, Type, Value
from graphspec.ir.ranges import ANY, Range
from graphspec.kernels.common import negate, output_for, scratch_like, within
from graphspec.kernels.context import Bound, Context, need, same_dtype
from graphspec.ops.base import Op, op
from graphspec.ops.unary import Unary


class OfNumbers(Unary):
    """A function of one tensor of numbers, integers too."""

    def infer(self, X: Value) -> Type:
        need(X.dtype != "bool", f"needs numbers, got {X.type}", code="GS306")
        return X.type


@op
class Exp(Unary):
    """``Y = exp(X)``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.exp, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [(np.multiply, dY, Y, dY)]


@op
class Log(Unary):
    """``Y = log(X)``."""

    keeps_in, keeps_out = (0,), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.log, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [(np.divide, dY, X, dY)]


@op
class Sqrt(Unary):
    """``Y = √X``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sqrt, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.add, Y, Y, t), (np.divide, dY, t, dY)]


@op
class Reciprocal(Unary):
    """``Y = 1 / X``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.reciprocal, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [(np.multiply, dY, Y, dY), (np.multiply, dY, Y, dY), negate(dY, dY)]


@op
class Sin(Unary):
    """``Y = sin(X)``."""

    keeps_in, keeps_out = (0,), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sin, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.cos, X, t), (np.multiply, dY, t, dY)]


@op
class Cos(Unary):
    """``Y = cos(X)``."""

    keeps_in, keeps_out = (0,), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.cos, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.sin, X, t), (np.multiply, dY, t, dY), negate(dY, dY)]


@op
class Neg(OfNumbers):
    """``Y = -X``."""

    keeps_in, keeps_out = (), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [negate(X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [negate(dY, dY)]


@op
class Abs(OfNumbers):
    """``Y = |X|``; the gradient at 0 is 0."""

    keeps_in, keeps_out = (0,), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.absolute, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.sign, X, t), (np.multiply, dY, t, dY)]


@op
class Floor(Unary):
    """``Y = ⌊X⌋``; no gradient."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.floor, X, Y)]


@op
class Ceil(Unary):
    """``Y = ⌈X⌉``; no gradient."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.ceil, X, Y)]


@op
class Round(Unary):
    """The nearest integer, halves to the even one; no gradient."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.rint, X, Y)]


@op
class Sign(OfNumbers):
    """``Y = -1, 0 or 1``; no gradient."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sign, X, Y)]


@op
class Not(Unary):
    """``Y = not X``."""

    def infer(self, X: Value) -> Type:
        need(X.dtype == "bool", f"needs a bool tensor, got {X.type}", code="GS306")
        return X.type

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.logical_not, X, Y)]


@op
class Clip(Op):
    """``Y = min(max(input, min), max)``; the gradient is 0 where a bound is reached."""

    keeps_in, keeps_out = (1, 2), True

    def infer(self, X: Value, minimum: Value | None = None, maximum: Value | None = None) -> Type:
        same_dtype(X, minimum, maximum)
        for bound in (minimum, maximum):
            need(bound is None or bound.rank == 0, "needs scalar bounds")
        return X.type

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        X, minimum, maximum = (*ranges, ANY, ANY)[:3]
        if output.type.is_float and not X.finite:
            return ANY  # NaN stays
        return Range(min(max(X.low, minimum.low), maximum.high), min(max(X.high, minimum.high), maximum.high))

    def bind(self, ctx: Context, X: Array, minimum: Array | None = None, maximum: Array | None = None) -> Bound:
        Y = output_for(ctx, (0, X))
        calls: Calls = []
        for choose, bound in ((np.maximum, minimum), (np.minimum, maximum)):
            if bound is not None:
                calls.append((partial(choose, out=Y), Y if calls else X, bound))
        if not calls:
            calls.append((np.copyto, Y, X))

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            return within(ctx, Y, minimum, maximum, dY)

        return Y, calls, backward
