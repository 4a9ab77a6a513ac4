"""The error function, which NumPy lacks.

W. J. Cody, *Rational Chebyshev approximations for the error function*, Mathematics of Computation 23 (1969). The
coefficients are those of his CALERF, which has rational functions for |x| ≤ 0.46875, for |x| ≤ 4 and beyond; the last is not
needed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import as_words, bit_mask, negate, scratch_like
from graphspec.graph.kernels.context import Context
from graphspec.graph.ops.base import op
from graphspec.graph.ops.unary import Unary

# erf(x) = x · P(x²) / Q(x²) for |x| ≤ 0.46875; highest power first.
_SMALL_P = (
    1.85777706184603153e-1,
    3.16112374387056560e00,
    1.13864154151050156e02,
    3.77485237685302021e02,
    3.20937758913846947e03,
)
_SMALL_Q = (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
# erfc(x) = exp(-x²) · P(x) / Q(x) for 0.46875 ≤ x ≤ 4.
_MIDDLE_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e00,
    6.61191906371416295e01,
    2.98635138197400131e02,
    8.81952221241769090e02,
    1.71204761263407058e03,
    2.05107837782607147e03,
    1.23033935479799725e03,
)
_MIDDLE_Q = (
    1.0,
    1.57449261107098347e01,
    1.17693950891312499e02,
    5.37181101862009858e02,
    1.62138957456669019e03,
    3.29079923573345963e03,
    4.36261909014324716e03,
    3.43936767414372164e03,
    1.23033935480374942e03,
)
_SPLIT, _END = 0.46875, 6.0  # erf(6) is 1 in float64, and Cody's middle function is accurate up to there
# float32: erf(x) = x · P(x²) / Q(x²) for |x| ≤ 4, as in Eigen and XLA. Half the calls, error at most 4.2e-7.
_SINGLE_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_SINGLE_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def horner(ctx: Context, x: Array, coefficients: Sequence[float], out: Array) -> Calls:
    """Calls that write a polynomial of ``x`` into ``out``; ``coefficients`` start with the highest power."""
    first, *others = (ctx.constant(c) for c in coefficients)
    calls: Calls = [(np.multiply, x, first, out)]
    for c in others[:-1]:
        calls += [(np.add, out, c, out), (np.multiply, out, x, out)]
    return [*calls, (np.add, out, others[-1], out)]


def rational(ctx: Context, x: Array, p: Sequence[float], q: Sequence[float], out: Array) -> Calls:
    """Calls for ``out = P(x) / Q(x)``."""
    denominator = scratch_like(ctx, x)
    return [*horner(ctx, x, p, out), *horner(ctx, x, q, denominator), (np.divide, out, denominator, out)]


def erf_float32(ctx: Context, X: Array, Y: Array) -> Calls:
    """Calls for ``Y = erf(X)`` in float32."""
    x, z, ratio = (scratch_like(ctx, X) for _ in range(3))
    end = ctx.constant(4.0)
    return [
        (partial(np.minimum, out=x), X, end),
        (partial(np.maximum, out=x), x, ctx.constant(-4.0)),
        (np.square, x, z),
        *rational(ctx, z, _SINGLE_P, _SINGLE_Q, ratio),
        (np.multiply, x, ratio, Y),
    ]


def erf_float64(ctx: Context, X: Array, Y: Array) -> Calls:
    """Calls for ``Y = erf(X)`` in float64: compute both functions of |X| everywhere, select by bits, copy X's sign."""
    magnitude, z, small, middle = (scratch_like(ctx, X) for _ in range(4))
    inner = scratch_like(ctx, X, np.bool_)
    mask, spread = bit_mask(ctx, inner, X.dtype)
    return [
        (np.absolute, X, magnitude),
        (np.less_equal, magnitude, ctx.constant(_SPLIT), inner),
        *spread,
        (partial(np.minimum, out=magnitude), magnitude, ctx.constant(_END)),
        *rational(ctx, magnitude, _MIDDLE_P, _MIDDLE_Q, middle),
        (np.square, magnitude, z),
        negate(z, small),
        (np.exp, small, small),
        (np.multiply, middle, small, middle),
        (np.subtract, ctx.constant(1.0), middle, middle),
        (partial(np.minimum, out=z), z, ctx.constant(_SPLIT)),  # the other function would overflow outside its range
        *rational(ctx, z, _SMALL_P, _SMALL_Q, small),
        (np.multiply, small, magnitude, small),
        (np.bitwise_xor, as_words(small), as_words(middle), as_words(small)),
        (np.bitwise_and, as_words(small), mask, as_words(small)),
        (np.bitwise_xor, as_words(small), as_words(middle), as_words(small)),
        (np.copysign, small, X, Y),
    ]


@op
class Erf(Unary):
    """``Y = 2/√π · ∫₀ˣ exp(-t²) dt``; the error is at most 4.2e-7 in float32, and in the last digit in float64."""

    keeps_in, keeps_out = (0,), False

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return erf_float32(ctx, X, Y) if X.dtype == np.float32 else erf_float64(ctx, X, Y)

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [
            (np.square, X, t),
            negate(t, t),
            (np.exp, t, t),
            (np.multiply, t, ctx.constant(2.0 / math.sqrt(math.pi)), t),
            (np.multiply, dY, t, dY),
        ]
