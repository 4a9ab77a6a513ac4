"""MultiHot: vectors that mark or count ids. GatherSum: their product with a matrix, without building the vectors."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.split import pieces
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import copy_cast
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.indexing import as_pairs, c_contiguous

_GATHERED = 1 << 18  # elements of gathered rows per block, which stays in the cache
_ADDED = 1 << 15  # elements per call of np.add.at


def _need_ids(ids: Value) -> None:
    need(ids.dtype == "int64", f"needs int64 ids, got {ids.type}", code=Code.WRONG_DTYPE)
    need(ids.rank > 0, "needs an axis of ids, got a scalar")


def _clip_ids(ctx: Context, ids: Array, limit: int, out: Array) -> Calls:
    """Return the calls that write ``ids`` into ``out``, with ``limit`` in place of larger ids and of negative ones."""
    return [(partial(np.minimum, out=out.view(np.uint64)), ids.view(np.uint64), ctx.constant(limit, np.uint64))]


@op
class MultiHot(Op):
    """``Y[…, d]`` is 1 if d is among the ids of the last axis, else 0; with ``count``, the sum of the weights of these ids.

    Shapes: ids (…, k), weights (…, k) → Y (…, depth). Ids outside 0 … ``depth`` − 1 are ignored. Weights need ``count`` and
    are 1 by default. Only the weights have a gradient.
    """

    rows = "ids"
    keeps_in, keeps_out = (0,), False
    exported = False

    depth: int
    count: int = 0

    def infer(self, ids: Value, weights: Value | None = None) -> Type:
        _need_ids(ids)
        if weights is not None:
            need_float(weights)
            need(self.count == 1, "has weights, which need count 1", code=Code.VALUE_NOT_ALLOWED)
            need(weights.shape == ids.shape, f"has weights {show(weights.shape)} for ids {show(ids.shape)}")
        return Type("float32", (*ids.shape[:-1], self.depth))

    def bind(self, ctx: Context, ids: Array, weights: Array | None = None) -> Bound:
        Y, lead = ctx.out(), ids.shape[:-1]
        row_starts = ctx.constant(np.arange(math.prod(lead)).reshape(*lead, 1) * self.depth, np.int64)

        def locate(indices: Array, valid: Array) -> Calls:
            """Return the calls that write each id's index in the flat Y, and 1 if it is valid, else 0."""
            in_range = ctx.scratch(ids.shape, np.bool_)
            return [
                (np.less, ids.view(np.uint64), ctx.constant(self.depth, np.uint64), in_range),
                (copy_cast, valid, in_range),
                *_clip_ids(ctx, ids, self.depth - 1, indices),
                (np.add, indices, row_starts, indices),
            ]

        indices, ones = ctx.scratch(ids.shape, np.int64), ctx.scratch(ids.shape)
        calls = [*locate(indices, ones), (Y.fill, 0)]
        calls += [] if weights is None else [(np.multiply, ones, weights, ones)]
        accumulate = np.add.at if self.count else np.maximum.at
        calls.append((accumulate, Y.reshape(-1), indices.reshape(-1), ones.reshape(-1)))

        def backward(dY: Array) -> Calls:
            if (dW := ctx.grad(1)) is None:
                return []
            grad, calls = c_contiguous(ctx, dY)
            indices, valid, gathered = ctx.scratch(ids.shape, np.int64), ctx.scratch(ids.shape), ctx.scratch(ids.shape)
            calls += locate(indices, valid)
            calls.append((np.take, grad.reshape(-1), indices, None, gathered, "clip"))
            return [*calls, (np.multiply, gathered, valid, dW)]

        return Y, calls, None if weights is None else backward


@op
class GatherSum(Op):
    """``MultiHot(ids) @ W``: the sum of W's rows at the ids of the last axis, each id once or, with ``count``, each time.

    Shapes: ids (…, k), W (V, n) → Y (…, n). Ids outside 0 … V − 1 are ignored: they become V. Without ``count`` each row of
    ids is sorted, so that repeated ids are adjacent; repeats become V, too. The gradient is added only to the rows that the
    ids select.
    """

    rows = "ids"
    keeps_in, keeps_out = (1,), False
    exported = False

    count: int = 0

    def infer(self, ids: Value, W: Value) -> Type:
        _need_ids(ids)
        need_float(W)
        need(W.rank == 2, f"needs a matrix, got {show(W.shape)}")
        return Type("float32", (*ids.shape[:-1], W.shape[1]))

    def bind(self, ctx: Context, ids: Array, W: Array) -> Bound:
        Y, k, (size, width) = ctx.out(), ids.shape[-1], W.shape
        sums = Y.reshape(-1, width)
        n = len(sums)
        saved_ids = ctx.save_for_backward((n, k), np.int64)
        calls = _clip_ids(ctx, ids, size, saved_ids.reshape(ids.shape))
        if k > 1 and not self.count:
            calls += _drop_repeated(ctx, saved_ids, size)
        table, copies = c_contiguous(ctx, W)
        calls += [*copies, *gather_sum(saved_ids, table, sums, ctx=ctx)]

        def backward(dY: Array) -> Calls:
            if (dW := ctx.grad(1)) is None:
                return []
            grad, calls = c_contiguous(ctx, dY)
            total = dW if dW.flags.c_contiguous else ctx.scratch(dW.shape)
            calls += gather_sum_gradient(saved_ids, total, grad.reshape(n, width), ctx=ctx)
            return calls if total is dW else [*calls, (np.copyto, dW, total)]

        return Y, calls, backward


@twin()
def gather_sum(ids: Array, table: Array, sums: Array, /, *, ctx: Context) -> Calls:
    """Return calls for the sums of the table's rows (V, n) at the ids (m, k), in their order; an id of V adds nothing.

    Sums are over the first axis of the gathered rows, which NumPy adds one after the other. A row of zeros for the id V
    needs a copy of the table; if that has more rows than there are ids, rows are multiplied with 1 or 0 instead.
    """
    (n, k), (size, width) = ids.shape, table.shape
    padded = n * k >= size
    calls: Calls = []
    if padded:
        rows = ctx.scratch((size + 1, width))
        calls += [(np.copyto, rows[:size], table), (rows[size:].fill, 0.0)]
    else:
        rows = table
    count = min(max(_GATHERED // max(k * width, 1), 1), n)
    turned, gathered = ctx.scratch((k * count,), np.int64), ctx.scratch((k * count * width,))
    in_range, valid = ctx.scratch((k * count,), np.bool_), ctx.scratch((k * count,))
    total = partial(np.add.reduce, initial=0.0)
    for block in pieces(0, n, max(count, 1)):
        m = block.stop - block.start
        own, chosen = turned[: k * m].reshape(k, m), gathered[: k * m * width].reshape(k, m, width)
        calls += [(np.copyto, own, ids[block].T), (np.take, rows, own, 0, chosen, "clip")]
        if not padded:
            one, used = in_range[: k * m].reshape(k, m), valid[: k * m].reshape(k, m)
            calls += [(np.not_equal, own, ctx.constant(size, np.int64), one), (copy_cast, used, one)]
            calls.append((np.multiply, chosen, used[..., None], chosen))
        if m * width == 1:  # NumPy would add these in pairs
            calls += [
                (np.add.accumulate, chosen, 0, None, chosen),
                (np.add, chosen[-1], ctx.constant(0.0), sums[block]),
            ]
        else:
            calls.append((total, chosen, 0, None, sums[block]))
    return calls


@twin()
def gather_sum_gradient(ids: Array, total: Array, rows: Array, /, *, ctx: Context) -> Calls:
    """Return calls for ``total = 0; total[ids[i]] += rows[i]``: ids (m, k), total (V, n), rows (m, n); V adds nothing.

    Column by column, since a column of the gradient fits the cache.
    """
    (n, k), size, target, source = ids.shape, len(total), total, rows
    if total.shape[1] % 2 == 0:
        target, source = as_pairs(total), as_pairs(rows)
    columns = ctx.scratch((source.shape[1], size + 1), source.dtype)
    block_rows = max(_ADDED // max(k, 1), 1)
    repeated = ctx.scratch((min(block_rows, n), k), source.dtype)
    calls: Calls = [(columns.fill, 0)]
    for block in pieces(0, n, block_rows):
        addends, targets = repeated[: block.stop - block.start], ids[block].reshape(-1)
        for c, column in enumerate(columns):
            calls.append((np.copyto, addends, source[block, c : c + 1]))
            calls.append((np.add.at, column, targets, addends.reshape(-1)))
    return [*calls, (np.copyto, target, columns[:, :size].T)]


def _drop_repeated(ctx: Context, saved_ids: Array, size: int) -> Calls:
    """Return the calls that sort the ids of each row and replace repeats by ``size``."""
    id_dtype = np.int32 if size < 1 << 31 else np.int64
    ids, tail_shape = ctx.scratch(saved_ids.shape, id_dtype), (len(saved_ids), saved_ids.shape[1] - 1)
    repeats, dropped = ctx.scratch(tail_shape, np.bool_), ctx.scratch(tail_shape, id_dtype)
    tail = ids[:, 1:]
    return [
        (copy_cast, ids, saved_ids),
        (ids.sort,),
        (np.equal, tail, ids[:, :-1], repeats),
        (copy_cast, dropped, repeats),
        (np.multiply, dropped, ctx.constant(size, id_dtype), dropped),
        (partial(np.maximum, out=tail), tail, dropped),
        (np.copyto, saved_ids, ids),
    ]
