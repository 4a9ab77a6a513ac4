"""Operations that compare, and that choose by the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import operation
from graphspec.vocabulary.operations.dtypes import numbers, promoted, truth

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@operation
def equal(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether the elements of each pair are equal, bool."""
    return g.Equal(*promoted(g, x1, x2))


@operation
def not_equal(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether the elements of each pair differ, bool."""
    return g.Not(g.Equal(*promoted(g, x1, x2)))


@operation
def greater(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether ``x1 > x2``, bool."""
    return g.Greater(*numbers(g, x1, x2))


@operation
def greater_equal(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether ``x1 ≥ x2``, bool."""
    return g.GreaterOrEqual(*numbers(g, x1, x2))


@operation
def less(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether ``x1 < x2``, bool."""
    return g.Less(*numbers(g, x1, x2))


@operation
def less_equal(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether ``x1 ≤ x2``, bool."""
    return g.LessOrEqual(*numbers(g, x1, x2))


@operation
def logical_and(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether both are not 0, bool."""
    return g.And(truth(g, x1), truth(g, x2))


@operation
def logical_or(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether one of both is not 0, bool."""
    return g.Or(truth(g, x1), truth(g, x2))


@operation
def logical_xor(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether exactly one of both is not 0, bool."""
    return g.Xor(truth(g, x1), truth(g, x2))


@operation
def where(g: Builder, condition: Value, x1: Value, x2: Value) -> Value:
    """``x1`` where the condition is not 0, else ``x2``."""
    return g.Where(truth(g, condition), *promoted(g, x1, x2))


@operation
def isclose(
    g: Builder,
    x1: Value,
    x2: Value,
    *,
    rtol: Annotated[float, Field(description="The largest difference, relative to ``x2``.")] = 1e-5,
    atol: Annotated[float, Field(description="The largest absolute difference.")] = 1e-8,
) -> Value:
    """Whether ``|x1 - x2| ≤ atol + rtol · |x2|``, bool; equal infinities are close."""
    a, b = as_float(g, x1), as_float(g, x2)
    limit = g.Add(g.Mul(g.Abs(b), g.constant(rtol, "float32")), g.constant(atol, "float32"))
    finite = g.LessOrEqual(g.Abs(b), g.constant(3.4028234663852886e38, "float32"))
    near = g.And(finite, g.LessOrEqual(g.Abs(g.Sub(a, b)), limit))
    return g.Or(near, g.Equal(a, b))
