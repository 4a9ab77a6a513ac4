"""Losses on logits and their reduction to a scalar: training-only operators, never exported.

Targets and weights have no gradient.
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import copy_cast, negate, scratch_like
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import Op, op

_FEW = 64  # up to so many classes, work with the classes first: maxima and sums then run over whole rows


def flattened(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """X as a vector, copied where it does not lie in C order."""
    if X.flags.c_contiguous:
        return X.reshape(-1), []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy.reshape(-1), [(np.copyto, copy, X)]


def last_first(X: Array) -> Array:
    return X.transpose(X.ndim - 1, *range(X.ndim - 1))


class Exponentials:
    """``Z = X - max X`` over the classes, the last axis; then ``exp Z`` in place.

    ``matrix`` is (classes, rows), whichever of the two lies outside in memory; ``wide`` has all of X's leading axes,
    ``memory`` is the whole as a vector, where row r's class k is at ``k · class_step + r · row_step``.
    """

    def __init__(self, ctx: Context, X: Array) -> None:
        classes, lead = X.shape[-1], X.shape[:-1]
        rows = prod(lead)
        keep = ctx.save_for_backward if ctx.wants(0) else ctx.scratch
        x, most = last_first(X), ctx.scratch(lead)
        self.feature_major = x.flags.c_contiguous
        if classes <= _FEW or self.feature_major:
            block = keep((classes, *lead))
            self.wide, self.memory = block, block.reshape(-1)
            self.matrix, self.class_step, self.row_step = block.reshape(classes, rows), rows, 1
        else:
            block = keep((*lead, classes))
            self.wide, self.memory = last_first(block), block.reshape(-1)
            self.matrix, self.class_step, self.row_step = block.reshape(rows, classes).T, 1, classes
        self.calls: Calls = []
        if self.wide.flags.c_contiguous and not self.feature_major:
            self.calls.append((np.copyto, self.wide, x))
            x = self.wide
        self.calls += [(np.maximum.reduce, x, 0, None, most), (np.subtract, x, most, self.wide)]
        self.ones = ctx.constant(np.ones(classes))
        self.sums = keep((rows,))

    def exp(self) -> Calls:
        return [(np.exp, self.matrix, self.matrix), (np.dot, self.ones, self.matrix, self.sums)]

    def give(self, ctx: Context) -> Calls:
        """Hand the block over as the gradient of X. A matrix product reads it as it lies; others get their own order."""
        dX = self.wide.transpose(*range(1, self.wide.ndim), 0)
        if dX.ndim == 2 or dX.flags.c_contiguous or self.feature_major:
            ctx.give_grad(0, dX)
            return []
        target = ctx.grad(0)
        return [] if target is None else [(np.copyto, target, dX)]


def need_logits(X: Value) -> None:
    need_float(X)
    need(X.rank >= 1, f"needs logits with a class axis, got {show(X.shape)}")


@op
class SparseSoftmaxCrossEntropy(Op):
    """``Y = log Σ exp(logits) - logits[label]`` over the last axis; labels are class ids of the leading axes' shape.

    Raises:
        IndexError: in backward, where a label is no class.
    """

    keeps_in, keeps_out = (), False
    exported = False

    def infer(self, logits: Value, labels: Value) -> Type:
        need_logits(logits)
        need(labels.dtype[0] in "iu", f"needs integer labels, got {labels.type}", code="GS306")
        fits = labels.shape == logits.shape[:-1]
        need(fits, f"has labels {show(labels.shape)}, which do not fit logits {show(logits.shape)}", code="GS302")
        return Type(logits.dtype, labels.shape)

    def bind(self, ctx: Context, logits: Array, labels: Array) -> Bound:
        Y, Z = ctx.out(), Exponentials(ctx, logits)
        rows = Y.size
        keep = ctx.save_for_backward if ctx.wants(0) else ctx.scratch
        places, chosen = keep(labels.shape, np.int64), ctx.scratch((rows,))
        starts = ctx.constant(np.arange(rows).reshape(labels.shape) * Z.row_step, np.int64)
        y, at = Y.reshape(-1), places.reshape(-1)
        calls: Calls = [*Z.calls]
        if Z.class_step == 1:
            calls.append((np.add, labels, starts, places))
        else:
            step = ctx.constant(Z.class_step, np.int64)
            calls += [(np.multiply, labels, step, places), (np.add, places, starts, places)]
        calls += [(Z.memory.take, at, None, chosen, "clip"), *Z.exp(), (np.log, Z.sums, y), (np.subtract, y, chosen, y)]

        def backward(dY: Array) -> Calls:  # dX = (softmax - one_hot) · dY
            dy, calls = flattened(ctx, dY)
            scale, chosen = ctx.scratch((rows,)), ctx.scratch((rows,))
            calls += [
                (np.divide, dy, Z.sums, scale),
                (np.multiply, Z.matrix, scale, Z.matrix),
                (Z.memory.take, at, None, chosen, "clip"),
                (np.subtract, chosen, dy, chosen),
                (Z.memory.__setitem__, at, chosen),
            ]
            return calls + Z.give(ctx)

        return Y, calls, backward


def need_same_shape(logits: Value, targets: Value) -> None:
    need_float(logits, targets)
    fits = logits.shape == targets.shape
    need(fits, f"has targets {show(targets.shape)}, which do not fit {show(logits.shape)}", code="GS302")


@op
class SoftmaxCrossEntropy(Op):
    """``Y = -Σ targets · log softmax(logits)`` over the last axis; targets are any weights of the classes."""

    keeps_in, keeps_out = (1,), False
    exported = False

    def infer(self, logits: Value, targets: Value) -> Type:
        need_logits(logits)
        need_same_shape(logits, targets)
        return Type(logits.dtype, logits.shape[:-1])

    def bind(self, ctx: Context, logits: Array, targets: Array) -> Bound:
        Y, Z = ctx.out(), Exponentials(ctx, logits)
        y, t = Y.reshape(-1), last_first(targets)
        product = scratch_like(ctx, Z.wide)
        flat = product.reshape(Z.matrix.shape, copy=False)
        mass, chosen = ctx.save_for_backward((y.size,)), ctx.scratch((y.size,))
        calls: Calls = [
            *Z.calls,
            (np.multiply, t, Z.wide, product),
            (np.dot, Z.ones, flat, chosen),
            (np.copyto, product, t),
            (np.dot, Z.ones, flat, mass),
            *Z.exp(),
            (np.log, Z.sums, y),
            (np.multiply, y, mass, y),
            (np.subtract, y, chosen, y),
        ]

        def backward(dY: Array) -> Calls:  # dX = (Σ targets · softmax - targets) · dY
            dy, calls = flattened(ctx, dY)
            scale, product = ctx.scratch((y.size,)), scratch_like(ctx, Z.wide)
            calls += [
                (np.multiply, dy, mass, scale),
                (np.divide, scale, Z.sums, scale),
                (np.multiply, Z.matrix, scale, Z.matrix),
                (np.multiply, t, dy.reshape(Y.shape), product),
                (np.subtract, Z.wide, product, Z.wide),
            ]
            return calls + Z.give(ctx)

        return Y, calls, backward


@op
class SigmoidCrossEntropy(Op):
    """``Y = max(X, 0) - X · targets + log(1 + exp(-|X|))``, elementwise: the cross-entropy of sigmoid(X)."""

    keeps_in, keeps_out = (0, 1), False
    exported = False

    def infer(self, logits: Value, targets: Value) -> Type:
        need_same_shape(logits, targets)
        return logits.type

    def bind(self, ctx: Context, logits: Array, targets: Array) -> Bound:
        Y, t = ctx.out(like=logits), scratch_like(ctx, logits)
        calls: Calls = [
            (partial(np.maximum, out=Y), logits, ctx.zeros_like(logits)),
            (np.multiply, logits, targets, t),
            (np.subtract, Y, t, Y),  # exactly 0 for a target that is right, before the small term is added
            (np.absolute, logits, t),
            negate(t, t),
            (np.exp, t, t),
            (np.log1p, t, t),
            (np.add, Y, t, Y),
        ]

        def backward(dY: Array) -> Calls:  # dX = (sigmoid(X) - targets) · dY
            t, one = scratch_like(ctx, logits), ctx.constant(1.0)
            ctx.give_grad(0, dY)
            return [
                negate(logits, t),
                (partial(np.minimum, out=t), t, ctx.constant(87.0 if t.dtype == np.float32 else 708.0)),
                (np.exp, t, t),
                (np.add, t, one, t),
                (np.divide, one, t, t),
                (np.subtract, t, targets, t),
                (np.multiply, dY, t, dY),
            ]

        return Y, calls, backward


@op
class SquaredError(Op):
    """``Y = Σ (X - targets)² / n`` over the n elements of the last axis."""

    keeps_in, keeps_out = (), False
    exported = False

    def infer(self, X: Value, targets: Value) -> Type:
        need_same_shape(X, targets)
        need(X.rank >= 1, f"needs an axis to average over, got {show(X.shape)}")
        return Type(X.dtype, X.shape[:-1])

    def bind(self, ctx: Context, X: Array, targets: Array) -> Bound:
        Y = ctx.out()
        units = X.shape[-1]
        E = (ctx.save_for_backward if ctx.wants(0) else ctx.scratch)(X.shape)
        calls: Calls = [(np.subtract, X, targets, E)]
        if units == 1:
            calls.append((np.square, E[..., 0], Y))
        else:
            squares = ctx.scratch(X.shape)
            mean = ctx.constant(np.full(units, 1 / max(units, 1)))
            matrix = squares.reshape(Y.size, units)
            calls += [(np.square, E, squares), (np.dot, matrix, mean, Y.reshape(-1))]

        def backward(dY: Array) -> Calls:  # dX = 2 / n · (X - targets) · dY
            ctx.give_grad(0, E)
            return [(np.multiply, dY, ctx.constant(2 / max(units, 1)), dY), (np.multiply, E, dY[..., None], E)]

        return Y, calls, backward


@op
class ReduceLoss(Op):
    """``Y = Σ values · weight · mask / divisor``: the scalar of a loss, of which every worker has its share.

    Weight and mask have the leading axes of values. By ``reduction`` the divisor is 1 (``sum``), the number of elements
    that are not masked (``sum_over_batch_size``, ``mean``), or ``Σ weight · mask`` (``mean_with_sample_weight``), each
    over the whole batch; a divisor of 0 gives 0.
    """

    keeps_in, keeps_out = (), False
    exported = False

    reduction: str = "sum_over_batch_size"

    def infer(self, values: Value, weight: Value | None = None, mask: Value | None = None) -> Type:
        need_float(values, weight)
        for name, factor in (("weight", weight), ("mask", mask)):
            fits = factor is None or factor.shape == values.shape[: factor.rank]
            need(fits, f"has a {name} {show(factor.shape if factor else ())} for losses {show(values.shape)}")
        need(mask is None or mask.dtype == "bool", "needs a bool mask", code="GS306")
        return Type(values.dtype, ())

    def bind(self, ctx: Context, values: Array, weight: Array | None = None, mask: Array | None = None) -> Bound:
        Y = ctx.out()
        flat, calls = flattened(ctx, values)
        rows = ctx.rows.stop - ctx.rows.start
        count = ctx.total * (values.size // rows) if rows else 1
        by_weight = self.reduction == "mean_with_sample_weight" and weight is not None
        scale = 1.0 if self.reduction == "sum" or mask is not None or by_weight else 1.0 / max(count, 1)
        if weight is None and mask is None:
            coefficients = ctx.constant(np.full(values.shape, scale))
        else:
            coefficients = ctx.save_for_backward(values.shape)
            calls += weigh(ctx, coefficients, weight, mask, scale, self.reduction)
        calls.append((np.dot, flat, coefficients.reshape(-1), Y))

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            return [] if dX is None else [(np.multiply, dY, coefficients, dX)]

        return Y, calls, backward


def weigh(ctx: Context, C: Array, weight: Array | None, mask: Array | None, scale: float, reduction: str) -> Calls:
    """Calls that write what each value counts for."""

    def wide(factor: Array) -> Array:
        return factor.reshape(factor.shape + (1,) * (C.ndim - factor.ndim), copy=False)

    divisor = ctx.scratch((1,))
    total: Calls = [
        (np.dot, C.reshape(-1), ctx.constant(np.ones(C.size)), divisor.reshape(())),
        *ctx.all_reduce(divisor),
    ]
    calls: Calls = []
    if mask is not None:
        calls.append((copy_cast, C, wide(mask)))
        if reduction in ("sum_over_batch_size", "mean"):
            calls += total
        if weight is not None:
            calls.append((np.multiply, C, wide(weight), C))
    elif weight is not None:
        calls.append((np.multiply, wide(weight), ctx.constant(scale), C))
    if reduction == "mean_with_sample_weight":
        calls += total
    if reduction == "sum" or (mask is None and reduction != "mean_with_sample_weight"):
        return calls
    zero, empty, one = ctx.constant(0.0), ctx.scratch((1,), np.bool_), ctx.constant(1.0)
    return [
        *calls,
        (np.equal, divisor, zero, empty),
        (np.add, divisor, empty, divisor),
        (np.divide, one, divisor, divisor),
        (np.subtract, divisor, empty, divisor),
        (np.multiply, C, divisor, C),
    ]


def scaled(ctx: Context, X: Array, factor: float) -> Bound:
    """``Y = factor · X``."""
    Y, scale = ctx.out(like=X), ctx.constant(factor)

    def backward(dY: Array) -> Calls:
        ctx.give_grad(0, dY)
        return [(np.multiply, dY, scale, dY)]

    return Y, [(np.multiply, X, scale, Y)], backward


class Scaling(Op):
    """A multiple of X that depends on the batch."""

    keeps_in, keeps_out = (), False
    exported = False

    def infer(self, X: Value) -> Type:
        need_float(X)
        return X.type


@op
class PerRow(Scaling):
    """``Y = X / n`` for a whole batch of n rows: an average by row, where X is summed over this worker's rows."""

    def bind(self, ctx: Context, X: Array) -> Bound:
        return scaled(ctx, X, 1 / max(ctx.total, 1))


@op
class RowShare(Scaling):
    """``Y = X · m / n`` for m of the batch's n rows: what every worker has alike counts once over all of them."""

    def bind(self, ctx: Context, X: Array) -> Bound:
        return scaled(ctx, X, (ctx.rows.stop - ctx.rows.start) / max(ctx.total, 1))
