"""Operations of one input, element by element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.operations.base import operation
from graphspec.vocabulary.operations.dtypes import is_integer, number, truth

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def scaled(g: Builder, X: Value, factor: float) -> Value:
    """Emit ``factor · X``."""
    return g.Mul(as_float(g, X), g.constant(factor, "float32"))


@operation
def abs_(g: Builder, x: Value) -> Value:
    """``|x|``."""
    return x if x.dtype == "bool" else g.Abs(number(g, x))


@operation
def absolute(g: Builder, x: Value) -> Value:
    """``|x|``, as ``ops.abs``."""
    return x if x.dtype == "bool" else g.Abs(number(g, x))


@operation
def negative(g: Builder, x: Value) -> Value:
    """``-x``."""
    return g.Neg(number(g, x))


@operation
def sign(g: Builder, x: Value) -> Value:
    """-1, 0 or 1: the sign of each element."""
    return g.Sign(number(g, x))


@operation
def square(g: Builder, x: Value) -> Value:
    """``x²``."""
    x = number(g, x)
    return g.Mul(x, x)


@operation
def sqrt(g: Builder, x: Value) -> Value:
    """``√x``, float32."""
    return g.Sqrt(as_float(g, x))


@operation
def rsqrt(g: Builder, x: Value) -> Value:
    """``1 / √x``, float32."""
    return g.Reciprocal(g.Sqrt(as_float(g, x)))


@operation
def reciprocal(g: Builder, x: Value) -> Value:
    """``1 / x``, float32."""
    return g.Reciprocal(as_float(g, x))


@operation
def exp(g: Builder, x: Value) -> Value:
    """``exp(x)``, float32."""
    return g.Exp(as_float(g, x))


@operation
def exp2(g: Builder, x: Value) -> Value:
    """``2 ** x``, float32."""
    return g.Exp(scaled(g, x, math.log(2)))


@operation
def expm1(g: Builder, x: Value) -> Value:
    """``exp(x) - 1``, float32; near 0 as ``2 t / (1 - t)`` with ``t = tanh(x / 2)``, which is precise there."""
    x, one = as_float(g, x), g.constant(1.0)
    t = g.Tanh(scaled(g, g.Clip(x, g.constant(-1.0), one), 0.5))  # within bounds: no infinite gradient far from 0
    return g.Where(g.Less(g.Abs(x), one), g.Div(g.Add(t, t), g.Sub(one, t)), g.Sub(g.Exp(x), one))


@operation
def log(g: Builder, x: Value) -> Value:
    """The natural logarithm, float32."""
    return g.Log(as_float(g, x))


@operation
def log2(g: Builder, x: Value) -> Value:
    """The logarithm to base 2, float32."""
    return scaled(g, g.Log(as_float(g, x)), 1 / math.log(2))


@operation
def log10(g: Builder, x: Value) -> Value:
    """The logarithm to base 10, float32."""
    return scaled(g, g.Log(as_float(g, x)), 1 / math.log(10))


@operation
def log1p(g: Builder, x: Value) -> Value:
    """``log(1 + x)``, float32."""
    return g.Log(g.Add(as_float(g, x), g.constant(1.0)))


@operation
def sin(g: Builder, x: Value) -> Value:
    """The sine, float32."""
    return g.Sin(as_float(g, x))


@operation
def cos(g: Builder, x: Value) -> Value:
    """The cosine, float32."""
    return g.Cos(as_float(g, x))


@operation
def tanh(g: Builder, x: Value) -> Value:
    """The hyperbolic tangent, float32."""
    return g.Tanh(as_float(g, x))


@operation
def deg2rad(g: Builder, x: Value) -> Value:
    """Degrees as radians: ``x · π / 180``, float32."""
    return scaled(g, x, math.pi / 180)


@operation
def rad2deg(g: Builder, x: Value) -> Value:
    """Radians as degrees: ``x · 180 / π``, float32."""
    return scaled(g, x, 180 / math.pi)


@operation
def ceil(g: Builder, x: Value) -> Value:
    """The smallest integer that is no smaller, float32."""
    return g.Ceil(as_float(g, x))


@operation
def floor(g: Builder, x: Value) -> Value:
    """The largest integer that is no larger, float32."""
    return g.Floor(as_float(g, x))


@operation
def trunc(g: Builder, x: Value) -> Value:
    """The integer part, towards 0."""
    x = number(g, x)
    return x if is_integer(x) else g.Mul(g.Sign(x), g.Floor(g.Abs(x)))


@operation
def round_(
    g: Builder, x: Value, *, decimals: Annotated[int, Field(ge=0, le=6, description="The number of decimals.")] = 0
) -> Value:
    """The nearest number with so many decimals; halves go to the even one."""
    x = number(g, x)
    if is_integer(x):
        return x
    if decimals == 0:
        return g.Round(x)
    factor = g.constant(10.0**decimals, "float32")
    return g.Div(g.Round(g.Mul(x, factor)), factor)


@operation
def isnan(g: Builder, x: Value) -> Value:
    """Whether each element is no number, bool."""
    return g.IsNaN(as_float(g, x))


@operation
def isfinite(g: Builder, x: Value) -> Value:
    """Whether each element is a finite number, bool."""
    return g.LessOrEqual(g.Abs(as_float(g, x)), g.constant(_LARGEST, "float32"))


_LARGEST = 3.4028234663852886e38


@operation
def logical_not(g: Builder, x: Value) -> Value:
    """Whether each element is 0 or false, bool."""
    return g.Not(x) if x.dtype == "bool" else g.Equal(x, g.constant(0, x.dtype))


@operation
def real(g: Builder, x: Value) -> Value:
    """The real part: x itself, since all numbers are real."""
    return g.Identity(x)


@operation
def copy(g: Builder, x: Value) -> Value:
    """``x``."""
    return g.Identity(x)


@operation
def clip(
    g: Builder,
    x: Value,
    *,
    x_min: Annotated[float, Field(description="The smallest output.")],
    x_max: Annotated[float, Field(description="The largest output.")],
) -> Value:
    """``min(max(x, x_min), x_max)``; integers stay integers if both bounds are."""
    x = number(g, x)
    integers = is_integer(x) and float(x_min).is_integer() and float(x_max).is_integer()
    x = x if integers else as_float(g, x)
    low, high = (g.constant(int(bound) if integers else bound, x.dtype) for bound in (x_min, x_max))
    return g.Clip(x, low, high)


@operation
def nan_to_num(
    g: Builder,
    x: Value,
    *,
    nan: Annotated[float, Field(description="What stands for NaN.")] = 0.0,
    posinf: Annotated[float | None, Field(description="What stands for infinity; null: the largest number.")] = None,
    neginf: Annotated[float | None, Field(description="What stands for -infinity; null: the smallest number.")] = None,
) -> Value:
    """X with numbers in place of NaN and infinities."""
    if not x.type.is_float:
        return x
    largest = g.constant(_LARGEST, "float32")
    smallest = g.constant(-_LARGEST, "float32")
    high = largest if posinf is None else g.constant(posinf, "float32")
    low = smallest if neginf is None else g.constant(neginf, "float32")
    x = g.Where(g.IsNaN(x), g.constant(nan, "float32"), x)
    return g.Where(g.Greater(x, largest), high, g.Where(g.Less(x, smallest), low, x))


Dtype = Annotated[
    Literal["float32", "int64", "bool"] | None, Field(description="The dtype of the output; null: that of x.")
]


def filled(g: Builder, X: Value, value: float, dtype: str | None) -> Value:
    """Emit a tensor of the shape of X with equal elements."""
    dtype = dtype or number(g, X).dtype if X.dtype != "bool" else dtype or "bool"
    return g.Expand(g.constant(np.asarray(value).astype(dtype), dtype), g.Shape(X))


@operation
def zeros_like(g: Builder, x: Value, *, dtype: Dtype = None) -> Value:
    """Zeros in the shape of x."""
    return filled(g, x, 0, dtype)


@operation
def ones_like(g: Builder, x: Value, *, dtype: Dtype = None) -> Value:
    """Ones in the shape of x."""
    return filled(g, x, 1, dtype)


@operation
def full_like(
    g: Builder, x: Value, *, fill_value: Annotated[float, Field(description="The elements.")], dtype: Dtype = None
) -> Value:
    """One number in the shape of x."""
    return filled(g, x, fill_value, dtype)


@operation
def cast(
    g: Builder, x: Value, *, dtype: Annotated[Literal["float32", "int64", "bool"], Field(description="The dtype.")]
) -> Value:
    """X in another dtype. Floats are truncated towards 0; bool is whether an element is not 0."""
    return truth(g, x) if dtype == "bool" else cast_to(g, x, dtype)


def _each(name: str, op: str, text: str) -> None:
    """Register a function that is one operator of floats."""

    def function(g: Builder, x: Value) -> Value:
        found: Value = g.emit(op, [as_float(g, x)], {})
        return found

    function.__name__, function.__doc__ = name, text
    operation(function)


for _name, _op, _text in (
    ("tan", "Tan", "The tangent, float32."),
    ("arcsin", "Asin", "The angle with this sine, float32."),
    ("arccos", "Acos", "The angle with this cosine, float32."),
    ("arctan", "Atan", "The angle with this tangent, float32."),
    ("sinh", "Sinh", "The hyperbolic sine, float32."),
    ("cosh", "Cosh", "The hyperbolic cosine, float32."),
    ("arcsinh", "Asinh", "The number with this hyperbolic sine, float32."),
    ("arccosh", "Acosh", "The number with this hyperbolic cosine, float32."),
    ("arctanh", "Atanh", "The number with this hyperbolic tangent, float32."),
    ("isinf", "IsInf", "Whether each element is infinite, bool."),
    ("erf", "Erf", "The error function, float32."),
):
    _each(_name, _op, _text)
