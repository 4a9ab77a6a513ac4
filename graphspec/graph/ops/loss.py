"""Losses and their reduction to a scalar: training-only operators, never exported.

Targets and weights have no gradient.
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from graphspec.graph.expressions import Expression, inverse_or_zero, kernel, leaf, record, write
from graphspec.graph.ir.graph import Array, Type, Value, show
from graphspec.graph.kernels.common import as_vector, copy_cast, negate, scratch_like
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.kernels.softmax import subtract_largest
from graphspec.graph.ops.elementwise import exp_of_negative
from graphspec.graph.ops.op import TrainingOnly, as_shape, in_place, in_shape, into_gradient

_CLASSES_FIRST = 64  # up to this many classes the class axis comes first: maxima and sums then run over whole rows


def last_axis_first(X: Array) -> Array:
    """Return a view of X with its last axis first."""
    return X.transpose(X.ndim - 1, *range(X.ndim - 1))


class Exponentials:
    """``Z = X - max X`` over the classes, the last axis of X; then ``exp Z`` in place.

    Attributes:
        classes_first: Z with the class axis first, then X's leading axes.
        matrix: Z as (classes, rows); either axis may be the slower one in memory.
        block: Z as (1, classes, rows) or (rows, classes, 1), in C order.
        memory: Z's buffer as a vector; class k of row r is at ``k · class_step + r · row_step``.
        feature_major: True if the classes are the slowest axis of X in memory.
        sums: ``Σ exp Z`` of each row, which :meth:`exp` writes.
        calls: the calls that write Z.
    """

    def __init__(self, ctx: Context, X: Array) -> None:
        classes, lead = X.shape[-1], X.shape[:-1]
        rows = prod(lead)
        allocate = ctx.save_for_backward if ctx.wants(0) else ctx.scratch
        x = last_axis_first(X)
        self.feature_major = x.flags.c_contiguous
        if classes <= _CLASSES_FIRST or self.feature_major:
            block = allocate((classes, *lead))
            self.classes_first, self.memory = block, block.reshape(-1)
            self.matrix, self.class_step, self.row_step = block.reshape(classes, rows), rows, 1
        else:
            block = allocate((*lead, classes))
            self.classes_first, self.memory = last_axis_first(block), block.reshape(-1)
            self.matrix, self.class_step, self.row_step = block.reshape(rows, classes).T, 1, classes
        shape = (1, classes, rows) if self.row_step == 1 else (rows, classes, 1)
        self.block = block.reshape(shape)
        if (flat := as_shape(x, (classes, rows))) is None:  # the leading axes of X are in another order
            self.calls = [(np.copyto, self.classes_first, x), *self._subtract_largest(ctx, self.block)]
        else:
            self.calls = self._subtract_largest(ctx, (flat if self.row_step == 1 else flat.T).reshape(shape))
        self.ones = ctx.constant(np.ones(classes))
        self.sums = allocate((rows,))

    def _subtract_largest(self, ctx: Context, x: Array) -> Calls:
        """Return the calls that write Z = X - max X, of X in the shape of ``block``."""
        z, largest = self.block, ctx.scratch((self.block.shape[0], 1, self.block.shape[2]))
        copied = x is not z and self.row_step == 1 and not self.feature_major
        source = z if copied else x

        def maxima() -> Calls:
            copy: Calls = [(np.copyto, z, x)] if copied else []
            return [*copy, (np.maximum.reduce, source, 1, None, largest, True)]

        return subtract_largest(x, None, largest, z, maxima=maxima, source=source)

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


@twin()
def pick(z: Array, labels: Array, starts: Array, step: Array | None, indices: Array, values: Array, /) -> Calls:
    """Return calls for ``indices = labels · step + starts``, and ``values``, the elements of the vector z there."""
    at: Calls = [(np.add, labels, starts, indices)]
    if step is not None:
        at = [(np.multiply, labels, step, indices), (np.add, indices, starts, indices)]
    return [*at, (z.take, indices.reshape(-1, copy=False), None, values, "clip")]


@twin()
def class_gradient(
    z: Array, sums: Array, dy: Array, indices: Array, values: Array, wrong: Array, /, *, scale: Array
) -> Calls:
    """Return calls for ``z = z · dy / sums``, less ``dy`` at the indices; z (outer, classes, inner) has a sum for each row.

    An index out of range is an IndexError; the kernel writes it to ``wrong`` instead, or 0. ``values`` are scratch.
    """
    memory = z.reshape(-1, copy=False)
    return [
        (np.divide, dy, sums, scale),
        (np.multiply, z, scale.reshape(z.shape[0], 1, z.shape[2]), z),
        (memory.take, indices, None, values, "clip"),
        (np.subtract, values, dy, values),
        (memory.__setitem__, indices, values),
    ]


@twin()
def target_gradient(
    z: Array, sums: Array, dy: Array, target_sums: Array, targets: Array, /, *, scale: Array, product: Array
) -> Calls:
    """Return calls for ``z = z · dy · target_sums / sums - targets · dy``; z and targets (outer, classes, inner)."""
    shape = (z.shape[0], 1, z.shape[2])
    return [
        (np.multiply, dy, target_sums, scale),
        (np.divide, scale, sums, scale),
        (np.multiply, z, scale.reshape(shape), z),
        (np.multiply, targets, dy.reshape(shape, copy=False), product),
        (np.subtract, z, product, z),
    ]


def subtract_label(ctx: Context, z: Array, sums: Array, dy: Array, indices: Array) -> Calls:
    """Return the calls of :func:`class_gradient`, which raise IndexError if an index is out of range."""
    values, wrong = ctx.scratch(dy.shape), ctx.scratch((1,), np.int64)
    kernel = class_gradient.bound([z, sums, dy, indices, values, wrong])
    if kernel is None:
        return class_gradient.numpy(z, sums, dy, indices, values, wrong, scale=ctx.scratch(dy.shape))
    check: Calls = [(z.reshape(-1, copy=False).take, wrong, None, values[:1])] if z.size else []
    return [(kernel,), *check]


def need_logits(X: Value) -> None:
    """Raise ShapeError unless X is a float tensor with a class axis."""
    need.float(X)
    need(X.rank >= 1, f"needs logits with a class axis, got {show(X.shape)}")


class SparseSoftmaxCrossEntropy(TrainingOnly):
    """``Y = log Σ exp(logits) - logits[label]`` over the last axis; labels are class ids.

    Shapes: logits (…, classes), labels (…) → Y (…).

    Raises:
        IndexError: in backward, if a label is not a class.
    """

    def infer(self, logits: Value, labels: Value) -> Type:
        need_logits(logits)
        need.dtype(labels.dtype[0] in "iu", f"needs integer labels, got {labels.type}")
        fits = labels.shape == logits.shape[:-1]
        need.shapes(fits, f"has labels {show(labels.shape)}, which do not fit logits {show(logits.shape)}")
        return Type(logits.dtype, labels.shape)

    def bind(self, ctx: Context, logits: Array, labels: Array) -> Bound:
        Y, Z = ctx.out(), Exponentials(ctx, logits)
        rows = Y.size
        allocate = ctx.save_for_backward if ctx.wants(0) else ctx.scratch
        indices, label_values = allocate(labels.shape, np.int64), ctx.scratch((rows,))
        row_starts = ctx.constant(np.arange(rows).reshape(labels.shape) * Z.row_step, np.int64)
        y, flat_indices = Y.reshape(-1), indices.reshape(-1)
        step = None if Z.class_step == 1 else ctx.constant(Z.class_step, np.int64)
        calls: Calls = [
            *Z.calls,
            *pick(Z.memory, labels, row_starts, step, indices, label_values),
            *Z.exp(),
            (np.log, Z.sums, y),
            (np.subtract, y, label_values, y),
        ]

        def backward(dY: Array) -> Calls:  # dX = (softmax - one_hot) · dY
            dy, calls = as_vector(ctx, dY)
            calls += subtract_label(ctx, Z.block, Z.sums, dy, flat_indices)
            return calls + Z.give_gradient(ctx)

        return Y, calls, backward


def need_same_shape(logits: Value, targets: Value) -> None:
    """Raise ShapeError unless both are float tensors of one shape."""
    need.float(logits, targets)
    fits = logits.shape == targets.shape
    need.shapes(fits, f"has targets {show(targets.shape)}, which do not fit {show(logits.shape)}")


class SoftmaxCrossEntropy(TrainingOnly):
    """``Y = -Σ targets · log softmax(logits)`` over the last axis; the targets of a row need not sum to 1.

    Shapes: logits and targets (…, classes) → Y (…).
    """

    keeps_in, keeps_out = (1,), False

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
            flat, copies = in_shape(ctx, t, Z.matrix.shape)  # a copy if the leading axes are in another order
            calls += copies
            flat = (flat if Z.row_step == 1 else flat.T).reshape(Z.block.shape)
            scale, product = ctx.scratch((y.size,)), ctx.scratch(Z.block.shape)
            calls += target_gradient(Z.block, Z.sums, dy, target_sums, flat, scale=scale, product=product)
            return calls + Z.give_gradient(ctx)

        return Y, calls, backward


class SigmoidCrossEntropy(TrainingOnly):
    """``Y = max(X, 0) - X · targets + log(1 + exp(-|X|))``: the cross-entropy of sigmoid(X), elementwise.

    Shapes: logits X, targets and Y are equal.
    """

    rows = "broadcast"
    keeps_in, keeps_out = (0, 1), False

    def infer(self, logits: Value, targets: Value) -> Type:
        need_same_shape(logits, targets)
        return logits.type

    def bind(self, ctx: Context, logits: Array, targets: Array) -> Bound:
        Y, t = ctx.out(like=logits), scratch_like(ctx, logits)
        calls: Calls = [
            *binary_terms(logits, targets, Y, t, zeros=ctx.zeros_like(logits)),
            (np.exp, t, t),
            (np.log1p, t, t),
            (np.add, Y, t, Y),
        ]

        @in_place(ctx)
        def backward(dY: Array) -> Calls:  # dX = (sigmoid(X) - targets) · dY
            X, t, d = map(leaf, (logits, targets, dY))
            return record(ctx, (dY, binary_gradient(exp_of_negative(X), t, d)))

        return Y, calls, backward


@twin()
def binary_terms(x: Array, targets: Array, y: Array, exponent: Array, /, *, zeros: Array) -> Calls:
    """Return calls for ``y = max(x, 0) - x · targets`` and ``exponent = -|x|``.

    ``y`` is exactly 0 if the logit has the target's sign: the small term that is added to it keeps its digits.
    """
    return [
        (partial(np.maximum, out=y), x, zeros),
        (np.multiply, x, targets, exponent),
        (np.subtract, y, exponent, y),
        (np.absolute, x, exponent),
        negate(exponent, exponent),
    ]


@kernel(result="dy")
def binary_gradient(t: Expression, targets: Expression, dy: Expression) -> Expression:
    """Return ``dy · (1 / (t + 1) - targets)``."""
    return dy * (1 / (t + 1) - targets)


@twin()
def squared_error(x: Array, targets: Array, error: Array, square: Array, /) -> Calls:
    """Return calls for ``error = x - targets`` and ``square = error²``."""
    return [(np.subtract, x, targets, error), (np.square, error, square)]


@twin()
def squared_error_gradient(dy: Array, scale: Array, error: Array, /) -> Calls:
    """Return calls for ``dy = scale · dy``, a number for each row, and ``error = error · dy``."""
    return [(np.multiply, dy, scale, dy), (np.multiply, error, dy[:, None], error)]


class SquaredError(TrainingOnly):
    """``Y = Σ (X - targets)² / n`` over the n elements of the last axis.

    Shapes: X and targets (…, n) → Y (…).
    """

    def infer(self, X: Value, targets: Value) -> Type:
        need_same_shape(X, targets)
        need(X.rank >= 1, f"needs an axis to average over, got {show(X.shape)}")
        return Type(X.dtype, X.shape[:-1])

    def bind(self, ctx: Context, X: Array, targets: Array) -> Bound:
        Y = ctx.out()
        units = X.shape[-1]
        E = (ctx.save_for_backward if ctx.wants(0) else ctx.scratch)(X.shape)
        squares = Y[..., None] if units == 1 else ctx.scratch(X.shape)
        calls: Calls = squared_error(X, targets, E, squares)
        if units != 1:
            mean = ctx.constant(np.full(units, 1 / max(units, 1)))
            calls.append((np.dot, squares.reshape(Y.size, units), mean, Y.reshape(-1)))

        def backward(dY: Array) -> Calls:  # dX = 2 / n · (X - targets) · dY
            ctx.give_grad(0, E)
            dy, copies = as_vector(ctx, dY)
            scale = ctx.constant(2 / max(units, 1))
            return [*copies, *squared_error_gradient(dy, scale, E.reshape(Y.size, units))]

        return Y, calls, backward


# The reduction of losses to a scalar, and factors of rows: training-only operators, never exported.
class ReduceLoss(TrainingOnly):
    """``Y = Σ values · weight · mask / divisor``: this worker's part of the scalar loss; the parts sum to the loss.

    Shapes: values (N, …); weight and mask have the shape of its leading axes → Y (). The ``reduction`` selects the divisor:
    1 (``sum``), the number of unmasked elements (``sum_over_batch_size``, ``mean``), or ``Σ weight · mask``
    (``mean_with_sample_weight``), each counted over the whole batch. If the divisor is 0, Y is 0.
    """

    reduction: str = "sum_over_batch_size"

    def infer(self, values: Value, weight: Value | None = None, mask: Value | None = None) -> Type:
        need.float(values, weight)
        for name, factor in (("weight", weight), ("mask", mask)):
            fits = factor is None or factor.shape == values.shape[: factor.rank]
            need(fits, f"has a {name} {show(factor.shape if factor else ())} for losses {show(values.shape)}")
        need.dtype(mask is None or mask.dtype == "bool", "needs a bool mask")
        return Type(values.dtype, ())

    def bind(self, ctx: Context, values: Array, weight: Array | None = None, mask: Array | None = None) -> Bound:
        Y = ctx.out()
        flat, calls = as_vector(ctx, values)
        rows = ctx.rows.stop - ctx.rows.start
        count = ctx.total * (values.size // rows) if rows else 1
        divides_by_weight = self.reduction == "mean_with_sample_weight" and weight is not None
        scale = 1.0 if self.reduction == "sum" or mask is not None or divides_by_weight else 1.0 / max(count, 1)
        if weight is None and mask is None:
            coefficients = ctx.constant(np.full(values.shape, scale))
        else:
            coefficients = ctx.save_for_backward(values.shape)
            calls += write_coefficients(ctx, coefficients, weight, mask, scale, self.reduction)
        calls.append((np.dot, flat, coefficients.reshape(-1), Y))

        return Y, calls, into_gradient(ctx)(lambda dY, dX: [(np.multiply, dY, coefficients, dX)])


def write_coefficients(
    ctx: Context, C: Array, weight: Array | None, mask: Array | None, scale: float, reduction: str
) -> Calls:
    """Return the calls that write the coefficient of each value into C: ``weight · mask / divisor``."""

    def expand(factor: Array) -> Array:
        return factor.reshape(factor.shape + (1,) * (C.ndim - factor.ndim), copy=False)

    divisor = ctx.scratch((1,))
    sum_calls: Calls = [
        (np.dot, C.reshape(-1), ctx.constant(np.ones(C.size)), divisor.reshape(())),
        *ctx.all_reduce(divisor),
    ]
    calls: Calls = []
    if mask is not None:
        calls.append((copy_cast, C, expand(mask)))
        if reduction in ("sum_over_batch_size", "mean"):
            calls += sum_calls
        if weight is not None:
            calls.append((np.multiply, C, expand(weight), C))
    elif weight is not None:
        calls.append((np.multiply, expand(weight), ctx.constant(scale), C))
    if reduction == "mean_with_sample_weight":
        calls += sum_calls
    if reduction == "sum" or (mask is None and reduction != "mean_with_sample_weight"):
        return calls
    return [*calls, *write(ctx, divisor, inverse_or_zero, divisor), (np.multiply, C, divisor, C)]


class Scaling(TrainingOnly):
    """Multiplies X by a factor that depends on the batch. Shapes: X and Y are equal."""

    def infer(self, X: Value) -> Type:
        need.float(X)
        return X.type

    def scaled(self, ctx: Context, X: Array, factor: float) -> Bound:
        Y, scale = ctx.out(like=X), ctx.constant(factor)
        return Y, [(np.multiply, X, scale, Y)], in_place(ctx)(lambda dY: [(np.multiply, dY, scale, dY)])


class PerRow(Scaling):
    """``Y = X / n`` for a batch of n rows: turns a sum over this worker's rows into its part of the mean per row."""

    def bind(self, ctx: Context, X: Array) -> Bound:
        return self.scaled(ctx, X, 1 / max(ctx.total, 1))


class RowShare(Scaling):
    """``Y = X · m / n`` for the m of the batch's n rows that this worker has.

    A term that all workers compute alike then counts once in the sum over the workers.
    """

    def bind(self, ctx: Context, X: Array) -> Bound:
        return self.scaled(ctx, X, (ctx.rows.stop - ctx.rows.start) / max(ctx.total, 1))
