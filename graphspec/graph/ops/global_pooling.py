"""Pooling over all spatial axes: GlobalAveragePool, GlobalMaxPool."""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.reduce import mean, with_backward


class GlobalPool(Op):
    """A pooling that reduces all spatial axes to size 1: X (N, C, …) → Y (N, C, 1…)."""

    rows = "in_front"
    keeps_channels = True

    def infer(self, X: Value) -> Type:
        need_float(X)
        need(X.rank >= 3, f"needs (N, C, …) with spatial axes, got {show(X.shape)}")
        return Type(X.dtype, (*X.shape[:2], *(1,) * (X.rank - 2)))


@op
class GlobalAveragePool(GlobalPool):
    """The mean over all spatial axes: (N, C, …) → (N, C, 1…)."""

    keeps_in, keeps_out = (), False

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y, axes = ctx.out(), range(2, X.ndim)
        return with_backward(ctx, X, Y, axes, *mean(ctx, X, Y, axes))


@op
class GlobalMaxPool(GlobalPool):
    """The maximum over all spatial axes: (N, C, …) → (N, C, 1…). The gradient goes to the first element that equals it."""

    keeps_in, keeps_out = (0,), False

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        axes = tuple(range(2, X.ndim))

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            N, C, *spatial = X.shape
            if dX.size == 0:
                return []
            flat = dX.transpose(axis_order(dX)).reshape(-1, copy=False)
            strides = np.array(dX.strides) // dX.itemsize
            offsets = ctx.constant(sum(np.indices(spatial)[k] * strides[k + 2] for k in range(len(spatial))), np.intp)
            starts = ctx.constant(np.indices((N, C))[0] * strides[0] + np.indices((N, C))[1] * strides[1], np.intp)
            rows = ctx.scratch((N, C, offsets.size))
            first, positions = ctx.scratch((N, C), np.intp), ctx.scratch((N, C), np.intp)
            return [
                (np.copyto, rows.reshape(X.shape), X),
                (np.argmax, rows, 2, first),
                (np.take, offsets.reshape(-1), first, None, positions, "clip"),
                (np.add, positions, starts, positions),
                (dX.fill, 0.0),
                (flat.put, positions, dY.reshape(N, C)),
            ]

        return Y, [(np.maximum.reduce, X, axes, None, Y, True)], backward
