"""Elementwise functions of one input: exponentials, trigonometry, rounding, signs, bounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.ir.ranges import ANY, Range
from graphspec.graph.kernels.blocks import in_blocks
from graphspec.graph.kernels.common import clip, negate, output_for, scratch_like, within
from graphspec.graph.kernels.context import Bound, Context, need, same_dtype
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.unary import Unary


class NumericUnary(Unary):
    """An elementwise function of a float or integer tensor."""

    def infer(self, X: Value) -> Type:
        need(X.dtype != "bool", f"needs a numeric tensor, got {X.type}", code=Code.WRONG_DTYPE)
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
class Neg(NumericUnary):
    """``Y = -X``."""

    keeps_in, keeps_out = (), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [negate(X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [negate(dY, dY)]


@op
class Abs(NumericUnary):
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

    piecewise_constant = True

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.floor, X, Y)]


@op
class Ceil(Unary):
    """``Y = ⌈X⌉``; no gradient."""

    piecewise_constant = True

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.ceil, X, Y)]


@op
class Round(Unary):
    """``Y`` is the integer nearest to X; halves go to the even one. No gradient."""

    piecewise_constant = True

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.rint, X, Y)]


@op
class Sign(NumericUnary):
    """``Y`` is -1, 0 or 1: the sign of X; no gradient."""

    piecewise_constant = True

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sign, X, Y)]


@op
class Not(Unary):
    """``Y = not X`` for bool X; no gradient."""

    def infer(self, X: Value) -> Type:
        need(X.dtype == "bool", f"needs a bool tensor, got {X.type}", code=Code.WRONG_DTYPE)
        return X.type

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.logical_not, X, Y)]


@op
class Clip(Op):
    """``Y = min(max(X, min), max)``, with scalar bounds that may be absent; the gradient is 0 where Y is at a bound."""

    elementwise = True
    blockwise = True
    keeps_in, keeps_out = (1, 2), True

    def infer(self, X: Value, minimum: Value | None = None, maximum: Value | None = None) -> Type:
        need(X.dtype != "bool", f"needs a numeric tensor, got {X.type}", code=Code.WRONG_DTYPE)
        same_dtype(X, minimum, maximum)
        for bound in (minimum, maximum):
            need(bound is None or bound.rank == 0, "needs scalar bounds")
        return X.type

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        X, minimum, maximum = (*ranges, ANY, ANY)[:3]
        if output.type.is_float and not X.finite:
            return ANY  # NaN passes through
        return Range(min(max(X.low, minimum.low), maximum.high), min(max(X.high, minimum.high), maximum.high))

    def bind(self, ctx: Context, X: Array, minimum: Array | None = None, maximum: Array | None = None) -> Bound:
        Y = output_for(ctx, (0, X))
        smallest, largest = (-inf, inf) if X.dtype.kind == "f" else (np.iinfo(X.dtype).min, np.iinfo(X.dtype).max)
        low = ctx.constant(smallest, X.dtype) if minimum is None else minimum
        high = ctx.constant(largest, X.dtype) if maximum is None else maximum
        calls = in_blocks(ctx, lambda x, y: [clip(x, low, high, y)], X, Y)

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            return in_blocks(ctx, lambda y, dy: within(ctx, y, minimum, maximum, dy), Y, dY)

        return Y, calls, backward


class OfInput(Unary):
    """A function whose derivative is computed from X."""

    keeps_in, keeps_out = (0,), False


def one_minus_square(ctx: Context, X: Array, out: Array) -> Calls:
    """Return the calls for ``out = (1 - X) · (1 + X)``, which is exact near ±1, unlike ``1 - X²``."""
    one, t = ctx.constant(1.0), scratch_like(ctx, out)
    return [(np.subtract, one, X, out), (np.add, one, X, t), (np.multiply, out, t, out)]


@op
class Tan(Unary):
    """``Y = tan(X)``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.tan, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = dY · (1 + Y²)
        t = scratch_like(ctx, dY)
        return [(np.square, Y, t), (np.add, t, ctx.constant(1.0), t), (np.multiply, dY, t, dY)]


@op
class Asin(OfInput):
    """``Y = arcsin(X)``; NaN outside -1 … 1."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.arcsin, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = dY / √(1 - X²)
        t = scratch_like(ctx, dY)
        return [*one_minus_square(ctx, X, t), (np.sqrt, t, t), (np.divide, dY, t, dY)]


@op
class Acos(OfInput):
    """``Y = arccos(X)``; NaN outside -1 … 1."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.arccos, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = -dY / √(1 - X²)
        t = scratch_like(ctx, dY)
        return [*one_minus_square(ctx, X, t), (np.sqrt, t, t), (np.divide, dY, t, dY), negate(dY, dY)]


@op
class Atan(OfInput):
    """``Y = arctan(X)``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.arctan, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = dY / (1 + X²)
        t = scratch_like(ctx, dY)
        return [(np.square, X, t), (np.add, t, ctx.constant(1.0), t), (np.divide, dY, t, dY)]


@op
class Sinh(OfInput):
    """``Y = (exp(X) - exp(-X)) / 2``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sinh, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.cosh, X, t), (np.multiply, dY, t, dY)]


@op
class Cosh(OfInput):
    """``Y = (exp(X) + exp(-X)) / 2``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.cosh, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.sinh, X, t), (np.multiply, dY, t, dY)]


@op
class Asinh(OfInput):
    """``Y = arsinh(X) = log(X + √(X² + 1))``."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.arcsinh, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = dY / √(X² + 1)
        t = scratch_like(ctx, dY)
        return [(np.hypot, X, ctx.constant(1.0), t), (np.divide, dY, t, dY)]


@op
class Acosh(OfInput):
    """``Y = arcosh(X) = log(X + √(X² - 1))``; NaN below 1."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.arccosh, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = dY / (√(X - 1) · √(X + 1))
        one, t, u = ctx.constant(1.0), scratch_like(ctx, dY), scratch_like(ctx, dY)
        return [
            (np.subtract, X, one, t),
            (np.add, X, one, u),
            (np.sqrt, t, t),
            (np.sqrt, u, u),
            (np.multiply, t, u, t),
            (np.divide, dY, t, dY),
        ]


@op
class Atanh(OfInput):
    """``Y = artanh(X) = log((1 + X) / (1 - X)) / 2``; NaN outside -1 … 1."""

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.arctanh, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # dX = dY / (1 - X²)
        t = scratch_like(ctx, dY)
        return [*one_minus_square(ctx, X, t), (np.divide, dY, t, dY)]
