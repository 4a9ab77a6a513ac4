"""Losses on logits: training-only operators, never exported.

Targets and weights have no gradient.
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.codes import Code
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import as_vector, negate, scratch_like
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import Op, op

_CLASSES_FIRST = 64  # up to this many classes the class axis comes first: maxima and sums then run over whole rows


def last_axis_first(X: Array) -> Array:
    """Return a view of X with its last axis first."""
    return X.transpose(X.ndim - 1, *range(X.ndim - 1))


class Exponentials:
    """``Z = X - max X`` over the classes, the last axis of X; then ``exp Z`` in place.

    Attributes:
        classes_first: Z with the class axis first, then X's leading axes.
        matrix: Z as (classes, rows); either axis may be the slower one in memory.
        memory: Z's buffer as a vector; class k of row r is at ``k · class_step + r · row_step``.
        feature_major: True if the classes are the slowest axis of X in memory.
        sums: ``Σ exp Z`` of each row, which :meth:`exp` writes.
        calls: the calls that write Z.
    """

    def __init__(self, ctx: Context, X: Array) -> None:
        classes, lead = X.shape[-1], X.shape[:-1]
        rows = prod(lead)
        allocate = ctx.save_for_backward if ctx.wants(0) else ctx.scratch
        x, maximum = last_axis_first(X), ctx.scratch(lead)
        self.feature_major = x.flags.c_contiguous
        if classes <= _CLASSES_FIRST or self.feature_major:
            block = allocate((classes, *lead))
            self.classes_first, self.memory = block, block.reshape(-1)
            self.matrix, self.class_step, self.row_step = block.reshape(classes, rows), rows, 1
        else:
            block = allocate((*lead, classes))
            self.classes_first, self.memory = last_axis_first(block), block.reshape(-1)
            self.matrix, self.class_step, self.row_step = block.reshape(rows, classes).T, 1, classes
        self.calls: Calls = []
        if self.classes_first.flags.c_contiguous and not self.feature_major:
            self.calls.append((np.copyto, self.classes_first, x))
            x = self.classes_first
        self.calls += [(np.maximum.reduce, x, 0, None, maximum), (np.subtract, x, maximum, self.classes_first)]
        self.ones = ctx.constant(np.ones(classes))
        self.sums = allocate((rows,))

    def exp(self) -> Calls:
        """Return the calls that replace Z by ``exp Z`` and write its sums."""
        return [(np.exp, self.matrix, self.matrix), (np.dot, self.ones, self.matrix, self.sums)]

    def give_gradient(self, ctx: Context) -> Calls:
        """Hand the buffer over as the gradient of X.

        A matrix product reads a matrix in either memory order; other readers get a copy in their own order.
        """
        dX = self.classes_first.transpose(*range(1, self.classes_first.ndim), 0)
        if dX.ndim == 2 or dX.flags.c_contiguous or self.feature_major:
            ctx.give_grad(0, dX)
            return []
        target = ctx.grad(0)
        return [] if target is None else [(np.copyto, target, dX)]


def need_logits(X: Value) -> None:
    """Raise ShapeError unless X is a float tensor with a class axis."""
    need_float(X)
    need(X.rank >= 1, f"needs logits with a class axis, got {show(X.shape)}")


@op
class SparseSoftmaxCrossEntropy(Op):
    """``Y = log Σ exp(logits) - logits[label]`` over the last axis; labels are class ids.

    Shapes: logits (…, classes), labels (…) → Y (…).

    Raises:
        IndexError: in backward, if a label is not a class.
    """

    keeps_in, keeps_out = (), False
    exported = False

    def infer(self, logits: Value, labels: Value) -> Type:
        need_logits(logits)
        need(labels.dtype[0] in "iu", f"needs integer labels, got {labels.type}", code=Code.WRONG_DTYPE)
        fits = labels.shape == logits.shape[:-1]
        need(
            fits,
            f"has labels {show(labels.shape)}, which do not fit logits {show(logits.shape)}",
            code=Code.SHAPES_DIFFER,
        )
        return Type(logits.dtype, labels.shape)

    def bind(self, ctx: Context, logits: Array, labels: Array) -> Bound:
        Y, Z = ctx.out(), Exponentials(ctx, logits)
        rows = Y.size
        allocate = ctx.save_for_backward if ctx.wants(0) else ctx.scratch
        indices, label_values = allocate(labels.shape, np.int64), ctx.scratch((rows,))
        row_starts = ctx.constant(np.arange(rows).reshape(labels.shape) * Z.row_step, np.int64)
        y, flat_indices = Y.reshape(-1), indices.reshape(-1)
        calls: Calls = [*Z.calls]
        if Z.class_step == 1:
            calls.append((np.add, labels, row_starts, indices))
        else:
            step = ctx.constant(Z.class_step, np.int64)
            calls += [(np.multiply, labels, step, indices), (np.add, indices, row_starts, indices)]
        calls += [
            (Z.memory.take, flat_indices, None, label_values, "clip"),
            *Z.exp(),
            (np.log, Z.sums, y),
            (np.subtract, y, label_values, y),
        ]

        def backward(dY: Array) -> Calls:  # dX = (softmax - one_hot) · dY
            dy, calls = as_vector(ctx, dY)
            scale, label_values = ctx.scratch((rows,)), ctx.scratch((rows,))
            calls += [
                (np.divide, dy, Z.sums, scale),
                (np.multiply, Z.matrix, scale, Z.matrix),
                (Z.memory.take, flat_indices, None, label_values, "clip"),
                (np.subtract, label_values, dy, label_values),
                (Z.memory.__setitem__, flat_indices, label_values),
            ]
            return calls + Z.give_gradient(ctx)

        return Y, calls, backward


def need_same_shape(logits: Value, targets: Value) -> None:
    """Raise ShapeError unless both are float tensors of one shape."""
    need_float(logits, targets)
    fits = logits.shape == targets.shape
    need(fits, f"has targets {show(targets.shape)}, which do not fit {show(logits.shape)}", code=Code.SHAPES_DIFFER)


@op
class SoftmaxCrossEntropy(Op):
    """``Y = -Σ targets · log softmax(logits)`` over the last axis; the targets of a row need not sum to 1.

    Shapes: logits and targets (…, classes) → Y (…).
    """

    keeps_in, keeps_out = (1,), False
    exported = False

    def infer(self, logits: Value, targets: Value) -> Type:
        need_logits(logits)
        need_same_shape(logits, targets)
        return Type(logits.dtype, logits.shape[:-1])

    def bind(self, ctx: Context, logits: Array, targets: Array) -> Bound:
        Y, Z = ctx.out(), Exponentials(ctx, logits)
        y, t = Y.reshape(-1), last_axis_first(targets)
        product = scratch_like(ctx, Z.classes_first)
        flat = product.reshape(Z.matrix.shape, copy=False)
        target_sums, weighted_sums = ctx.save_for_backward((y.size,)), ctx.scratch((y.size,))
        calls: Calls = [
            *Z.calls,
            (np.multiply, t, Z.classes_first, product),
            (np.dot, Z.ones, flat, weighted_sums),
            (np.copyto, product, t),
            (np.dot, Z.ones, flat, target_sums),
            *Z.exp(),
            (np.log, Z.sums, y),
            (np.multiply, y, target_sums, y),
            (np.subtract, y, weighted_sums, y),
        ]

        def backward(dY: Array) -> Calls:  # dX = (Σ targets · softmax - targets) · dY
            dy, calls = as_vector(ctx, dY)
            scale, product = ctx.scratch((y.size,)), scratch_like(ctx, Z.classes_first)
            calls += [
                (np.multiply, dy, target_sums, scale),
                (np.divide, scale, Z.sums, scale),
                (np.multiply, Z.matrix, scale, Z.matrix),
                (np.multiply, t, dy.reshape(Y.shape), product),
                (np.subtract, Z.classes_first, product, Z.classes_first),
            ]
            return calls + Z.give_gradient(ctx)

        return Y, calls, backward


@op
class SigmoidCrossEntropy(Op):
    """``Y = max(X, 0) - X · targets + log(1 + exp(-|X|))``: the cross-entropy of sigmoid(X), elementwise.

    Shapes: logits X, targets and Y are equal.
    """

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
            (
                np.subtract,
                Y,
                t,
                Y,
            ),  # exactly 0 if the logit has the target's sign: the small term below keeps its digits
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
    """``Y = Σ (X - targets)² / n`` over the n elements of the last axis.

    Shapes: X and targets (…, n) → Y (…).
    """

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
