"""Pooling over windows: MaxPool, AveragePool.

Windows over several axes are reduced one axis at a time, which needs fewer calls than one per tap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import fold
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.kernels.max_pool import MaxTaps, OnePass, Taps, along
from graphspec.graph.kernels.windows import Axis, Window, output_dims, per_axis, window_axes, windows_along
from graphspec.graph.ops.op import Op, Windowed, into_gradient, need_spatial, passes_on
from graphspec.graph.ops.reduce import mean, with_backward

_SEPARATE, _OVERLAPPING = 1 << 17, 1 << 16  # elements of X per block; overlapping windows store more for each element


class Pool(Windowed):
    """A reduction of each window to one element: X (N, C, …) → Y (N, C, …)."""

    rows = "in_front"
    keeps_channels = True
    keeps_in, keeps_out = (), False

    if TYPE_CHECKING:  # operators declare them in ONNX's order
        kernel_shape: Sequence[int]
        auto_pad: str
        ceil_mode: int
        pads: Sequence[int] | None

    def infer(self, X: Value) -> Type:
        need.float(X)
        need_spatial(X)
        rank = X.rank - 2
        kernel = per_axis(self.kernel_shape, rank, 1, "kernel_shape")
        dims = output_dims(X.shape[2:], kernel, *self.steps(rank), self.pads, self.auto_pad, self.ceil_mode)
        return Type(X.dtype, (*X.shape[:2], *dims))

    def windows(self, X: Value, W: Value | None = None) -> list[Window] | None:
        if self.ceil_mode:
            return None
        dilations = getattr(self, "dilations", None)
        return windows_along(X.shape[2:], self.kernel_shape, self.strides, dilations, self.pads, self.auto_pad)

    def axes(self, ctx: Context, X: Array) -> list[tuple[int, Axis]]:
        """Return (axis, its windows) for each spatial axis of X that the windows change."""
        steps = self.steps(X.ndim - 2)
        axes = window_axes(X.shape[2:], ctx.shape()[2:], self.kernel_shape, *steps, self.pads, self.auto_pad)
        return [(k + 2, a) for k, a in enumerate(axes) if not a.trivial]


def planes_first(X: Array, axes: Sequence[tuple[int, Axis]]) -> list[tuple[int, Axis]]:
    """Return the axes in X's memory order, slowest first: planes are reduced before rows."""
    position = axis_order(X).index
    return sorted(axes, key=lambda axis: position(axis[0]))


def sample_blocks(axes: Sequence[tuple[int, Axis]], X: Array, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield corresponding blocks of samples of all arrays; a block of X fits in the cache."""
    limit = _OVERLAPPING if any(a.overlaps for _, a in axes) else _SEPARATE
    step = max(1, limit * len(X) // max(X.size, 1))
    for start in range(0, len(X), step):
        yield tuple(a[start : start + step] for a in (X, *arrays))


class Stages:
    """Temporaries between a block of X (N, C, …) and its output, which reduces one axis at a time."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[tuple[int, Axis]]) -> None:
        self.axes = axes
        shape, self._order = list(next(sample_blocks(axes, X), (X,))[0].shape), axis_order(X)
        self._buffers: list[Array] = []
        for k, a in axes[:-1]:
            shape[k] = a.out
            self._buffers.append(ctx.scratch((math.prod(shape),), X.dtype))

    def pairs(self, X: Array, Y: Array) -> list[tuple[Array, Array]]:
        """Return, for each axis, the array before it is reduced, and the one after it: the first is X, the last Y."""
        shape = list(X.shape)
        arrays = [X]
        for (k, a), buffer in zip(self.axes, self._buffers, strict=False):
            shape[k] = a.out
            memory_shape = [shape[i] for i in self._order]
            flat = buffer[: math.prod(memory_shape)]
            arrays.append(flat.reshape(memory_shape).transpose(np.argsort(self._order)))
        return list(zip(arrays, [*arrays[1:], Y], strict=True))


class MaxPool(Pool):
    """The largest element under each window.

    Shapes: X (N, C, …) → Y (N, C, …). The gradient of a window goes to its first largest element in row-major order. Padding
    is never the maximum, so ``pads`` must be smaller than the window.
    """

    kernel_shape: Sequence[int]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value) -> Type:
        need.value(
            not self.auto_pad.startswith("SAME") or set(self.dilations or ()) <= {1},
            f"has auto_pad {self.auto_pad} with dilations {self.dilations}, which onnxruntime pads by another rule",
            hint="write `pads` in place of `auto_pad`",
        )
        return super().infer(X)

    def bind(self, ctx: Context, X: Array) -> Bound:
        axes = self.axes(ctx, X)
        if not axes:
            return X, [], passes_on(ctx)
        Y = ctx.out(like=X)
        if not ctx.wants(0):
            order = planes_first(X, axes)

            def reduced() -> Calls:
                stages = Stages(ctx, X, order)
                return [call for x, y in sample_blocks(axes, X, Y) for call in in_stages(maxima, stages, x, y)]

            return Y, OnePass(ctx, X, Y, order[::-1], reduced, differentiated=False).calls, None
        order = axes[::-1]  # the last axis first: row by row
        blocks: list[list[MaxTaps]] = []

        def with_taps() -> Calls:
            steps, stages = [Taps(k, a) for k, a in order], Stages(ctx, X, order)
            for x, y in sample_blocks(axes, X, Y):
                pairs = zip(steps, stages.pairs(x, y), strict=True)
                blocks.append([MaxTaps(ctx, U, V, taps) for taps, (U, V) in pairs])
            return [call for block in blocks for largest in block for call in largest.calls]

        pooling = OnePass(ctx, X, Y, axes, with_taps, differentiated=True)

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            def by_axis() -> Calls:
                stages = Stages(ctx, X, order)
                calls: Calls = []
                for (dx, dy), block in zip(sample_blocks(axes, dX, dY), blocks, strict=True):
                    for largest, (dU, dV) in zip(block[::-1], stages.pairs(dx, dy)[::-1], strict=True):
                        calls += largest.gradient(ctx, dV, dU)
                return calls

            return pooling.gradient(ctx, dY, dX, by_axis)

        return Y, pooling.calls, backward


def in_stages(window: Callable[[Array, Array, int, Axis], Calls], stages: Stages, X: Array, Y: Array) -> Calls:
    """Return the calls that reduce X to Y, one axis at a time."""
    pairs = zip(stages.axes, stages.pairs(X, Y), strict=True)
    return [call for (k, a), (U, V) in pairs for call in window(U, V, k, a)]


def over_windows(function: np.ufunc, empty: float, U: Array, V: Array, axis: int, a: Axis) -> Calls:
    """Return the calls that fold U's windows along one axis into V; a window without elements becomes ``empty``."""
    taps = Taps(axis, a)
    pieces = taps.pieces({p: taps.plane(U, p) for p in taps.planes})
    complete = [piece for piece, outs in zip(pieces, taps.outputs, strict=True) if outs == slice(0, a.out)]

    def join(_: int, so_far: Array, tap: Array, outs: slice) -> Calls:
        return fold(function, [so_far, tap], along(V, axis, outs))

    if len(complete) < 2:
        return taps.reduce(pieces, V, empty, join)
    calls = fold(function, complete, V)  # writes every output, so that no tap is copied first
    for piece, outs in zip(pieces, taps.outputs, strict=True):
        if outs != slice(0, a.out):
            calls += join(0, along(V, axis, outs), piece, outs)
    return calls


maxima = partial(over_windows, np.maximum, -np.inf)  # of U's windows along one axis, into V
window_sums = partial(over_windows, np.add, 0.0)  # the same for the sums


class AveragePool(Pool):
    """The mean under each window: over its elements inside X or, with ``count_include_pad``, inside the padded X.

    Shapes: X (N, C, …) → Y (N, C, …).
    """

    kernel_shape: Sequence[int]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    count_include_pad: int = 0
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def inverse_counts(self, axes: Sequence[tuple[int, Axis]], rank: int) -> Array:
        """Return 1 / the number of elements of each window, with ``rank`` axes."""
        inverse: Array = np.ones((1,) * rank)
        for k, a in axes:
            end = _end_padding(a, self.pads, rank - 2, k - 2, self.auto_pad) if self.count_include_pad else None
            inverse = inverse / _counts(a, end).reshape([-1 if i == k else 1 for i in range(rank)])
        return inverse

    def bind(self, ctx: Context, X: Array) -> Bound:
        axes = self.axes(ctx, X)
        if not axes:
            return X, [], passes_on(ctx)
        Y = ctx.out(like=X)
        inverse_counts = self.inverse_counts(axes, X.ndim)
        inverse_count = ctx.constant(inverse_counts.flat[0] if np.ptp(inverse_counts) == 0 else inverse_counts)
        ordered = planes_first(X, axes)
        stages = Stages(ctx, X, ordered)
        calls: Calls = []
        for x, y in sample_blocks(axes, X, Y):
            calls += [*in_stages(window_sums, stages, x, y), (np.multiply, y, inverse_count, y)]

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            stages = Stages(ctx, X, ordered)
            calls: Calls = []
            for dx, dy in sample_blocks(axes, dX, dY):
                calls.append((np.multiply, dy, inverse_count, dy))
                for (k, a), (dU, dV) in zip(ordered[::-1], stages.pairs(dx, dy)[::-1], strict=True):
                    calls += window_sums_gradient(dV, dU, k, a)
            return calls

        return Y, calls, backward


def _end_padding(a: Axis, pads: Sequence[int] | None, rank: int, k: int, auto_pad: str) -> int:
    if auto_pad.startswith("SAME"):
        return max((a.out - 1) * a.stride + a.kernel - a.size - a.begin, 0)
    return pads[rank + k] if pads is not None and auto_pad == "NOTSET" else 0


def _counts(a: Axis, end: int | None) -> Array:
    """Return the number of elements per window along an axis; ``end`` is the padding after the axis if padding counts."""
    low, high = (0, a.size) if end is None else (-a.begin, a.size + end)
    start = np.arange(a.out) * a.stride - a.begin
    counts: Array = np.minimum(start + a.kernel, high) - np.maximum(start, low)
    return np.maximum(counts, 1)  # a window inside the padding sums to 0


def window_sums_gradient(dV: Array, dU: Array, axis: int, a: Axis) -> Calls:
    """Return the calls that write into dU the sum of dV over the windows that contain each element."""
    taps = [t for t in (a.tap(k) for k in range(a.kernel)) if t[0].stop > t[0].start]
    covered = sum(outs.stop - outs.start for outs, _ in taps) == a.size
    calls: Calls = [] if covered and not a.overlaps else [(dU.fill, 0.0)]
    for outs, inputs in taps:
        target, source = along(dU, axis, inputs), along(dV, axis, outs)
        calls.append((np.add, target, source, target) if a.overlaps else (np.copyto, target, source))
    return calls


# Pooling over all spatial axes: GlobalAveragePool, GlobalMaxPool.
class GlobalPool(Op):
    """A pooling that reduces all spatial axes to size 1: X (N, C, …) → Y (N, C, 1…)."""

    rows = "in_front"
    keeps_channels = True

    def infer(self, X: Value) -> Type:
        need.float(X)
        need_spatial(X)
        return Type(X.dtype, (*X.shape[:2], *(1,) * (X.rank - 2)))


class GlobalAveragePool(GlobalPool):
    """The mean over all spatial axes: (N, C, …) → (N, C, 1…)."""

    keeps_in, keeps_out = (), False

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y, axes = ctx.out(), range(2, X.ndim)
        return with_backward(ctx, X, Y, axes, *mean(ctx, X, Y, axes))


class GlobalMaxPool(GlobalPool):
    """The maximum over all spatial axes: (N, C, …) → (N, C, 1…). The gradient goes to the first element that equals it."""

    keeps_in, keeps_out = (0,), False

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        axes = tuple(range(2, X.ndim))

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            N, C, *spatial = X.shape
            if dX.size == 0:
                return []
            flat = dX.transpose(axis_order(dX)).reshape(-1, copy=False)
            strides = np.array(dX.strides) // dX.itemsize
            offsets = ctx.constant(sum(np.indices(spatial)[k] * strides[k + 2] for k in range(len(spatial))), np.intp)
            starts = ctx.constant(np.indices((N, C))[0] * strides[0] + np.indices((N, C))[1] * strides[1], np.intp)
            rows = ctx.scratch((N, C, offsets.size))
            first, positions = ctx.scratch((N, C), np.intp), ctx.scratch((N, C), np.intp)
            return [
                (np.copyto, rows.reshape(X.shape), X),
                (np.argmax, rows, 2, first),
                (np.take, offsets.reshape(-1), first, None, positions, "clip"),
                (np.add, positions, starts, positions),
                (dX.fill, 0.0),
                (flat.put, positions, dY.reshape(N, C)),
            ]

        return Y, [(np.maximum.reduce, X, axes, None, Y, True)], backward
