"""Elementwise functions of one input: exponentials, trigonometry, rounding, signs, activations and gated activations.

Each is a row: a sentence, its formula and the gradient of X, given X, Y and Y's gradient d. A function may be computed in
X's memory if the gradient does not read X: where Y serves, it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from graphspec.graph import expressions as ex
from graphspec.graph.expressions import Expression, Function, kernel, write
from graphspec.graph.ir.graph import Array, Range, Type, Value
from graphspec.graph.kernels.common import clip, in_blocks, scratch_like, unsigned, within
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Calls, Context, need
from graphspec.graph.ops.formulas import Gated, Row, register


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


# W. J. Cody, *Rational Chebyshev approximations for the error function*, Mathematics of Computation 23 (1969): the
# coefficients of his CALERF, but for its third function, beyond 4, which is not needed here.
# erf(x) = x · P(x²) / Q(x²) for |x| ≤ 0.46875; highest power first.
_SMALL_P = _numbers(
    "0.185777706184603153 3.16112374387056560 113.864154151050156 377.485237685302021 3209.37758913846947"
)
_SMALL_Q = _numbers("1 23.6012909523441209 244.024637934444173 1282.61652607737228 2844.23683343917062")
# erfc(x) = exp(-x²) · P(x) / Q(x) for 0.46875 ≤ x ≤ 4.
_MIDDLE_P = _numbers("""
    2.15311535474403846e-8 5.64188496988670089e-1 8.88314979438837594e00 6.61191906371416295e01 2.98635138197400131e02
    8.81952221241769090e02 1.71204761263407058e03 2.05107837782607147e03 1.23033935479799725e03
""")
_MIDDLE_Q = _numbers("""
    1 1.57449261107098347e01 1.17693950891312499e02 5.37181101862009858e02 1.62138957456669019e03
    3.29079923573345963e03 4.36261909014324716e03 3.43936767414372164e03 1.23033935480374942e03
""")
_SPLIT, _END = 0.46875, 6.0  # erf(6) is 1 in float64, and Cody's middle function is accurate up to there
# float32: erf(x) = x · P(x²) / Q(x²) for |x| ≤ 4, as in Eigen and XLA. Half the calls, error at most 4.2e-7.
_SINGLE_P = _numbers("""
    -2.72614225801306e-10 2.77068142495902e-08 -2.10102402082508e-06 -5.69250639462346e-05
    -7.34990630326855e-04 -2.95459980854025e-03 -1.60960333262415e-02
""")
_SINGLE_Q = _numbers("""
    -1.45660718464996e-05 -2.13374055278905e-04 -1.68282697438203e-03 -7.37332916720468e-03 -1.42647390514189e-02
""")


def polynomial(x: Expression, coefficients: Sequence[float]) -> Expression:
    """Return a polynomial of ``x`` by Horner's rule; ``coefficients`` start with the highest power."""
    first, *others, last = coefficients
    total = x * first
    for c in others:
        total = (total + c) * x
    return total + last


def rational(x: Expression, p: Sequence[float], q: Sequence[float]) -> Expression:
    """Return ``P(x) / Q(x)``."""
    return polynomial(x, p) / polynomial(x, q)


def erf(X: Expression) -> Expression:
    """Return the error function; its error is at most 4.2e-7 in float32, and in the last digit in float64.

    In float64 both functions of |X| are computed everywhere; one is chosen, and X's sign copied.
    """
    if X.single:
        x = ex.maximum(ex.minimum(X, 4), -4)
        return x * rational(ex.square(x), _SINGLE_P, _SINGLE_Q)
    magnitude = ex.absolute(X)
    inner = ex.less_equal(magnitude, _SPLIT)
    end = ex.minimum(magnitude, _END)
    z = ex.square(end)
    middle = 1 - rational(end, _MIDDLE_P, _MIDDLE_Q) * ex.exp(-z)
    small = rational(ex.minimum(z, _SPLIT), _SMALL_P, _SMALL_Q) * end  # it would overflow outside its range
    return ex.copysign(ex.choose(inner, small, middle), X)


# float32: Φ(x) = ½ + ½ · tanh(x · P(x²)), highest power of P first. The coefficients are a weighted least-squares fit for
# |x| ≤ 6, where the error of tanh is at most 6e-8; beyond 6 both sides are 1 in float32.
_NORMAL = _numbers("""
    1.7562497137814516e-09 -1.3226593639914038e-07 3.96477402055768e-06 -5.530633863907091e-05
    -3.259466991385611e-05 0.036333084332098364 0.7978849415074792
""")


def half_tanh(y: Array, half: Array) -> Calls:
    """Calls for ``y = ½ · y + ½``: a sigmoid, if y is a hyperbolic tangent."""
    return [(np.multiply, y, half, y), (np.add, y, half, y)]


def normal_argument(x: Array, coefficients: Array, most: Array, argument: Array, square: Array) -> Calls:
    """Calls for ``argument = x · P(min(x², most))``, highest power of P first; ``square`` becomes ``min(x², most)``."""
    first, *others = (coefficients[k : k + 1].reshape(()) for k in range(coefficients.size))
    calls: Calls = [clip(square, np.array(0, x.dtype), most, square), (np.multiply, square, first, argument)]
    for c in others[:-1]:
        calls += [(np.add, argument, c, argument), (np.multiply, argument, square, argument)]
    return [*calls, (np.add, argument, others[-1], argument), (np.multiply, x, argument, argument)]


@twin()
def gelu(x: Array, y: Array, slope: Array | None, /, *, ctx: Context) -> Calls:
    """Calls for ``y = x · Φ(x)`` and its derivative, ``slope = Φ(x) + x · φ(x)``; the kernel has an exp of its own."""
    square, t = scratch_like(ctx, x), scratch_like(ctx, x)
    half, minus_half = ctx.constant(0.5), ctx.constant(-0.5)
    calls: Calls = [(np.square, x, square)]
    if slope is not None:
        calls.append((np.multiply, square, minus_half, slope))
    if x.dtype == np.float32:
        calls += [*normal_argument(x, ctx.constant(np.array(_NORMAL)), ctx.constant(36.0), t, square), (np.tanh, t, t)]
    else:
        calls += [(np.multiply, x, ctx.constant(math.sqrt(0.5)), square), *write(ctx, t, erf, square)]
    calls += half_tanh(t, half)
    if slope is not None:
        scale = ctx.constant(1 / math.sqrt(2 * math.pi))
        calls += [(np.exp, slope, slope), (np.multiply, slope, x, slope), (np.multiply, slope, scale, slope)]
        calls.append((np.add, slope, t, slope))
    return [*calls, (np.multiply, x, t, y)]


@twin()
def gelu_by_tanh(x: Array, y: Array, slope: Array | None, /, *, ctx: Context) -> Calls:
    """Calls for ``y = x · g`` and ``slope = g + (g - g²) · x · (min(x², 100) · 6b + 2a)``, as the kernel without tanh.

    ``g = ½ + ½ · tanh(x · (b · x² + a))``, ``a = √(2/π)``, ``b = 0.044715 · a``.
    """
    square, gate, half = scratch_like(ctx, x), scratch_like(ctx, x), ctx.constant(0.5)
    a, b = math.sqrt(2 / math.pi), math.sqrt(2 / math.pi) * 0.044715
    most = ctx.constant(100.0)  # beyond this tanh is ±1, in float64 too
    calls: Calls = [(np.square, x, square), *normal_argument(x, ctx.constant(np.array([b, a])), most, gate, square)]
    calls += [(np.tanh, gate, gate), *half_tanh(gate, half)]
    if slope is not None:
        calls += [
            (np.square, gate, slope),
            (np.subtract, gate, slope, slope),
            (np.multiply, slope, x, slope),
            (np.multiply, square, ctx.constant(6 * b), square),
            (np.add, square, ctx.constant(2 * a), square),
            (np.multiply, slope, square, slope),
            (np.add, slope, gate, slope),
        ]
    return [*calls, (np.multiply, x, gate, y)]


@twin()
def silu(x: Array, tanh: Array, half: Array, alpha: Array | None, y: Array, slope: Array | None, /) -> Calls:
    """Calls for ``y = x · g`` and its derivative, ``g + alpha · y · (1 - g)``, with ``g = ½ + ½ · tanh``."""
    calls = [*half_tanh(tanh, half), (np.multiply, x, tanh, y)]
    if slope is None:
        return calls
    scaled: Calls = [] if alpha is None else [(np.multiply, slope, alpha, slope)]
    return [
        *calls,
        (np.multiply, y, tanh, slope),
        (np.subtract, y, slope, slope),
        *scaled,
        (np.add, slope, tanh, slope),
    ]


class ByKernels(Gated):
    """A gated activation that kernels compute, block by block."""

    def forward(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        arrays = [X, Y] if slope is None else [X, Y, slope]
        return in_blocks(ctx, lambda x, y, dx=None: self.write(ctx, x, y, dx), *arrays)

    def write(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        """Return the calls that write Y, which may be X itself, and its derivative unless ``slope`` is None."""
        raise NotImplementedError


class Gelu(ByKernels):
    """``Y = X · Φ(X)`` with the normal distribution Φ, or its approximation by tanh. Hendrycks and Gimpel, 2016."""

    activation = "gelu"

    approximate: str = "none"

    def infer(self, X: Value) -> Type:
        need.value(self.approximate in ("none", "tanh"), f"does not implement the approximation '{self.approximate}'")
        return super().infer(X)

    def write(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        return (gelu_by_tanh if self.approximate == "tanh" else gelu)(X, Y, slope, ctx=ctx)


class Swish(ByKernels):
    """``Y = X · sigmoid(alpha · X)``, SiLU for alpha 1. Ramachandran et al., *Searching for activation functions*, 2017."""

    in_onnxruntime = False  # onnxruntime 1.32 expands it at opset 24, but not from 25 on
    activation = "silu"

    alpha: float = 1.0

    def write(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        gate = scratch_like(ctx, X)
        alpha = None if self.alpha == 1.0 else ctx.constant(self.alpha)
        return [
            (np.multiply, X, ctx.constant(self.alpha / 2), gate),
            (np.tanh, gate, gate),
            *silu(X, gate, ctx.constant(0.5), alpha, Y, slope),
        ]


def of_kinds(kinds: str, text: str) -> Callable[..., None]:
    """Return what accepts tensors whose dtypes begin with these letters."""
    return lambda X, **_: need.dtype(X.dtype[0] in kinds, text + f", got {X.type}")


def not_negative(name: str) -> Callable[..., None]:
    """Return what accepts floats if an attribute is 0 or more."""

    def accepts(X: Value, **attributes: float) -> None:
        value = attributes[name]
        need.value(value >= 0, f"needs {name} to be at least 0, got {value}")
        need.float(X)

    return accepts


def need_width(X: Value, alpha: float) -> None:
    """Raise ShapeError unless X has floats and alpha is positive."""
    need.value(alpha > 0, f"needs an alpha above 0, got {alpha}")
    need.float(X)


@kernel(result="y")
def relu(x: Expression) -> Expression:
    """Return ``max(x, 0)``."""
    return ex.maximum(x, 0)


@twin()
def relu_gradient(y: Array, dy: Array, /, *, mask: Array) -> Calls:
    """Return calls that set ``dy`` to 0 in place where ``y ≥ 0`` is 0.

    They multiply the bits of ``dy``, as integers, by 0 or 1. That is exact even where ``dy`` is infinite or NaN.
    """
    gradient = unsigned(dy)
    return [(np.sign, unsigned(y), mask), (np.multiply, gradient, mask, gradient)]


def zero_with(ctx: Context, Y: Array, dY: Array) -> Calls:
    """Return the calls of :func:`relu_gradient`."""
    return relu_gradient(Y, dY, mask=scratch_like(ctx, dY, f"u{dY.itemsize}"))


where_positive = Function(
    lambda ctx, operands, out: zero_with(ctx, operands[0], out),
    lambda g, Y, d: d * g.Cast(Y > 0.0, to="float32"),  # onnxruntime's Where takes four times as long
    in_place=True,
)
"""``where_positive(Y, d)`` is d where ``Y > 0``, else 0, for Y of 0 or more."""


@kernel(result="y")
def logistic_argument(x: Expression, most: Expression) -> Expression:
    """Return ``min(-x, most)``."""
    return ex.clip(-x, -inf, most)


@kernel(result="y")
def logistic(y: Expression) -> Expression:
    """Return ``1 / (y + 1)``."""
    return 1 / (y + 1)


@kernel(result="dy")
def logistic_gradient(y: Expression, dy: Expression) -> Expression:
    """Return ``dy · (y - y²)``."""
    return dy * (y - ex.square(y))


@kernel(result="dy")
def tanh_gradient(y: Expression, dy: Expression) -> Expression:
    """Return ``dy · (1 - y²)``."""
    return dy * (1 - ex.square(y))


def exp_of_negative(X: Expression) -> Expression:
    """Return ``exp(-X)``, or the largest number that exp gives without an overflow."""
    return ex.exp(logistic_argument(X, 87.0 if X.single else 708.0))


def one_minus_square(X: Expression) -> Expression:
    """Return ``(1 - X) · (1 + X)``, which is exact near ±1, unlike ``1 - X²``."""
    return (1 - X) * (1 + X)


def exponential_linear(X: Expression, scale: float, alpha: float, width: float) -> Expression:
    """Return ``scale · (max(X, 0) + alpha · (exp(min(X, 0) / width) - 1))``."""
    return ex.expm1(ex.minimum(X, 0) * (1 / width)) * (scale * alpha) + ex.maximum(X, 0) * scale


def exponential_linear_slope(Y: Expression, scale: float, alpha: float, width: float) -> Expression:
    """Return the derivative of :func:`exponential_linear`."""
    edge = scale * alpha / width  # the derivative just below 0
    slope = ex.minimum(Y, 0) * (1 / width) + edge
    return slope if edge == scale else slope + ex.number(Y > 0) * (scale - edge)


inside = Function(
    lambda ctx, operands, out: within(ctx, operands[0], operands[1], operands[2], out),
    lambda g, Y, low, high, d: g.Where((low < Y) & (high > Y), d, g.constant(0.0)),
    in_place=True,
)
"""``inside(Y, low, high, d)`` is d where ``low < Y < high``, else 0."""


def shrink(X: Expression, bias: float = 0.0, lambd: float = 0.5) -> Expression:
    """Return ``X - sign(X) · bias`` where ``|X| > lambd``, else 0."""
    outside = ex.absolute(X) > lambd
    return (X - ex.sign(X) * bias) * outside if bias else X * outside


def infinite(X: Expression, detect_negative: int = 1, detect_positive: int = 1) -> Expression:
    """Return where X is infinite, if the sign is to be detected."""
    if detect_negative and detect_positive:
        return ex.isinf(X)
    if detect_negative:
        return ex.equal(X, -inf)
    return ex.equal(X, inf) if detect_positive else inf < X


def mish(X: Expression) -> tuple[Expression, Expression]:
    """Return ``X · gate`` and the derivative, ``gate + 4 · X · e · (e + 1) / (n + 2)²``.

    With ``e = exp(X)`` and ``n = e · (e + 2)`` the gate is ``n / (n + 2)``.
    """
    x = ex.clip(X, -inf, 20)  # beyond this the gate is 1, in float64 too
    e = ex.exp(x)
    n = (e + 2) * e
    m = n + 2
    gate = n / m
    return X * gate, (e + 1) * e * x / m / m * 4 + gate


def hard_swish(X: Expression) -> tuple[Expression, Expression]:
    """Return ``X · gate`` and the derivative, ``gate + X / 6`` where the gate is neither 0 nor 1."""
    sixth = X * (1 / 6)
    gate = ex.clip(sixth + 0.5, 0, 1)
    return X * gate, sixth * (gate > 0) * (gate < 1) + gate


_NUMBERS = of_kinds("fiu", "needs a numeric tensor")
FUNCTIONS = {
    "Exp": Row("``Y = exp(X)``.", ex.exp, lambda X, Y, d: d * Y),
    "Log": Row("``Y = log(X)``.", ex.log, lambda X, Y, d: d / X),
    "Sqrt": Row("``Y = √X``.", ex.sqrt, lambda X, Y, d: d / (Y + Y)),
    "Reciprocal": Row("``Y = 1 / X``.", ex.reciprocal, lambda X, Y, d: -(d * Y * Y)),
    "Erf": Row(
        "``Y = 2/√π · ∫₀ˣ exp(-t²) dt``; the error is at most 4.2e-7 in float32, and in the last digit in float64.",
        erf,
        lambda X, Y, d: d * (ex.exp(-ex.square(X)) * (2 / math.sqrt(math.pi))),
    ),
    "Neg": Row("``Y = -X``.", ex.negative, lambda X, Y, d: -d, accepts=_NUMBERS),
    "Abs": Row("``Y = |X|``; the gradient at 0 is 0.", ex.absolute, lambda X, Y, d: d * ex.sign(X), accepts=_NUMBERS),
    "Sin": Row("``Y = sin(X)``.", ex.sin, lambda X, Y, d: d * ex.cos(X)),
    "Cos": Row("``Y = cos(X)``.", ex.cos, lambda X, Y, d: -(d * ex.sin(X))),
    "Tan": Row("``Y = tan(X)``.", ex.tan, lambda X, Y, d: d * (ex.square(Y) + 1)),
    "Asin": Row("``Y = arcsin(X)``; NaN outside -1 … 1.", ex.arcsin, lambda X, Y, d: d / ex.sqrt(one_minus_square(X))),
    "Acos": Row(
        "``Y = arccos(X)``; NaN outside -1 … 1.", ex.arccos, lambda X, Y, d: -(d / ex.sqrt(one_minus_square(X)))
    ),
    "Atan": Row("``Y = arctan(X)``.", ex.arctan, lambda X, Y, d: d / (ex.square(X) + 1)),
    "Sinh": Row("``Y = (exp(X) - exp(-X)) / 2``.", ex.sinh, lambda X, Y, d: d * ex.cosh(X)),
    "Cosh": Row("``Y = (exp(X) + exp(-X)) / 2``.", ex.cosh, lambda X, Y, d: d * ex.sinh(X)),
    "Asinh": Row("``Y = arsinh(X) = log(X + √(X² + 1))``.", ex.arcsinh, lambda X, Y, d: d / ex.hypot(X, 1)),
    "Acosh": Row(
        "``Y = arcosh(X) = log(X + √(X² - 1))``; NaN below 1.",
        ex.arccosh,
        lambda X, Y, d: d / (ex.sqrt(X - 1) * ex.sqrt(X + 1)),
    ),
    "Atanh": Row(
        "``Y = artanh(X) = log((1 + X) / (1 - X)) / 2``; NaN outside -1 … 1.",
        ex.arctanh,
        lambda X, Y, d: d / one_minus_square(X),
    ),
    "Floor": Row("``Y = ⌊X⌋``; no gradient.", ex.floor, piecewise_constant=True),
    "Ceil": Row("``Y = ⌈X⌉``; no gradient.", ex.ceil, piecewise_constant=True),
    "Round": Row(
        "``Y`` is the integer nearest to X; halves go to the even one. No gradient.", ex.rint, piecewise_constant=True
    ),
    "Sign": Row("``Y`` is -1, 0 or 1: the sign of X; no gradient.", ex.sign, accepts=_NUMBERS, piecewise_constant=True),
    "Not": Row("``Y = not X`` for bool X; no gradient.", ex.logical_not, accepts=of_kinds("b", "needs a bool tensor")),
    "IsNaN": Row("``Y`` is true where X is NaN; no gradient.", ex.isnan),
    "IsInf": Row(
        "``Y`` is true where X is infinite, if the sign is among those to be detected; no gradient.", infinite
    ),
}

ACTIVATIONS = {
    "Relu": Row(
        "``Y = max(X, 0)``. Nair and Hinton, ICML 2010.",
        relu,
        lambda X, Y, d: where_positive(Y, d),
        accepts=of_kinds("fi", "needs numbers"),
        activation="relu",
        value_range=Range(0, inf),
    ),
    "LeakyRelu": Row(
        "``Y = X if X > 0 else alpha · X``. Maas et al., ICML 2013.",
        lambda X, alpha=0.01: (ex.maximum if alpha <= 1 else ex.minimum)(X, X * alpha),
        lambda X, Y, d, alpha: d * (ex.number(Y > 0) * (1 - alpha) + alpha),
        accepts=not_negative("alpha"),
        activation="leaky_relu",
    ),
    "ThresholdedRelu": Row(
        "``Y = X if X > alpha else 0``. Konda et al., *Zero-bias autoencoders*, ICLR 2015.",
        lambda X, alpha=1.0: X * (alpha < X),
        lambda X, Y, d, alpha: d * (alpha < X),
    ),
    "Shrink": Row(
        "``Y = X - sign(X) · bias if |X| > lambd else 0`` (ONNX); hard shrinkage for ``bias`` 0, soft for "
        "``bias = lambd``.",
        shrink,
        lambda X, Y, d, bias, lambd: d * (ex.absolute(X) > lambd),
        accepts=not_negative("lambd"),
    ),
    "Elu": Row(
        "``Y = X if X > 0 else alpha · (exp(X) - 1)``. Clevert et al., *Exponential linear units*, ICLR 2016.",
        lambda X, alpha=1.0: exponential_linear(X, 1.0, alpha, 1.0),
        lambda X, Y, d, alpha: d * exponential_linear_slope(Y, 1.0, alpha, 1.0),
        accepts=not_negative("alpha"),
        activation="elu",
    ),
    "Selu": Row(
        "``Y = gamma · (X if X > 0 else alpha · (exp(X) - 1))``. Klambauer et al., NeurIPS 2017.",
        lambda X, alpha=1.6732631921768188, gamma=1.0507010221481323: exponential_linear(X, gamma, alpha, 1.0),
        lambda X, Y, d, alpha, gamma: d * exponential_linear_slope(Y, gamma, alpha, 1.0),
        activation="selu",
    ),
    "Celu": Row(
        "``Y = max(X, 0) + min(0, alpha · (exp(X / alpha) - 1))``. Barron, *Continuously differentiable ELUs*, 2017.",
        lambda X, alpha=1.0: exponential_linear(X, 1.0, alpha, alpha),
        lambda X, Y, d, alpha: d * exponential_linear_slope(Y, 1.0, alpha, alpha),
        accepts=need_width,
        activation="celu",
    ),
    "Sigmoid": Row(
        "``Y = 1 / (1 + exp(-X))``; exact to the last digits in both tails, and exp never overflows.",
        lambda X: logistic(exp_of_negative(X)),
        lambda X, Y, d: logistic_gradient(Y, d),
        activation="sigmoid",
        value_range=Range(0, 1),
    ),
    "HardSigmoid": Row(
        "``Y = max(0, min(1, alpha · X + beta))`` (ONNX).",
        lambda X, alpha=0.2, beta=0.5: ex.clip(X * alpha + beta, 0, 1),
        lambda X, Y, d, alpha, beta: inside(Y, 0, 1, d) * alpha,
        activation="hard_sigmoid",
        value_range=Range(0, 1),
    ),
    "Tanh": Row(
        "``Y = tanh(X)``.", ex.tanh, lambda X, Y, d: tanh_gradient(Y, d), activation="tanh", value_range=Range(-1, 1)
    ),
    "Softplus": Row(
        "``Y = log(1 + exp(X))``, as ``max(X, 0) + log1p(exp(-|X|))``, which never overflows.",
        lambda X: ex.log1p(ex.exp(-ex.absolute(X))) + ex.maximum(X, 0),
        lambda X, Y, d: d * -ex.expm1(-Y),  # sigmoid(X) = 1 - exp(-Y)
        activation="softplus",
        value_range=Range(0, inf),
    ),
    "Softsign": Row(
        "``Y = X / (1 + |X|)``. Turian et al., NAACL 2009.",
        lambda X: X / (ex.absolute(X) + 1),
        lambda X, Y, d: d * ex.square(1 - ex.absolute(Y)),  # 1 / (1 + |X|)² = (1 - |Y|)²
        activation="softsign",
        value_range=Range(-1, 1),
    ),
    "Mish": Row("``Y = X · tanh(log(1 + exp(X)))``. Misra, *Mish*, 2019.", mish, of=Gated, activation="mish"),
    "HardSwish": Row(
        "``Y = X · max(0, min(1, X / 6 + 1/2))``. Howard et al., *Searching for MobileNetV3*, ICCV 2019.",
        hard_swish,
        of=Gated,
        activation="hard_silu",
    ),
}

register(__name__, FUNCTIONS | ACTIVATIONS)
