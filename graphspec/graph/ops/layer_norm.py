"""Normalization within a sample: LayerNormalization, RMSNormalization, GroupNormalization, LpNormalization."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import Channels, channel_count, contiguous, inverse_root
from graphspec.graph.kernels.common import scratch_like, sum_axes
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Context, need, need_float, normalize_axis
from graphspec.graph.ops.base import Op, op


@dataclass(frozen=True)
class Rows:
    """The rows of an array that are normalized.

    Attributes:
        order: the order of the axes that makes a row contiguous.
        size: the number of elements in a row.
        channels: applies the scale and the bias to blocks of whole rows.
    """

    order: tuple[int, ...]
    size: int
    channels: Channels


@twin()
def centre(x: Array, mean: Array, y: Array, /) -> Calls:
    """Return calls for ``y = x - mean``: x and y (rows, size), mean (rows, 1)."""
    return [(np.subtract, x, mean, y)]


@twin()
def normalize(
    x: Array,
    inverse: Array,
    normal: Array | None,
    y: Array,
    scale: Array,
    bias: Array | None,
    /,
    *,
    wide: tuple[Array, Array, Array],
) -> Calls:
    """Return calls for ``normal = x · inverse`` and ``y = normal · scale + bias``.

    Shapes: x, normal and y (rows, size), inverse (rows, 1), scale and bias (size,). ``wide`` is y as a block of
    :meth:`Channels.blocks`, and scale and bias spread. Without ``normal`` y has its memory.
    """
    h = y if normal is None else normal
    block, scales, biases = wide
    calls: Calls = [(np.multiply, x, inverse, h), (np.multiply, h.reshape(block.shape), scales, block)]
    return calls if bias is None else [*calls, (np.add, block, biases, block)]


@twin()
def normalize_gradient(
    normal: Array, dy: Array, projection: Array, mean: Array | None, inverse: Array, /, *, t: Array
) -> Calls:
    """Return calls for ``dy = (dy - normal · projection - mean) · inverse``: two of (rows, size), others of (rows, 1)."""
    calls: Calls = [(np.multiply, normal, projection, t), (np.subtract, dy, t, dy)]
    if mean is not None:
        calls.append((np.subtract, dy, mean, dy))
    return [*calls, (np.multiply, dy, inverse, dy)]


def normalize_rows(
    ctx: Context, X: Array, scale: Array, B: Array | None, layout: Rows, *, epsilon: float, centred: bool = True
) -> Bound:
    """Bind ``Y = scale · (X - mean) / sqrt(var + epsilon) + B`` with the mean and variance of each row of X.

    Args:
        scale, B: inputs 1 and 2, one element per channel.
        centred: if False, the mean is not subtracted and the root mean square is the divisor.
    """
    order, size, channels = layout.order, layout.size, layout.channels
    dense, calls = contiguous(ctx, X, order)
    rows = X.size // size
    Y = ctx.out(order=order)
    needs_gradient = any(ctx.wants(i) for i in range(3))
    normalized = ctx.save_for_backward(dense.shape) if needs_gradient else Y.transpose(order)
    mean, inverse = ctx.scratch((rows, 1)), ctx.save_for_backward((rows, 1))
    mean_weights, one_over_size, eps = (
        ctx.constant(np.full(size, 1 / size)),
        ctx.constant(1 / size),
        ctx.constant(epsilon),
    )
    scale = scale.reshape(-1)
    scale_tiled, scale_calls = channels.spread(scale)
    bias_tiled, bias_calls = channels.spread(scale if B is None else B.reshape(-1))
    calls += scale_calls + bias_calls
    start = 0
    for x, h, y in channels.blocks(dense, normalized, Y.transpose(order)):
        xr, hr = x.reshape(-1, size), h.reshape(-1, size)
        these = slice(start, start := start + len(xr))
        m, i = mean[these], inverse[these]
        if centred:
            calls += [(np.dot, xr, mean_weights, m[:, 0]), *centre(xr, m, hr)]
        source = hr if centred else xr
        calls += [
            (np.vecdot, source, source, i[:, 0]),
            (np.multiply, i, one_over_size, i),
            *inverse_root(i, eps, i),
        ]
        wide = y, channels.over(h, scale_tiled), channels.over(y, bias_tiled)
        last = normalize if channels.last and size == channels.count else normalize.numpy
        bias = None if B is None else B.reshape(-1)
        calls += last(source, i, hr if needs_gradient else None, y.reshape(-1, size), scale, bias, wide=wide)

    def backward(dY: Array) -> Calls:
        dense_gradient, copies = contiguous(ctx, dY, order)
        calls = list(copies)
        scale_sums, bias_sums = channels.sums(), channels.sums()
        dScale, dB = ctx.grad(1), (ctx.grad(2) if B is not None else None)
        scale_tiled, scale_calls = channels.spread(scale)
        calls += scale_calls
        buffer = channels.scratch()
        mean, projection = ctx.scratch((rows, 1)), ctx.scratch((rows, 1))
        start = 0
        for h, dy in channels.blocks(normalized, dense_gradient):
            t = channels.like(h, buffer)
            hr, dr, tr = (a.reshape(-1, size) for a in (h, dy, t))
            these = slice(start, start := start + len(hr))
            m, s, i = mean[these], projection[these], inverse[these]
            over = scale_tiled if ctx.wants(0) else None
            if dScale is not None:
                calls += scale_sums.add_products(h, dy, None if dB is None else bias_sums, over)
            else:
                calls += bias_sums.add(dy) if dB is not None else []
                calls += [] if over is None else [(np.multiply, dy, channels.over(dy, over), dy)]
            if over is None:
                continue
            if centred:
                calls.append((np.dot, dr, mean_weights, m[:, 0]))
            calls += [
                (np.vecdot, dr, hr, s[:, 0]),
                (np.multiply, s, one_over_size, s),
                *normalize_gradient(hr, dr, s, m if centred else None, i, t=tr),
            ]
        if dB is not None:
            calls += bias_sums.total(dB.reshape(-1))
        if dScale is not None:
            calls += scale_sums.total(dScale.reshape(-1))
        if copies and (dX := ctx.grad(0)) is not None:
            calls.append((np.copyto, dX.transpose(order), dense_gradient))
        elif not copies:
            ctx.give_grad(0, dY)
        return calls

    return Y, calls, backward


def normalize_last(
    ctx: Context, X: Array, scale: Array, B: Array | None, axis: int, epsilon: float, *, centred: bool
) -> Bound:
    """Bind the normalization over ``axis`` and all axes after it; ``scale`` and ``B`` have the shape of these axes."""
    axis %= X.ndim
    order = axis_order(X)
    if order[axis:] != tuple(range(axis, X.ndim)):
        order = tuple(range(X.ndim))
    channels = Channels(ctx, (X.size // scale.size, scale.size), (0, 1))
    return normalize_rows(ctx, X, scale, B, Rows(order, scale.size, channels), epsilon=epsilon, centred=centred)


def infer_last(X: Value, axis: int, stash_type: int, **vectors: Value | None) -> Type:
    """Return X's type; each of ``vectors`` must have the shape of ``axis`` and all axes after it."""
    need_float(X, *vectors.values())
    need(stash_type == 1, "needs stash_type 1 (float32), the only one that is implemented", code=Code.VALUE_NOT_ALLOWED)
    axis = normalize_axis(axis, X.rank)
    shape = tuple(X.fixed(k) for k in range(axis, X.rank))
    for name, value in vectors.items():
        need(
            value is None or value.shape == shape,
            f"has {name} {show(value.shape) if value is not None else ''} for the axes {show(shape)}",
            code=Code.SIZES_DO_NOT_FIT,
        )
    return X.type


@op
class LayerNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · Scale + B``; biased variance, over ``axis`` and all axes after it.

    Shapes: X and Y are equal; Scale and B have the shape of the normalized axes. ONNX's optional outputs Mean and
    InvStdDev are not implemented. Ba, Kiros and Hinton, *Layer normalization*, 2016.
    """

    rows = "normalized"
    vectors_at, channels = (1, 2), -1
    keeps_in, keeps_out = (1,), False

    axis: int = -1
    epsilon: float = 1e-05
    stash_type: int = 1

    def infer(self, X: Value, Scale: Value, B: Value | None = None) -> Type:
        return infer_last(X, self.axis, self.stash_type, Scale=Scale, B=B)

    def bind(self, ctx: Context, X: Array, Scale: Array, B: Array | None = None) -> Bound:
        return normalize_last(ctx, X, Scale, B, self.axis, self.epsilon, centred=True)


@op
class RMSNormalization(Op):
    """``Y = X / sqrt(mean(X²) + epsilon) · scale``; the mean is over ``axis`` and all axes after it (opset 23).

    Shapes: X and Y are equal; scale has the shape of the normalized axes. Zhang and Sennrich, *Root mean square layer
    normalization*, NeurIPS 2019.
    """

    rows = "normalized"
    vectors_at, channels = (1,), -1
    keeps_in, keeps_out = (1,), False

    axis: int = -1
    epsilon: float = 1e-05
    stash_type: int = 1

    def infer(self, X: Value, scale: Value) -> Type:
        return infer_last(X, self.axis, self.stash_type, scale=scale)

    def bind(self, ctx: Context, X: Array, scale: Array) -> Bound:
        return normalize_last(ctx, X, scale, None, self.axis, self.epsilon, centred=False)


@op
class GroupNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + bias`` (opset 21).

    Each sample has a mean and a biased variance per group of ``C / num_groups`` consecutive channels. Shapes: X (N, C, …),
    scale and bias (C,) → Y (N, C, …). Wu and He, *Group normalization*, ECCV 2018.
    """

    rows = "in_front"
    vectors_at, channels = (1, 2), 1
    since_opset = 21  # earlier opsets have one scale per group
    keeps_in, keeps_out = (1,), False

    num_groups: int
    epsilon: float = 1e-05
    stash_type: int = 1

    def infer(self, X: Value, scale: Value, bias: Value) -> Type:
        need(
            self.stash_type == 1,
            "needs stash_type 1 (float32), the only one that is implemented",
            code=Code.VALUE_NOT_ALLOWED,
        )
        count = channel_count(X, scale=scale, bias=bias)
        text = f"cannot divide {count} channels into {self.num_groups} groups"
        need(self.num_groups >= 1 and count % self.num_groups == 0, text, code=Code.SIZES_DO_NOT_FIT)
        return X.type

    def bind(self, ctx: Context, X: Array, scale: Array, bias: Array) -> Bound:
        order = tuple(range(X.ndim))
        size = int(np.prod(X.shape[1:], dtype=np.int64)) // self.num_groups
        channels = Channels(ctx, X.shape, order)
        return normalize_rows(ctx, X, scale, bias, Rows(order, size, channels), epsilon=self.epsilon)


@op
class LpNormalization(Op):
    """``Y = X / ‖X‖ₚ`` along ``axis``, with p 1 or 2. A vector of zeros stays zero and has a zero gradient.

    Shapes: X and Y are equal.
    """

    rows = "along_axis"
    keeps_in, keeps_out = (), True

    axis: int = -1
    p: int = 2

    def infer(self, X: Value) -> Type:
        need_float(X)
        need(self.p in (1, 2), f"needs p 1 or 2, got {self.p}", code=Code.VALUE_NOT_ALLOWED)
        normalize_axis(self.axis, X.rank)
        return X.type

    def bind(self, ctx: Context, X: Array) -> Bound:
        axis = self.axis % X.ndim
        Y = ctx.out(like=X)
        reduced = [1 if k == axis else n for k, n in enumerate(X.shape)]
        inverse, is_zero = ctx.save_for_backward(reduced), ctx.scratch(reduced, np.bool_)
        calls: Calls = [(np.abs, X, Y) if self.p == 1 else (np.multiply, X, X, Y), *sum_axes(ctx, Y, (axis,), inverse)]
        if self.p == 2:
            calls.append((np.sqrt, inverse, inverse))
        calls += [
            (np.equal, inverse, ctx.zeros_like(inverse), is_zero),
            (np.add, inverse, is_zero, inverse),
            (np.reciprocal, inverse, inverse),
            (partial(np.copyto, where=is_zero), inverse, ctx.zeros_like(inverse)),
            (np.multiply, X, inverse, Y),
        ]

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            t, total = scratch_like(ctx, Y), ctx.scratch(reduced)
            calls: Calls = [(np.multiply, dY, Y, t), *sum_axes(ctx, t, (axis,), total)]
            calls.append((np.multiply, Y, total, t) if self.p == 2 else (np.sign, Y, t))
            if self.p == 1:
                calls.append((np.multiply, t, total, t))
            return [*calls, (np.subtract, dY, t, dY), (np.multiply, dY, inverse, dY)]

        return Y, calls, backward
