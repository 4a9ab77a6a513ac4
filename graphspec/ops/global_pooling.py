"""Pooling over all spatial axes: GlobalAveragePool, GlobalMaxPool."""

from __future__ import annotations

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import Op, op
from graphspec.ops.reduce import bound, mean


class GlobalPool(Op):
    """One number for all spatial axes."""

    def infer(self, X: Value) -> Type:
        need_float(X)
        need(X.rank >= 3, f"global pooling needs (N, C, …) with spatial axes, got {show(X.shape)}")
        return Type(X.dtype, (*X.shape[:2], *(1,) * (X.rank - 2)))


@op
class GlobalAveragePool(GlobalPool):
    """The mean over all spatial axes: (N, C, …) → (N, C, 1…)."""

    keeps_in, keeps_out = (), False

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y, axes = ctx.out(), range(2, X.ndim)
        return bound(ctx, X, Y, axes, *mean(ctx, X, Y, axes))


@op
class GlobalMaxPool(GlobalPool):
    """The largest number over all spatial axes: (N, C, …) → (N, C, 1…); its gradient goes to the first that is as large."""

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
            lying = dX.transpose(axis_order(dX))
            flat = lying.reshape(-1, copy=False)
            steps = np.array(dX.strides) // dX.itemsize
            places = ctx.constant(sum(np.indices(spatial)[k] * steps[k + 2] for k in range(len(spatial))), np.intp)
            starts = ctx.constant(np.indices((N, C))[0] * steps[0] + np.indices((N, C))[1] * steps[1], np.intp)
            rows = ctx.scratch((N, C, places.size))
            first, at = ctx.scratch((N, C), np.intp), ctx.scratch((N, C), np.intp)
            return [
                (np.copyto, rows.reshape(X.shape), X),
                (np.argmax, rows, 2, first),
                (np.take, places.reshape(-1), first, None, at, "clip"),
                (np.add, at, starts, at),
                (dX.fill, 0.0),
                (flat.put, at, dY.reshape(N, C)),
            ]

        return Y, [(np.maximum.reduce, X, axes, None, Y, True)], backward
