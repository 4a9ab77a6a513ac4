"""Pooling over windows: MaxPool, AveragePool.

A window over several axes is taken one axis after the other: fewer calls than one for each tap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import fold
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.kernels.max_taps import MaxTaps, Taps, along
from graphspec.kernels.windows import Axis, Window, output_dims, per_axis, window_axes, windows_along
from graphspec.ops.base import Op, op

_APART, _OVERLAPPING = 1 << 17, 1 << 16  # numbers of X in a block: where windows overlap more is kept of each


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
    need(X.rank >= 3, f"needs (N, C, …) with spatial axes, got {show(X.shape)}")
    rank = X.rank - 2
    kernel = per_axis(kernel, rank, 1, "kernel_shape")
    steps = per_axis(strides, rank, 1, "strides"), per_axis(dilations, rank, 1, "dilations")
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
    steps = per_axis(strides, rank, 1, "strides"), per_axis(dilations, rank, 1, "dilations")
    axes = window_axes(X.shape[2:], out[2:], kernel, *steps, pads, auto_pad)
    return [(k + 2, a) for k, a in enumerate(axes) if not a.trivial]


def planes_first(X: Array, axes: Sequence[tuple[int, Axis]]) -> list[tuple[int, Axis]]:
    """The axes in the order of X's memory: whole planes before rows."""
    place = axis_order(X).index
    return sorted(axes, key=lambda axis: place(axis[0]))


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

    keeps_in, keeps_out = (), False

    kernel_shape: Sequence[int]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value) -> Type:
        return pooled_type(X, self.kernel_shape, self.strides, self.dilations, self.pads, self.auto_pad, self.ceil_mode)

    def windows(self, X: Value, W: Value | None = None) -> list[Window] | None:
        if self.ceil_mode:
            return None
        return windows_along(X.shape[2:], self.kernel_shape, self.strides, self.dilations, self.pads, self.auto_pad)

    def bind(self, ctx: Context, X: Array) -> Bound:
        axes = pooled_axes(X, ctx.shape(), self.kernel_shape, self.strides, self.dilations, self.pads, self.auto_pad)
        if not axes:
            return X, [], lambda dY: _give(ctx, dY)
        Y = ctx.out(like=X)
        if not ctx.wants(0):
            stages = Stages(ctx, X, planes_first(X, axes))
            return Y, [call for x, y in sample_blocks(axes, X, Y) for call in in_stages(maxima, stages, x, y)], None
        order = axes[::-1]  # the last axis first: row by row
        steps = [Taps(k, a) for k, a in order]
        stages = Stages(ctx, X, order)
        calls: Calls = []
        blocks: list[list[MaxTaps]] = []
        for x, y in sample_blocks(axes, X, Y):
            arrays = stages.between(x, y)
            pairs = zip(steps, arrays, arrays[1:], strict=False)
            blocks.append([MaxTaps(ctx, U, V, taps) for taps, U, V in pairs])
            calls += [call for largest in blocks[-1] for call in largest.calls]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            stages = Stages(ctx, X, order)
            calls: Calls = []
            for (dx, dy), block in zip(sample_blocks(axes, dX, dY), blocks, strict=True):
                arrays = stages.between(dx, dy)
                for n, largest in enumerate(reversed(block)):
                    calls += largest.gradient(ctx, arrays[-1 - n], arrays[-2 - n])
            return calls

        return Y, calls, backward


def _give(ctx: Context, dY: Array) -> Calls:
    ctx.give_grad(0, dY)
    return []


def in_stages(window: Callable[[Array, Array, int, Axis], Calls], stages: Stages, X: Array, Y: Array) -> Calls:
    """Calls that take one axis after the other from X to Y."""
    arrays = stages.between(X, Y)
    pairs = zip(stages.axes, arrays, arrays[1:], strict=False)
    return [call for (k, a), U, V in pairs for call in window(U, V, k, a)]


def over_windows(function: np.ufunc, empty: float, U: Array, V: Array, axis: int, a: Axis) -> Calls:
    """Calls that fold U's windows along one axis into V; a window without elements has ``empty``."""
    taps = Taps(axis, a)
    pieces = taps.pieces({p: taps.plane(U, p) for p in taps.planes})
    whole = [piece for piece, outs in zip(pieces, taps.outputs, strict=True) if outs == slice(0, a.out)]

    def join(_: int, so_far: Array, tap: Array, outs: slice) -> Calls:
        return fold(function, [so_far, tap], along(V, axis, outs))

    if len(whole) < 2:
        return taps.reduce(pieces, V, empty, join)
    calls = fold(function, whole, V)  # nothing need be copied
    for piece, outs in zip(pieces, taps.outputs, strict=True):
        if outs != slice(0, a.out):
            calls += join(0, along(V, axis, outs), piece, outs)
    return calls


maxima = partial(over_windows, np.maximum, -np.inf)
"""Calls that write the maxima of U's windows along one axis into V."""
window_sums = partial(over_windows, np.add, 0.0)
"""Calls that write their sums."""


@op
class AveragePool(Op):
    """The mean under each window: of what is inside the input, or with ``count_include_pad`` inside the padded input."""

    keeps_in, keeps_out = (), False

    kernel_shape: Sequence[int]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    count_include_pad: int = 0
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value) -> Type:
        return pooled_type(X, self.kernel_shape, self.strides, None, self.pads, self.auto_pad, self.ceil_mode)

    def windows(self, X: Value, W: Value | None = None) -> list[Window] | None:
        if self.ceil_mode:
            return None
        return windows_along(X.shape[2:], self.kernel_shape, self.strides, None, self.pads, self.auto_pad)

    def bind(self, ctx: Context, X: Array) -> Bound:
        axes = pooled_axes(X, ctx.shape(), self.kernel_shape, self.strides, None, self.pads, self.auto_pad)
        if not axes:
            return X, [], lambda dY: _give(ctx, dY)
        Y = ctx.out(like=X)
        shares = np.ones((1,) * X.ndim)
        for k, a in axes:
            end = _padding_behind(a, self.pads, X.ndim - 2, k - 2, self.auto_pad) if self.count_include_pad else None
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
    covered = sum(outs.stop - outs.start for outs, _ in taps) == a.size
    calls: Calls = [] if covered and not a.overlaps else [(dU.fill, 0.0)]
    for outs, inputs in taps:
        into, part = along(dU, axis, inputs), along(dV, axis, outs)
        calls.append((np.add, into, part, into) if a.overlaps else (np.copyto, into, part))
    return calls
