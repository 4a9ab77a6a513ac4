"""Operations of two inputs, which broadcast by NumPy's rule: arithmetic, extremes, remainders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import operation
from graphspec.vocabulary.operations.dtypes import numbers, promoted

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@operation
def add(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 + x2``; of two bools, whether one is true."""
    a, b = promoted(g, x1, x2)
    return g.Or(a, b) if a.dtype == "bool" else g.Add(a, b)


@operation
def subtract(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 - x2``."""
    return g.Sub(*numbers(g, x1, x2))


@operation
def multiply(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 · x2``; of two bools, whether both are true."""
    a, b = promoted(g, x1, x2)
    return g.And(a, b) if a.dtype == "bool" else g.Mul(a, b)


@operation
def maximum(g: Builder, x1: Value, x2: Value) -> Value:
    """The larger of each pair."""
    a, b = promoted(g, x1, x2)
    return g.Or(a, b) if a.dtype == "bool" else g.Max(a, b)


@operation
def minimum(g: Builder, x1: Value, x2: Value) -> Value:
    """The smaller of each pair."""
    a, b = promoted(g, x1, x2)
    return g.And(a, b) if a.dtype == "bool" else g.Min(a, b)


def quotient(g: Builder, x1: Value, x2: Value) -> Value:
    """Emit ``x1 / x2``, float32."""
    return g.Div(as_float(g, x1), as_float(g, x2))


@operation
def divide(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 / x2``, float32."""
    return quotient(g, x1, x2)


@operation
def true_divide(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 / x2``, float32, as ``ops.divide``."""
    return quotient(g, x1, x2)


@operation
def divide_no_nan(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 / x2``, float32; 0 where ``x2`` is 0."""
    a, b = as_float(g, x1), as_float(g, x2)
    zero, one = g.constant(0.0), g.constant(1.0)
    empty = g.Equal(b, zero)
    return g.Where(empty, zero, g.Div(a, g.Where(empty, one, b)))


@operation
def floor_divide(g: Builder, x1: Value, x2: Value) -> Value:
    """``⌊x1 / x2⌋``, the largest integer that is no larger than the quotient. Integers give int64."""
    a, b = numbers(g, x1, x2)
    if a.type.is_float:
        return g.Floor(g.Div(a, b))
    return g.Div(g.Sub(a, g.Mod(a, b)), b)


@operation
def mod(g: Builder, x1: Value, x2: Value) -> Value:
    """The remainder ``x1 - ⌊x1 / x2⌋ · x2``, which has the sign of ``x2``."""
    a, b = numbers(g, x1, x2)
    return g.Sub(a, g.Mul(g.Floor(g.Div(a, b)), b)) if a.type.is_float else g.Mod(a, b)


@operation
def power(g: Builder, x1: Value, x2: Value) -> Value:
    """``x1 ** x2``. A negative base with an exponent that is no integer gives NaN."""
    return g.Pow(*numbers(g, x1, x2))
