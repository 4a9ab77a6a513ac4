"""Activations. X may be overwritten if the gradient is computed from Y."""

from __future__ import annotations

from functools import partial
from math import inf

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.ir.ranges import Range
from graphspec.graph.kernels.common import (
    clip,
    copy_cast,
    give_each,
    negate,
    output_for,
    scratch_like,
    unsigned,
    within,
)
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.unary import Unary


def zero_with(ctx: Context, Y: Array, dY: Array) -> Calls:
    """Calls that set ``dY`` to 0 in place where Y ≥ 0 is 0.

    They multiply the bits of ``dY``, as integers, by 0 or 1. That is exact even where ``dY`` is infinite or NaN.
    """
    return relu_gradient(Y, dY, mask=scratch_like(ctx, dY, f"u{dY.itemsize}"))


@twin()
def relu(x: Array, y: Array, /, *, zeros: Array) -> Calls:
    """Return calls for ``y = max(x, 0)``."""
    return [(partial(np.maximum, out=y), x, zeros)]


@twin()
def relu_gradient(y: Array, dy: Array, /, *, mask: Array) -> Calls:
    """Return calls for :func:`zero_with`."""
    gradient = unsigned(dy)
    return [(np.sign, unsigned(y), mask), (np.multiply, gradient, mask, gradient)]


@twin()
def logistic_argument(x: Array, most: Array, y: Array, /, *, lowest: Array) -> Calls:
    """Return calls for ``y = min(-x, most)``; ``lowest`` is -∞."""
    return [negate(x, y), clip(y, lowest, most, y)]


@twin()
def logistic(y: Array, /, *, one: Array) -> Calls:
    """Return calls for ``y = 1 / (y + 1)``."""
    return [(np.add, y, one, y), (np.divide, one, y, y)]


@twin()
def logistic_gradient(y: Array, dy: Array, /, *, t: Array) -> Calls:
    """Return calls for ``dy = dy · (y - y²)``."""
    return [(np.square, y, t), (np.subtract, y, t, t), (np.multiply, dy, t, dy)]


@twin()
def tanh_gradient(y: Array, dy: Array, /, *, one: Array, t: Array) -> Calls:
    """Return calls for ``dy = dy · (1 - y²)``."""
    return [(np.square, y, t), (np.subtract, one, t, t), (np.multiply, dy, t, dy)]


def exp_of_negative(ctx: Context, X: Array, Y: Array) -> Calls:
    """Return calls for ``Y = exp(-X)``, or the largest number that exp gives without an overflow."""
    most = ctx.constant(87.0 if X.dtype == np.float32 else 708.0)
    return [*logistic_argument(X, most, Y, lowest=ctx.constant(-inf)), (np.exp, Y, Y)]


def above_zero(ctx: Context, Y: Array, scale: float, out: Array) -> Calls:
    """Calls that write ``scale`` where ``Y > 0``, else 0."""
    positive = scratch_like(ctx, Y, np.bool_)
    zero = ctx.constant(0.0)
    return [(np.greater, Y, zero, positive), (copy_cast, out, positive), (np.multiply, out, ctx.constant(scale), out)]


@op
class Relu(Unary):
    """``Y = max(X, 0)``. Nair and Hinton, ICML 2010."""

    activation, value_range = "relu", Range(0, inf)

    def infer(self, X: Value) -> Type:
        need(X.dtype[0] in "fi", f"needs numbers, got {X.type}", code=Code.WRONG_DTYPE)
        return X.type

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return relu(X, Y, zeros=ctx.zeros_like(X))

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return zero_with(ctx, Y, dY)


@op
class LeakyRelu(Unary):
    """``Y = X if X > 0 else alpha · X``. Maas et al., ICML 2013."""

    activation = "leaky_relu"

    alpha: float = 0.01

    def infer(self, X: Value) -> Type:
        need(self.alpha >= 0, f"needs alpha to be at least 0, got {self.alpha}", code=Code.VALUE_NOT_ALLOWED)
        return super().infer(X)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        t = scratch_like(ctx, X)
        steeper = np.maximum if self.alpha <= 1 else np.minimum
        return [(np.multiply, X, ctx.constant(self.alpha), t), (partial(steeper, out=Y), X, t)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        slope = scratch_like(ctx, dY)
        return [
            *above_zero(ctx, Y, 1.0 - self.alpha, slope),
            (np.add, slope, ctx.constant(self.alpha), slope),
            (np.multiply, dY, slope, dY),
        ]


@op
class PRelu(Op):
    """``Y = X if X > 0 else slope · X``. He et al., *Delving deep into rectifiers*, ICCV 2015.

    The slope broadcasts to X's shape. The gradient of X at 0 is 0, as in Keras's layer.
    """

    vectors_at = (1,)
    activation = "PReLU"
    elementwise = True
    keeps_in, keeps_out = (0, 1), False

    def infer(self, X: Value, slope: Value) -> Type:
        need_float(X, slope)
        need(broadcast(X.shape, slope.shape) == X.shape, f"needs a slope that broadcasts to {X.type}, got {slope.type}")
        return X.type

    def bind(self, ctx: Context, X: Array, slope: Array) -> Bound:
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
    """``Y = X if X > alpha else 0``. Konda et al., *Zero-bias autoencoders*, ICLR 2015."""

    keeps_in, keeps_out = (0,), False

    alpha: float = 1.0

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        over = scratch_like(ctx, X, np.bool_)
        return [(np.greater, X, ctx.constant(self.alpha), over), (np.multiply, X, over, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        over = scratch_like(ctx, dY, np.bool_)
        return [(np.greater, X, ctx.constant(self.alpha), over), (np.multiply, dY, over, dY)]


@op
class Shrink(Unary):
    """``Y = X - sign(X) · bias if |X| > lambd else 0`` (ONNX); hard shrinkage for ``bias`` 0, soft for ``bias = lambd``."""

    keeps_in, keeps_out = (0,), False

    bias: float = 0.0
    lambd: float = 0.5

    def infer(self, X: Value) -> Type:
        need(self.lambd >= 0, f"needs lambd to be at least 0, got {self.lambd}", code=Code.VALUE_NOT_ALLOWED)
        return super().infer(X)

    def outside(self, ctx: Context, X: Array, out: Array) -> Calls:
        """Calls that write ``|X| > lambd`` into the bool array ``out``."""
        size = scratch_like(ctx, X)
        return [(np.absolute, X, size), (np.greater, size, ctx.constant(self.lambd), out)]

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        out, t = scratch_like(ctx, X, np.bool_), scratch_like(ctx, X)
        calls = self.outside(ctx, X, out)
        if not self.bias:
            return [*calls, (np.multiply, X, out, Y)]
        return [
            *calls,
            (np.sign, X, t),
            (np.multiply, t, ctx.constant(self.bias), t),
            (np.subtract, X, t, Y),
            (np.multiply, Y, out, Y),
        ]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        out = scratch_like(ctx, dY, np.bool_)
        return [*self.outside(ctx, X, out), (np.multiply, dY, out, dY)]


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
    """``Y = X if X > 0 else alpha · (exp(X) - 1)``. Clevert et al., *Exponential linear units*, ICLR 2016."""

    activation = "elu"

    alpha: float = 1.0

    def infer(self, X: Value) -> Type:
        need(self.alpha >= 0, f"needs alpha to be at least 0, got {self.alpha}", code=Code.VALUE_NOT_ALLOWED)
        return super().infer(X)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return exponential_linear(ctx, X, Y, 1.0, self.alpha, 1.0)

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return exponential_linear_gradient(ctx, Y, dY, 1.0, self.alpha, 1.0)


@op
class Selu(Unary):
    """``Y = gamma · (X if X > 0 else alpha · (exp(X) - 1))``. Klambauer et al., NeurIPS 2017."""

    activation = "selu"

    alpha: float = 1.6732631921768188
    gamma: float = 1.0507010221481323

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return exponential_linear(ctx, X, Y, self.gamma, self.alpha, 1.0)

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return exponential_linear_gradient(ctx, Y, dY, self.gamma, self.alpha, 1.0)


@op
class Celu(Unary):
    """``Y = max(X, 0) + min(0, alpha · (exp(X / alpha) - 1))``. Barron, *Continuously differentiable ELUs*, 2017."""

    activation = "celu"

    alpha: float = 1.0

    def infer(self, X: Value) -> Type:
        need(self.alpha > 0, f"needs an alpha above 0, got {self.alpha}", code=Code.VALUE_NOT_ALLOWED)
        return super().infer(X)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return exponential_linear(ctx, X, Y, 1.0, self.alpha, self.alpha)

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return exponential_linear_gradient(ctx, Y, dY, 1.0, self.alpha, self.alpha)


@op
class Sigmoid(Unary):
    """``Y = 1 / (1 + exp(-X))``; exact to the last digits in both tails, and exp never overflows."""

    activation, value_range = "sigmoid", Range(0, 1)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [*exp_of_negative(ctx, X, Y), *logistic(Y, one=ctx.constant(1.0))]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return logistic_gradient(Y, dY, t=scratch_like(ctx, dY))


@op
class HardSigmoid(Unary):
    """``Y = max(0, min(1, alpha · X + beta))`` (ONNX)."""

    activation, value_range = "hard_sigmoid", Range(0, 1)

    alpha: float = 0.2
    beta: float = 0.5

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [
            (np.multiply, X, ctx.constant(self.alpha), Y),
            (np.add, Y, ctx.constant(self.beta), Y),
            clip(Y, ctx.constant(0.0), ctx.constant(1.0), Y),
        ]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        inside = within(ctx, Y, ctx.constant(0.0), ctx.constant(1.0), dY)
        return [*inside, (np.multiply, dY, ctx.constant(self.alpha), dY)]


@op
class Tanh(Unary):
    """``Y = tanh(X)``."""

    activation, value_range = "tanh", Range(-1, 1)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        return [(np.tanh, X, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:
        return tanh_gradient(Y, dY, one=ctx.constant(1.0), t=scratch_like(ctx, dY))


@op
class Softplus(Unary):
    """``Y = log(1 + exp(X))``, as ``max(X, 0) + log1p(exp(-|X|))``, which never overflows."""

    activation, value_range = "softplus", Range(0, inf)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        t = scratch_like(ctx, X)
        return [
            (np.absolute, X, t),
            negate(t, t),
            (np.exp, t, t),
            (np.log1p, t, t),
            (partial(np.maximum, out=Y), X, ctx.zeros_like(X)),
            (np.add, Y, t, Y),
        ]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # sigmoid(X) = 1 - exp(-Y)
        t = scratch_like(ctx, dY)
        return [negate(Y, t), (np.expm1, t, t), negate(t, t), (np.multiply, dY, t, dY)]


@op
class Softsign(Unary):
    """``Y = X / (1 + |X|)``. Turian et al., NAACL 2009."""

    activation, value_range = "softsign", Range(-1, 1)

    def forward(self, ctx: Context, X: Array, Y: Array) -> Calls:
        t = scratch_like(ctx, X)
        return [(np.absolute, X, t), (np.add, t, ctx.constant(1.0), t), (np.divide, X, t, Y)]

    def gradient(self, ctx: Context, X: Array, Y: Array, dY: Array) -> Calls:  # 1 / (1 + |X|)² = (1 - |Y|)²
        t = scratch_like(ctx, dY)
        return [
            (np.absolute, Y, t),
            (np.subtract, ctx.constant(1.0), t, t),
            (np.square, t, t),
            (np.multiply, dY, t, dY),
        ]
