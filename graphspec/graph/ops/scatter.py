"""ScatterElements, ScatterND, GatherND: writing, adding and reading elements at computed indices."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.context import Bound, Context, need, normalize_axis, same_dtype
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.indexing import add_rows, c_contiguous, clip, need_integers, scatter_rows, wrap


@op
class ScatterElements(Op):
    """``Y = data``, then ``Y[…, indices[…, k, …], …] = updates[…, k, …]`` along ``axis``; ``+=`` with ``reduction: add``.

    Shapes: Y is as data; indices and updates are equal, of data's rank, and no larger than data except along ``axis``.
    Negative indices count from the end. Without a reduction, updates at the same index must be equal.
    """

    rows = "along_shared_axis"
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


def tuple_length(data: Value, indices: Value, batch_dims: int = 0) -> int:
    """Return how many axes of ``data`` the last axis of ``indices`` counts on."""
    need_integers(indices)
    need(indices.rank > batch_dims, f"needs indices with more than {batch_dims} axes, got {show(indices.shape)}")
    length = indices.fixed(-1)
    need(
        1 <= length <= data.rank - batch_dims,
        f"has {length} indices per element for {data.rank - batch_dims} axes of {show(data.shape)}",
    )
    return length


def row_numbers(ctx: Context, shape: tuple[int, ...], indices: Array, batch_dims: int, rows: Array) -> Calls:
    """Return the calls that write the row of each tuple into the int64 ``rows`` (indices.shape[:-1]).

    The rows are those of the tensor of this ``shape`` as a matrix of what a tuple selects. Negative indices count from the
    end, and those out of range are moved to the nearest valid one.
    """
    sizes = shape[batch_dims : batch_dims + indices.shape[-1]]
    ids, calls = ctx.scratch(rows.shape, np.int64), list[tuple[object, ...]]()
    lead = shape[:batch_dims]
    starts = np.arange(math.prod(lead)).reshape([*lead, *[1] * (rows.ndim - batch_dims)])
    calls.append((np.copyto, rows, ctx.constant(starts, np.int64)))
    for j, size in enumerate(sizes):
        calls += [
            (np.multiply, rows, ctx.constant(size, np.int64), rows),
            *wrap(ctx, indices[..., j], size, ids),
            *clip(ctx, ids, size),
            (np.add, rows, ids, rows),
        ]
    return calls


@op
class GatherND(Op):
    """``Y[b, q] = X[b, indices[b, q, 0], indices[b, q, 1], …]``; negative indices count from the end. Only X has a gradient.

    X (b…, n₀, n₁, …, rest…), indices (b…, q…, number of n) → Y (b…, q…, rest…); there are ``batch_dims`` axes b.
    """

    rows = "gathered_deeply"
    keeps_in, keeps_out = (1,), False
    copied_inputs, drops_elements = slice(1), True

    batch_dims: int = 0

    def infer(self, X: Value, indices: Value) -> Type:
        b = self.batch_dims
        need(0 <= b < X.rank, f"has batch_dims {b} for rank {X.rank}")
        length = tuple_length(X, indices, b)
        need(
            X.shape[:b] == indices.shape[:b],
            f"has indices {show(indices.shape)} for {show(X.shape)}, which differ on the first {b} axes",
            code=Code.SHAPES_DIFFER,
        )
        return Type(X.dtype, (*indices.shape[:-1], *X.shape[b + length :]))

    def bind(self, ctx: Context, X: Array, indices: Array) -> Bound:
        Y = ctx.out()
        data, calls = c_contiguous(ctx, X)
        at = self.batch_dims + indices.shape[-1]
        height, width = math.prod(X.shape[:at]), math.prod(X.shape[at:])
        rows = ctx.scratch(indices.shape[:-1], np.int64)
        calls += row_numbers(ctx, X.shape, indices, self.batch_dims, rows)
        if Y.size:
            matrix = data.reshape(height, width) if width != 1 else data.reshape(height)
            target = Y.reshape(rows.size, width) if width != 1 else Y.reshape(-1)
            calls.append((np.take, matrix, rows.reshape(-1), 0, target, "clip"))

        def backward(dY: Array) -> Calls:
            if (dX := ctx.grad(0)) is None:
                return []
            rows = ctx.scratch(indices.shape[:-1], np.int64)
            calls = row_numbers(ctx, X.shape, indices, self.batch_dims, rows)
            return calls + scatter_rows(ctx, dX, rows, dY, max(width, 1))

        return Y, calls, backward


@op
class ScatterND(Op):
    """``Y = data``, then ``Y[indices[q, 0], indices[q, 1], …] = updates[q]``; ``+=`` with ``reduction: add``.

    Data (n₀, n₁, …, rest…), indices (q…, number of n), updates (q…, rest…); Y is as data. Negative indices count from the
    end. Without a reduction, updates at the same indices must be equal.
    """

    keeps_in, keeps_out = (1,), False

    reduction: str = "none"

    def infer(self, data: Value, indices: Value, updates: Value) -> Type:
        same_dtype(data, updates)
        need(
            self.reduction in ("none", "add"),
            f"has reduction {self.reduction!r}, which is not implemented",
            code=Code.VALUE_NOT_ALLOWED,
            hint="use none or add",
        )
        needed = (*indices.shape[:-1], *data.shape[tuple_length(data, indices) :])
        need(
            updates.shape == needed,
            f"needs updates {show(needed)} for data {show(data.shape)} and indices {show(indices.shape)}, "
            f"got {show(updates.shape)}",
            code=Code.SHAPES_DIFFER,
        )
        return data.type

    def bind(self, ctx: Context, data: Array, indices: Array, updates: Array) -> Bound:
        Y, at = ctx.out(), indices.shape[-1]
        height, width = math.prod(data.shape[:at]), math.prod(data.shape[at:])
        kept = ctx.save_for_backward(indices.shape[:-1], np.int64)
        rows, source = kept.reshape(-1), None
        calls: Calls = [*row_numbers(ctx, data.shape, indices, 0, kept), (np.copyto, Y, data)]
        if updates.size and Y.size:
            source, copies = c_contiguous(ctx, updates)
            matrix, pieces = Y.reshape(height, width), source.reshape(rows.size, width)
            calls += copies
            if self.reduction == "none":
                calls += set_rows(matrix, rows, pieces)
            elif Y.dtype.kind == "f":
                ids = ctx.scratch(rows.shape, np.int64)
                calls += [(np.copyto, ids, rows), *add_rows(matrix, ids, pieces, ctx=ctx)]
            else:
                calls.append((np.add.at, matrix, rows, pieces))

        def backward(dY: Array) -> Calls:
            grad, calls = c_contiguous(ctx, dY)
            matrix = grad.reshape(height, width)
            if (dU := ctx.grad(2)) is not None and dU.size and grad.size:
                gathered = dU if dU.flags.c_contiguous else ctx.scratch(dU.shape)
                calls.append((partial(np.take, mode="clip"), matrix, rows, 0, gathered.reshape(rows.size, width)))
                calls += [] if gathered is dU else [(np.copyto, dU, gathered)]
            if self.reduction == "none" and ctx.wants(0):
                calls += set_rows(matrix, rows, ctx.constant(0.0)) if rows.size and grad.size else []
                calls += [] if grad is dY else [(np.copyto, dY, grad)]
            ctx.give_grad(0, dY)
            return calls

        return Y, calls, backward


def set_rows(matrix: Array, rows: Array, pieces: Array) -> Calls:
    """Return the call for ``matrix[rows] = pieces``; a matrix of one column as a vector, which is faster."""
    if matrix.shape[1] == 1:
        return [(matrix.reshape(-1).__setitem__, rows, pieces.reshape(-1) if pieces.ndim else pieces)]
    return [(matrix.__setitem__, rows, pieces)]
