"""Pooling over windows: MaxPool, AveragePool.

A window over several axes is taken one axis after the other: fewer calls than one for each tap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from graphspec.compiler.dims import show
from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, need, need_float, op
from graphspec.ops.common import copy_rows, fold
from graphspec.ops.windows import Axis, output_dims, spread, window_axes
from graphspec.runtime.buffers import axis_order

_APART, _OVERLAPPING = 1 << 18, 1 << 16  # numbers of X in a block: where windows overlap there are more temporaries


def pooled_type(
    X: Value,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int,
) -> Type:
    need_float(X)
    need(X.rank >= 3, f"pooling needs (N, C, …) with spatial axes, got {show(X.shape)}")
    rank = X.rank - 2
    kernel = spread(kernel, rank, 1, "kernel_shape")
    steps = spread(strides, rank, 1, "strides"), spread(dilations, rank, 1, "dilations")
    dims = output_dims(X.shape[2:], kernel, *steps, pads, auto_pad, ceil_mode)
    return Type(X.dtype, (*X.shape[:2], *dims))


def pooled_axes(
    X: Array,
    out: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
) -> list[tuple[int, Axis]]:
    """The axes of X that the windows change, with their numbers."""
    rank = X.ndim - 2
    steps = spread(strides, rank, 1, "strides"), spread(dilations, rank, 1, "dilations")
    axes = window_axes(X.shape[2:], out[2:], kernel, *steps, pads, auto_pad)
    return [(k + 2, a) for k, a in enumerate(axes) if not a.trivial]


def planes_first(X: Array, axes: Sequence[tuple[int, Axis]]) -> list[tuple[int, Axis]]:
    """The axes in the order of X's memory: whole planes before rows."""
    place = axis_order(X).index
    return sorted(axes, key=lambda axis: place(axis[0]))


def along(X: Array, axis: int, where: slice) -> Array:
    return X[(slice(None),) * axis + (where,)]


def sample_blocks(axes: Sequence[tuple[int, Axis]], X: Array, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """X and the others in blocks of samples, of which X's stays in the cache."""
    most = _OVERLAPPING if any(a.overlaps for _, a in axes) else _APART
    step = max(1, most * len(X) // max(X.size, 1))
    for start in range(0, len(X), step):
        yield tuple(a[start : start + step] for a in (X, *arrays))


class Stages:
    """Temporaries between a block of X (N, C, …) and its output, where one axis is taken after the other."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[tuple[int, Axis]]) -> None:
        self.axes = axes
        shape, self._order = list(next(sample_blocks(axes, X), (X,))[0].shape), axis_order(X)
        self._buffers: list[Array] = []
        for k, a in axes[:-1]:
            shape[k] = a.out
            self._buffers.append(ctx.scratch((int(np.prod(shape, dtype=np.int64)),), X.dtype))

    def between(self, X: Array, Y: Array) -> list[Array]:
        """X, what it becomes after each axis, Y."""
        shape = list(X.shape)
        arrays = [X]
        for (k, a), buffer in zip(self.axes, self._buffers, strict=False):
            shape[k] = a.out
            lying = [shape[i] for i in self._order]
            flat = buffer[: int(np.prod(lying, dtype=np.int64))]
            arrays.append(flat.reshape(lying).transpose(np.argsort(self._order)))
        return [*arrays, Y]


@op
class MaxPool(Op):
    """The largest number under each window; its gradient goes to the first one that is as large, row by row.

    Padding is never the largest: ``pads`` must be smaller than the window.
    """

    keeps_in, keeps_out = (0,), True

    @staticmethod
    def infer(
        X: Value,
        *,
        kernel_shape: Sequence[int],
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        dilations: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Type:
        return pooled_type(X, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)

    @staticmethod
    def bind(
        ctx: Context,
        X: Array,
        *,
        kernel_shape: Sequence[int],
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        dilations: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Bound:
        axes = pooled_axes(X, ctx.shape(), kernel_shape, strides, dilations, pads, auto_pad)
        if not axes:
            return X, [], lambda dY: _give(ctx, dY)
        Y = ctx.out(like=X)
        stages = Stages(ctx, X, planes_first(X, axes))
        calls: Calls = []
        for x, y in sample_blocks(axes, X, Y):
            calls += in_stages(maxima, stages, x, y)

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            block = next(sample_blocks(axes, X), (X,))[0]
            largest = [max(a, b) for a, b in zip(block.shape, (0, 0, *Y.shape[2:]), strict=True)]
            spare = ctx.scratch((int(np.prod(largest, dtype=np.int64)),))
            calls: Calls = []
            if not any(a.overlaps for _, a in axes):
                taps = all_taps(X.ndim, axes)
                for x, y, dx, dy in sample_blocks(axes, X, Y, dX, dY):
                    calls += maxima_gradient(x, y, dy, dx, taps, spare)
                return calls
            forth, back = Stages(ctx, X, axes[::-1]), Stages(ctx, X, axes[::-1])  # the last axis first: row by row
            for x, y, dx, dy in sample_blocks(axes, X, Y, dX, dY):
                values, gradients = forth.between(x, y), back.between(dx, dy)
                for (k, a), U, V in zip(forth.axes[:-1], values, values[1:], strict=False):
                    calls += maxima(U, V, k, a)
                for n, axis in enumerate(axes):
                    U, V, dU, dV = values[-2 - n], values[-1 - n], gradients[-2 - n], gradients[-1 - n]
                    calls += maxima_gradient(U, V, dV, dU, all_taps(X.ndim, [axis]), spare)
            return calls

        return Y, calls, backward


def _give(ctx: Context, dY: Array) -> Calls:
    ctx.give(0, dY)
    return []


def in_stages(window: Callable[[Array, Array, int, Axis], Calls], stages: Stages, X: Array, Y: Array) -> Calls:
    """Calls that take one axis after the other from X to Y."""
    arrays = stages.between(X, Y)
    pairs = zip(stages.axes, arrays, arrays[1:], strict=False)
    return [call for (k, a), U, V in pairs for call in window(U, V, k, a)]


Tap = tuple[tuple[slice, ...], tuple[slice, ...]]


@dataclass(frozen=True)
class Taps:
    """The taps of a window, row by row: the outputs that each has, and the inputs that it reads."""

    taps: list[Tap]
    overlap: bool
    written: tuple[slice, ...] | None
    """The inputs that are written before any is added to; None where they have gaps."""


def all_taps(rank: int, axes: Sequence[tuple[int, Axis]]) -> Taps:
    taps = []
    for numbers in product(*(range(a.kernel) for _, a in axes)):
        outs, inputs = [slice(None)] * rank, [slice(None)] * rank
        for (k, a), number in zip(axes, numbers, strict=True):
            outs[k], inputs[k] = a.tap(number)
        taps.append((tuple(outs), tuple(inputs)))
    overlap = any(a.overlaps for _, a in axes)
    written: list[slice | None] = [slice(None)] * rank
    for k, a in axes:
        written[k] = _read(a, range(1 if overlap else a.kernel))
    whole = tuple(w for w in written if w is not None)
    return Taps(taps, overlap, whole if len(whole) == rank else None)


def _read(a: Axis, taps: range) -> slice | None:
    """The inputs that these taps of all windows read, where they have no gaps."""
    read = sorted(i for k in taps for i in range(a.size)[a.tap(k)[1]])
    if not read:
        return slice(0, 0)
    return slice(read[0], read[-1] + 1) if read[-1] - read[0] < len(read) else None


def over_windows(function: np.ufunc, empty: float, U: Array, V: Array, axis: int, a: Axis) -> Calls:
    """Calls that fold U's windows along one axis into V; a window without elements has ``empty``."""
    taps = [a.tap(k) for k in range(a.kernel)]
    whole = [along(U, axis, inputs) for outs, inputs in taps if outs == slice(0, a.out)]
    calls: Calls = fold(function, whole, V) if whole else [(V.fill, empty)]
    for outs, inputs in taps:
        if outs != slice(0, a.out) and outs.stop > outs.start:
            piece = along(V, axis, outs)
            calls += fold(function, [piece, along(U, axis, inputs)], piece)
    return calls


maxima = partial(over_windows, np.maximum, -np.inf)
"""Calls that write the maxima of U's windows along one axis into V."""
window_sums = partial(over_windows, np.add, 0.0)
"""Calls that write their sums."""


def maxima_gradient(U: Array, V: Array, dV: Array, dU: Array, taps: Taps, spare: Array) -> Calls:
    """Calls that write dU; dV and ``spare``, which is at least as large as V, are overwritten.

    ``U - V`` is negative where U is not the maximum, else +0: its sign bit, spread over the word, masks the gradient
    that is left for later taps, and what is masked out is this tap's. So the first maximum takes it all.
    """
    word = np.dtype(f"i{dV.itemsize}")
    shift = np.array(8 * dV.itemsize - 1, word)
    calls: Calls = [(piece.fill, 0.0) for piece in _not_first(dU, taps)]
    order = axis_order(V)
    lying = [V.shape[k] for k in order]
    left, other = dV, spare[: V.size].reshape(lying).transpose(np.argsort(order))
    for number, (outs, inputs) in enumerate(taps.taps):
        into, rest, mask = dU[inputs], left[outs], other[outs]
        if rest.size == 0:
            continue
        if number == len(taps.taps) - 1:  # what is left can only belong here
            calls.append((np.add, into, rest, into) if taps.overlap and number else (np.copyto, into, rest))
            break
        bits, rest_bits, read = mask.view(word), rest.view(word), U[inputs]
        if any(places.step not in (None, 1) for places in inputs):  # one long loop takes less than many short ones
            calls.append(copy_rows(mask, read))
            read = mask
        calls += [
            (np.subtract, read, V[outs], mask),
            (np.right_shift, bits, shift, bits),
            (np.bitwise_and, rest_bits, bits, bits),
        ]
        if taps.overlap and number:
            calls += [(np.bitwise_xor, rest_bits, bits, rest_bits), (np.add, into, rest, into)]
        else:
            calls.append((np.bitwise_xor, rest_bits, bits, into.view(word)))
        if rest.shape == left.shape:
            left, other = other, left
        else:
            calls.append((np.copyto, rest, mask))
    return calls


def _not_first(dU: Array, taps: Taps) -> Iterator[Array]:
    """What must be 0, since no tap writes it or one adds to it first."""
    if taps.written is None:
        yield dU
        return
    rest = dU
    for axis, w in enumerate(taps.written):
        start, stop, _ = w.indices(dU.shape[axis])
        pieces = along(rest, axis, slice(0, start)), along(rest, axis, slice(stop, None))
        yield from (piece for piece in pieces if piece.size)
        rest = along(rest, axis, slice(start, stop))


@op
class AveragePool(Op):
    """The mean under each window: of what is inside the input, or with ``count_include_pad`` inside the padded input."""

    keeps_in, keeps_out = (), False

    @staticmethod
    def infer(
        X: Value,
        *,
        kernel_shape: Sequence[int],
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        count_include_pad: int = 0,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Type:
        return pooled_type(X, kernel_shape, strides, None, pads, auto_pad, ceil_mode)

    @staticmethod
    def bind(
        ctx: Context,
        X: Array,
        *,
        kernel_shape: Sequence[int],
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        count_include_pad: int = 0,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Bound:
        axes = pooled_axes(X, ctx.shape(), kernel_shape, strides, None, pads, auto_pad)
        if not axes:
            return X, [], lambda dY: _give(ctx, dY)
        Y = ctx.out(like=X)
        shares = np.ones((1,) * X.ndim)
        for k, a in axes:
            end = _padding_behind(a, pads, X.ndim - 2, k - 2, auto_pad) if count_include_pad else None
            shares = shares / _counts(a, end).reshape([-1 if i == k else 1 for i in range(X.ndim)])
        share = ctx.constant(shares.flat[0] if np.ptp(shares) == 0 else shares)
        ordered = planes_first(X, axes)
        stages = Stages(ctx, X, ordered)
        calls: Calls = []
        for x, y in sample_blocks(axes, X, Y):
            calls += [*in_stages(window_sums, stages, x, y), (np.multiply, y, share, y)]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            stages = Stages(ctx, X, ordered)
            calls: Calls = []
            for dx, dy in sample_blocks(axes, dX, dY):
                calls.append((np.multiply, dy, share, dy))
                arrays = stages.between(dx, dy)
                for n, (k, a) in enumerate(reversed(ordered)):
                    calls += window_sums_gradient(arrays[-1 - n], arrays[-2 - n], k, a)
            return calls

        return Y, calls, backward


def _padding_behind(a: Axis, pads: Sequence[int] | None, rank: int, k: int, auto_pad: str) -> int:
    if auto_pad.startswith("SAME"):
        return max((a.out - 1) * a.stride + a.kernel - a.size - a.begin, 0)
    return pads[rank + k] if pads is not None and auto_pad == "NOTSET" else 0


def _counts(a: Axis, end: int | None) -> Array:
    """How many numbers each window along an axis is the mean of; ``end`` is the padding behind if padding counts."""
    low, high = (0, a.size) if end is None else (-a.begin, a.size + end)
    start = np.arange(a.out) * a.stride - a.begin
    counts: Array = np.minimum(start + a.kernel, high) - np.maximum(start, low)
    return np.maximum(counts, 1)  # a window wholly inside the padding sums to 0


def window_sums_gradient(dV: Array, dU: Array, axis: int, a: Axis) -> Calls:
    """Calls that write dU: each output's gradient, summed over the windows that an input is in."""
    taps = [t for t in (a.tap(k) for k in range(a.kernel)) if t[0].stop > t[0].start]
    covered = not a.overlaps and _read(a, range(a.kernel)) == slice(0, a.size)
    calls: Calls = [] if covered else [(dU.fill, 0.0)]
    for outs, inputs in taps:
        into, part = along(dU, axis, inputs), along(dV, axis, outs)
        calls.append((np.add, into, part, into) if a.overlaps else (np.copyto, into, part))
    return calls
