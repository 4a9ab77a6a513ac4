"""Elementwise operators of one input: activations. The backward passes read Y, so X may be overwritten."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, need, need_float, op, same_dtype
from graphspec.ops.common import copy_cast, scratch_like, target


def sign_mask(positive: Array, dY: Array, mask: Array) -> Calls:
    """Calls that zero ``dY`` in place where ``positive`` is not above 0.

    As integers where they are float32: the sign bit of ``-positive``, spread over the word, is all ones exactly where
    ``positive > 0``; a bitwise and is four times as fast as a product with a bool array.
    """
    if dY.dtype == np.float32 and mask.dtype == np.float32:
        bits, gradient, words = (a.view(np.int32) for a in (positive, dY, mask))
        shift = np.array(31, np.int32)
        return [
            (np.negative, bits, words),
            (np.right_shift, words, shift, words),
            (np.bitwise_and, gradient, words, gradient),
        ]
    return [(partial(np.greater, out=mask, casting="unsafe"), positive, 0.0), (np.multiply, dY, mask, dY)]


def above_zero(ctx: Context, Y: Array, scale: float, out: Array) -> Calls:
    """Calls that write ``scale`` where ``Y > 0``, else 0."""
    positive = scratch_like(ctx, Y, np.bool_)
    zero = ctx.constant(0.0)
    return [(np.greater, Y, zero, positive), (copy_cast, out, positive), (np.multiply, out, ctx.constant(scale), out)]


class Activation(Op):
    """A function of a float tensor whose derivative is computed from its value."""

    keeps_in, keeps_out = (), True

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need_float(X)
        return X.type


@op
class Relu(Activation):
    """``Y = max(X, 0)``."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need(X.dtype[0] in "fi", f"needs numbers, got {X.type}", code="GS306")
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return sign_mask(Y, dY, scratch_like(ctx, dY))

        return Y, [(partial(np.maximum, out=Y), X, ctx.zeros_like(X))], backward


@op
class LeakyRelu(Activation):
    """``Y = X if X > 0 else alpha · X``."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need_float(X)
        need(attributes["alpha"] >= 0, f"needs a slope of at least 0, got {attributes['alpha']}", code="GS105")
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array, *, alpha: float = 0.01) -> Bound:
        Y = target(ctx, (0, X))
        t = scratch_like(ctx, X)
        steeper = np.maximum if alpha <= 1 else np.minimum
        calls: Calls = [(np.multiply, X, ctx.constant(alpha), t), (partial(steeper, out=Y), X, t)]

        def backward(dY: Array) -> Calls:
            slope = scratch_like(ctx, dY)
            calls = above_zero(ctx, Y, 1.0 - alpha, slope)
            ctx.give(0, dY)
            return [*calls, (np.add, slope, ctx.constant(alpha), slope), (np.multiply, dY, slope, dY)]

        return Y, calls, backward


@op
class ThresholdedRelu(Activation):
    """``Y = X if X > alpha else 0``."""

    @staticmethod
    def bind(ctx: Context, X: Array, *, alpha: float = 1.0) -> Bound:
        Y = target(ctx, (0, X))
        over = scratch_like(ctx, X, np.bool_)

        def backward(dY: Array) -> Calls:
            passed = scratch_like(ctx, dY, np.bool_)
            ctx.give(0, dY)
            return [(np.not_equal, Y, ctx.constant(0.0), passed), (np.multiply, dY, passed, dY)]

        return Y, [(np.greater, X, ctx.constant(alpha), over), (np.multiply, X, over, Y)], backward


def exponential_linear(ctx: Context, X: Array, scale: float, alpha: float, width: float) -> Bound:
    """``Y = scale · (max(X, 0) + alpha · (exp(min(X, 0) / width) - 1))``."""
    Y = target(ctx, (0, X))
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
    calls.append((np.add, Y, t, Y))

    def backward(dY: Array) -> Calls:
        slope, edge = scratch_like(ctx, dY), scale * alpha / width  # the derivative just below 0
        calls: Calls = [(partial(np.minimum, out=slope), Y, zeros)]
        if width != 1.0:
            calls.append((np.multiply, slope, ctx.constant(1.0 / width), slope))
        calls.append((np.add, slope, ctx.constant(edge), slope))
        if edge != scale:
            step = scratch_like(ctx, dY)
            calls += [*above_zero(ctx, Y, scale - edge, step), (np.add, slope, step, slope)]
        ctx.give(0, dY)
        return [*calls, (np.multiply, dY, slope, dY)]

    return Y, calls, backward


@op
class Elu(Activation):
    """``Y = X if X > 0 else alpha · (exp(X) - 1)``. Clevert et al., 2016."""

    @staticmethod
    def bind(ctx: Context, X: Array, *, alpha: float = 1.0) -> Bound:
        return exponential_linear(ctx, X, 1.0, alpha, 1.0)

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need_float(X)
        need(attributes["alpha"] >= 0, f"needs an alpha of at least 0, got {attributes['alpha']}", code="GS105")
        return X.type


@op
class Selu(Activation):
    """``Y = gamma · (X if X > 0 else alpha · (exp(X) - 1))``. Klambauer et al., 2017."""

    @staticmethod
    def bind(
        ctx: Context, X: Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
    ) -> Bound:
        return exponential_linear(ctx, X, gamma, alpha, 1.0)


@op
class Celu(Activation):
    """``Y = max(X, 0) + min(0, alpha · (exp(X / alpha) - 1))``. Barron, 2017."""

    @staticmethod
    def infer(X: Value, **attributes: Any) -> Type:
        need_float(X)
        need(attributes["alpha"] > 0, f"needs an alpha above 0, got {attributes['alpha']}", code="GS105")
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array, *, alpha: float = 1.0) -> Bound:
        return exponential_linear(ctx, X, 1.0, alpha, alpha)


@op
class Sigmoid(Activation):
    """``Y = 1 / (1 + exp(-X))``; exact to the last digits in both tails, and exp never overflows."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        one, most = ctx.constant(1.0), ctx.constant(87.0 if X.dtype == np.float32 else 708.0)
        calls: Calls = [
            (np.negative, X, Y),
            (partial(np.minimum, out=Y), Y, most),
            (np.exp, Y, Y),
            (np.add, Y, one, Y),
            (np.divide, one, Y, Y),
        ]

        def backward(dY: Array) -> Calls:
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.square, Y, t), (np.subtract, Y, t, t), (np.multiply, dY, t, dY)]

        return Y, calls, backward


@op
class HardSigmoid(Activation):
    """``Y = max(0, min(1, alpha · X + beta))``."""

    @staticmethod
    def bind(ctx: Context, X: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Bound:
        Y = target(ctx, (0, X))
        zero, one = ctx.constant(0.0), ctx.constant(1.0)
        calls: Calls = [
            (np.multiply, X, ctx.constant(alpha), Y),
            (np.add, Y, ctx.constant(beta), Y),
            (partial(np.maximum, out=Y), Y, zero),
            (partial(np.minimum, out=Y), Y, one),
        ]

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return [*within(ctx, Y, zero, one, dY), (np.multiply, dY, ctx.constant(alpha), dY)]

        return Y, calls, backward


def within(ctx: Context, Y: Array, low: Array | None, high: Array | None, dY: Array) -> Calls:
    """Calls that zero ``dY`` in place except where ``low < Y < high``."""
    inside = scratch_like(ctx, dY, np.bool_)
    calls: Calls = []
    for compare, bound in ((np.greater, low), (np.less, high)):
        if bound is not None:
            calls += [(compare, Y, bound, inside), (np.multiply, dY, inside, dY)]
    return calls


@op
class Tanh(Activation):
    """``Y = tanh(X)``."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.square, Y, t), (np.subtract, ctx.constant(1.0), t, t), (np.multiply, dY, t, dY)]

        return Y, [(np.tanh, X, Y)], backward


@op
class Softplus(Activation):
    """``Y = log(1 + exp(X))``, as ``max(X, 0) + log1p(exp(-|X|))``, which never overflows."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        t = scratch_like(ctx, X)
        calls: Calls = [
            (np.absolute, X, t),
            (np.negative, t, t),
            (np.exp, t, t),
            (np.log1p, t, t),
            (partial(np.maximum, out=Y), X, ctx.zeros_like(X)),
            (np.add, Y, t, Y),
        ]

        def backward(dY: Array) -> Calls:  # dY · sigmoid(X), and sigmoid(X) = 1 - exp(-Y)
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [(np.negative, Y, t), (np.expm1, t, t), (np.negative, t, t), (np.multiply, dY, t, dY)]

        return Y, calls, backward


@op
class Softsign(Activation):
    """``Y = X / (1 + |X|)``."""

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = target(ctx, (0, X))
        t, one = scratch_like(ctx, X), ctx.constant(1.0)
        calls: Calls = [(np.absolute, X, t), (np.add, t, one, t), (np.divide, X, t, Y)]

        def backward(dY: Array) -> Calls:  # 1 / (1 + |X|)² = (1 - |Y|)²
            t = scratch_like(ctx, dY)
            ctx.give(0, dY)
            return [
                (np.absolute, Y, t),
                (np.subtract, one, t, t),
                (np.square, t, t),
                (np.multiply, dY, t, dY),
            ]

        return Y, calls, backward


@op
class Clip(Op):
    """``Y = min(max(input, min), max)``; the gradient is 0 where a bound is reached."""

    keeps_in, keeps_out = (1, 2), True

    @staticmethod
    def infer(X: Value, minimum: Value | None = None, maximum: Value | None = None) -> Type:
        same_dtype(X, minimum, maximum)
        for bound in (minimum, maximum):
            need(bound is None or bound.rank == 0, "needs scalar bounds")
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array, minimum: Array | None = None, maximum: Array | None = None) -> Bound:
        Y = target(ctx, (0, X))
        calls: Calls = []
        for choose, bound in ((np.maximum, minimum), (np.minimum, maximum)):
            if bound is not None:
                calls.append((partial(choose, out=Y), Y if calls else X, bound))
        if not calls:
            calls.append((np.copyto, Y, X))

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return within(ctx, Y, minimum, maximum, dY)

        return Y, calls, backward
