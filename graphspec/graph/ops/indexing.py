"""Operators that pick, write or count elements by index; CheckIds stops at an id out of range."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import pieces
from graphspec.base.errors import Code, Diagnostic, SpecError
from graphspec.graph.expressions import number, write
from graphspec.graph.ir.dims import Dim, show, subtract
from graphspec.graph.ir.dims import Shape as Sizes
from graphspec.graph.ir.graph import Array, Node, Type, Value
from graphspec.graph.ir.graph import Range as Interval
from graphspec.graph.kernels.common import copy_cast, unsigned
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Calls, Context, need, normalize_axis, same_dtype
from graphspec.graph.ops.op import Memoryless, Op, TrainingOnly, c_contiguous, into_gradient, known_numbers
from graphspec.graph.ops.shape import integer, reshaped, single, steps_in

_BLOCK = 1 << 15  # flat indices computed per block: 256 KiB


def need_integers(indices: Value) -> None:
    """Raise :class:`ShapeError` unless ``indices`` are int32 or int64."""
    need.dtype(indices.dtype in ("int32", "int64"), f"needs integer indices, got {indices.type}")


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


def c_target(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """Return X, or scratch in its place if it is not in C order, and the call that then copies the scratch to X."""
    if X.flags.c_contiguous:
        return X, []
    scratch = ctx.scratch(X.shape, X.dtype)
    return scratch, [(np.copyto, X, scratch)]


def steps_along(axis: int, size: int, rank: int) -> Array:
    """Return 0 … ``size`` − 1 along one of ``rank`` axes; the others have size 1."""
    return np.arange(size).reshape([-1 if k == axis else 1 for k in range(rank)])


def fits_beside(indices: Sizes, data: Sizes, axis: int) -> bool:
    """Return whether ``indices`` are no larger than ``data`` except along an axis, as far as sizes are fixed."""
    pairs = [pair for k, pair in enumerate(zip(indices, data, strict=True)) if k != axis]
    return all(d <= e for d, e in pairs if isinstance(d, int) and isinstance(e, int))


def flat_positions(ctx: Context, shape: tuple[int, ...], indices: Array, axis: int) -> Callable[[Array], Calls]:
    """Return what returns calls that write the flat positions of ``indices`` along an axis of an array to given ids."""
    strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]  # distances of neighbours in C order, in elements
    lengths = [1 if k == axis else n for k, n in enumerate(indices.shape)]
    start = sum((steps_along(k, n, len(shape)) * strides[k] for k, n in enumerate(lengths)), np.zeros(lengths, int))
    starts, stride = ctx.constant(start, np.int64), ctx.constant(strides[axis], np.int64)

    def write(ids: Array) -> Calls:
        calls = [*wrap(ctx, indices, shape[axis], ids), *clip(ctx, ids, shape[axis])]
        return [*calls, (np.multiply, ids, stride, ids), (np.add, ids, starts, ids)]

    return write


def as_pairs(X: Array) -> Array:
    """A view of contiguous real elements as half as many complex ones: ``np.add.at`` then needs half the indices."""
    return X.view(np.result_type(X.dtype, np.complex64))


def scatter_rows(ctx: Context, dX: Array, rows: Array, dY: Array, width: int, *, clear: bool = True) -> Calls:
    """Calls for ``dX = 0; dX[rows] += dY``, with both arrays as rows of ``width`` elements; ``rows`` is overwritten.

    Without ``clear`` dX, in C order, is not set to 0. ``np.add.at`` is seven times as fast in 1-D as in 2-D.
    """
    source, calls = c_contiguous(ctx, dY)
    total, copies = c_target(ctx, dX)
    calls += [(total.fill, 0)] if clear else []
    if total.size and source.size:
        calls += add_rows(total.reshape(-1, width), rows.reshape(-1), source.reshape(-1, width), ctx=ctx)
    return calls + copies


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
            wrong = next((k for k in elements if isinstance(k, int) and not -size <= k < size), None)
            need.sizes(wrong is None, f"has index {wrong} out of range on axis {self.axis} of {show(X.shape)}")
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
            one: tuple[Any, ...] = (..., int(known_indices), *[slice(None)] * (X.ndim - 1 - at))
            return X[one], [], into_gradient(ctx)(lambda dY, dX: [(dX.fill, 0), (np.copyto, dX[one], dY)])
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
            before, after = math.prod(X.shape[:at]), math.prod(X.shape[at + 1 :])
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
        fits = fits_beside(indices.shape, X.shape, at)
        text = f"has indices {show(indices.shape)}, larger than {show(X.shape)} on another axis than {self.axis}"
        need.shapes(fits, text)
        return Type(X.dtype, indices.shape)

    def bind(self, ctx: Context, X: Array, indices: Array) -> Bound:
        Y = ctx.out()
        data, calls = c_contiguous(ctx, X)
        positions = flat_positions(ctx, X.shape, indices, self.axis % X.ndim)
        ids = ctx.scratch(indices.shape, np.int64)

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            ids = ctx.scratch(indices.shape, np.int64)
            return positions(ids) + scatter_rows(ctx, dX, ids, dY, 1)

        return Y, [*calls, *positions(ids), (np.take, data.reshape(-1), ids, None, Y, "clip")], backward


class OneHot(Op):
    """One-hot encoding: ``values[1]`` at the index along a new axis of size ``depth``, ``values[0]`` elsewhere.

    Indices (…) → Y (…, depth, …), with the new axis at ``axis``. Negative indices count from the end; an index out of range
    selects nothing. No gradient.
    """

    rows = "one_hot"
    keeps_in, keeps_out, piecewise_constant = (), False, True

    axis: int = -1

    def infer(self, indices: Value, depth: Value, values: Value) -> Type:
        need.dtype(indices.dtype != "bool", f"needs numbers as indices, got {indices.type}")
        size = integer(depth, "depth")
        need(values.shape == (2,), f"needs two values, got shape {show(values.shape)}")
        at = normalize_axis(self.axis, indices.rank + 1)
        return Type(values.dtype, (*indices.shape[:at], size, *indices.shape[at:]))

    def bind(self, ctx: Context, indices: Array, depth: Array, values: Array) -> Bound:
        Y = ctx.out()
        at = self.axis % Y.ndim
        size = Y.shape[at]
        dtype = indices.dtype
        column = steps_along(at, size, Y.ndim)
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
            *write(ctx, Y, lambda hot, step, low: number(hot) * step + low, hot, difference, values[:1]),
        ]
        return Y, calls, None


class Range(Memoryless):
    """The integers ``start, start + delta, …`` before ``limit``, which is excluded. No gradient."""

    foldable = True

    def infer(self, start: Value, limit: Value, delta: Value) -> Type:
        dtype = same_dtype(start, limit, delta)
        need.dtype(dtype in ("int32", "int64"), f"needs integers, got {dtype}")
        first, last, step = single(start, "start"), single(limit, "limit"), integer(delta, "delta")
        need.value(step != 0, "needs a delta other than 0")
        span = subtract(last, first) if step > 0 else subtract(first, last)
        return Type(dtype, (steps_in(span, step, f"the number of steps of {step} from {first} to {last}"),))

    def bind(self, ctx: Context, start: Array, limit: Array, delta: Array) -> Bound:
        Y = ctx.out()
        (first,), (step,) = known_numbers(ctx, 0), known_numbers(ctx, 2)
        return Y, [(np.copyto, Y, ctx.constant(first + step * np.arange(Y.size), Y.dtype))], None


class CheckIds(TrainingOnly):
    """The identity on int64 ids in 0 … ``size`` − 1, or the last of the ``sizes``. Running it on any other id raises GS506.

    ``argument`` is the argument of the layer that sets ``size``, for the message.

    The check is left out if binding can prove the range, such as for ids computed from inputs that have been checked.
    """

    rows = "broadcast"
    identity_in_inference = True

    size: int
    argument: str = "input_dim"

    def infer(self, ids: Value, sizes: Value | None = None) -> Type:
        need.dtype(ids.dtype == "int64", f"needs int64 ids, got {ids.type}")
        return ids.type

    def bounds(self, output: Value, ranges: Sequence[Interval]) -> Interval:
        return ranges[0] & Interval(0, self.size - 1)

    def demands(self, node: Node, out: Interval, ranges: Sequence[Interval], exact: bool) -> dict[int, Interval]:
        return {0: out & Interval(0, self.size - 1)}

    def bind(self, ctx: Context, ids: Array, sizes: Array | None = None) -> Bound:
        Y, calls, backward = reshaped(ctx, ids)
        size = self.size if sizes is None else known_numbers(ctx, 1)[-1]
        if not ctx.range(0).within(Interval(0, size - 1)) and ids.size:
            calls = [*calls, (check_range, unsigned(Y), size, ctx.owner, self.argument)]
        return Y, calls, backward


def check_range(ids: Array, size: int, owner: str, argument: str) -> None:
    """Raise GS506 if an id is not in 0 … ``size`` − 1. ``ids`` is an unsigned view, in which negative ids are large."""
    if np.maximum.reduce(ids, axis=None) < size:
        return
    wrong = ids.view(f"i{ids.itemsize}")[ids >= size].flat[0]
    text = f"'{owner}' looks up id {wrong}, outside 0 … {size - 1}"
    hint = f"fix the source of the ids, or set `{argument}` of '{owner}' above the largest id"
    hint = hint if argument else "targets are places on an axis, from 0"
    raise SpecError([Diagnostic(Code.OUT_OF_RANGE, text, file="<arrays>", path=owner, hint=hint)])


# ScatterElements, ScatterND, GatherND: writing, adding and reading elements at computed indices.
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
        need.value(self.reduction in ("none", "add"), f"has reduction {self.reduction!r}, which is not implemented")
        at = normalize_axis(self.axis, data.rank)
        need(indices.shape == updates.shape, f"has indices {show(indices.shape)} for updates {show(updates.shape)}")
        text = f"needs indices of rank {data.rank} for {show(data.shape)}, got {show(indices.shape)}"
        need(data.rank == indices.rank, text)
        fits = fits_beside(indices.shape, data.shape, at)
        need.shapes(fits, f"has indices {show(indices.shape)}, larger than {show(data.shape)} outside axis {self.axis}")
        return data.type

    def bind(self, ctx: Context, data: Array, indices: Array, updates: Array) -> Bound:
        Y, flat_indices = ctx.out(), ctx.save_for_backward(indices.shape, np.int64)
        source, copies = c_contiguous(ctx, updates)
        calls = flat_positions(ctx, data.shape, indices, self.axis % data.ndim)(flat_indices)
        calls += [*copies, (np.copyto, Y, data)]
        flat, targets = Y.reshape(-1), flat_indices.reshape(-1)
        if self.reduction == "add":
            calls.append((np.add.at, flat, targets, source.reshape(-1)))
        else:
            calls.append((flat.__setitem__, targets, source.reshape(-1)))

        def gather(grad: Array, dU: Array) -> Calls:
            return [(partial(np.take, mode="clip"), grad.reshape(-1), flat_indices, None, dU)]

        def clear(grad: Array) -> Calls:
            return [(grad.reshape(-1).__setitem__, targets, ctx.constant(0.0))]

        return Y, calls, gradient_of_scatter(ctx, gather, clear if self.reduction == "none" else None)


def gradient_of_scatter(
    ctx: Context, gather: Callable[[Array, Array], Calls], clear: Callable[[Array], Calls] | None
) -> Callable[[Array], Calls]:
    """Return the backward function of an operator that writes updates, input 2, into a copy of input 0.

    ``gather`` picks the gradient of the updates from dY. ``clear`` sets dY to 0 where an update replaces an element; it
    is None if updates are added.
    """

    def backward(dY: Array) -> Calls:
        grad, calls = c_contiguous(ctx, dY)
        if (dU := ctx.grad(2)) is not None and dU.size and grad.size:
            target, copies = c_target(ctx, dU)
            calls += [*gather(grad, target), *copies]
        if clear is not None and ctx.wants(0):
            calls += [*clear(grad), *([] if grad is dY else [(np.copyto, dY, grad)])]
        ctx.give_grad(0, dY)
        return calls

    return backward


def tuple_length(data: Value, indices: Value, batch_dims: int = 0) -> int:
    """Return how many axes of ``data`` the last axis of ``indices`` counts on."""
    need_integers(indices)
    need(indices.rank > batch_dims, f"needs indices with more than {batch_dims} axes, got {show(indices.shape)}")
    length = indices.fixed(-1)
    text = f"has {length} indices per element for {data.rank - batch_dims} axes of {show(data.shape)}"
    need(1 <= length <= data.rank - batch_dims, text)
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
        text = f"has indices {show(indices.shape)} for {show(X.shape)}, which differ on the first {b} axes"
        need.shapes(X.shape[:b] == indices.shape[:b], text)
        return Type(X.dtype, (*indices.shape[:-1], *X.shape[b + length :]))

    def bind(self, ctx: Context, X: Array, indices: Array) -> Bound:
        Y = ctx.out()
        data, calls = c_contiguous(ctx, X)
        width = math.prod(X.shape[self.batch_dims + indices.shape[-1] :])
        rows = ctx.scratch(indices.shape[:-1], np.int64)
        calls += row_numbers(ctx, X.shape, indices, self.batch_dims, rows)
        if Y.size:
            shape = (-1,) if width == 1 else (-1, width)
            calls.append((np.take, data.reshape(shape), rows.reshape(-1), 0, Y.reshape(shape), "clip"))

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            rows = ctx.scratch(indices.shape[:-1], np.int64)
            calls = row_numbers(ctx, X.shape, indices, self.batch_dims, rows)
            return calls + scatter_rows(ctx, dX, rows, dY, max(width, 1))

        return Y, calls, backward


class ScatterND(Op):
    """``Y = data``, then ``Y[indices[q, 0], indices[q, 1], …] = updates[q]``; ``+=`` with ``reduction: add``.

    Data (n₀, n₁, …, rest…), indices (q…, number of n), updates (q…, rest…); Y is as data. Negative indices count from the
    end. Without a reduction, updates at the same indices must be equal.
    """

    keeps_in, keeps_out = (1,), False

    reduction: str = "none"

    def infer(self, data: Value, indices: Value, updates: Value) -> Type:
        same_dtype(data, updates)
        text = f"has reduction {self.reduction!r}, which is not implemented"
        need.value(self.reduction in ("none", "add"), text, hint="use none or add")
        needed = (*indices.shape[:-1], *data.shape[tuple_length(data, indices) :])
        text = f"needs updates {show(needed)} for data {show(data.shape)} and indices {show(indices.shape)}"
        need.shapes(updates.shape == needed, f"{text}, got {show(updates.shape)}")
        return data.type

    def bind(self, ctx: Context, data: Array, indices: Array, updates: Array) -> Bound:
        Y, at = ctx.out(), indices.shape[-1]
        height, width = math.prod(data.shape[:at]), math.prod(data.shape[at:])
        kept = ctx.save_for_backward(indices.shape[:-1], np.int64)
        rows = kept.reshape(-1)
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

        def gather(grad: Array, dU: Array) -> Calls:
            return [(partial(np.take, mode="clip"), grad.reshape(height, width), rows, 0, dU.reshape(rows.size, width))]

        def clear(grad: Array) -> Calls:
            zero = ctx.constant(0.0)
            return set_rows(grad.reshape(height, width), rows, zero) if rows.size and grad.size else []

        return Y, calls, gradient_of_scatter(ctx, gather, clear if self.reduction == "none" else None)


def set_rows(matrix: Array, rows: Array, pieces: Array) -> Calls:
    """Return the call for ``matrix[rows] = pieces``; a matrix of one column as a vector, which is faster."""
    if matrix.shape[1] == 1:
        return [(matrix.reshape(-1).__setitem__, rows, pieces.reshape(-1) if pieces.ndim else pieces)]
    return [(matrix.__setitem__, rows, pieces)]


# MultiHot: vectors that mark or count ids. GatherSum: their product with a matrix, without building the vectors.
_GATHERED = 1 << 18  # elements of gathered rows per block, which stays in the cache
_ADDED = 1 << 15  # elements per call of np.add.at


def _need_ids(ids: Value) -> None:
    need.dtype(ids.dtype == "int64", f"needs int64 ids, got {ids.type}")
    need(ids.rank > 0, "needs an axis of ids, got a scalar")


def _clip_ids(ctx: Context, ids: Array, limit: int, out: Array) -> Calls:
    """Return the calls that write ``ids`` into ``out``, with ``limit`` in place of larger ids and of negative ones."""
    return [(partial(np.minimum, out=out.view(np.uint64)), ids.view(np.uint64), ctx.constant(limit, np.uint64))]


class MultiHot(TrainingOnly):
    """``Y[…, d]`` is 1 if d is among the ids of the last axis, else 0; with ``count``, the sum of the weights of these ids.

    Shapes: ids (…, k), weights (…, k) → Y (…, depth). Ids outside 0 … ``depth`` − 1 are ignored. Weights need ``count`` and
    are 1 by default. Only the weights have a gradient.
    """

    rows = "ids"
    keeps_in, keeps_out = (0,), False

    depth: int
    count: int = 0

    def infer(self, ids: Value, weights: Value | None = None) -> Type:
        _need_ids(ids)
        if weights is not None:
            need.float(weights)
            need.value(self.count == 1, "has weights, which need count 1")
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

        @into_gradient(ctx, 1)
        def backward(dY: Array, dW: Array) -> Calls:
            grad, calls = c_contiguous(ctx, dY)
            indices, valid, gathered = ctx.scratch(ids.shape, np.int64), ctx.scratch(ids.shape), ctx.scratch(ids.shape)
            calls += locate(indices, valid)
            calls.append((np.take, grad.reshape(-1), indices, None, gathered, "clip"))
            return [*calls, (np.multiply, gathered, valid, dW)]

        return Y, calls, None if weights is None else backward


class GatherSum(TrainingOnly):
    """``MultiHot(ids) @ W``: the sum of W's rows at the ids of the last axis, each id once or, with ``count``, each time.

    Shapes: ids (…, k), W (V, n), weights (…, k) → Y (…, n). Ids outside 0 … V − 1 are ignored: they become V. Without
    ``count`` each row of ids is sorted, so that repeated ids are adjacent; repeats become V, too. The gradient is added only
    to the rows that the ids select. Weights, 1 by default, need ``count`` and have no gradient.
    """

    rows = "ids"
    keeps_in, keeps_out = (1,), False

    count: int = 0

    def infer(self, ids: Value, W: Value, weights: Value | None = None) -> Type:
        _need_ids(ids)
        need.float(W)
        need(W.rank == 2, f"needs a matrix, got {show(W.shape)}")
        fits = weights is None or (self.count == 1 and weights.shape == ids.shape)
        need(fits, "has weights, which need count 1 and the shape of the ids")
        return Type("float32", (*ids.shape[:-1], W.shape[1]))

    def bind(self, ctx: Context, ids: Array, W: Array, weights: Array | None = None) -> Bound:
        Y, k, (size, width) = ctx.out(), ids.shape[-1], W.shape
        sums = Y.reshape(-1, width)
        n = len(sums)
        saved_ids = ctx.save_for_backward((n, k), np.int64)
        calls = _clip_ids(ctx, ids, size, saved_ids.reshape(ids.shape))
        if k > 1 and not self.count:
            calls += _drop_repeated(ctx, saved_ids, size)
        table, copies = c_contiguous(ctx, W)
        parts: Array | None = None
        if weights is None:
            calls += [*copies, *gather_sum(saved_ids, table, sums, ctx=ctx)]
        else:
            parts = ctx.save_for_backward((n, k), np.float32)
            calls += [
                *copies,
                (np.not_equal, saved_ids, ctx.constant(size, np.int64), valid := ctx.scratch((n, k), np.bool_)),
            ]
            calls.append((np.multiply, weights.reshape(n, k), valid, parts))
            calls += _weighted_sum(saved_ids, parts, table, sums, ctx=ctx)

        @into_gradient(ctx, 1)
        def backward(dY: Array, dW: Array) -> Calls:
            grad, calls = c_contiguous(ctx, dY)
            total, copies = c_target(ctx, dW)
            rows = grad.reshape(n, width)
            if parts is None:
                return [*calls, *gather_sum_gradient(saved_ids, total, rows, ctx=ctx), *copies]
            return [*calls, *_gradient_of_sum(saved_ids, total, rows, parts, ctx=ctx), *copies]

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


def _weighted_sum(ids: Array, weights: Array, table: Array, sums: Array, /, *, ctx: Context) -> Calls:
    """Return calls for the sums of the table's rows at the ids (m, k) times their weights, which are 0 for the id V."""
    (n, k), width = ids.shape, table.shape[1]
    count = min(max(_GATHERED // max(k * width, 1), 1), n)
    gathered, calls = ctx.scratch((count, k, width)), list[Any]()
    for block in pieces(0, n, max(count, 1)):
        chosen = gathered[: block.stop - block.start]
        calls.append((np.take, table, ids[block], 0, chosen, "clip"))
        calls.append((np.matmul, weights[block, None, :], chosen, sums[block, None, :]))
    return calls


@twin()
def gather_sum_gradient(ids: Array, total: Array, rows: Array, /, *, ctx: Context) -> Calls:
    """Return calls for ``total = 0; total[ids[i]] += rows[i]``: ids (m, k), total (V, n), rows (m, n); V adds nothing.

    Column by column, since a column of the gradient fits the cache.
    """
    return _gradient_of_sum(ids, total, rows, None, ctx=ctx)


def _gradient_of_sum(ids: Array, total: Array, rows: Array, weights: Array | None, /, *, ctx: Context) -> Calls:
    """The same, where each row is multiplied by weights (m, k), if there are any."""
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
            one = source[block, c : c + 1]
            calls.append((np.copyto, addends, one) if weights is None else (np.multiply, weights[block], one, addends))
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
