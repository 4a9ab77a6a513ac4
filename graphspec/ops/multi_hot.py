"""MultiHot, vectors that mark or count ids; GatherSum, their product with a matrix, which never makes them."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.split import pieces
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import copy_cast
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import Op, op
from graphspec.ops.indexing import as_pairs, c_contiguous

_BLOCK = 1 << 17  # elements of gathered rows at a time: they stay in the cache
_REPEATED = 1 << 15  # elements that are added at a time


def _need_ids(ids: Value) -> None:
    need(ids.dtype == "int64", f"needs int64 ids, got {ids.type}", code="GS306")
    need(ids.rank > 0, "needs an axis of ids, got a single one")


def _clip(ctx: Context, ids: Array, most: int, into: Array) -> Calls:
    """Ids above ``most``, and negative ones, become ``most``."""
    return [(partial(np.minimum, out=into.view(np.uint64)), ids.view(np.uint64), ctx.constant(most, np.uint64))]


@op
class MultiHot(Op):
    """``Y[…, d]`` is 1 where an id of the last axis is d, else 0; with ``count``, how many are, each by its weight.

    An id that is not in 0 … ``depth`` − 1 counts nowhere. Weights have the ids' shape and need ``count``.
    """

    keeps_in, keeps_out = (0,), False
    exported = False

    depth: int
    count: int = 0

    def infer(self, ids: Value, weights: Value | None = None) -> Type:
        _need_ids(ids)
        if weights is not None:
            need_float(weights)
            need(self.count == 1, "has weights, which only counting uses", code="GS105")
            need(weights.shape == ids.shape, f"has weights {show(weights.shape)} for ids {show(ids.shape)}")
        return Type("float32", (*ids.shape[:-1], self.depth))

    def bind(self, ctx: Context, ids: Array, weights: Array | None = None) -> Bound:
        Y, lead = ctx.out(), ids.shape[:-1]
        starts = ctx.constant(np.arange(math.prod(lead)).reshape(*lead, 1) * self.depth, np.int64)

        def find(places: Array, inside: Array) -> Calls:
            """Calls for where each id counts in the flat Y, and 0 where it does not count."""
            small = ctx.scratch(ids.shape, np.bool_)
            return [
                (np.less, ids.view(np.uint64), ctx.constant(self.depth, np.uint64), small),
                (copy_cast, inside, small),
                *_clip(ctx, ids, self.depth - 1, places),
                (np.add, places, starts, places),
            ]

        places, ones = ctx.scratch(ids.shape, np.int64), ctx.scratch(ids.shape)
        calls = [*find(places, ones), (Y.fill, 0)]
        calls += [] if weights is None else [(np.multiply, ones, weights, ones)]
        gather = np.add.at if self.count else np.maximum.at
        calls.append((gather, Y.reshape(-1), places.reshape(-1), ones.reshape(-1)))

        def backward(dY: Array) -> Calls:
            if (dW := ctx.grad(1)) is None:
                return []
            grad, calls = c_contiguous(ctx, dY)
            places, inside, taken = ctx.scratch(ids.shape, np.int64), ctx.scratch(ids.shape), ctx.scratch(ids.shape)
            calls += find(places, inside)
            calls.append((np.take, grad.reshape(-1), places, None, taken, "clip"))
            return [*calls, (np.multiply, taken, inside, dW)]

        return Y, calls, None if weights is None else backward


@op
class GatherSum(Op):
    """``MultiHot(ids) @ W``: the sum of W's rows at the ids of the last axis, each id once or with ``count`` each time.

    The gradient is added to the rows met. The ids of a row are sorted, so that equal ones are neighbours; what does not
    count is then the id V of W's V rows, one more than there are.
    """

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
        kept = ctx.save_for_backward((n, k), np.int64)
        calls = _clip(ctx, ids, size, kept.reshape(ids.shape))
        if k > 1 and not self.count:
            calls += _drop_repeated(ctx, kept, size)
        small, inside = ctx.scratch((n, k), np.bool_), ctx.scratch((n, k))
        calls += [(np.not_equal, kept, ctx.constant(size, np.int64), small), (copy_cast, inside, small)]
        table, more = c_contiguous(ctx, W)
        calls += more
        if k == 1:
            calls += [(np.take, table, kept[:, 0], 0, sums, "clip"), (np.multiply, sums, inside, sums)]
        else:
            at_once = max(_BLOCK // max(k * width, 1), 1)
            gathered = ctx.scratch((min(at_once, n), k, width))
            for part in pieces(0, n, at_once):
                rows = gathered[: part.stop - part.start]
                calls.append((np.take, table, kept[part], 0, rows, "clip"))
                calls.append((np.matmul, inside[part, None], rows, sums[part, None]))

        def backward(dY: Array) -> Calls:
            if (dW := ctx.grad(1)) is None:
                return []
            grad, calls = c_contiguous(ctx, dY)
            whole = dW if dW.flags.c_contiguous else ctx.scratch(dW.shape)
            target, source = whole, grad.reshape(n, width)
            if width % 2 == 0:
                target, source = as_pairs(target), as_pairs(source)
            # Column by column, since a column of the gradient fits the cache.
            columns = ctx.scratch((source.shape[1], size + 1), source.dtype)
            at_once = max(_REPEATED // max(k, 1), 1)
            repeated = ctx.scratch((min(at_once, n), k), source.dtype)
            calls.append((columns.fill, 0))
            for part in pieces(0, n, at_once):
                each, where = repeated[: part.stop - part.start], kept[part].reshape(-1)
                for c, column in enumerate(columns):
                    calls.append((np.copyto, each, source[part, c : c + 1]))
                    calls.append((np.add.at, column, where, each.reshape(-1)))
            calls.append((np.copyto, target, columns[:, :size].T))
            return calls if whole is dW else [*calls, (np.copyto, dW, whole)]

        return Y, calls, backward


def _drop_repeated(ctx: Context, kept: Array, size: int) -> Calls:
    """Calls that sort the ids of each row and make every one that came before ``size``."""
    narrow = np.int32 if size < 1 << 31 else np.int64
    ids, later = ctx.scratch(kept.shape, narrow), (len(kept), kept.shape[1] - 1)
    again, dropped = ctx.scratch(later, np.bool_), ctx.scratch(later, narrow)
    rest = ids[:, 1:]
    return [
        (copy_cast, ids, kept),
        (ids.sort,),
        (np.equal, rest, ids[:, :-1], again),
        (copy_cast, dropped, again),
        (np.multiply, dropped, ctx.constant(size, narrow), dropped),
        (partial(np.maximum, out=rest), rest, dropped),
        (np.copyto, kept, ids),
    ]
