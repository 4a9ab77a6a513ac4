"""What several operator families share: sums over axes, gradients of broadcast operands, select by bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphspec.arrays.calls import Call, Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.graph import Array
from graphspec.kernels.blocks import each_block
from graphspec.kernels.context import Context

_INTS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
_SHORT = 32  # numbers in a row up to which it is copied as one element
copy_cast = partial(np.copyto, casting="unsafe")


def scratch_like(ctx: Context, X: Array, dtype: Any = None) -> Array:
    """A temporary of X's shape and memory order; of X's dtype unless another is given."""
    return _like(ctx.scratch, X, X.dtype if dtype is None else dtype)


def kept_like(ctx: Context, X: Array, dtype: Any = None) -> Array:
    """As :func:`scratch_like`, but it keeps its content from forward to backward."""
    return _like(ctx.save_for_backward, X, X.dtype if dtype is None else dtype)


def _like(take: Callable[..., Array], X: Array, dtype: Any) -> Array:
    order = axis_order(X)
    return take([X.shape[k] for k in order], dtype).transpose(np.argsort(order))


def output_for(ctx: Context, *operands: tuple[int, Array], dtype: Any = None) -> Array:
    """The output of an elementwise operator: an operand that may be overwritten, else a buffer in the operands' order.

    ``operands`` are (input index, array) in order of preference.
    """
    shape = ctx.shape()
    full = [(i, X) for i, X in operands if X.shape == shape]
    for i, X in full:
        if (dtype is None or X.dtype == dtype) and ctx.may_overwrite(i):
            return X
    ordered = [X for _, X in full if not X.flags.c_contiguous]
    return ctx.out(like=ordered[0] if ordered and len(ordered) == len(full) else None)


def sum_axes(ctx: Context, X: Array, axes: Iterable[int], Y: Array) -> Calls:
    """Calls for ``Y = Σ X`` over ``axes``; Y has those axes with size 1, or does not have them.

    Sums of floats are products with ones, ten times as fast as ``np.add.reduce``: axes in the order of memory, adjacent
    ones as one, the longest first.
    """
    axes = frozenset(axes)
    kept = [k for k in range(X.ndim) if k not in axes]
    if Y.ndim == X.ndim:
        Y = Y.reshape([X.shape[k] for k in kept], copy=False)
    order = axis_order(X)
    M = X.transpose(order)
    if X.dtype.kind != "f" or X.size == 0 or not M.flags.c_contiguous or len(axes) == X.ndim:
        return [(np.add.reduce, X, tuple(sorted(axes)), Y.dtype, Y)]
    runs: list[tuple[int, bool]] = []
    for k in order:
        if X.shape[k] == 1:
            continue
        if runs and runs[-1][1] == (k in axes):
            runs[-1] = (runs[-1][0] * X.shape[k], runs[-1][1])
        else:
            runs.append((X.shape[k], k in axes))
    place = Y.transpose([kept.index(k) for k in order if k not in axes])
    final = place if place.flags.c_contiguous else ctx.scratch(place.shape, X.dtype)
    calls: Calls = []
    if not any(reduced for _, reduced in runs):
        calls.append((np.copyto, final, M.reshape(final.shape)))
    while any(reduced for _, reduced in runs):
        at = max((k for k, (_, reduced) in enumerate(runs) if reduced), key=lambda k: runs[k][0])
        before = int(np.prod([n for n, _ in runs[:at]], dtype=np.int64))
        rows = runs.pop(at)[0]
        after = int(np.prod([n for n, _ in runs[at:]], dtype=np.int64))
        S = final if not any(reduced for _, reduced in runs) else ctx.scratch((before * after,), X.dtype)
        flat = M.reshape(before, rows, after)
        if before == 1:
            calls.append((np.dot, ctx.constant(np.ones(rows), X.dtype), flat[0], S.reshape(after)))
        elif after == 1:
            calls.append((np.dot, flat[..., 0], ctx.constant(np.ones(rows), X.dtype), S.reshape(before)))
        else:
            ones = ctx.constant(np.ones((1, rows)), X.dtype)
            calls.append((np.matmul, ones, flat, S.reshape(before, 1, after)))
        M = S
    if final is not place:
        calls.append((np.copyto, place, final))
    return calls


def fold(function: np.ufunc, operands: Sequence[Array], Y: Array) -> Calls:
    """Calls for ``Y = X₀ ∘ X₁ ∘ …``, one operand at least; Y may be the memory of the first two."""
    first, *others = operands
    if not others:
        return [(np.copyto, Y, first)]
    pairs = zip((first, *(Y for _ in others[1:])), others, strict=True)
    if function in (np.maximum, np.minimum):  # which take no output by position
        return [(partial(function, out=Y), A, B) for A, B in pairs]
    return [(function, A, B, Y) for A, B in pairs]


def broadcast_axes(small: Sequence[int], large: Sequence[int]) -> tuple[int, ...]:
    """The axes of ``large`` along which an operand of shape ``small`` was repeated."""
    lead = len(large) - len(small)
    return (*range(lead), *(k + lead for k, n in enumerate(small) if n == 1 and large[k + lead] != 1))


def reduce_to(ctx: Context, i: int, dY: Array, X: Array, scale: float = 1.0) -> Calls:
    """Calls that write the gradient of input ``i``, which was broadcast from X's shape to dY's: a sum of ``scale · dY``."""
    dX = ctx.grad(i)
    if dX is None:
        return []
    axes = broadcast_axes(X.shape, dY.shape)
    lead = dY.ndim - X.ndim
    if not axes:
        return [(np.multiply, dY, ctx.constant(scale), dX)] if scale != 1.0 else each_block(np.copyto, dX, dY)
    kept = [k for k in range(dY.ndim) if k not in axes]
    calls = sum_axes(ctx, dY, axes, dX.reshape([X.shape[k - lead] for k in kept], copy=False))
    if scale != 1.0:
        calls.append((np.multiply, dX, ctx.constant(scale), dX))
    return calls


def give_sum(ctx: Context, dY: Array, operands: Sequence[Array], scales: Sequence[float]) -> Calls:
    """Gradients of ``Y = Σ scaleᵢ · operandᵢ``: one operand gets dY itself, the others copies or sums."""
    calls: Calls = []
    full = [i for i, X in enumerate(operands) if ctx.wants(i) and X.shape == dY.shape]
    for i, X in enumerate(operands):
        if ctx.wants(i) and i not in full[:1]:
            calls += reduce_to(ctx, i, dY, X, scales[i])
    for i in full[:1]:
        if scales[i] != 1.0:
            calls.append((np.multiply, dY, ctx.constant(scales[i]), dY))
        ctx.give_grad(i, dY)
    return calls


def give_each(ctx: Context, dY: Array, operands: dict[int, tuple[Array, Callable[[Array], Calls]]]) -> Calls:
    """Gradients of broadcast operands of an elementwise operator.

    ``operands`` maps an input's index to its array and a function that returns calls which write the operand's gradient,
    of dY's shape, into a given array; the last one that is wanted overwrites dY, so that function must allow that.
    """
    calls: Calls = []
    wanted = [i for i in operands if ctx.wants(i)]
    for i in wanted:
        X, write = operands[i]
        last = i == wanted[-1]
        if X.shape != dY.shape:
            full = dY if last else scratch_like(ctx, dY)
            calls += write(full) + reduce_to(ctx, i, full, X)
        elif last:
            calls += write(dY)
            ctx.give_grad(i, dY)
        elif (dX := ctx.grad(i)) is not None:
            calls += write(dX)
    return calls


def as_words(X: Array) -> Array:
    """X seen as integers of the same width."""
    return X.view(_INTS[X.dtype.itemsize])


def as_records(Y: Array, X: Array) -> tuple[Array, Array]:
    """Arrays to be copied, with short rows as records, each of them one element: a quarter to three quarters faster."""
    row = X.shape[-1] if X.ndim else 0
    if not 0 < row <= _SHORT or not Y.strides[-1] == X.strides[-1] == X.itemsize or Y.dtype != X.dtype:
        return Y, X
    record = np.dtype((np.void, row * X.itemsize))
    return Y.view(record), X.view(record)


def copy_rows(Y: Array, X: Array) -> Call:
    """A call that copies X to Y, short rows as records."""
    order = axis_order(X)
    return np.copyto, *as_records(Y.transpose(order), X.transpose(order))


def unsigned(X: Array) -> Array:
    """X seen as unsigned integers of the same width."""
    return X.view(f"u{X.dtype.itemsize}")


def negate(X: Array, Y: Array) -> Call:
    """A call for ``Y = -X``.

    ``np.negative`` may read the wrong numbers where an array has gaps (NumPy 2.4: every fourth number of a vector, to an
    output that has gaps, too); ``np.multiply`` does not.
    """
    order = axis_order(X)
    if all(a.transpose(order).flags.c_contiguous for a in (X, Y)):
        return np.negative, X, Y
    return np.multiply, X, np.array(-1, X.dtype), Y


def bit_mask(ctx: Context, condition: Array, dtype: np.dtype[Any]) -> tuple[Array, Calls]:
    """An integer array of ``dtype``'s width, all ones where the bool ``condition`` holds, and the calls that fill it.

    Selecting with it takes flat integer calls, a quarter of the time of ``where=`` or of products with a bool array.
    """
    mask = scratch_like(ctx, condition, _INTS[dtype.itemsize])
    return mask, [(copy_cast, mask, condition), negate(mask, mask)]


def within(ctx: Context, Y: Array, low: Array | None, high: Array | None, dY: Array) -> Calls:
    """Calls that zero ``dY`` in place except where ``low < Y < high``."""
    inside = scratch_like(ctx, dY, np.bool_)
    calls: Calls = []
    for compare, bound in ((np.greater, low), (np.less, high)):
        if bound is not None:
            calls += [(compare, Y, bound, inside), (np.multiply, dY, inside, dY)]
    return calls


def as_vector(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """Return X as a vector, and the call that copies it if it is not in C order."""
    if X.flags.c_contiguous:
        return X.reshape(-1), []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy.reshape(-1), [(np.copyto, copy, X)]
