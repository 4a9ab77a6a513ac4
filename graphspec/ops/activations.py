"""Activations. Where the gradient is computed from Y, X may be overwritten."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import copy_cast, give_each, negate, output_for, scratch_like, unsigned, within
from graphspec.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.ops.base import Op, op
from graphspec.ops.unary import Unary, of_float


def zero_with(ctx: Context, Y: Array, dY: Array) -> Calls:
    """Calls that zero ``dY`` in place where Y, which is not negative, is 0.

    On their bits as integers, of which 0 has none: products with 0 and 1 are exact whatever ``dY`` is.
    """
    bits, gradient = unsigned(Y), unsigned(dY)
    mask = scratch_like(ctx, dY, bits.dtype)
    return [(np.sign, bits, mask), (np.multiply, gradient, mask, gradient)]


def above_zero(ctx: Context, Y: Array, scale: float, out: Array) -> Calls:
    """Calls that write ``scale`` where ``Y > 0``, else 0."""
    positive = scratch_like(ctx, Y, np.bool_)
    zero = ctx.constant(0.0)
    return [(np.greater, Y, zero, positive), (copy_cast, out, positive), (np.multiply, out, ctx.constant(scale), out)]


def at_least_0(attribute: str) -> Callable[..., Type]:
    """The inference of a function whose ``attribute`` must not be negative."""

    def infer(X: Value, **attributes: Any) -> Type:
        value = attributes[attribute]
        need(value >= 0, f"needs {attribute} to be at least 0, got {value}", code="GS105")
        return of_float(X)

    return infer


@op
class Relu(Unary):
    """``Y = max(X, 0)``."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need(X.dtype[0] in "fi", f"needs numbers, got {X.type}", code="GS306")
        return X.type

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(partial(np.maximum, out=Y), X, ctx.zeros_like(X))]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return zero_with(ctx, Y, dY)


@op
class LeakyRelu(Unary):
    """``Y = X if X > 0 else alpha · X``."""

    infer = at_least_0("alpha")

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array, *, alpha: float = 0.01) -> Calls:
        t = scratch_like(ctx, X)
        steeper = np.maximum if alpha <= 1 else np.minimum
        return [(np.multiply, X, ctx.constant(alpha), t), (partial(steeper, out=Y), X, t)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, alpha: float) -> Calls:
        slope = scratch_like(ctx, dY)
        return [
            *above_zero(ctx, Y, 1.0 - alpha, slope),
            (np.add, slope, ctx.constant(alpha), slope),
            (np.multiply, dY, slope, dY),
        ]


@op
class PRelu(Op):
    """``Y = X if X > 0 else slope · X``; the gradient of X at 0 is 0, as Keras's layer has it. He et al., 2015."""

    keeps_in, keeps_out = (0, 1), False

    @staticmethod
    def infer(X: Value, slope: Value) -> Type:
        need_float(X, slope)
        need(broadcast(X.shape, slope.shape) == X.shape, f"needs a slope that fits {X.type}, got {slope.type}")
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array, slope: Array) -> Bound:
        Y = output_for(ctx, (0, X))
        t, zeros = scratch_like(ctx, X), ctx.zeros_like(X)
        calls: Calls = [
            (partial(np.minimum, out=t), X, zeros),
            (np.multiply, t, slope, t),
            (partial(np.maximum, out=Y), X, zeros),
            (np.add, Y, t, Y),
        ]

        def backward(dY: Array) -> Calls:
            t, u, side = scratch_like(ctx, dY), scratch_like(ctx, dY), scratch_like(ctx, dY, np.bool_)
            zero = ctx.constant(0.0)

            def to_slope(out: Array) -> Calls:
                return [(partial(np.minimum, out=t), X, zeros), (np.multiply, dY, t, out)]

            def to_X(out: Array) -> Calls:
                return [
                    (np.less, X, zero, side),
                    (np.multiply, side, slope, t),
                    (np.greater, X, zero, side),
                    (copy_cast, u, side),
                    (np.add, t, u, t),
                    (np.multiply, dY, t, out),
                ]

            return give_each(ctx, dY, {1: (slope, to_slope), 0: (X, to_X)})

        return Y, calls, backward


@op
class ThresholdedRelu(Unary):
    """``Y = X if X > alpha else 0``."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array, *, alpha: float = 1.0) -> Calls:
        over = scratch_like(ctx, X, np.bool_)
        return [(np.greater, X, ctx.constant(alpha), over), (np.multiply, X, over, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, alpha: float) -> Calls:
        over = scratch_like(ctx, dY, np.bool_)
        return [(np.greater, X, ctx.constant(alpha), over), (np.multiply, dY, over, dY)]


@op
class Shrink(Unary):
    """``Y = X - sign(X) · bias`` where ``|X| > lambd``, else 0."""

    keeps_in, keeps_out = (0,), False

    infer = at_least_0("lambd")

    @staticmethod
    def outside(ctx: Context, X: Array, lambd: float, out: Array) -> Calls:
        size = scratch_like(ctx, X)
        return [(np.absolute, X, size), (np.greater, size, ctx.constant(lambd), out)]

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Calls:
        out, t = scratch_like(ctx, X, np.bool_), scratch_like(ctx, X)
        calls = Shrink.outside(ctx, X, lambd, out)
        if not bias:
            return [*calls, (np.multiply, X, out, Y)]
        return [
            *calls,
            (np.sign, X, t),
            (np.multiply, t, ctx.constant(bias), t),
            (np.subtract, X, t, Y),
            (np.multiply, Y, out, Y),
        ]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, bias: float, lambd: float) -> Calls:
        out = scratch_like(ctx, dY, np.bool_)
        return [*Shrink.outside(ctx, X, lambd, out), (np.multiply, dY, out, dY)]


def exponential_linear(ctx: Context, X: Array, Y: Array, scale: float, alpha: float, width: float) -> Calls:
    """Calls for ``Y = scale · (max(X, 0) + alpha · (exp(min(X, 0) / width) - 1))``."""
    t, zeros = scratch_like(ctx, X), ctx.zeros_like(X)
    calls: Calls = [(partial(np.minimum, out=t), X, zeros)]
    if width != 1.0:
        calls.append((np.multiply, t, ctx.constant(1.0 / width), t))
    calls += [
        (np.expm1, t, t),
        (np.multiply, t, ctx.constant(scale * alpha), t),
        (partial(np.maximum, out=Y), X, zeros),
    ]
    if scale != 1.0:
        calls.append((np.multiply, Y, ctx.constant(scale), Y))
    return [*calls, (np.add, Y, t, Y)]


def exponential_linear_gradient(ctx: Context, Y: Array, dY: Array, scale: float, alpha: float, width: float) -> Calls:
    """Calls that multiply dY by the derivative of :func:`exponential_linear`."""
    slope, edge = scratch_like(ctx, dY), scale * alpha / width  # the derivative just below 0
    calls: Calls = [(partial(np.minimum, out=slope), Y, ctx.zeros_like(Y))]
    if width != 1.0:
        calls.append((np.multiply, slope, ctx.constant(1.0 / width), slope))
    calls.append((np.add, slope, ctx.constant(edge), slope))
    if edge != scale:
        step = scratch_like(ctx, dY)
        calls += [*above_zero(ctx, Y, scale - edge, step), (np.add, slope, step, slope)]
    return [*calls, (np.multiply, dY, slope, dY)]


@op
class Elu(Unary):
    """``Y = X if X > 0 else alpha · (exp(X) - 1)``. Clevert et al., 2016."""

    infer = at_least_0("alpha")

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array, *, alpha: float = 1.0) -> Calls:
        return exponential_linear(ctx, X, Y, 1.0, alpha, 1.0)

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, alpha: float) -> Calls:
        return exponential_linear_gradient(ctx, Y, dY, 1.0, alpha, 1.0)


@op
class Selu(Unary):
    """``Y = gamma · (X if X > 0 else alpha · (exp(X) - 1))``. Klambauer et al., 2017."""

    @staticmethod
    def forward(
        ctx: Context,
        X: Array,
        Y: Array,
        *,
        alpha: float = 1.67326319217681884765625,
        gamma: float = 1.05070102214813232421875,
    ) -> Calls:
        return exponential_linear(ctx, X, Y, gamma, alpha, 1.0)

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, alpha: float, gamma: float) -> Calls:
        return exponential_linear_gradient(ctx, Y, dY, gamma, alpha, 1.0)


@op
class Celu(Unary):
    """``Y = max(X, 0) + min(0, alpha · (exp(X / alpha) - 1))``. Barron, 2017."""

    @staticmethod
    def infer(X: Value, *, alpha: float) -> Type:
        need(alpha > 0, f"needs an alpha above 0, got {alpha}", code="GS105")
        return of_float(X)

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array, *, alpha: float = 1.0) -> Calls:
        return exponential_linear(ctx, X, Y, 1.0, alpha, alpha)

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, alpha: float) -> Calls:
        return exponential_linear_gradient(ctx, Y, dY, 1.0, alpha, alpha)


@op
class Sigmoid(Unary):
    """``Y = 1 / (1 + exp(-X))``; exact to the last digits in both tails, and exp never overflows."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        one, most = ctx.constant(1.0), ctx.constant(87.0 if X.dtype == np.float32 else 708.0)
        return [
            negate(X, Y),
            (partial(np.minimum, out=Y), Y, most),
            (np.exp, Y, Y),
            (np.add, Y, one, Y),
            (np.divide, one, Y, Y),
        ]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.square, Y, t), (np.subtract, Y, t, t), (np.multiply, dY, t, dY)]


@op
class HardSigmoid(Unary):
    """``Y = max(0, min(1, alpha · X + beta))``."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Calls:
        return [
            (np.multiply, X, ctx.constant(alpha), Y),
            (np.add, Y, ctx.constant(beta), Y),
            (partial(np.maximum, out=Y), Y, ctx.constant(0.0)),
            (partial(np.minimum, out=Y), Y, ctx.constant(1.0)),
        ]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array, *, alpha: float, beta: float) -> Calls:
        inside = within(ctx, Y, ctx.constant(0.0), ctx.constant(1.0), dY)
        return [*inside, (np.multiply, dY, ctx.constant(alpha), dY)]


@op
class Tanh(Unary):
    """``Y = tanh(X)``."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.tanh, X, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        t = scratch_like(ctx, dY)
        return [(np.square, Y, t), (np.subtract, ctx.constant(1.0), t, t), (np.multiply, dY, t, dY)]


@op
class Softplus(Unary):
    """``Y = log(1 + exp(X))``, as ``max(X, 0) + log1p(exp(-|X|))``, which never overflows."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        t = scratch_like(ctx, X)
        return [
            (np.absolute, X, t),
            negate(t, t),
            (np.exp, t, t),
            (np.log1p, t, t),
            (partial(np.maximum, out=Y), X, ctx.zeros_like(X)),
            (np.add, Y, t, Y),
        ]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # sigmoid(X) = 1 - exp(-Y)
        t = scratch_like(ctx, dY)
        return [negate(Y, t), (np.expm1, t, t), negate(t, t), (np.multiply, dY, t, dY)]


@op
class Softsign(Unary):
    """``Y = X / (1 + |X|)``."""

    @staticmethod
    def forward(ctx: Context, X: Array, Y: Array) -> Calls:
        t = scratch_like(ctx, X)
        return [(np.absolute, X, t), (np.add, t, ctx.constant(1.0), t), (np.divide, X, t, Y)]

    @staticmethod
    def gradient(ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # 1 / (1 + |X|)² = (1 - |Y|)²
        t = scratch_like(ctx, dY)
        return [
            (np.absolute, Y, t),
            (np.subtract, ctx.constant(1.0), t, t),
            (np.square, t, t),
            (np.multiply, dY, t, dY),
        ]
