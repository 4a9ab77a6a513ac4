"""Normalization over the batch and within a sample, and division of a kernel by its largest singular value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.expressions import inverse_or_zero, maximum, reciprocal, sqrt, square, write
from graphspec.graph.ir.graph import Array, Type, Value, show
from graphspec.graph.kernels import channels as kernels
from graphspec.graph.kernels.common import scratch_like, sum_axes
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Backward, Bound, Calls, Context, broadcast, need, normalize_axis
from graphspec.graph.kernels.one_call import runner
from graphspec.graph.ops.op import Inference, Op, TrainingOnly, in_place, in_shape, passes_on

_FAR = 64.0  # E[x²] - E[x]² loses digits if the squared mean exceeds this multiple of the variance


class BatchNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` for each channel. Ioffe and Szegedy, ICML 2015.

    X (N, C, …), scale, B, input_mean, input_var (C,) → Y (N, C, …). X, scale and B have gradients.

    With ``training_mode`` the mean and biased variance are computed over the whole batch of all workers, and the moving
    statistics become ``momentum · old + (1 - momentum) · batch``. If the moving statistics are parameters, they are
    updated in place, the node has the one output Y, and a program bound for inference normalizes by them. Otherwise the
    node has ONNX's three outputs (Y, running_mean, running_var).
    """

    rows = "in_front"
    vectors_at, channels = (1, 2), 1
    inference = Inference("BatchNormalization", (0, 1, 2, 3, 4), {"training_mode": 0}, outputs=1)
    activation = "linear"
    keeps_in, keeps_out = (0, 1, 3, 4), False
    blockwise = True

    epsilon: float = 1e-05
    momentum: float = 0.9
    training_mode: int = 0

    def infer(self, X: Value, scale: Value, B: Value, input_mean: Value, input_var: Value) -> Type | tuple[Type, ...]:
        kernels.channel_count(X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
        if self.training_mode and input_mean.kind != "param":
            return X.type, input_mean.type, input_var.type
        return X.type

    def bind(self, ctx: Context, X: Array, scale: Array, B: Array, input_mean: Array, input_var: Array) -> Bound:
        learning = bool(self.training_mode) and (ctx.training or ctx.outputs == 3)
        data, calls = by_channel(ctx, X)
        Y = X if ctx.may_overwrite(0) and not calls else ctx.out(order=data.order)
        moments = Moments(input_mean, input_var)
        running = (input_mean, input_var) if ctx.outputs == 1 else (ctx.out(1), ctx.out(2))
        if learning:
            count = (X.shape[1],)
            workers = 1 if ctx.alike else ctx.total / max(ctx.rows.stop - ctx.rows.start, 1)
            samples = X.size // max(X.shape[1], 1) * workers
            share, offset = ctx.constant(1 / max(samples, 1)), ctx.save_for_backward((), np.bool_)
            mean, var = ctx.save_for_backward(count), ctx.scratch(count)
            calls += batch_statistics(ctx, data, mean, var, share, offset)
            moments = Moments(mean, var, share, offset)
            if ctx.group.writes_state or ctx.outputs == 3:
                for arrays in zip((input_mean, input_var), (mean, var), running, strict=True):
                    calls += moving_average(ctx, *arrays, self.momentum)
        normalization, backward = normalize_channels(ctx, data, Y, moments, scale, B, first=1, epsilon=self.epsilon)
        return (Y if ctx.outputs == 1 else (Y, *running)), calls + normalization, backward


class ByChannel(NamedTuple):
    """An array X (N, C, …) and a contiguous view or copy of it, split into blocks."""

    X: Array
    order: tuple[int, ...]  # the axes, slowest in memory first; the channel axis is last where the layout allows it
    rows: Array  # X with its axes in that order, contiguous
    channels: kernels.Channels  # combines vectors of C elements with blocks of ``rows``


def by_channel(ctx: Context, X: Array) -> tuple[ByChannel, Calls]:
    """X by channel, and the calls that copy it if it is not contiguous in that order."""
    order = kernels.channel_order(X)
    rows, calls = kernels.contiguous(ctx, X, order)
    return ByChannel(X, order, rows, kernels.Channels(ctx, X.shape, order)), calls


class Moments(NamedTuple):
    """Mean and biased variance of each channel, (C,)."""

    mean: Array
    var: Array
    share: Array | None = None  # 1 / the number of samples; None if the moments do not depend on X
    offset: Array | None = None  # the bool () written by :func:`batch_statistics`; None if it was not computed
    W: Array | None = None  # broadcasts to X: 0 for elements that the moments leave out, else 1; None if all count


def moving_average(ctx: Context, before: Array, batch: Array, after: Array, momentum: float) -> Calls:
    """Calls for ``after = momentum · before + (1 - momentum) · batch``; ``after`` may be ``before`` itself."""
    return write(ctx, after, lambda before, batch: before * momentum + batch * (1 - momentum), before, batch)


def normalize_channels(
    ctx: Context, data: ByChannel, Y: Array, moments: Moments, scale: Array, B: Array, *, first: int, epsilon: float
) -> tuple[Calls, Backward]:
    """Calls for ``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` by channel, and backward; B is input ``first`` + 1."""
    X, order, _, channels = data
    mean, var, share, offset, W = moments
    count = X.shape[1]
    inverse, factor = ctx.save_for_backward((count,)), ctx.save_for_backward((count,))
    shift = ctx.scratch((count,))
    calls: Calls = [
        *kernels.inverse_root(var, ctx.constant(epsilon), inverse),
        (np.multiply, scale, inverse, factor),
        *write(ctx, shift, lambda B, mean, factor: B - mean * factor, B, mean, factor),
    ]
    (factors, spread_factor), (shifts, spread_shift) = channels.spread(factor), channels.spread(shift)
    calls += spread_factor + spread_shift
    for x, y in channels.blocks(data.rows, Y.transpose(order)):
        calls += kernels.scale_shift(x, channels.over(x, factors), channels.over(y, shifts), y, None, None)

    def backward(dY: Array, *_: None) -> Calls:
        rows, calls = kernels.contiguous(ctx, X, order)
        drows, copy_calls = kernels.contiguous(ctx, dY, order)
        calls += copy_calls
        sums = ctx.scratch((2, count))
        if ctx.wants(first) or ctx.wants(first + 1) or share is not None:
            calls += _gradient_sums(ctx, rows, drows, channels, mean, sums, offset)
        if (dscale := ctx.grad(first)) is not None:
            calls.append((np.multiply, sums[1], inverse, dscale))
        if (dB := ctx.grad(first + 1)) is not None:
            calls.append((np.copyto, dB, sums[0]))
        if not ctx.wants(0):
            return calls
        factors, spread_factor = channels.spread(factor)
        calls += spread_factor
        if share is not None:
            arrays = [rows, drows]
            if W is not None:
                arrays.append(weights := ctx.scratch(rows.shape))
                calls.append((np.copyto, weights, np.broadcast_to(W, X.shape).transpose(order)))
            calls += ctx.all_reduce(sums)
            calls += _input_gradient(ctx, arrays, channels, sums, (factors, factor, inverse, mean, share))
        else:
            for (dy,) in channels.blocks(drows):
                calls.append((np.multiply, dy, channels.over(dy, factors), dy))
        return calls + give_dense(ctx, dY, drows if copy_calls else None, order)

    return calls, backward


def give_dense(ctx: Context, dY: Array, copy: Array | None, order: Sequence[int]) -> Calls:
    """Hand over dY as the gradient of input 0, or return the call that copies it from ``copy``, its axes in ``order``."""
    if copy is None:
        ctx.give_grad(0, dY)
        return []
    return [] if (dX := ctx.grad(0)) is None else [(np.copyto, dX.transpose(order), copy)]


def branch(condition: Array, if_true: Calls, if_false: Calls) -> Calls:
    """A call that runs ``if_true`` if the bool array ``condition`` () is true at that time, else ``if_false``."""
    run_true, run_false = runner(if_true), runner(if_false)

    def run() -> None:
        (run_true if condition else run_false)()

    return [(run,)]


def batch_statistics(ctx: Context, data: ByChannel, mean: Array, var: Array, share: Array, offset: Array) -> Calls:
    """Calls that write mean and biased variance of each channel over all workers; ``share`` is 1 / the number of samples.

    ``E[x²] - E[x]²`` loses digits if the mean is large compared with the deviation. The calls set the bool ``offset`` ()
    if that holds for a channel of this worker's rows. The worker then sums again, with the first element of each channel
    (the pilot) subtracted.
    """
    X, channels, count = data.X, data.channels, len(mean)
    own_samples = channels.rows
    pilot, total, square, t = (ctx.scratch((count,)) for _ in range(4))
    far = ctx.scratch((count,), np.bool_)
    first, second = channels.sums(), channels.sums()
    calls: Calls = [(pilot.fill, 0.0)]
    for (x,) in channels.blocks(data.rows):
        calls += first.add_squares(second, x)
    calls += [
        *first.total(total),
        *second.total(square),
        (np.multiply, total, total, mean),
        (np.multiply, square, ctx.constant(own_samples * _FAR / (1 + _FAR)), t),
        (np.less, t, mean, far),
        (np.logical_or.reduce, far, 0, None, offset),
    ]
    first_elements: tuple[Any, ...] = (0, slice(None), *(0,) * (X.ndim - 2))
    shifted: Calls = [(np.copyto, pilot, X[first_elements])] if own_samples else []
    pilots, spread_pilot = channels.spread(pilot)
    shifted += spread_pilot
    first, second, block = first.restart(), second.restart(), channels.scratch()
    for (x,) in channels.blocks(data.rows):
        difference = channels.like(x, block)
        shifted.append((np.subtract, x, channels.over(x, pilots), difference))
        shifted += first.add_squares(second, difference)
    calls += branch(offset, [*shifted, *first.total(total), *second.total(square)], [])
    n = ctx.constant(own_samples)
    calls += [
        *write(ctx, mean, lambda pilot, n, total: pilot * n + total, pilot, n, total),
        *ctx.all_reduce(mean),
        (np.multiply, mean, share, mean),
        (np.subtract, mean, pilot, pilot),
        # Σ(x - mean)² = Σ(x - pilot)² - e · (2 Σ(x - pilot) - n · e), e = mean - pilot
        *write(ctx, var, lambda e, n, s, s2: s2 - (s + (s - e * n)) * e, pilot, n, total, square),
        *ctx.all_reduce(var),
        (np.multiply, var, share, var),
        (partial(np.maximum, out=var), var, ctx.zeros_like(var)),
    ]
    return calls


def _gradient_sums(
    ctx: Context, X: Array, dY: Array, channels: kernels.Channels, mean: Array, sums: Array, offset: Array | None
) -> Calls:
    """Calls that write ``Σ dY`` and ``Σ dY · (X - mean)`` of each channel over this worker's rows.

    The second is computed as ``Σ dY · X - mean · Σ dY`` unless ``offset`` is true, when that would lose digits.
    """
    means, exact = channels.spread(mean)
    block = channels.scratch()
    gradient, product = channels.sums(), channels.sums()
    for x, dy in channels.blocks(X, dY):
        t = channels.like(x, block)
        exact += [(np.subtract, x, channels.over(x, means), t), *product.add_products(t, dy, gradient)]
    exact += [*gradient.total(sums[0]), *product.total(sums[1])]
    if offset is None:
        return exact
    gradient, product = gradient.restart(), product.restart()
    quick: Calls = []
    for x, dy in channels.blocks(X, dY):
        quick += product.add_products(x, dy, gradient)
    quick += [
        *gradient.total(sums[0]),
        *product.total(sums[1]),
        *write(ctx, sums[1], lambda product, mean, s: product - mean * s, sums[1], mean, sums[0]),
    ]
    return quick + branch(offset, exact, [])


def _input_gradient(
    ctx: Context,
    arrays: Sequence[Array],
    channels: kernels.Channels,
    sums: Array,
    vectors: tuple[Array, Array, Array, Array, Array],
) -> Calls:
    """Calls that turn dY into dX: ``factor · (dY - W · (Σ dY / n + (X - mean) · inverse² · Σ dY (X - mean) / n))``.

    ``arrays`` are X, dY and, unless it is 1 everywhere, W.
    """
    factors, factor, inverse, mean, share = vectors
    slope, offset = ctx.scratch(mean.shape), ctx.scratch(mean.shape)
    calls: Calls = [
        (np.multiply, sums, share, sums),
        (np.multiply, sums, factor, sums),
        *write(ctx, slope, lambda s, inverse: -(s * inverse * inverse), sums[1], inverse),
        *write(ctx, offset, lambda slope, mean, s: -(slope * mean + s), slope, mean, sums[0]),
    ]
    (slopes, spread_slope), (offsets, spread_offset) = channels.spread(slope), channels.spread(offset)
    calls += spread_slope + spread_offset
    block = channels.scratch()
    for x, dy, *weights in channels.blocks(*arrays):
        t = channels.like(x, block)
        slope, offset, scale = (channels.over(x, v) for v in (slopes, offsets, factors))
        calls += kernels.norm_gradient(x, dy, slope, offset, scale, weights[0] if weights else None, t=t)
    return calls


# BatchNormalization whose statistics ignore masked elements: training only, since ONNX has no such operator.
_COUNT_EPSILON = 1e-7  # as in Keras, which adds its epsilon to the number of elements


class MaskedBatchNormalization(TrainingOnly):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` per channel; masked elements do not affect the statistics.

    In training, ``mean = Σ W·X / n`` and ``var = Σ W·(X - mean)² / n`` over the whole batch with ``n = Σ W + 1e-7``; the
    moving statistics, which are parameters, are updated in place. Otherwise the moving statistics are used. W is 0 where
    X is masked and 1 elsewhere. At inference the operator is BatchNormalization without W.

    Shapes: X (N, C, …), W broadcasts to X, the other inputs (C,) → Y (N, C, …). W has no gradient.
    """

    rows = "all_in_front"
    inference = Inference("BatchNormalization", (0, 2, 3, 4, 5), {"training_mode": 0}, outputs=1)
    keeps_in, keeps_out = (0, 1, 4, 5), False

    epsilon: float = 1e-05
    momentum: float = 0.9

    def infer(self, X: Value, W: Value, scale: Value, B: Value, input_mean: Value, input_var: Value) -> Type:
        need.float(W)
        kernels.channel_count(X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
        need(broadcast(W.shape, X.shape) == X.shape, f"has a mask {show(W.shape)}, which does not fit {show(X.shape)}")
        return X.type

    def bind(
        self, ctx: Context, X: Array, W: Array, scale: Array, B: Array, input_mean: Array, input_var: Array
    ) -> Bound:
        count = X.shape[1]
        axes = (0, *range(2, X.ndim))
        mean, var, one_over_count = input_mean, input_var, None
        calls: Calls = []

        def channel_sums(terms: Array, out: Array) -> Calls:
            return [(np.add.reduce, terms, axes, None, out), *ctx.all_reduce(out)]

        if ctx.training:
            t, spatial = ctx.scratch(X.shape), (1,) * (X.ndim - 2)
            mean, var = ctx.save_for_backward((count,)), ctx.scratch((count,))
            one_over_count = ctx.save_for_backward((count,))
            calls = [
                (np.copyto, t, np.broadcast_to(W, X.shape)),
                *channel_sums(t, one_over_count),
                *write(ctx, one_over_count, lambda n: reciprocal(n + _COUNT_EPSILON), one_over_count),
                (np.multiply, X, W, t),
                *channel_sums(t, mean),
                (np.multiply, mean, one_over_count, mean),
                *write(ctx, t, lambda X, mean, W: square(X - mean) * W, X, mean.reshape(count, *spatial), W),
                *channel_sums(t, var),
                (np.multiply, var, one_over_count, var),
            ]
            if ctx.group.writes_state:
                for batch, moving in ((mean, input_mean), (var, input_var)):
                    calls += moving_average(ctx, moving, batch, moving, self.momentum)
        data, copies = by_channel(ctx, X)
        Y, moments = ctx.out(order=data.order), Moments(mean, var, one_over_count, W=W)
        normalize_calls, backward = normalize_channels(ctx, data, Y, moments, scale, B, first=2, epsilon=self.epsilon)
        return Y, calls + copies + normalize_calls, backward


# Normalization within a sample: LayerNormalization, RMSNormalization, GroupNormalization, LpNormalization.
class Rows(NamedTuple):
    """The rows of an array that are normalized."""

    order: tuple[int, ...]  # of the axes; makes a row contiguous
    size: int  # the number of elements in a row
    channels: kernels.Channels  # applies the scale and the bias to blocks of whole rows


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

    Inputs 1 and 2, scale and B, have one element per channel. Unless ``centred``, the mean is not subtracted and the
    root mean square is the divisor.
    """
    order, size, channels = layout
    dense, calls = kernels.contiguous(ctx, X, order)
    rows = X.size // size
    Y = ctx.out(order=order)
    needs_gradient = any(ctx.wants(i) for i in range(3))
    normalized = ctx.save_for_backward(dense.shape) if needs_gradient else Y.transpose(order)
    mean, inverse = ctx.scratch((rows, 1)), ctx.save_for_backward((rows, 1))
    mean_weights, one_over_size = ctx.constant(np.full(size, 1 / size)), ctx.constant(1 / size)
    eps = ctx.constant(epsilon)
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
            *kernels.inverse_root(i, eps, i),
        ]
        wide = y, channels.over(h, scale_tiled), channels.over(y, bias_tiled)
        last = normalize if channels.last and size == channels.count else normalize.numpy
        bias = None if B is None else B.reshape(-1)
        calls += last(source, i, hr if needs_gradient else None, y.reshape(-1, size), scale, bias, wide=wide)

    def backward(dY: Array) -> Calls:
        dense_gradient, copies = kernels.contiguous(ctx, dY, order)
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
        return calls + give_dense(ctx, dY, dense_gradient if copies else None, order)

    return Y, calls, backward


class OverLastAxes(Op):
    """A normalization over ``axis`` and all axes after it, whose shape the scale and the bias have."""

    rows = "normalized"
    keeps_in, keeps_out = (1,), False

    axis: int = -1
    epsilon: float = 1e-05
    stash_type: int = 1

    def type_of(self, X: Value, **vectors: Value | None) -> Type:
        """Return X's type; each of ``vectors`` must have the shape of the normalized axes."""
        need.float(X, *vectors.values())
        need.value(self.stash_type == 1, "needs stash_type 1 (float32), the only one that is implemented")
        axis = normalize_axis(self.axis, X.rank)
        shape = tuple(X.fixed(k) for k in range(axis, X.rank))
        for name, value in vectors.items():
            text = f"has {name} {show(value.shape) if value is not None else ''} for the axes {show(shape)}"
            need.sizes(value is None or value.shape == shape, text)
        return X.type

    def normalized(self, ctx: Context, X: Array, scale: Array, B: Array | None, *, centred: bool) -> Bound:
        """Bind the normalization; ``centred`` as in :func:`normalize_rows`."""
        axis, order = self.axis % X.ndim, axis_order(X)
        if order[axis:] != tuple(range(axis, X.ndim)):
            order = tuple(range(X.ndim))
        rows = Rows(order, scale.size, kernels.Channels(ctx, (X.size // scale.size, scale.size), (0, 1)))
        return normalize_rows(ctx, X, scale, B, rows, epsilon=self.epsilon, centred=centred)


class LayerNormalization(OverLastAxes):
    """``Y = (X - mean) / sqrt(var + epsilon) · Scale + B``; biased variance, over ``axis`` and all axes after it.

    Shapes: X and Y are equal; Scale and B have the shape of the normalized axes. ONNX's optional outputs Mean and
    InvStdDev are not implemented. Ba, Kiros and Hinton, *Layer normalization*, 2016.
    """

    vectors_at, channels = (1, 2), -1

    def infer(self, X: Value, Scale: Value, B: Value | None = None) -> Type:
        return self.type_of(X, Scale=Scale, B=B)

    def bind(self, ctx: Context, X: Array, Scale: Array, B: Array | None = None) -> Bound:
        return self.normalized(ctx, X, Scale, B, centred=True)


class RMSNormalization(OverLastAxes):
    """``Y = X / sqrt(mean(X²) + epsilon) · scale``; the mean is over ``axis`` and all axes after it (opset 23).

    Shapes: X and Y are equal; scale has the shape of the normalized axes. Zhang and Sennrich, *Root mean square layer
    normalization*, NeurIPS 2019.
    """

    vectors_at, channels = (1,), -1

    def infer(self, X: Value, scale: Value) -> Type:
        return self.type_of(X, scale=scale)

    def bind(self, ctx: Context, X: Array, scale: Array) -> Bound:
        return self.normalized(ctx, X, scale, None, centred=False)


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
        need.value(self.stash_type == 1, "needs stash_type 1 (float32), the only one that is implemented")
        count = kernels.channel_count(X, scale=scale, bias=bias)
        text = f"cannot divide {count} channels into {self.num_groups} groups"
        need.sizes(self.num_groups >= 1 and count % self.num_groups == 0, text)
        return X.type

    def bind(self, ctx: Context, X: Array, scale: Array, bias: Array) -> Bound:
        order = tuple(range(X.ndim))
        size = math.prod(X.shape[1:]) // self.num_groups
        channels = kernels.Channels(ctx, X.shape, order)
        return normalize_rows(ctx, X, scale, bias, Rows(order, size, channels), epsilon=self.epsilon)


class LpNormalization(Op):
    """``Y = X / ‖X‖ₚ`` along ``axis``, with p 1 or 2. A vector of zeros stays zero and has a zero gradient.

    Shapes: X and Y are equal.
    """

    rows = "along_axis"
    keeps_in, keeps_out = (), True

    axis: int = -1
    p: int = 2

    def infer(self, X: Value) -> Type:
        need.float(X)
        need.value(self.p in (1, 2), f"needs p 1 or 2, got {self.p}")
        normalize_axis(self.axis, X.rank)
        return X.type

    def bind(self, ctx: Context, X: Array) -> Bound:
        axis = self.axis % X.ndim
        Y = ctx.out(like=X)
        reduced = [1 if k == axis else n for k, n in enumerate(X.shape)]
        inverse = ctx.save_for_backward(reduced)
        calls: Calls = [(np.abs, X, Y) if self.p == 1 else (np.multiply, X, X, Y), *sum_axes(ctx, Y, (axis,), inverse)]
        if self.p == 2:
            calls.append((np.sqrt, inverse, inverse))
        calls += [*write(ctx, inverse, inverse_or_zero, inverse), (np.multiply, X, inverse, Y)]

        @in_place(ctx)
        def backward(dY: Array) -> Calls:
            t, total = scratch_like(ctx, Y), ctx.scratch(reduced)
            calls: Calls = [(np.multiply, dY, Y, t), *sum_axes(ctx, t, (axis,), total)]
            calls.append((np.multiply, Y, total, t) if self.p == 2 else (np.sign, Y, t))
            if self.p == 1:
                calls.append((np.multiply, t, total, t))
            return [*calls, (np.subtract, dY, t, dY), (np.multiply, dY, inverse, dY)]

        return Y, calls, backward


# Division of a kernel by its largest singular value: training only, since ONNX has no such operator.
_EPSILON = 1e-7  # as in Keras: the least divisor when a vector is normalized


class SpectralScale(TrainingOnly):
    """``Y = W / σ``, where σ is the largest singular value of W as a matrix; power iterations continue from ``u``.

    In training W, a weight, becomes Y, and ``u`` the new singular vector; otherwise Y is W. The gradient treats σ as a
    constant and W as Y, which it is by then. W is unchanged if all its elements are 0. ``sizes`` are the sizes of W's axes
    before they were merged, and ``columns`` is the axis that forms the columns of the matrix. u has no gradient.

    Miyato et al., *Spectral normalization for generative adversarial networks*, 2018.
    """

    identity_in_inference = True

    sizes: Sequence[int]
    columns: int
    iterations: int = 1

    def infer(self, W: Value, u: Value) -> Type:
        need.float(W, u)
        return W.type

    def bind(self, ctx: Context, W: Array, u: Array) -> Bound:
        if not ctx.training:
            return W, [], passes_on(ctx)
        count = self.sizes[self.columns]
        parts = W.reshape(self.sizes, copy=False)
        columns_last = parts.transpose(*(k for k in axis_order(parts) if k != self.columns), self.columns)
        matrix, calls = in_shape(ctx, columns_last, (-1, count))
        right, product, left = ctx.scratch((count,)), ctx.scratch((count,)), ctx.scratch((len(matrix),))
        length, sigma = ctx.scratch(()), ctx.scratch(())

        def unit(vector: Array, out: Array) -> Calls:
            quotient = write(ctx, out, lambda v, length: v / maximum(sqrt(length), _EPSILON), vector, length)
            return [(np.vecdot, vector, vector, length), *quotient]

        calls.append((np.copyto, right, u.reshape(count)))
        for _ in range(self.iterations):
            calls += [(np.dot, matrix, right, left), *unit(left, left)]
            calls += [(np.dot, matrix.T, left, product), *unit(product, right)]
        Y = ctx.out(like=W)
        calls += [(np.vecdot, product, right, sigma), (_divide, W, sigma, Y, u.reshape(count), right)]
        barrier: Calls = [(ctx.group.barrier,)] if ctx.group.size > 1 else []  # other workers may still read W and u
        calls += barrier
        if ctx.group.writes_state:
            calls += [(np.copyto, W, Y), (np.copyto, u.reshape(count), right)]
        return Y, calls + barrier, passes_on(ctx)


def _divide(W: Array, sigma: Array, Y: Array, before: Array, after: Array) -> None:
    """Write ``Y = W / sigma``; if W is all zeros, copy W and keep the previous vector."""
    if sigma == 0:
        Y[...] = W
        after[...] = before
    else:
        np.divide(W, sigma, Y)


class RunningMean(TrainingOnly):
    """``Y = M + (1 - momentum) · (W - M)``: the running mean of a weight W, without a gradient. In training M becomes Y.

    M, W (…) → Y (…). A step begins with what the last step has made of W, so Y is the mean after each step, always.
    """

    stops_gradient = True

    momentum: float

    def infer(self, M: Value, W: Value) -> Type:
        need.shapes(M.shape == W.shape, f"needs a weight of shape {show(M.shape)}, got {show(W.shape)}")
        return M.type

    def bind(self, ctx: Context, M: Array, W: Array) -> Bound:
        Y = ctx.out(like=M)
        calls = write(ctx, Y, lambda M, W: M + (W - M) * (1 - self.momentum), M, W)
        if ctx.training:
            calls += [(ctx.group.barrier,)] if ctx.group.size > 1 else []  # other workers may still read M
            calls += [(np.copyto, M, Y)] if ctx.group.writes_state else []
        return Y, calls, None
