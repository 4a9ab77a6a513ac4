"""Operations on each element, or on each pair of elements, which broadcast by NumPy's rule: mostly rows of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np

from graphspec.base.config import described
from graphspec.vocabulary import Builder, Value
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import sound
from graphspec.vocabulary.layers.layer import as_float, cast_to
from graphspec.vocabulary.operations import operation as base
from graphspec.vocabulary.operations.operation import operation

_LARGEST = 3.4028234663852886e38
Formula = str | Callable[..., "Value"]  # an operator, or a function of the builder and the inputs
Cast = Callable[..., list["Value"]]


def _emit(formula: Formula, g: Builder, inputs: list[Value], **attributes: Any) -> Value:
    value: Value = g.emit(formula, inputs, attributes) if isinstance(formula, str) else formula(g, *inputs)
    return value


def unary(formula: Formula, cast: Cast = base.floats, **attributes: Any) -> base.Function:
    """Return the function of one input: the formula of the ``cast`` input."""

    def function(g: Builder, x: Value) -> Value:
        return _emit(formula, g, cast(g, x), **attributes)

    return function


def binary(formula: Formula, cast: Cast = base.floats, of_bools: str | None = None) -> base.Function:
    """Return the function of two inputs: the formula of both ``cast``, or the operator ``of_bools`` of two bools."""

    def function(g: Builder, x1: Value, x2: Value) -> Value:
        pair = cast(g, x1, x2)
        return _emit(of_bools if of_bools is not None and pair[0].dtype == "bool" else formula, g, pair)

    return function


def _identity(g: Builder, x: Value) -> Value:
    return g.Identity(x)


def _absolute(g: Builder, x: Value) -> Value:
    return x if x.dtype == "bool" else g.Abs(base.number(g, x))


def _divide_no_nan(g: Builder, a: Value, b: Value) -> Value:
    zero, one = g.constant(0.0), g.constant(1.0)
    empty = g.Equal(b, zero)
    return g.Where(empty, zero, a / g.Where(empty, one, b))


def _mod(g: Builder, a: Value, b: Value) -> Value:
    return a - g.Floor(a / b) * b if a.type.is_float else g.Mod(a, b)


def _fmod(g: Builder, a: Value, b: Value) -> Value:
    if not a.type.is_float:
        return g.Mod(a, b, fmod=1)
    ratio = a / b
    return a - b * (g.Sign(ratio) * g.Floor(abs(ratio)))


def _expm1(g: Builder, x: Value) -> Value:
    one = g.constant(1.0)
    t = g.Tanh(g.Clip(x, g.constant(-1.0), one) * 0.5)  # within bounds: no infinite gradient far from 0
    return g.Where(abs(x) < one, (t + t) / (one - t), g.Exp(x) - one)


def _trunc(g: Builder, x: Value) -> Value:
    return x if base.is_integer(x) else g.Sign(x) * g.Floor(abs(x))


def _sinc(g: Builder, x: Value) -> Value:
    X = x * math.pi
    zero = g.Equal(X, g.constant(0.0))
    safe = g.Where(zero, g.constant(1.0), X)
    return g.Where(zero, g.constant(1.0), g.Sin(safe) / safe)


def _heaviside(g: Builder, a: Value, b: Value) -> Value:
    step = cast_to(g, a > 0.0, "float32")
    return g.Where(g.Equal(a, g.constant(0.0)), b, step)


def _logaddexp(g: Builder, a: Value, b: Value) -> Value:
    a, b = as_float(g, a), as_float(g, b)
    return g.Max(a, b) + g.Softplus(-abs(a - b))


def _logaddexp2(g: Builder, a: Value, b: Value) -> Value:
    scale = math.log(2)
    more = g.Softplus(-abs(a - b) * scale)  # log(1 + 2^-|a - b|)
    return g.Max(a, b) + more * (1 / scale)


_LANCZOS = (76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3)


def _mirrored(g: Builder, x: Value, at: float) -> tuple[Value, Value, Value]:
    """Return whether x < ``at``, then 1 - x in place of x, and π · x there (π / 2 elsewhere)."""
    low = x < at
    return low, g.Where(low, 1.0 - x, x), g.Where(low, x * math.pi, g.constant(math.pi / 2))


def lgamma(g: Builder, x: Value) -> Value:
    """Emit ``log |Γ(x)|`` by Lanczos's sum."""
    low, X, turned = _mirrored(g, x, 0.5)
    series = sum((g.constant(c) / (X + float(k)) for k, c in enumerate(_LANCZOS, 1)), g.constant(1.000000000190015))
    value = (X + 0.5) * g.Log(X + 5.5) - (X + 5.5) + g.Log(series * math.sqrt(2 * math.pi) / X)
    return g.Where(low, math.log(math.pi) - g.Log(abs(g.Sin(turned))) - value, value)


def _digamma(g: Builder, x: Value) -> Value:
    low, X, turned = _mirrored(g, x, 0.0)
    shift = sum((g.Reciprocal(X + float(k)) for k in range(1, 6)), g.Reciprocal(X))
    Z = g.Reciprocal(X + 6.0)
    square = Z * Z
    value = -g.Log(Z) - Z * 0.5 - square * (1 / 12 - square * (1 / 120 - square * (1 / 252))) - shift
    return g.Where(low, value - math.pi * g.Cos(turned) / g.Sin(turned), value)


def _logical_not(g: Builder, x: Value) -> Value:
    return ~x if x.dtype == "bool" else g.Equal(x, g.constant(0, x.dtype))


def _of_numbers(op: str, g: Builder, a: Value, b: Value) -> Value:
    return g.Where(g.IsNaN(a), b, g.Where(g.IsNaN(b), a, g.emit(op, (a, b), {})))


ROWS: dict[str, tuple[base.Function, str]] = {  # the function of each operation, and the sentence of the pages
    "add": (binary("Add", base.promoted, of_bools="Or"), "``x1 + x2``; of two bools, whether one is true."),
    "subtract": (binary("Sub", base.numbers), "``x1 - x2``."),
    "multiply": (binary("Mul", base.promoted, of_bools="And"), "``x1 · x2``; of two bools, whether both are true."),
    "maximum": (binary("Max", base.promoted, of_bools="Or"), "The larger of each pair."),
    "minimum": (binary("Min", base.promoted, of_bools="And"), "The smaller of each pair."),
    "divide": (binary("Div"), "``x1 / x2``, float32."),
    "true_divide": (binary("Div"), "``x1 / x2``, float32, as ``ops.divide``."),
    "divide_no_nan": (binary(_divide_no_nan), "``x1 / x2``, float32; 0 where ``x2`` is 0."),
    "floor_divide": (
        binary(lambda g, a, b: g.Floor(a / b) if a.type.is_float else (a - g.Mod(a, b)) / b, base.numbers),
        "``⌊x1 / x2⌋``, the largest integer that is no larger than the quotient. Integers give int64.",
    ),
    "mod": (binary(_mod, base.numbers), "The remainder ``x1 - ⌊x1 / x2⌋ · x2``, which has the sign of ``x2``."),
    "fmod": (binary(_fmod, base.numbers), "The remainder with the sign of x1, as C's ``fmod``."),
    "power": (
        binary("Pow", base.numbers),
        "``x1 ** x2``. A negative base with an exponent that is no integer gives NaN.",
    ),
    "hypot": (binary(lambda g, a, b: g.Sqrt(a * a + b * b)), "``√(x1² + x2²)``, float32."),
    "ldexp": (binary(lambda g, a, b: a * g.Pow(g.constant(2.0), b)), "``x1 · 2^x2``, float32."),
    "arctan2": (binary(sound.arctan2), "The angle of the point (x2, x1), from -π to π; -0 counts as 0."),
    "heaviside": (binary(_heaviside), "0 where x1 is negative, x2 where it is 0, 1 elsewhere, float32."),
    "logaddexp": (binary(_logaddexp, base.numbers), "``log(exp(x1) + exp(x2))``, float32, without overflow."),
    "logaddexp2": (binary(_logaddexp2), "``log₂(2^x1 + 2^x2)``, which does not overflow."),
    "fmax": (
        binary(partial(_of_numbers, "Max")),
        "The larger of each pair, float32; of a NaN and a number, the number.",
    ),
    "fmin": (
        binary(partial(_of_numbers, "Min")),
        "The smaller of each pair, float32; of a NaN and a number, the number.",
    ),
    "equal": (binary("Equal", base.promoted), "Whether the elements of each pair are equal, bool."),
    "not_equal": (
        binary(lambda g, a, b: ~g.Equal(a, b), base.promoted),
        "Whether the elements of each pair differ, bool.",
    ),
    "greater": (binary("Greater", base.numbers), "Whether ``x1 > x2``, bool."),
    "greater_equal": (binary("GreaterOrEqual", base.numbers), "Whether ``x1 ≥ x2``, bool."),
    "less": (binary("Less", base.numbers), "Whether ``x1 < x2``, bool."),
    "less_equal": (binary("LessOrEqual", base.numbers), "Whether ``x1 ≤ x2``, bool."),
    "logical_and": (binary("And", base.truths), "Whether both are not 0, bool."),
    "logical_or": (binary("Or", base.truths), "Whether one of both is not 0, bool."),
    "logical_xor": (binary("Xor", base.truths), "Whether exactly one of both is not 0, bool."),
    "abs": (_absolute, "``|x|``."),
    "absolute": (_absolute, "``|x|``, as ``ops.abs``."),
    "fabs": (unary("Abs"), "``|x|``, float32."),
    "negative": (unary("Neg", base.numbers), "``-x``."),
    "sign": (unary("Sign", base.numbers), "-1, 0 or 1: the sign of each element."),
    "square": (unary(lambda g, x: x * x, base.numbers), "``x²``."),
    "sqrt": (unary("Sqrt"), "``√x``, float32."),
    "rsqrt": (unary(lambda g, x: g.Reciprocal(g.Sqrt(x))), "``1 / √x``, float32."),
    "cbrt": (unary(lambda g, x: g.Sign(x) * abs(x) ** (1 / 3)), "The cube root, float32."),
    "reciprocal": (unary("Reciprocal"), "``1 / x``, float32."),
    "exp": (unary("Exp"), "``exp(x)``, float32."),
    "exp2": (unary(lambda g, x: g.Exp(x * math.log(2))), "``2 ** x``, float32."),
    "expm1": (
        unary(_expm1),
        "``exp(x) - 1``, float32; near 0 as ``2 t / (1 - t)`` with ``t = tanh(x / 2)``, which is precise there.",
    ),
    "log": (unary("Log"), "The natural logarithm, float32."),
    "log2": (unary(lambda g, x: g.Log(x) * (1 / math.log(2))), "The logarithm to base 2, float32."),
    "log10": (unary(lambda g, x: g.Log(x) * (1 / math.log(10))), "The logarithm to base 10, float32."),
    "log1p": (unary(lambda g, x: g.Log(x + 1.0)), "``log(1 + x)``, float32."),
    "sin": (unary("Sin"), "The sine, float32."),
    "cos": (unary("Cos"), "The cosine, float32."),
    "tan": (unary("Tan"), "The tangent, float32."),
    "arcsin": (unary("Asin"), "The angle with this sine, float32."),
    "arccos": (unary("Acos"), "The angle with this cosine, float32."),
    "arctan": (unary("Atan"), "The angle with this tangent, float32."),
    "sinh": (unary("Sinh"), "The hyperbolic sine, float32."),
    "cosh": (unary("Cosh"), "The hyperbolic cosine, float32."),
    "tanh": (unary("Tanh"), "The hyperbolic tangent, float32."),
    "arcsinh": (unary("Asinh"), "The number with this hyperbolic sine, float32."),
    "arccosh": (unary("Acosh"), "The number with this hyperbolic cosine, float32."),
    "arctanh": (unary("Atanh"), "The number with this hyperbolic tangent, float32."),
    "sinc": (unary(_sinc), "``sin(πx) / (πx)``, 1 at 0, float32."),
    "erf": (unary("Erf"), "The error function, float32."),
    "lgamma": (unary(lgamma), "``log |Γ(x)|`` by Lanczos's sum, float32."),
    "digamma": (unary(_digamma), "``Γ'(x) / Γ(x)``, the derivative of ``ops.lgamma``, float32."),
    "erfc": (unary(lambda g, x: 1.0 - g.Erf(x)), "``1 - erf(x)``, float32."),
    "deg2rad": (unary(lambda g, x: x * (math.pi / 180)), "Degrees as radians: ``x · π / 180``, float32."),
    "rad2deg": (unary(lambda g, x: x * (180 / math.pi)), "Radians as degrees: ``x · 180 / π``, float32."),
    "ceil": (unary("Ceil"), "The smallest integer that is no smaller, float32."),
    "floor": (unary("Floor"), "The largest integer that is no larger, float32."),
    "trunc": (unary(_trunc, base.numbers), "The integer part, towards 0."),
    "isnan": (unary("IsNaN"), "Whether each element is no number, bool."),
    "isinf": (unary("IsInf"), "Whether each element is infinite, bool."),
    "isposinf": (unary("IsInf", detect_negative=0), "Whether each element is +∞, bool."),
    "isneginf": (unary("IsInf", detect_positive=0), "Whether each element is -∞, bool."),
    "isfinite": (unary(lambda g, x: abs(x) <= _LARGEST), "Whether each element is a finite number, bool."),
    "logical_not": (_logical_not, "Whether each element is 0 or false, bool."),
    "real": (_identity, "The real part: x itself, since all numbers are real."),
    "copy": (_identity, "``x``."),
}


@operation
def where(g: Builder, condition: Value, x1: Value, x2: Value) -> Value:
    """``x1`` where the condition is not 0, else ``x2``."""
    return g.Where(base.truth(g, condition), *base.promoted(g, x1, x2))


@operation
def isclose(
    g: Builder,
    x1: Value,
    x2: Value,
    *,
    rtol: Annotated[float, described("The largest difference, relative to ``x2``.")] = 1e-5,
    atol: Annotated[float, described("The largest absolute difference.")] = 1e-8,
) -> Value:
    """Whether ``|x1 - x2| ≤ atol + rtol · |x2|``, bool; equal infinities are close."""
    a, b = as_float(g, x1), as_float(g, x2)
    limit = abs(b) * rtol + atol
    return ((abs(b) <= _LARGEST) & (abs(a - b) <= limit)) | g.Equal(a, b)


@operation
def round_(g: Builder, x: Value, *, decimals: Annotated[int, described("The decimals.", ge=0, le=6)] = 0) -> Value:
    """The nearest number with so many decimals; halves go to the even one."""
    x = base.number(g, x)
    if base.is_integer(x):
        return x
    if decimals == 0:
        return g.Round(x)
    factor = g.constant(10.0**decimals, "float32")
    return g.Round(x * factor) / factor


@operation
def clip(
    g: Builder,
    x: Value,
    *,
    x_min: Annotated[float, described("The smallest output.")],
    x_max: Annotated[float, described("The largest output.")],
) -> Value:
    """``min(max(x, x_min), x_max)``; integers stay integers if both bounds are."""
    x = base.number(g, x)
    integers = base.is_integer(x) and float(x_min).is_integer() and float(x_max).is_integer()
    x = x if integers else as_float(g, x)
    return g.Clip(x, *(g.constant(int(bound) if integers else bound, x.dtype) for bound in (x_min, x_max)))


@operation
def nan_to_num(
    g: Builder,
    x: Value,
    *,
    nan: Annotated[float, described("What stands for NaN.")] = 0.0,
    posinf: Annotated[float | None, described("What stands for infinity; null: the largest number.")] = None,
    neginf: Annotated[float | None, described("What stands for -infinity; null: the smallest number.")] = None,
) -> Value:
    """X with numbers in place of NaN and infinities."""
    if not x.type.is_float:
        return x
    largest, smallest = (g.constant(bound, "float32") for bound in (_LARGEST, -_LARGEST))
    high = largest if posinf is None else g.constant(posinf, "float32")
    low = smallest if neginf is None else g.constant(neginf, "float32")
    x = g.Where(g.IsNaN(x), g.constant(nan, "float32"), x)
    return g.Where(x > largest, high, g.Where(x < smallest, low, x))


Dtype = Annotated[Literal["float32", "int64", "bool"] | None, described("The dtype of the output; null: that of x.")]


def filled(g: Builder, x: Value, *, fill_value: float, dtype: str | None) -> Value:
    """Emit a tensor of the shape of x with equal elements."""
    dtype = dtype or (base.number(g, x).dtype if x.dtype != "bool" else "bool")
    return g.Expand(g.constant(np.asarray(fill_value).astype(dtype), dtype), g.Shape(x))


FILL = {"fill_value": (Annotated[float, described("The elements.")], ...)}
_IN: dict[str, Any] = {"dtype": (Dtype, None)}
base.add_row(__name__, "zeros_like", partial(filled, fill_value=0), "Zeros in the shape of x.", _IN)
base.add_row(__name__, "ones_like", partial(filled, fill_value=1), "Ones in the shape of x.", _IN)
base.add_row(__name__, "full_like", filled, "One number in the shape of x.", FILL | _IN)


@operation
def cast(
    g: Builder, x: Value, *, dtype: Annotated[Literal["float32", "int64", "bool"], described("The dtype.")]
) -> Value:
    """X in another dtype. Floats are truncated towards 0; bool is whether an element is not 0."""
    return base.truth(g, x) if dtype == "bool" else cast_to(g, x, dtype)


ALPHA = {"alpha": (Annotated[float, described("The slope of the exponential at 0.")], 1.0)}
THRESHOLD = {"threshold": (Annotated[float, described("The distance from 0 up to which the value is 0.")], 0.5)}
SLOPE = {"negative_slope": (Annotated[float, described("The slope below 0.")], 0.2)}
BOUNDARY = {
    "threshold": (Annotated[float, described("The value above which x stays.")], ...),
    "default_value": (Annotated[float, described("The value of all others.")], ...),
}
APPROXIMATE = {
    "approximate": (Annotated[bool, described("Whether the error function is approximated by a tanh.")], True)
}
BEND = {"b": (Annotated[float, described("How smooth the bend at 0 is.", ge=0)], 4)}
ALONG: dict[str, Any] = {"axis": (base.Axis, -1)}


def activated(name: str, g: Builder, x: Value, **arguments: Any) -> Value:
    """Emit the activation of this name on float32."""
    return g.activate(ACTIVATIONS.parse({"type": name, **arguments}), as_float(g, x))


ACTIVATION_ROWS: dict[str, tuple[str, dict[str, Any]]] = {  # the sentence of the pages, and the arguments
    "relu": ("``max(x, 0)``.", {}),
    "relu6": ("``min(max(x, 0), 6)``.", {}),
    "leaky_relu": ("``x`` if ``x ≥ 0``, else ``negative_slope · x``.", SLOPE),
    "elu": ("``x`` if ``x > 0``, else ``alpha · (eˣ - 1)``.", ALPHA),
    "celu": ("``max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)``.", ALPHA),
    "selu": ("``1.0507 · elu(x, 1.6733)``, which keeps mean 0 and variance 1.", {}),
    "threshold": ("``x`` if ``x > threshold``, else ``default_value``.", BOUNDARY),
    "hard_tanh": ("``min(max(x, -1), 1)``.", {}),
    "hard_shrink": ("``x`` if ``|x| > threshold``, else 0.", THRESHOLD),
    "soft_shrink": ("``x`` moved towards 0 by ``threshold``, at most to 0.", THRESHOLD),
    "tanh_shrink": ("``x - tanh(x)``.", {}),
    "sigmoid": ("``1 / (1 + exp(-x))``.", {}),
    "hard_sigmoid": ("``min(max(x / 6 + 0.5, 0), 1)``.", {}),
    "sparse_sigmoid": ("``min(max((x + 1) / 2, 0), 1)``.", {}),
    "log_sigmoid": ("``log(sigmoid(x))``.", {}),
    "silu": ("``x · sigmoid(x)``.", {}),
    "swish": ("``x · sigmoid(x)``, as ``ops.silu``.", {}),
    "hard_silu": ("``x · hard_sigmoid(x)``.", {}),
    "hard_swish": ("``x · hard_sigmoid(x)``, as ``ops.hard_silu``.", {}),
    "gelu": ("``x · Φ(x)``, with the distribution function Φ of the standard normal distribution.", APPROXIMATE),
    "softsign": ("``x / (1 + |x|)``.", {}),
    "softplus": ("``log(1 + exp(x))``.", {}),
    "sparse_plus": ("``0`` up to -1, ``(x + 1)² / 4`` up to 1, then ``x``.", {}),
    "squareplus": ("``(x + √(x² + b)) / 2``.", BEND),
    "softmax": ("``eˣ / Σ eˣ`` along an axis.", ALONG),
    "log_softmax": ("``x - log Σ eˣ`` along an axis.", ALONG),
    "sparsemax": ("The nearest probabilities to ``x`` along an axis, many of them 0.", ALONG),
    "glu": ("The first half of an axis times the sigmoid of the second half.", ALONG),
}

for _name, (_function, _text) in ROWS.items():
    base.add_row(__name__, _name, _function, _text)
for _name, (_text, _arguments) in ACTIVATION_ROWS.items():
    base.add_row(__name__, _name, partial(activated, _name), _text, _arguments)
