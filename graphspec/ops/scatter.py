"""ScatterElements: writing or adding elements at computed indices."""

from __future__ import annotations

from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.codes import Code
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.context import Bound, Context, need, normalize_axis, same_dtype
from graphspec.ops.base import Op, op
from graphspec.ops.indexing import c_contiguous, clip, need_integers, wrap


@op
class ScatterElements(Op):
    """``Y = data``, then ``Y[…, indices[…, k, …], …] = updates[…, k, …]`` along ``axis``; ``+=`` with ``reduction: add``.

    Shapes: Y is as data; indices and updates are equal, of data's rank, and no larger than data except along ``axis``.
    Negative indices count from the end. Without a reduction, updates at the same index must be equal.
    """

    keeps_in, keeps_out = (1,), False

    axis: int = 0
    reduction: str = "none"

    def infer(self, data: Value, indices: Value, updates: Value) -> Type:
        need_integers(indices)
        same_dtype(data, updates)
        need(
            self.reduction in ("none", "add"),
            f"has reduction {self.reduction!r}, which is not implemented",
            code=Code.VALUE_NOT_ALLOWED,
        )
        at = normalize_axis(self.axis, data.rank)
        need(indices.shape == updates.shape, f"has indices {show(indices.shape)} for updates {show(updates.shape)}")
        need(
            data.rank == indices.rank,
            f"needs indices of rank {data.rank} for {show(data.shape)}, got {show(indices.shape)}",
        )
        fits = all(
            k == at or not (isinstance(d, int) and isinstance(e, int)) or d <= e
            for k, (d, e) in enumerate(zip(indices.shape, data.shape, strict=True))
        )
        need(
            fits,
            f"has indices {show(indices.shape)}, larger than {show(data.shape)} outside axis {self.axis}",
            code=Code.SHAPES_DIFFER,
        )
        return data.type

    def bind(self, ctx: Context, data: Array, indices: Array, updates: Array) -> Bound:
        at = self.axis % data.ndim
        Y, size = ctx.out(), data.shape[at]
        strides = [int(np.prod(data.shape[k + 1 :], dtype=np.int64)) for k in range(data.ndim)]
        stride = ctx.constant(strides[at], np.int64)
        starts = [
            ctx.constant(np.arange(n).reshape([-1 if j == k else 1 for j in range(data.ndim)]) * strides[k], np.int64)
            for k, n in enumerate(indices.shape)
            if k != at
        ]
        flat_indices = ctx.save_for_backward(indices.shape, np.int64)
        source, copies = c_contiguous(ctx, updates)
        calls: Calls = [
            *wrap(ctx, indices, size, flat_indices),
            *clip(ctx, flat_indices, size),
            (np.multiply, flat_indices, stride, flat_indices),
            *((np.add, flat_indices, start, flat_indices) for start in starts),
            *copies,
            (np.copyto, Y, data),
        ]
        flat, targets = Y.reshape(-1), flat_indices.reshape(-1)
        if self.reduction == "add":
            calls.append((np.add.at, flat, targets, source.reshape(-1)))
        else:
            calls.append((flat.__setitem__, targets, source.reshape(-1)))

        def backward(dY: Array) -> Calls:
            grad, calls = c_contiguous(ctx, dY)
            if (dU := ctx.grad(2)) is not None:
                gathered = dU if dU.flags.c_contiguous else ctx.scratch(dU.shape)
                calls.append((partial(np.take, mode="clip"), grad.reshape(-1), flat_indices, None, gathered))
                calls += [] if gathered is dU else [(np.copyto, dU, gathered)]
            if self.reduction == "none" and ctx.wants(0):
                calls.append((grad.reshape(-1).__setitem__, targets, ctx.constant(0.0)))
                calls += [] if grad is dY else [(np.copyto, dY, grad)]
            ctx.give_grad(0, dY)
            return calls

        return Y, calls, backward
