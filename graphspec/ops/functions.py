"""Elementwise functions of one input: powers, exponentials, rounding, signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, need, need_float, op
from graphspec.ops.common import scratch_like, target


class Function(Op):
    """A function of one float tensor."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need_float(X)
        return X.type


class NumberFunction(Op):
    """A function of one tensor of numbers."""

    @staticmethod
    def infer(X: Value) -> Type:
        need(X.dtype != "bool", f"needs numbers, got {X.type}", code="GS306")
        return X.type


@op
class Exp(Function):
    """``Y = exp(X)``."""

    keeps_in, keeps_out = (), True

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return [(np.multiply, dY, Y, dY)]

        return Y, [(np.exp, X, Y)], backward


@op
class Log(Function):
    """``Y = log(X)``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return [(np.divide, dY, X, dY)]

        return Y, [(np.log, X, Y)], backward


@op
class Sqrt(Function):
    """``Y = √X``."""

    keeps_in, keeps_out = (), True

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.add, Y, Y, t), (np.divide, dY, t, dY)]

        return Y, [(np.sqrt, X, Y)], backward


@op
class Reciprocal(Function):
    """``Y = 1 / X``."""

    keeps_in, keeps_out = (), True

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return [(np.multiply, dY, Y, dY), (np.multiply, dY, Y, dY), (np.negative, dY, dY)]

        return Y, [(np.reciprocal, X, Y)], backward


@op
class Sin(Function):
    """``Y = sin(X)``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.cos, X, t), (np.multiply, dY, t, dY)]

        return Y, [(np.sin, X, Y)], backward


@op
class Cos(Function):
    """``Y = cos(X)``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.sin, X, t), (np.multiply, dY, t, dY), (np.negative, dY, dY)]

        return Y, [(np.cos, X, Y)], backward


@op
class Neg(NumberFunction):
    """``Y = -X``."""

    keeps_in, keeps_out = (), False

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return [(np.negative, dY, dY)]

        return Y, [(np.negative, X, Y)], backward


@op
class Abs(NumberFunction):
    """``Y = |X|``; the gradient at 0 is 0."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.sign, X, t), (np.multiply, dY, t, dY)]

        return Y, [(np.absolute, X, Y)], backward


class Step(Function):
    """A piecewise constant function: no gradient."""

    keeps_in, keeps_out = (), False


@op
class Floor(Step):
    """``Y = ⌊X⌋``."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        return Y, [(np.floor, X, Y)], None


@op
class Ceil(Step):
    """``Y = ⌈X⌉``."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        return Y, [(np.ceil, X, Y)], None


@op
class Round(Step):
    """The nearest integer, halves to the even one."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        return Y, [(np.rint, X, Y)], None


@op
class Sign(NumberFunction):
    """``Y = -1, 0 or 1``; no gradient."""

    keeps_in, keeps_out = (), False

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        return Y, [(np.sign, X, Y)], None


@op
class Not(Op):
    """``Y = not X``."""

    keeps_in, keeps_out = (), False

    @staticmethod
    def infer(X: Value) -> Type:
        need(X.dtype == "bool", f"needs a bool tensor, got {X.type}", code="GS306")
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        return Y, [(np.logical_not, X, Y)], None
