"""Elementwise functions of one input: powers, exponentials, rounding, signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import negate, scratch_like
from graphspec.kernels.context import Context, need
from graphspec.ops.base import op
from graphspec.ops.unary import Unary


class OfNumbers(Unary):
    """A function of one tensor of numbers, integers too."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need(X.dtype != "bool", f"needs numbers, got {X.type}", code="GS306")
        return X.type


@op
class Exp(Unary):
    """``Y = exp(X)``."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.exp, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [(np.multiply, dY, Y, dY)]


@op
class Log(Unary):
    """``Y = log(X)``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.log, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [(np.divide, dY, X, dY)]


@op
class Sqrt(Unary):
    """``Y = √X``."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sqrt, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.add, Y, Y, t), (np.divide, dY, t, dY)]


@op
class Reciprocal(Unary):
    """``Y = 1 / X``."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.reciprocal, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [(np.multiply, dY, Y, dY), (np.multiply, dY, Y, dY), negate(dY, dY)]


@op
class Sin(Unary):
    """``Y = sin(X)``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sin, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.cos, X, t), (np.multiply, dY, t, dY)]


@op
class Cos(Unary):
    """``Y = cos(X)``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.cos, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.sin, X, t), (np.multiply, dY, t, dY), negate(dY, dY)]


@op
class Neg(OfNumbers):
    """``Y = -X``."""

    keeps_in, keeps_out = (), False

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [negate(X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return [negate(dY, dY)]


@op
class Abs(OfNumbers):
    """``Y = |X|``; the gradient at 0 is 0."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.absolute, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.sign, X, t), (np.multiply, dY, t, dY)]


@op
class Floor(Unary):
    """``Y = ⌊X⌋``; no gradient."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.floor, X, Y)]


@op
class Ceil(Unary):
    """``Y = ⌈X⌉``; no gradient."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.ceil, X, Y)]


@op
class Round(Unary):
    """The nearest integer, halves to the even one; no gradient."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.rint, X, Y)]


@op
class Sign(OfNumbers):
    """``Y = -1, 0 or 1``; no gradient."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.sign, X, Y)]


@op
class Not(Unary):
    """``Y = not X``."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need(X.dtype == "bool", f"needs a bool tensor, got {X.type}", code="GS306")
        return X.type

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.logical_not, X, Y)]
