"""Pooling: MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool.

A window over several axes is taken one axis after the other, the last first: fewer calls than a call for each tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from graphspec.compiler.dims import show
from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, need, need_float, op
from graphspec.ops.common import sum_axes
from graphspec.ops.windows import Axis, output_dims, spread, window_axes
from graphspec.runtime.buffers import axis_order


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


def along(X: Array, axis: int, where: slice) -> Array:
    return X[(slice(None),) * axis + (where,)]


def shaped(buffer: Array, like: Array) -> Array:
    """The first numbers of a flat buffer in the shape and memory order of ``like``."""
    order = axis_order(like)
    return buffer[: like.size].reshape([like.shape[k] for k in order]).transpose(np.argsort(order))


def stages(ctx: Context, X: Array, Y: Array, axes: Sequence[tuple[int, Axis]], *, keep: bool) -> list[Array]:
    """X, then what it becomes after each axis, the last axis first; Y is the last of them."""
    order, shape = axis_order(X), list(X.shape)
    arrays = [X]
    for k, a in list(reversed(axes))[:-1]:
        shape[k] = a.out
        buffer = (ctx.save if keep else ctx.scratch)([shape[i] for i in order], X.dtype)
        arrays.append(buffer.transpose(np.argsort(order)))
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
        arrays = stages(ctx, X, Y, axes, keep=ctx.wants(0))
        calls: Calls = []
        for (k, a), U, V in zip(reversed(axes), arrays, arrays[1:], strict=False):
            calls += maxima(U, V, k, a)

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            spare = ctx.scratch((max(a.size for a in arrays[1:]),))
            calls: Calls = []
            dV = dY
            for n, (k, a) in enumerate(axes):
                U, V = arrays[-2 - n], arrays[-1 - n]
                dU = dX if U is X else shaped(ctx.scratch((U.size,)), U)
                calls += maxima_gradient(U, V, dV, dU, k, a, shaped(spare, V))
                dV = dU
            return calls

        return Y, calls, backward


def _give(ctx: Context, dY: Array) -> Calls:
    ctx.give(0, dY)
    return []


def maxima(U: Array, V: Array, axis: int, a: Axis) -> Calls:
    """Calls that write the maxima of U's windows along one axis into V."""
    taps = [a.tap(k) for k in range(a.kernel)]
    whole = [along(U, axis, inputs) for outs, inputs in taps if outs == slice(0, a.out)]
    parts = [(outs, inputs) for outs, inputs in taps if outs != slice(0, a.out) and outs.stop > outs.start]
    calls: Calls
    if len(whole) > 1:
        calls = [(partial(np.maximum, out=V), whole[0], whole[1])]
        calls += [(partial(np.maximum, out=V), V, more) for more in whole[2:]]
    else:
        calls = [(np.copyto, V, whole[0])] if whole else [(V.fill, -np.inf)]
    for outs, inputs in parts:
        piece = along(V, axis, outs)
        calls.append((partial(np.maximum, out=piece), piece, along(U, axis, inputs)))
    return calls


def maxima_gradient(U: Array, V: Array, dV: Array, dU: Array, axis: int, a: Axis, spare: Array) -> Calls:
    """Calls that write dU; dV and ``spare``, which has V's shape, are overwritten.

    ``U - V`` is negative where U is not the maximum, else +0: its sign bit, spread over the word, masks the gradient
    that is left for later taps, and what is masked out is this tap's. So the first maximum takes it all.
    """
    word = np.dtype(f"i{dV.itemsize}")
    shift = np.array(8 * dV.itemsize - 1, word)
    taps = [a.tap(k) for k in range(a.kernel)]
    covered = sum(outs.stop - outs.start for outs, _ in taps)
    calls: Calls = [] if not a.overlaps and covered == a.size else [(dU.fill, 0.0)]
    left, other = dV, spare
    for k, (outs, inputs) in enumerate(taps):
        if outs.stop == outs.start:
            continue
        into, rest = along(dU, axis, inputs), along(left, axis, outs)
        if k == a.kernel - 1:  # what is left can only belong here
            calls.append((np.add, into, rest, into) if a.overlaps else (np.copyto, into, rest))
            break
        mask = along(other, axis, outs)
        bits, rest_bits = mask.view(word), rest.view(word)
        calls += [
            (np.subtract, along(U, axis, inputs), along(V, axis, outs), mask),
            (np.right_shift, bits, shift, bits),
            (np.bitwise_and, rest_bits, bits, bits),
        ]
        if a.overlaps:
            calls += [(np.bitwise_xor, rest_bits, bits, rest_bits), (np.add, into, rest, into)]
        else:
            calls.append((np.bitwise_xor, rest_bits, bits, into.view(word)))
        if outs == slice(0, a.out):
            left, other = other, left
        else:
            calls.append((np.copyto, rest, mask))
    return calls


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
        arrays = stages(ctx, X, Y, axes, keep=False)
        shares = np.ones((1,) * X.ndim)
        for k, a in axes:
            end = _padding_behind(a, pads, X.ndim - 2, k - 2, auto_pad) if count_include_pad else None
            shares = shares / _counts(a, end).reshape([-1 if i == k else 1 for i in range(X.ndim)])
        share = ctx.constant(shares.flat[0] if np.ptp(shares) == 0 else shares)
        calls: Calls = []
        for (k, a), U, V in zip(reversed(axes), arrays, arrays[1:], strict=False):
            calls += window_sums(U, V, k, a)
        calls.append((np.multiply, Y, share, Y))

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            calls: Calls = [(np.multiply, dY, share, dY)]
            dV = dY
            for n, (k, a) in enumerate(axes):
                U = arrays[-2 - n]
                dU = dX if U is X else shaped(ctx.scratch((U.size,)), U)
                calls += window_sums_gradient(dV, dU, k, a)
                dV = dU
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


def window_sums(U: Array, V: Array, axis: int, a: Axis) -> Calls:
    """Calls that write the sums of U's windows along one axis into V."""
    taps = [a.tap(k) for k in range(a.kernel)]
    whole = [along(U, axis, inputs) for outs, inputs in taps if outs == slice(0, a.out)]
    parts = [(outs, inputs) for outs, inputs in taps if outs != slice(0, a.out) and outs.stop > outs.start]
    calls: Calls
    if len(whole) > 1:
        calls = [(np.add, whole[0], whole[1], V)] + [(np.add, V, more, V) for more in whole[2:]]
    else:
        calls = [(np.copyto, V, whole[0])] if whole else [(V.fill, 0.0)]
    for outs, inputs in parts:
        piece = along(V, axis, outs)
        calls.append((np.add, piece, along(U, axis, inputs), piece))
    return calls


def window_sums_gradient(dV: Array, dU: Array, axis: int, a: Axis) -> Calls:
    """Calls that write dU: each output's gradient, summed over the windows that an input is in."""
    taps = [t for t in (a.tap(k) for k in range(a.kernel)) if t[0].stop > t[0].start]
    covered = sum(outs.stop - outs.start for outs, _ in taps)
    calls: Calls = [] if not a.overlaps and covered == a.size else [(dU.fill, 0.0)]
    for outs, inputs in taps:
        into, part = along(dU, axis, inputs), along(dV, axis, outs)
        calls.append((np.add, into, part, into) if a.overlaps else (np.copyto, into, part))
    return calls


def _global_type(X: Value) -> Type:
    need_float(X)
    need(X.rank >= 3, f"global pooling needs (N, C, …) with spatial axes, got {show(X.shape)}")
    return Type(X.dtype, (*X.shape[:2], *(1,) * (X.rank - 2)))


@op
class GlobalAveragePool(Op):
    """The mean over all spatial axes: (N, C, …) → (N, C, 1…)."""

    keeps_in, keeps_out = (), False

    @staticmethod
    def infer(X: Value) -> Type:
        return _global_type(X)

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        axes = tuple(range(2, X.ndim))
        share = ctx.constant(1 / max(1, int(np.prod(X.shape[2:], dtype=np.int64))))
        calls: Calls = [*sum_axes(ctx, X, axes, Y), (np.multiply, Y, share, Y)]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            return [] if dX is None else [(np.multiply, dY, share, dY), (np.copyto, dX, dY)]

        return Y, calls, backward


@op
class GlobalMaxPool(Op):
    """The largest number over all spatial axes: (N, C, …) → (N, C, 1…); its gradient goes to the first that is as large."""

    keeps_in, keeps_out = (0,), False

    @staticmethod
    def infer(X: Value) -> Type:
        return _global_type(X)

    @staticmethod
    def bind(ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        axes = tuple(range(2, X.ndim))

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            assert dX is not None
            N, C, *spatial = X.shape
            if dX.size == 0:
                return []
            lying = dX.transpose(axis_order(dX))
            flat = lying.reshape(-1, copy=False)
            steps = np.array(dX.strides) // dX.itemsize
            places = ctx.constant(sum(np.indices(spatial)[k] * steps[k + 2] for k in range(len(spatial))), np.intp)
            starts = ctx.constant(np.indices((N, C))[0] * steps[0] + np.indices((N, C))[1] * steps[1], np.intp)
            rows = ctx.scratch((N, C, places.size))
            first, at = ctx.scratch((N, C), np.intp), ctx.scratch((N, C), np.intp)
            return [
                (np.copyto, rows.reshape(X.shape), X),
                (np.argmax, rows, 2, first),
                (np.take, places.reshape(-1), first, None, at, "clip"),
                (np.add, at, starts, at),
                (dX.fill, 0.0),
                (flat.put, at, dY.reshape(N, C)),
            ]

        return Y, [(np.maximum.reduce, X, axes, None, Y, True)], backward
