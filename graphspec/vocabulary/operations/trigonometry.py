"""The angle of a point, infinity by its sign, sums of powers of two, triangles of matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.vocabulary.layers import sound
from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import operation
from graphspec.vocabulary.operations.dtypes import number

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Diagonal = Annotated[int, Field(description="The diagonal: 0 is the main one, 1 the one above.")]


@operation
def arctan2(g: Builder, x1: Value, x2: Value) -> Value:
    """The angle of the point (x2, x1), from -π to π; -0 counts as 0."""
    return sound.arctan2(g, as_float(g, x1), as_float(g, x2))


@operation
def isposinf(g: Builder, x: Value) -> Value:
    """Whether each element is +∞, bool."""
    return g.IsInf(as_float(g, x), detect_negative=0)


@operation
def isneginf(g: Builder, x: Value) -> Value:
    """Whether each element is -∞, bool."""
    return g.IsInf(as_float(g, x), detect_positive=0)


@operation
def logaddexp2(g: Builder, x1: Value, x2: Value) -> Value:
    """``log₂(2^x1 + 2^x2)``, which does not overflow."""
    a, b, scale = as_float(g, x1), as_float(g, x2), math.log(2)
    more = g.Softplus(g.Mul(g.Neg(g.Abs(g.Sub(a, b))), g.constant(scale)))  # log(1 + 2^-|a - b|)
    return g.Add(g.Max(a, b), g.Mul(more, g.constant(1 / scale)))


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
