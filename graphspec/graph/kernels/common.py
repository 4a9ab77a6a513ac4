"""Blocks that stay in the cache, sums over axes, gradients of broadcast operands, selection by bit masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Call, Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Context

BLOCK_ELEMENTS = 1 << 16  # elements of an array in a block of elementwise calls: 256 KiB of float32
CACHE_ELEMENTS = 1 << 17  # elements that stay in a core's second-level cache with the results of products: 512 KiB


def blocks_of(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield corresponding flat blocks of arrays with equal shape and memory order and without gaps, else the arrays."""
    first = arrays[0]
    order = axis_order(first)
    alike = all(a.shape == first.shape and a.transpose(order).flags.c_contiguous for a in arrays)
    if first.size <= BLOCK_ELEMENTS or not alike:
        yield arrays
        return
    flat = [a.transpose(order).reshape(-1) for a in arrays]
    for start in range(0, first.size, BLOCK_ELEMENTS):
        yield tuple(f[start : start + BLOCK_ELEMENTS] for f in flat)


def in_blocks(ctx: Context, make: Callable[..., Calls], *arrays: Array) -> Calls:
    """Return the calls of ``make`` for each block in turn; all blocks share the same scratch buffers."""
    calls: Calls = []
    mark = ctx.mark()
    for block in blocks_of(*arrays):
        ctx.reset(mark)
        calls += make(*block)
    return calls


def each_block(function: Callable[..., object], *operands: Array) -> Calls:
    """Return one call of ``function`` per block."""
    return [(function, *block) for block in blocks_of(*operands)]


_RECORD_ELEMENTS = 32  # rows of at most this many elements are copied as one record each
copy_cast = partial(np.copyto, casting="unsafe")


def scratch_like(ctx: Context, X: Array, dtype: Any = None, *, saved: bool = False) -> Array:
    """Return a scratch buffer with X's shape and memory order, by default with X's dtype; ``saved`` for backward."""
    order, allocate = axis_order(X), ctx.save_for_backward if saved else ctx.scratch
    block = allocate([X.shape[k] for k in order], X.dtype if dtype is None else dtype)
    return block if order == (*range(X.ndim),) else block.transpose(np.argsort(order))


saved_like = partial(scratch_like, saved=True)  # keeps its content from forward to backward


def output_for(ctx: Context, *operands: tuple[int, Array], dtype: Any = None) -> Array:
    """Return the first operand (input index, array) that may be overwritten, else a buffer with their memory order."""
    full = [(i, X) for i, X in operands if X.shape == ctx.shape()]
    for i, X in full:
        if (dtype is None or X.dtype == dtype) and ctx.may_overwrite(i):
            return X
    ordered = full and not any(X.flags.c_contiguous for _, X in full)
    return ctx.out(like=full[0][1] if ordered else None)


def sum_axes(ctx: Context, X: Array, axes: Iterable[int], Y: Array) -> Calls:
    """Return calls for ``Y = Σ X`` over ``axes``; in Y these axes have size 1 or are missing.

    Sums of floats are products with ones, which are ten times as fast as ``np.add.reduce``. Axes that are adjacent in
    memory are merged; the longest is reduced first.
    """
    axes = frozenset(axes)
    kept = [k for k in range(X.ndim) if k not in axes]
    if Y.ndim == X.ndim:
        Y = Y.reshape([X.shape[k] for k in kept], copy=False)
    order = axis_order(X)
    M = X.transpose(order)
    if X.dtype.kind != "f" or X.size == 0 or not M.flags.c_contiguous or len(axes) == X.ndim:
        return [(np.add.reduce, X, tuple(sorted(axes)), Y.dtype, Y)]
    groups = groupby((k for k in order if X.shape[k] != 1), key=lambda k: k in axes)
    runs = [(prod(X.shape[k] for k in group), reduced) for reduced, group in groups]
    target = Y.transpose([kept.index(k) for k in order if k not in axes])
    final = target if target.flags.c_contiguous else ctx.scratch(target.shape, X.dtype)
    calls: Calls = []
    if not any(reduced for _, reduced in runs):
        calls.append((np.copyto, final, M.reshape(final.shape)))
    while any(reduced for _, reduced in runs):
        at = max((k for k, (_, reduced) in enumerate(runs) if reduced), key=lambda k: runs[k][0])
        before, after = prod(n for n, _ in runs[:at]), prod(n for n, _ in runs[at + 1 :])
        rows, _ = runs.pop(at)
        S = ctx.scratch((before * after,), X.dtype) if any(reduced for _, reduced in runs) else final
        flat = M.reshape(before, rows, after)
        if before == 1:
            calls.append((np.dot, ctx.constant(np.ones(rows), X.dtype), flat[0], S.reshape(after)))
        elif after == 1:
            calls.append((np.dot, flat[..., 0], ctx.constant(np.ones(rows), X.dtype), S.reshape(before)))
        else:
            ones = ctx.constant(np.ones((1, rows)), X.dtype)
            calls.append((np.matmul, ones, flat, S.reshape(before, 1, after)))
        M = S
    if final is not target:
        calls.append((np.copyto, target, final))
    return calls


def fold(function: np.ufunc, operands: Sequence[Array], Y: Array) -> Calls:
    """Return calls for ``Y = X₀ ∘ X₁ ∘ …`` with at least one operand; Y may share memory with the first two."""
    first, *others = operands
    if not others:
        return [(np.copyto, Y, first)]
    pairs = zip((first, *(Y for _ in others[1:])), others, strict=True)
    if function in (np.maximum, np.minimum):  # these do not accept `out` as a positional argument
        return [(partial(function, out=Y), A, B) for A, B in pairs]
    return [(function, A, B, Y) for A, B in pairs]


def reduce_to(ctx: Context, i: int, dY: Array, X: Array, scale: float = 1.0) -> Calls:
    """Return calls that write the gradient of input ``i``, broadcast from X's shape to dY's: a sum of ``scale · dY``."""
    if (dX := ctx.grad(i)) is None:
        return []
    lead = dY.ndim - X.ndim
    axes = (*range(lead), *(k + lead for k, n in enumerate(X.shape) if n == 1 and dY.shape[k + lead] != 1))
    if not axes:
        return [(np.multiply, dY, ctx.constant(scale), dX)] if scale != 1.0 else each_block(np.copyto, dX, dY)
    shape = [n for k, n in enumerate(dY.shape) if k not in axes]
    calls = sum_axes(ctx, dY, axes, dX.reshape(shape, copy=False))
    return calls if scale == 1.0 else [*calls, (np.multiply, dX, ctx.constant(scale), dX)]


def give_sum(ctx: Context, dY: Array, operands: Sequence[Array], scales: Sequence[float]) -> Calls:
    """Return calls for the gradients of ``Y = Σ scaleᵢ · operandᵢ``: one operand receives dY, the others copies or sums."""
    calls: Calls = []
    heir = next((i for i, X in enumerate(operands) if ctx.wants(i) and X.shape == dY.shape), None)
    for i, X in enumerate(operands):
        if ctx.wants(i) and i != heir:
            calls += reduce_to(ctx, i, dY, X, scales[i])
    if heir is not None:
        if scales[heir] != 1.0:
            calls.append((np.multiply, dY, ctx.constant(scales[heir]), dY))
        ctx.give_grad(heir, dY)
    return calls


def give_each(ctx: Context, dY: Array, operands: dict[int, tuple[Array, Callable[[Array], Calls]]]) -> Calls:
    """Return calls for the gradients of the broadcast operands of an elementwise operator.

    ``operands`` maps an input's index to its array and a function, which returns the calls that write the operand's
    gradient into an array of dY's shape. For the last operand that is dY itself, so the calls must work in place.
    """
    calls: Calls = []
    differentiated = [i for i in operands if ctx.wants(i)]
    for i in differentiated:
        X, write = operands[i]
        last = i == differentiated[-1]
        if X.shape != dY.shape:
            full = dY if last else scratch_like(ctx, dY)
            calls += write(full) + reduce_to(ctx, i, full, X)
        elif last:
            calls += write(dY)
            ctx.give_grad(i, dY)
        elif (dX := ctx.grad(i)) is not None:
            calls += write(dX)
    return calls


def zeros(*parts: Array) -> Calls:
    """Return calls that fill the parts that are not empty with zeros."""
    return [(part.fill, 0.0) for part in parts if part.size]


def as_words(X: Array) -> Array:
    """Return a view of X as integers of the same width."""
    return X.view(f"i{X.dtype.itemsize}")


def as_records(Y: Array, X: Array) -> tuple[Array, Array]:
    """Return views of Y and X whose short rows are one record each, which are 25 to 75 % faster to copy."""
    row = X.shape[-1] if X.ndim else 0
    if not 0 < row <= _RECORD_ELEMENTS or not Y.strides[-1] == X.strides[-1] == X.itemsize or Y.dtype != X.dtype:
        return Y, X
    record = np.dtype((np.void, row * X.itemsize))
    return Y.view(record), X.view(record)


def copy_rows(Y: Array, X: Array) -> Call:
    """Return a call that copies X to Y, short rows as records."""
    order = axis_order(X)
    return np.copyto, *as_records(Y.transpose(order), X.transpose(order))


def unsigned(X: Array) -> Array:
    """Return a view of X as unsigned integers of the same width."""
    return X.view(f"u{X.dtype.itemsize}")


def negate(X: Array, Y: Array) -> Call:
    """Return a call for ``Y = -X``.

    ``np.negative`` may read wrong elements if an array is not contiguous (NumPy 2.4: every fourth element of a vector, if
    the output is not contiguous either); ``np.multiply`` does not.
    """
    order = axis_order(X)
    if all(a.transpose(order).flags.c_contiguous for a in (X, Y)):
        return np.negative, X, Y
    return np.multiply, X, np.array(-1, X.dtype), Y


def bit_mask(ctx: Context, condition: Array, dtype: np.dtype[Any]) -> tuple[Array, Calls]:
    """Return an integer array of ``dtype``'s width, all bits set where ``condition`` is true, and the calls that fill it.

    Bitwise selection needs a quarter of the time of ``where=`` or of products with a bool array.
    """
    mask = scratch_like(ctx, condition, np.dtype(f"i{dtype.itemsize}"))
    return mask, [(copy_cast, mask, condition), negate(mask, mask)]


@twin()
def clip_gradient(y: Array, low: Array | None, high: Array | None, dy: Array, /, *, masks: Sequence[Array]) -> Calls:
    """Return calls that multiply ``dy`` in place by 1 where ``low < y < high``, else by 0; ``masks`` are bools per bound."""
    bounds = [(f, bound) for f, bound in ((np.greater, low), (np.less, high)) if bound is not None]
    calls: Calls = [(f, y, bound, mask) for (f, bound), mask in zip(bounds, masks, strict=False)]
    if len(bounds) == 2:
        calls.append((np.logical_and, masks[0], masks[1], masks[0]))
    return [*calls, (np.multiply, dy, masks[0], dy)] if bounds else calls


def within(ctx: Context, Y: Array, low: Array | None, high: Array | None, dY: Array) -> Calls:
    """Return calls that set ``dY`` to 0 in place, except where ``low < Y < high``."""
    masks = [scratch_like(ctx, dY, np.bool_) for bound in (low, high) if bound is not None]
    return clip_gradient(Y, low, high, dY, masks=masks) if masks else []


def clip(X: Array, low: Array, high: Array, Y: Array) -> Call:
    """Return a call for ``Y = min(max(X, low), high)`` with scalar bounds ().

    It takes a sixth of the time of ``np.maximum`` and ``np.minimum``, whose loops over a scalar are slow. The method of X
    starts faster than ``np.clip``.
    """
    return X.clip, low, high, Y


def as_vector(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """Return X as a vector, and the call that copies it if it is not in C order."""
    if X.flags.c_contiguous:
        return X.reshape(-1), []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy.reshape(-1), [(np.copyto, copy, X)]
