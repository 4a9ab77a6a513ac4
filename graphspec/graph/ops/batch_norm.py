"""Batch normalization: BatchNormalization, and parts that MaskedBatchNormalization shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls, runner
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import (
    Channels,
    channel_count,
    channel_order,
    contiguous,
    inverse_root,
    norm_gradient,
    scale_shift,
)
from graphspec.graph.kernels.common import negate
from graphspec.graph.kernels.context import Backward, Bound, Context
from graphspec.graph.ops.base import Inference, Op, op

_FAR = 64.0  # E[x²] - E[x]² loses digits if the squared mean exceeds this multiple of the variance


@op
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
        channel_count(X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
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
        normalization, backward = normalize(ctx, data, Y, moments, scale, B, first=1, epsilon=self.epsilon)
        return (Y if ctx.outputs == 1 else (Y, *running)), calls + normalization, backward


@dataclass(frozen=True)
class ByChannel:
    """An array X (N, C, …) and a contiguous view or copy of it, split into blocks.

    Attributes:
        X: the array.
        order: its axes, slowest in memory first; the channel axis is last where the layout allows it.
        rows: X with its axes in ``order``, contiguous.
        channels: combines vectors of C elements with blocks of ``rows``.
    """

    X: Array
    order: tuple[int, ...]
    rows: Array
    channels: Channels


def by_channel(ctx: Context, X: Array) -> tuple[ByChannel, Calls]:
    """X by channel, and the calls that copy it if it is not contiguous in that order."""
    order = channel_order(X)
    rows, calls = contiguous(ctx, X, order)
    return ByChannel(X, order, rows, Channels(ctx, X.shape, order)), calls


@dataclass(frozen=True)
class Moments:
    """Mean and biased variance of each channel, (C,).

    Attributes:
        share: 1 / the number of samples; None if the moments do not depend on X.
        offset: the bool () written by :func:`batch_statistics`; None if it was not computed.
        W: 0 for elements of X that the moments leave out, else 1; broadcasts to X. None if they use all.
    """

    mean: Array
    var: Array
    share: Array | None = None
    offset: Array | None = None
    W: Array | None = None


def moving_average(ctx: Context, before: Array, batch: Array, after: Array, momentum: float) -> Calls:
    """Calls for ``after = momentum · before + (1 - momentum) · batch``; ``after`` may be ``before`` itself."""
    t = ctx.scratch(batch.shape)
    return [
        (np.multiply, before, ctx.constant(momentum), after),
        (np.multiply, batch, ctx.constant(1 - momentum), t),
        (np.add, after, t, after),
    ]


def normalize(
    ctx: Context, data: ByChannel, Y: Array, moments: Moments, scale: Array, B: Array, *, first: int, epsilon: float
) -> tuple[Calls, Backward]:
    """Calls for ``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` by channel, and backward.

    Args:
        first: the input index of ``scale``; ``B`` is the next input.
    """
    X, order, channels = data.X, data.order, data.channels
    mean, share, W = moments.mean, moments.share, moments.W
    count = X.shape[1]
    inverse, factor = ctx.save_for_backward((count,)), ctx.save_for_backward((count,))
    t, shift = ctx.scratch((count,)), ctx.scratch((count,))
    calls: Calls = [
        *inverse_root(moments.var, ctx.constant(epsilon), inverse),
        (np.multiply, scale, inverse, factor),
        (np.multiply, mean, factor, t),
        (np.subtract, B, t, shift),
    ]
    (factors, spread_factor), (shifts, spread_shift) = channels.spread(factor), channels.spread(shift)
    calls += spread_factor + spread_shift
    for x, y in channels.blocks(data.rows, Y.transpose(order)):
        calls += scale_shift(x, channels.over(x, factors), channels.over(y, shifts), y, None, None)

    def backward(dY: Array, *_: None) -> Calls:
        rows, calls = contiguous(ctx, X, order)
        drows, copy_calls = contiguous(ctx, dY, order)
        calls += copy_calls
        sums = ctx.scratch((2, count))
        if ctx.wants(first) or ctx.wants(first + 1) or share is not None:
            calls += _gradient_sums(ctx, rows, drows, channels, mean, sums, moments.offset)
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
        if copy_calls:
            dX = ctx.grad(0)
            assert dX is not None
            calls.append((np.copyto, dX.transpose(order), drows))
        else:
            ctx.give_grad(0, dY)
        return calls

    return calls, backward


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
        shifted += [
            (np.subtract, x, channels.over(x, pilots), difference),
            *first.add_squares(second, difference),
        ]
    calls += branch(offset, [*shifted, *first.total(total), *second.total(square)], [])
    n = ctx.constant(own_samples)
    calls += [
        (np.multiply, pilot, n, mean),
        (np.add, mean, total, mean),
        *ctx.all_reduce(mean),
        (np.multiply, mean, share, mean),
    ]
    # Σ(x - mean)² = Σ(x - pilot)² - e · (2 Σ(x - pilot) - n · e), e = mean - pilot
    calls += [
        (np.subtract, mean, pilot, pilot),
        (np.multiply, pilot, n, var),
        (np.subtract, total, var, var),
        (np.add, total, var, var),
        (np.multiply, var, pilot, var),
        (np.subtract, square, var, var),
        *ctx.all_reduce(var),
        (np.multiply, var, share, var),
        (partial(np.maximum, out=var), var, ctx.zeros_like(var)),
    ]
    return calls


def _gradient_sums(
    ctx: Context, X: Array, dY: Array, channels: Channels, mean: Array, sums: Array, offset: Array | None
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
    gradient, product, t = gradient.restart(), product.restart(), ctx.scratch(mean.shape)
    quick: Calls = []
    for x, dy in channels.blocks(X, dY):
        quick += product.add_products(x, dy, gradient)
    quick += [
        *gradient.total(sums[0]),
        *product.total(sums[1]),
        (np.multiply, mean, sums[0], t),
        (np.subtract, sums[1], t, sums[1]),
    ]
    return quick + branch(offset, exact, [])


def _input_gradient(
    ctx: Context,
    arrays: Sequence[Array],
    channels: Channels,
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
        (np.multiply, sums[1], inverse, slope),
        (np.multiply, slope, inverse, slope),
        negate(slope, slope),
        (np.multiply, slope, mean, offset),
        (np.add, offset, sums[0], offset),
        negate(offset, offset),
    ]
    (slopes, spread_slope), (offsets, spread_offset) = channels.spread(slope), channels.spread(offset)
    calls += spread_slope + spread_offset
    block = channels.scratch()
    for x, dy, *weights in channels.blocks(*arrays):
        t = channels.like(x, block)
        slope, offset, scale = (channels.over(x, v) for v in (slopes, offsets, factors))
        calls += norm_gradient(x, dy, slope, offset, scale, weights[0] if weights else None, t=t)
    return calls
