"""Trigonometric and hyperbolic functions and their inverses, infinity, sums of logarithms, triangles of matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.layers import sound
from graphspec.layers.base import as_float
from graphspec.operations.base import operation
from graphspec.operations.dtypes import number

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Diagonal = Annotated[int, Field(description="The diagonal: 0 is the main one, 1 the one above.")]


@operation
def tan(g: Builder, x: Value) -> Value:
    """The tangent."""
    return g.Tan(as_float(g, x))


@operation
def arcsin(g: Builder, x: Value) -> Value:
    """The inverse of the sine; NaN outside -1 … 1."""
    return g.Asin(as_float(g, x))


@operation
def arccos(g: Builder, x: Value) -> Value:
    """The inverse of the cosine; NaN outside -1 … 1."""
    return g.Acos(as_float(g, x))


@operation
def arctan(g: Builder, x: Value) -> Value:
    """The inverse of the tangent."""
    return g.Atan(as_float(g, x))


@operation
def arctan2(g: Builder, x1: Value, x2: Value) -> Value:
    """The angle of the point (x2, x1), from -π to π; -0 counts as 0."""
    return sound.arctan2(g, as_float(g, x1), as_float(g, x2))


@operation
def sinh(g: Builder, x: Value) -> Value:
    """The hyperbolic sine."""
    return g.Sinh(as_float(g, x))


@operation
def cosh(g: Builder, x: Value) -> Value:
    """The hyperbolic cosine."""
    return g.Cosh(as_float(g, x))


@operation
def arcsinh(g: Builder, x: Value) -> Value:
    """The inverse of the hyperbolic sine."""
    return g.Asinh(as_float(g, x))


@operation
def arccosh(g: Builder, x: Value) -> Value:
    """The inverse of the hyperbolic cosine; NaN below 1."""
    return g.Acosh(as_float(g, x))


@operation
def arctanh(g: Builder, x: Value) -> Value:
    """The inverse of the hyperbolic tangent; NaN outside -1 … 1."""
    return g.Atanh(as_float(g, x))


@operation
def isinf(g: Builder, x: Value) -> Value:
    """Whether each element is infinite, bool."""
    return g.IsInf(as_float(g, x))


@operation
def isposinf(g: Builder, x: Value) -> Value:
    """Whether each element is +∞, bool."""
    return g.IsInf(as_float(g, x), detect_negative=0)


@operation
def isneginf(g: Builder, x: Value) -> Value:
    """Whether each element is -∞, bool."""
    return g.IsInf(as_float(g, x), detect_positive=0)


def _log_sum(g: Builder, a: Value, b: Value, base: float) -> Value:
    """Emit ``log(baseᵃ + baseᵇ)`` to the same base, by ``max + log(1 + base^-|a - b|)``."""
    scale = math.log(base)
    apart = g.Neg(g.Abs(g.Sub(a, b)))
    if scale == 1:
        return g.Add(g.Max(a, b), g.Softplus(apart))
    more = g.Softplus(g.Mul(apart, g.constant(scale)))
    return g.Add(g.Max(a, b), g.Mul(more, g.constant(1 / scale)))


@operation
def logaddexp(g: Builder, x1: Value, x2: Value) -> Value:
    """``log(exp(x1) + exp(x2))``, which does not overflow."""
    return _log_sum(g, as_float(g, x1), as_float(g, x2), math.e)


@operation
def logaddexp2(g: Builder, x1: Value, x2: Value) -> Value:
    """``log₂(2^x1 + 2^x2)``, which does not overflow."""
    return _log_sum(g, as_float(g, x1), as_float(g, x2), 2.0)


def _triangle(g: Builder, x: Value, k: int, upper: int) -> Value:
    x = x if x.dtype == "bool" else number(g, x)
    return g.Trilu(x, g.constant(k), upper=upper)


@operation
def tril(g: Builder, x: Value, *, k: Diagonal = 0) -> Value:
    """The lower triangle of the matrices on the last two axes, up to diagonal ``k``; 0 elsewhere."""
    return _triangle(g, x, k, 0)


@operation
def triu(g: Builder, x: Value, *, k: Diagonal = 0) -> Value:
    """The upper triangle of the matrices on the last two axes, from diagonal ``k`` on; 0 elsewhere."""
    return _triangle(g, x, k, 1)
