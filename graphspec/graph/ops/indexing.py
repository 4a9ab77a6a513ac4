"""Operators that pick elements by index: Gather, GatherElements, OneHot, Range. CheckIds stops at an id out of range."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, ShapeError, SpecError
from graphspec.graph.ir.dims import Dim, ceildiv, show, subtract
from graphspec.graph.ir.graph import Array, Node, Type, Value
from graphspec.graph.ir.ranges import Range as Interval
from graphspec.graph.kernels.common import copy_cast, unsigned
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Context, need, normalize_axis, same_dtype
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.shape import integer, reshaped, single

_BLOCK = 1 << 15  # flat indices computed per block: 256 KiB


def need_integers(indices: Value) -> None:
    """Raise :class:`ShapeError` unless ``indices`` are int32 or int64."""
    need(indices.dtype in ("int32", "int64"), f"needs integer indices, got {indices.type}", code=Code.WRONG_DTYPE)


def wrap(ctx: Context, indices: Array, size: int, ids: Array) -> Calls:
    """Calls that write ``indices`` into the int64 ``ids``; to negative indices they add ``size``."""
    calls: Calls = [(np.copyto, ids, indices)] if indices.dtype != np.int64 else []
    source = ids if calls else indices
    negative = ctx.scratch(ids.shape, np.int64)
    return [
        *calls,
        (np.right_shift, source, ctx.constant(63, np.int64), negative),
        (np.bitwise_and, negative, ctx.constant(size, np.int64), negative),
        (np.add, source, negative, ids),
    ]


def clip(ctx: Context, ids: Array, size: int) -> Calls:
    """Calls that move indices out of range to the nearest valid index, as ``np.take`` does with ``mode="clip"``."""
    low, high = ctx.constant(0, np.int64), ctx.constant(max(size - 1, 0), np.int64)
    return [(partial(np.maximum, out=ids), ids, low), (partial(np.minimum, out=ids), ids, high)]


def c_contiguous(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """X in C order, and the calls that copy it if it is not. ``np.take`` would allocate such a copy in every call."""
    if X.flags.c_contiguous:
        return X, []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy, [(np.copyto, copy, X)]


def as_pairs(X: Array) -> Array:
    """A view of contiguous real elements as half as many complex ones: ``np.add.at`` then needs half the indices."""
    return X.view(np.result_type(X.dtype, np.complex64))


def scatter_add(ctx: Context, dX: Array, indices: Array, dY: Array) -> Calls:
    """Calls for ``dX = 0; dX[indices] += dY`` on the flat arrays: ``np.add.at`` is seven times as fast in 1-D as in 2-D."""
    return scatter_rows(ctx, dX, indices, dY, 1)


def scatter_rows(ctx: Context, dX: Array, rows: Array, dY: Array, width: int, *, clear: bool = True) -> Calls:
    """Calls for ``dX = 0; dX[rows] += dY``, with both arrays as rows of ``width`` elements; ``rows`` is overwritten.

    Without ``clear`` dX, in C order, is not set to 0.
    """
    source, calls = c_contiguous(ctx, dY)
    total = dX if dX.flags.c_contiguous else ctx.scratch(dX.shape, dX.dtype)
    calls += [(total.fill, 0)] if clear else []
    if total.size and source.size:
        calls += add_rows(total.reshape(-1, width), rows.reshape(-1), source.reshape(-1, width), ctx=ctx)
    return calls if total is dX else [*calls, (np.copyto, dX, total)]


@twin()
def add_rows(total: Array, ids: Array, rows: Array, /, *, ctx: Context) -> Calls:
    """Calls for ``total[ids] += rows`` of matrices in C order, in the order of the ids, which are in range and overwritten.

    Flat indices are computed block by block, so they stay in the cache.
    """
    target, addends, width = total.reshape(-1), rows.reshape(-1), total.shape[1]
    if width % 2 == 0:
        target, addends, width = as_pairs(target), as_pairs(addends), width // 2
    if width == 1:
        return [(np.add.at, target, ids, addends)]
    size = min(max(_BLOCK // width, 1), ids.size)
    flat_indices = ctx.scratch((size, width), np.int64)
    columns = ctx.constant(np.tile(np.arange(width), (size, 1)), np.int64)
    calls: Calls = [(np.multiply, ids, ctx.constant(width, np.int64), ids)]
    for start in range(0, ids.size, size):
        part = ids[start : start + size]
        block = flat_indices[: part.size]
        calls += [
            (np.copyto, block, part[:, None]),
            (np.add, block, columns[: part.size], block),
            (np.add.at, target, block.reshape(-1), addends[start * width :][: block.size]),
        ]
    return calls


@op
class Gather(Op):
    """``Y = take(X, indices)`` along ``axis``; negative indices count from the end.

    X (…, n, …), indices (k…) → Y (…, k…, …), with the axes of the indices in place of the axis. Only X has a gradient.
    """

    rows, foldable = "gathered", True
    weights_at = (0,)
    takes_texts = True
    keeps_in, keeps_out = (1,), False
    copied_inputs, drops_elements = slice(1), True

    axis: int = 0

    def looks_up_rows(self) -> bool:
        return self.axis == 0

    def infer(self, X: Value, indices: Value) -> Type:
        need_integers(indices)
        at = normalize_axis(self.axis, X.rank)
        size, elements = X.shape[at], indices.known()
        if isinstance(size, int) and indices.data is not None and elements is not None:
            wrong = [k for k in elements if isinstance(k, int) and not -size <= k < size]
            if wrong:
                raise ShapeError(
                    Code.SIZES_DO_NOT_FIT, f"has index {wrong[0]} out of range on axis {self.axis} of {show(X.shape)}"
                )
        return Type(X.dtype, (*X.shape[:at], *indices.shape, *X.shape[at + 1 :]))

    def dims(self, X: Value, indices: Value) -> tuple[Dim, ...] | None:
        elements, selected = X.known(), indices.known()
        if elements is None or selected is None or not all(isinstance(k, int) for k in selected):
            return None
        return tuple(elements[int(k)] for k in selected)

    def bind(self, ctx: Context, X: Array, indices: Array) -> Bound:
        at = self.axis % X.ndim
        known_indices = ctx.known(1)
        if known_indices is not None and known_indices.ndim == 0:
            return one_slice(ctx, X, at, int(known_indices))
        Y, size = ctx.out(), X.shape[at]
        data, calls = c_contiguous(ctx, X)
        if known_indices is not None:
            ids = ctx.constant(known_indices % max(size, 1), np.int64)
        elif ctx.range(1).low >= 0 and indices.dtype == np.int64:
            ids, copy_calls = c_contiguous(ctx, indices)
            calls += copy_calls
        else:
            ids = ctx.scratch(indices.shape, np.int64)
            calls += wrap(ctx, indices, size, ids)
        calls.append((np.take, data, ids, at, Y, "clip"))

        def backward(dY: Array) -> Calls:
            if not ctx.wants(0):
                return []
            before, after = (int(np.prod(s, dtype=np.int64)) for s in (X.shape[:at], X.shape[at + 1 :]))
            ids = ctx.scratch(indices.shape, np.int64)
            calls = wrap(ctx, indices, size, ids) + clip(ctx, ids, size)
            ids = rows = ids.reshape(-1)
            if (kept := ctx.row_grad(0, ids)) is not None:
                total, begins = kept
                return [*calls, *begins, *scatter_rows(ctx, total, rows, dY, after, clear=False)]
            if (dX := ctx.grad(0)) is None:
                return []
            if before != 1:
                rows = ctx.scratch((before, indices.size), np.int64)
                calls.append((np.add, ctx.constant(np.arange(before)[:, None] * size, np.int64), ids, rows))
            return calls + scatter_rows(ctx, dX, rows, dY, after)

        return Y, calls, backward


def one_slice(ctx: Context, X: Array, axis: int, index: int) -> Bound:
    """``Y = X[…, index, …]``, a view."""
    at: tuple[Any, ...] = (..., index, *[slice(None)] * (X.ndim - 1 - axis))

    def backward(dY: Array) -> Calls:
        dX = ctx.grad(0)
        return [] if dX is None else [(dX.fill, 0), (np.copyto, dX[at], dY)]

    return X[at], [], backward


@op
class GatherElements(Op):
    """``Y[…, k, …] = X[…, indices[…, k, …], …]`` along ``axis``; negative indices count from the end.

    Indices and Y have one shape, with the rank of X, and at most X's size on every other axis. Only X has a gradient.
    """

    rows = "along_shared_axis"
    keeps_in, keeps_out = (1,), False
    copied_inputs, drops_elements = slice(1), True

    axis: int = 0

    def infer(self, X: Value, indices: Value) -> Type:
        need_integers(indices)
        at = normalize_axis(self.axis, X.rank)
        need(X.rank == indices.rank, f"needs indices of the rank of {show(X.shape)}, got {show(indices.shape)}")
        fits = all(
            not (isinstance(d, int) and isinstance(e, int)) or d <= e
            for k, (d, e) in enumerate(zip(indices.shape, X.shape, strict=True))
            if k != at
        )
        need(
            fits,
            f"has indices {show(indices.shape)}, larger than {show(X.shape)} on another axis than {self.axis}",
            code=Code.SHAPES_DIFFER,
        )
        return Type(X.dtype, indices.shape)

    def bind(self, ctx: Context, X: Array, indices: Array) -> Bound:
        at = self.axis % X.ndim
        Y, size = ctx.out(), X.shape[at]
        data, calls = c_contiguous(ctx, X)
        strides = [int(np.prod(X.shape[k + 1 :], dtype=np.int64)) for k in range(X.ndim)]
        lengths = [1 if k == at else n for k, n in enumerate(indices.shape)]
        starts = sum(
            (
                np.arange(n).reshape([-1 if j == k else 1 for j in range(X.ndim)]) * strides[k]
                for k, n in enumerate(lengths)
            ),
            np.zeros(lengths, np.int64),
        )
        base, stride = ctx.constant(starts, np.int64), ctx.constant(strides[at], np.int64)

        def flat_indices(ids: Array) -> Calls:
            return [
                *wrap(ctx, indices, size, ids),
                *clip(ctx, ids, size),
                (np.multiply, ids, stride, ids),
                (np.add, ids, base, ids),
            ]

        ids = ctx.scratch(indices.shape, np.int64)
        calls += [*flat_indices(ids), (np.take, data.reshape(-1), ids, None, Y, "clip")]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            if dX is None:
                return []
            ids = ctx.scratch(indices.shape, np.int64)
            return flat_indices(ids) + scatter_add(ctx, dX, ids, dY)

        return Y, calls, backward


@op
class OneHot(Op):
    """One-hot encoding: ``values[1]`` at the index along a new axis of size ``depth``, ``values[0]`` elsewhere.

    Indices (…) → Y (…, depth, …), with the new axis at ``axis``. Negative indices count from the end; an index out of range
    selects nothing. No gradient.
    """

    rows = "one_hot"
    keeps_in, keeps_out, piecewise_constant = (), False, True

    axis: int = -1

    def infer(self, indices: Value, depth: Value, values: Value) -> Type:
        need(indices.dtype != "bool", f"needs numbers as indices, got {indices.type}", code=Code.WRONG_DTYPE)
        size = integer(depth, "depth")
        need(values.shape == (2,), f"needs two values, got shape {show(values.shape)}")
        at = normalize_axis(self.axis, indices.rank + 1)
        return Type(values.dtype, (*indices.shape[:at], size, *indices.shape[at:]))

    def bind(self, ctx: Context, indices: Array, depth: Array, values: Array) -> Bound:
        Y = ctx.out()
        at = self.axis % Y.ndim
        size = Y.shape[at]
        dtype = indices.dtype
        column = np.arange(size).reshape([-1 if k == at else 1 for k in range(Y.ndim)])
        from_end = column - size
        source = np.expand_dims(indices, at)
        hot, negative = ctx.scratch(Y.shape, np.bool_), ctx.scratch(Y.shape, np.bool_)
        calls: Calls = [(np.equal, source, ctx.constant(column, dtype), hot)]
        if dtype.kind != "u":
            calls += [(np.equal, source, ctx.constant(from_end, dtype), negative), (np.logical_or, hot, negative, hot)]
        if Y.dtype.kind == "b":
            calls += [(np.copyto, Y, values[:1]), (partial(np.copyto, where=hot), Y, values[1:])]
            return Y, calls, None
        difference = ctx.scratch((1,), Y.dtype)
        calls += [
            (np.subtract, values[1:], values[:1], difference),
            (copy_cast, Y, hot),
            (np.multiply, Y, difference, Y),
            (np.add, Y, values[:1], Y),
        ]
        return Y, calls, None


@op
class Range(Op):
    """The integers ``start, start + delta, …`` before ``limit``, which is excluded. No gradient."""

    foldable = True
    keeps_in, keeps_out = (), False

    def infer(self, start: Value, limit: Value, delta: Value) -> Type:
        dtype = same_dtype(start, limit, delta)
        need(dtype in ("int32", "int64"), f"needs integers, got {dtype}", code=Code.WRONG_DTYPE)
        first, last, step = single(start, "start"), single(limit, "limit"), integer(delta, "delta")
        need(step != 0, "needs a delta other than 0", code=Code.VALUE_NOT_ALLOWED)
        span = subtract(last, first) if step > 0 else subtract(first, last)
        if span is None:
            raise ShapeError(
                Code.SIZE_NOT_FIXED, f"cannot determine the number of steps of {step} from {first} to {last}"
            )
        count = ceildiv(span, abs(step))
        return Type(dtype, (max(count, 0) if isinstance(count, int) else count,))

    def bind(self, ctx: Context, start: Array, limit: Array, delta: Array) -> Bound:
        Y = ctx.out()
        first, step = (int(value.reshape(())) for value in (ctx.known(0), ctx.known(2)) if value is not None)
        return Y, [(np.copyto, Y, ctx.constant(first + step * np.arange(Y.size), Y.dtype))], None


@op
class CheckIds(Op):
    """The identity on int64 ids in 0 … ``size`` − 1. Running it on any other id raises GS506.

    ``argument`` is the argument of the layer that sets ``size``, for the message.

    The check is left out if binding can prove the range, such as for ids computed from inputs that have been checked.
    """

    rows = "broadcast"
    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    size: int
    argument: str = "input_dim"

    def infer(self, ids: Value) -> Type:
        need(ids.dtype == "int64", f"needs int64 ids, got {ids.type}", code=Code.WRONG_DTYPE)
        return ids.type

    def bounds(self, output: Value, ranges: Sequence[Interval]) -> Interval:
        return ranges[0] & Interval(0, self.size - 1)

    def demands(self, node: Node, out: Interval, ranges: Sequence[Interval], exact: bool) -> dict[int, Interval]:
        return {0: out & Interval(0, self.size - 1)}

    def bind(self, ctx: Context, ids: Array) -> Bound:
        Y, calls, backward = reshaped(ctx, ids)
        if not ctx.range(0).within(Interval(0, self.size - 1)) and ids.size:
            calls = [*calls, (check_range, unsigned(Y), self.size, ctx.owner, self.argument)]
        return Y, calls, backward


def check_range(ids: Array, size: int, owner: str, argument: str) -> None:
    """Raise GS506 if an id is not in 0 … ``size`` − 1. ``ids`` is an unsigned view, in which negative ids are large."""
    if np.maximum.reduce(ids, axis=None) < size:
        return
    signed = ids.view(f"i{ids.itemsize}")
    wrong = signed[ids >= size].flat[0]
    text = f"'{owner}' looks up id {wrong}, outside 0 … {size - 1}"
    hint = f"fix the source of the ids, or set `{argument}` of '{owner}' above the largest id"
    raise SpecError([Diagnostic(Code.OUT_OF_RANGE, text, file="<arrays>", path=owner, hint=hint)])
