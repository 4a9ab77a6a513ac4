"""Softmax, LogSoftmax and Hardmax: functions along one axis."""

from __future__ import annotations

from functools import partial
from math import inf

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.ir.ranges import Range
from graphspec.graph.kernels.common import copy_cast, output_for, scratch_like, sum_axes
from graphspec.graph.kernels.context import Bound, Context, need_float, normalize_axis
from graphspec.graph.kernels.softmax import middle, softmax_gradient, subtract_largest
from graphspec.graph.ops.base import Op, op

_FEW = 8  # rows, whose maxima take less time than a transposed copy
_TRANSPOSED = 32  # up to this many classes, maxima over the rows of a transposed copy are faster than over each row
_HALVED = (
    128  # up to this many classes, the elementwise maximum of two halves first reduces them to _TRANSPOSED or fewer
)


class Normalized(Op):
    """A function of a float tensor along ``axis``. Shapes: X and Y are equal."""

    rows, keeps_channels = "along_axis", True
    keeps_in, keeps_out = (), True

    axis: int = -1

    def infer(self, X: Value) -> Type:
        need_float(X)
        normalize_axis(self.axis, X.rank)
        return X.type


def maximum(ctx: Context, X: Array, axis: int, out: Array) -> Calls:
    """Return the calls that write the maximum of X along ``axis`` into ``out``, which has the axis with size 1."""
    if axis != X.ndim - 1 or X.shape[axis] > _HALVED or not X.flags.c_contiguous or X.ndim < 2 or not X.size:
        return [(np.maximum.reduce, X, axis, None, out, True)]
    calls: Calls = []
    rows = X.reshape(-1, X.shape[axis])
    if len(rows) <= _FEW:
        return [(np.maximum.reduce, X, axis, None, out, True)]
    while rows.shape[1] > _TRANSPOSED:
        half = -(-rows.shape[1] // 2)
        larger = ctx.scratch((len(rows), half), X.dtype)
        calls.append((partial(np.maximum, out=larger), rows[:, :half], rows[:, -half:]))
        rows = larger
    columns, maxima = ctx.scratch(rows.shape[::-1], X.dtype), out.reshape(-1, copy=False)
    return [*calls, (np.copyto, columns, rows.T), (np.maximum.reduce, columns, 0, None, maxima)]


def less_maximum(ctx: Context, X: Array, axis: int, maxima: Array, Y: Array) -> Calls:
    """Return the calls for ``Y = X - max X`` along ``axis``, and the maxima."""
    if not (X.flags.c_contiguous and Y.flags.c_contiguous):
        return [*maximum(ctx, X, axis, maxima), (np.subtract, X, maxima, Y)]
    x, largest, y = (middle(A, axis) for A in (X, maxima, Y))
    return subtract_largest(x, None, largest, y, maxima=lambda: maximum(ctx, X, axis, maxima), source=x)


def unit_axis_shape(X: Array, axis: int) -> tuple[int, ...]:
    """Return X's shape with size 1 on ``axis``."""
    return tuple(1 if k == axis else n for k, n in enumerate(X.shape))


@op
class Softmax(Normalized):
    """``Y = exp(X - max X) / Σ exp(X - max X)`` along ``axis``."""

    activation, value_range = "softmax", Range(0, 1)

    axis: int = -1

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = output_for(ctx, (0, X))
        maxima, total = ctx.scratch(unit_axis_shape(X, at)), ctx.scratch(unit_axis_shape(X, at))
        calls: Calls = [
            *less_maximum(ctx, X, at, maxima, Y),
            (np.exp, Y, Y),
            *sum_axes(ctx, Y, (at,), total),
            (np.divide, Y, total, Y),
        ]

        def backward(dY: Array) -> Calls:  # dX = Y · (dY - Σ dY · Y)
            t, total = scratch_like(ctx, dY), ctx.scratch(unit_axis_shape(X, at))
            ctx.give_grad(0, dY)
            plain = dY.flags.c_contiguous and Y.flags.c_contiguous
            dy, sums, y = (middle(A, at) if plain else A for A in (dY, total, Y))
            return [
                (np.multiply, dY, Y, t),
                *sum_axes(ctx, t, (at,), total),
                *(softmax_gradient if plain else softmax_gradient.numpy)(dy, None, sums, y, None),
            ]

        return Y, calls, backward


@op
class LogSoftmax(Normalized):
    """``Y = X - max X - log Σ exp(X - max X)`` along ``axis``."""

    activation, value_range = "log_softmax", Range(-inf, 0)

    axis: int = -1

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = output_for(ctx, (0, X))
        maxima, total, t = (
            ctx.scratch(unit_axis_shape(X, at)),
            ctx.scratch(unit_axis_shape(X, at)),
            scratch_like(ctx, X),
        )
        calls: Calls = [
            *less_maximum(ctx, X, at, maxima, Y),
            (np.exp, Y, t),
            *sum_axes(ctx, t, (at,), total),
            (np.log, total, total),
            (np.subtract, Y, total, Y),
        ]

        def backward(dY: Array) -> Calls:  # dX = dY - exp(Y) · Σ dY
            t, total = scratch_like(ctx, dY), ctx.scratch(unit_axis_shape(X, at))
            ctx.give_grad(0, dY)
            return [
                (np.exp, Y, t),
                *sum_axes(ctx, dY, (at,), total),
                (np.multiply, t, total, t),
                (np.subtract, dY, t, dY),
            ]

        return Y, calls, backward


@op
class Hardmax(Normalized):
    """``Y`` is 1 at the first largest element along ``axis``, 0 elsewhere; no gradient."""

    keeps_in, keeps_out, piecewise_constant = (), False, True
    value_range = Range(0, 1)

    axis: int = -1

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = ctx.out()
        source, calls = np.moveaxis(X, at, -1), list[tuple[object, ...]]()
        if not source.flags.c_contiguous:  # argmax would allocate a copy in every call
            copy = ctx.scratch(source.shape, X.dtype)
            source, calls = copy, [(np.copyto, copy, source)]
        ids, hot = ctx.scratch(source.shape[:-1], np.int64), ctx.scratch(source.shape, np.bool_)
        calls += [
            (source.argmax, -1, ids),
            (np.equal, ids[..., None], ctx.constant(np.arange(X.shape[at]), np.int64), hot),
            (copy_cast, np.moveaxis(Y, at, -1), hot),
        ]
        return Y, calls, None
