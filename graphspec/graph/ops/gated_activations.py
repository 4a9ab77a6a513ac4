"""Activations ``Y = X · gate(X)``: GELU, SiLU, Mish and hard SiLU. Forward also computes their derivatives."""

from __future__ import annotations

import math

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.blocks import each_block, in_blocks
from graphspec.graph.kernels.common import clip, output_for, saved_like, scratch_like
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import op
from graphspec.graph.ops.erf import erf_float64
from graphspec.graph.ops.unary import Unary


class Gated(Unary):
    """``Y = X · gate(X)``.

    A subclass defines ``forward(ctx, X, Y, slope)``, which returns calls that write Y, which may be X itself, and write
    dY/dX into ``slope`` unless it is None. Backward multiplies by ``slope`` and reads neither X nor Y.
    """

    keeps_in, keeps_out = (), False

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = output_for(ctx, (0, X))
        slope = saved_like(ctx, X) if ctx.wants(0) else None
        arrays = (X, Y) if slope is None else (X, Y, slope)
        calls = in_blocks(ctx, lambda x, y, dx=None: self.forward(ctx, x, y, dx), *arrays)

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            assert slope is not None
            return each_block(np.multiply, dY, slope, dY)

        return Y, calls, backward


# float32: Φ(x) = ½ + ½ · tanh(x · P(x²)), highest power of P first. The coefficients are a weighted least-squares fit for
# |x| ≤ 6, where the error of tanh is at most 6e-8; beyond 6 both sides are 1 in float32.
_NORMAL = (
    1.7562497137814516e-09,
    -1.3226593639914038e-07,
    3.96477402055768e-06,
    -5.530633863907091e-05,
    -3.259466991385611e-05,
    0.036333084332098364,
    0.7978849415074792,
)


@twin()
def half_tanh(y: Array, half: Array, /) -> Calls:
    """Calls for ``y = ½ · y + ½``: a sigmoid, if y is a hyperbolic tangent."""
    return [(np.multiply, y, half, y), (np.add, y, half, y)]


@twin()
def normal_argument(
    x: Array,
    coefficients: Array,
    most: Array,
    minus_half: Array,
    argument: Array,
    exponent: Array | None,
    /,
    *,
    square: Array,
) -> Calls:
    """Calls for ``argument = x · P(min(x², most))``, highest power of P first, and ``exponent = -½ · x²`` if asked for."""
    first, *others = (coefficients[k : k + 1].reshape(()) for k in range(coefficients.size))
    calls: Calls = [(np.square, x, square)]
    if exponent is not None:
        calls.append((np.multiply, square, minus_half, exponent))
    calls += [clip(square, np.array(0, x.dtype), most, square), (np.multiply, square, first, argument)]
    for c in others[:-1]:
        calls += [(np.add, argument, c, argument), (np.multiply, argument, square, argument)]
    return [*calls, (np.add, argument, others[-1], argument), (np.multiply, x, argument, argument)]


@twin()
def gelu(x: Array, tanh: Array, half: Array, scale: Array, y: Array, slope: Array | None, /) -> Calls:
    """Calls for ``y = x · Φ`` and the derivative, with ``Φ = ½ + ½ · tanh``; ``tanh`` is overwritten.

    The derivative, ``slope``, contains exp(-½ · x²) before.
    """
    calls = half_tanh.numpy(tanh, half)
    if slope is not None:
        calls += [(np.multiply, slope, x, slope), (np.multiply, slope, scale, slope), (np.add, slope, tanh, slope)]
    return [*calls, (np.multiply, x, tanh, y)]


@twin()
def gelu_by_tanh(  # noqa: PLR0913 (the operands of the kernel)
    x: Array,
    tanh: Array,
    half: Array,
    most: Array,
    cubic: Array,
    linear: Array,
    y: Array,
    slope: Array,
    /,
    *,
    square: Array,
) -> Calls:
    """Calls for ``y = x · g``, ``slope = g + (g - g²) · x · (min(x², most) · cubic + linear)``, with ``g = ½ + ½ · tanh``.

    ``tanh`` and ``square``, which is ``min(x², most)`` before, are overwritten.
    """
    return [
        *half_tanh.numpy(tanh, half),
        (np.square, tanh, slope),
        (np.subtract, tanh, slope, slope),
        (np.multiply, slope, x, slope),
        (np.multiply, square, cubic, square),
        (np.add, square, linear, square),
        (np.multiply, slope, square, slope),
        (np.add, slope, tanh, slope),
        (np.multiply, x, tanh, y),
    ]


@twin()
def silu(x: Array, tanh: Array, half: Array, alpha: Array | None, y: Array, slope: Array | None, /) -> Calls:
    """Calls for ``y = x · g`` and its derivative, ``g + alpha · y · (1 - g)``, with ``g = ½ + ½ · tanh``."""
    calls = [*half_tanh.numpy(tanh, half), (np.multiply, x, tanh, y)]
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


@op
class Gelu(Gated):
    """``Y = X · Φ(X)`` with the normal distribution Φ, or its approximation by tanh. Hendrycks and Gimpel, 2016."""

    activation = "gelu"

    approximate: str = "none"

    def infer(self, X: Value) -> Type:
        need_float(X)
        need(
            self.approximate in ("none", "tanh"),
            f"does not implement the approximation '{self.approximate}'",
            code=Code.VALUE_NOT_ALLOWED,
        )
        return X.type

    def forward(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        write = self.by_tanh if self.approximate == "tanh" else self.exact
        return write(ctx, X, Y, slope)

    def exact(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        """Calls for ``X · Φ(X)`` and its derivative."""
        square, t = scratch_like(ctx, X), scratch_like(ctx, X)
        half, minus_half = ctx.constant(0.5), ctx.constant(-0.5)
        calls: Calls
        if X.dtype == np.float32:
            coefficients, most = ctx.constant(np.array(_NORMAL)), ctx.constant(36.0)
            calls = [*normal_argument(X, coefficients, most, minus_half, t, slope, square=square), (np.tanh, t, t)]
        else:
            calls = [] if slope is None else [(np.square, X, square), (np.multiply, square, minus_half, slope)]
            calls += [(np.multiply, X, ctx.constant(math.sqrt(0.5)), square), *erf_float64(ctx, square, t)]
        if slope is not None:
            calls.append((np.exp, slope, slope))
        return [*calls, *gelu(X, t, half, ctx.constant(1 / math.sqrt(2 * math.pi)), Y, slope)]

    def by_tanh(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        """Calls for ``X · (½ + ½ · tanh(√(2/π) · (X + 0.044715 · X³)))`` and its derivative."""
        square, gate, half = scratch_like(ctx, X), scratch_like(ctx, X), ctx.constant(0.5)
        a, b = math.sqrt(2 / math.pi), math.sqrt(2 / math.pi) * 0.044715
        most = ctx.constant(100.0)  # beyond this tanh is ±1, in float64 too
        calls = normal_argument(X, ctx.constant(np.array([b, a])), most, ctx.constant(-0.5), gate, None, square=square)
        calls.append((np.tanh, gate, gate))
        if slope is None:
            return [*calls, *half_tanh(gate, half), (np.multiply, X, gate, Y)]
        cubic, linear = ctx.constant(6 * b), ctx.constant(2 * a)
        return [*calls, *gelu_by_tanh(X, gate, half, most, cubic, linear, Y, slope, square=square)]


@op
class Swish(Gated):
    """``Y = X · sigmoid(alpha · X)``, SiLU for alpha 1. Ramachandran et al., *Searching for activation functions*, 2017."""

    in_onnxruntime = False  # onnxruntime 1.32 expands it at opset 24, but not from 25 on
    activation = "silu"

    alpha: float = 1.0

    def forward(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        gate = scratch_like(ctx, X)
        alpha = None if self.alpha == 1.0 else ctx.constant(self.alpha)
        return [
            (np.multiply, X, ctx.constant(self.alpha / 2), gate),
            (np.tanh, gate, gate),
            *silu(X, gate, ctx.constant(0.5), alpha, Y, slope),
        ]


@op
class Mish(Gated):
    """``Y = X · tanh(log(1 + exp(X)))``. Misra, *Mish*, 2019.

    With ``e = exp(X)`` and ``n = e · (e + 2)`` the gate is ``n / (n + 2)``, and the derivative
    ``gate + 4 · X · e · (e + 1) / (n + 2)²``.
    """

    activation = "mish"

    def forward(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        x, e, gate, denominator = (scratch_like(ctx, X) for _ in range(4))
        two = ctx.constant(2.0)
        calls: Calls = [
            clip(X, ctx.constant(-math.inf), ctx.constant(20.0), x),  # beyond this the gate is 1, in float64 too
            (np.exp, x, e),
            (np.add, e, two, gate),
            (np.multiply, gate, e, gate),
            (np.add, gate, two, denominator),
            (np.divide, gate, denominator, gate),
            (np.multiply, X, gate, Y),
        ]
        if slope is None:
            return calls
        return [
            *calls,
            (np.add, e, ctx.constant(1.0), slope),
            (np.multiply, slope, e, slope),
            (np.multiply, slope, x, slope),
            (np.divide, slope, denominator, slope),
            (np.divide, slope, denominator, slope),
            (np.multiply, slope, ctx.constant(4.0), slope),
            (np.add, slope, gate, slope),
        ]


@op
class HardSwish(Gated):
    """``Y = X · max(0, min(1, X / 6 + 1/2))``. Howard et al., *Searching for MobileNetV3*, ICCV 2019."""

    activation = "hard_silu"

    def forward(self, ctx: Context, X: Array, Y: Array, slope: Array | None) -> Calls:
        gate, inside = scratch_like(ctx, X), scratch_like(ctx, X, np.bool_)
        zero, one = ctx.constant(0.0), ctx.constant(1.0)
        sixth = scratch_like(ctx, X) if slope is None else slope
        calls: Calls = [
            (np.multiply, X, ctx.constant(1 / 6), sixth),
            (np.add, sixth, ctx.constant(0.5), gate),
            clip(gate, zero, one, gate),
            (np.multiply, X, gate, Y),
        ]
        if slope is None:
            return calls
        return [  # gate + X / 6 where the gate is neither 0 nor 1
            *calls,
            (np.greater, gate, zero, inside),
            (np.multiply, slope, inside, slope),
            (np.less, gate, one, inside),
            (np.multiply, slope, inside, slope),
            (np.add, slope, gate, slope),
        ]
