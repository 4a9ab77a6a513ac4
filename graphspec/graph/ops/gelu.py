"""The error function, which NumPy lacks, and the activations GELU and SiLU, ``X · gate(X)``: compiled kernels compute them.

W. J. Cody, *Rational Chebyshev approximations for the error function*, Mathematics of Computation 23 (1969). The
coefficients are those of his CALERF, which has rational functions for |x| ≤ 0.46875, for |x| ≤ 4 and beyond; the last is not
needed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphspec.graph import expressions as ex
from graphspec.graph.expressions import Expression, write
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import clip, in_blocks, scratch_like
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Calls, Context, need
from graphspec.graph.ops.formulas import Gated


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


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
