"""BatchNormalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls, runner
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.channels import Channels, channel_count, channel_order, contiguous, inverse_root
from graphspec.kernels.common import negate
from graphspec.kernels.context import Backward, Bound, Context
from graphspec.ops.base import Inference, Op, op

_FAR = 64.0  # a squared mean that is more than so many variances loses digits


@op
class BatchNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` for each channel of X (N, C, …).

    With ``training_mode`` mean and (biased) variance are those of the whole batch, over all workers, and the moving
    statistics become ``momentum · old + (1 - momentum) · batch``. Where these are parameters they are updated in place,
    the node has the one output Y, and a program that is not bound for training uses them; else the node has ONNX's three
    outputs (Y, running_mean, running_var).
    """

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
            samples = X.size // max(X.shape[1], 1) * ctx.total / max(ctx.rows.stop - ctx.rows.start, 1)
            share, offset = ctx.constant(1 / max(samples, 1)), ctx.save_for_backward((), np.bool_)
            mean, var = ctx.save_for_backward(count), ctx.scratch(count)
            calls += batch_statistics(ctx, data, mean, var, share, offset)
            moments = Moments(mean, var, share, offset)
            if ctx.group.rank == 0 or ctx.outputs == 3:  # rank 0 alone writes shared state
                for arrays in zip((input_mean, input_var), (mean, var), running, strict=True):
                    calls += moving_average(ctx, *arrays, self.momentum)
        more, backward = normalize(ctx, data, Y, moments, scale, B, first=1, epsilon=self.epsilon)
        return (Y if ctx.outputs == 1 else (Y, *running)), calls + more, backward


@dataclass(frozen=True)
class ByChannel:
    """X (N, C, …) seen with its channels on the last axis.

    Attributes:
        X: the array.
        order: the order of its axes, channels last.
        rows: X with its axes in ``order``, contiguous.
        channels: how the vectors of C numbers meet blocks of ``rows``.
    """

    X: Array
    order: tuple[int, ...]
    rows: Array
    channels: Channels


def by_channel(ctx: Context, X: Array) -> tuple[ByChannel, Calls]:
    """X by channel, and the calls that copy it where its memory has another order."""
    order = channel_order(X)
    rows, calls = contiguous(ctx, X, order)
    return ByChannel(X, order, rows, Channels(ctx, X.shape, order)), calls


@dataclass(frozen=True)
class Moments:
    """Mean and biased variance of each channel, (C,).

    Attributes:
        share: 1 / the number of samples that they are taken over; None if they do not depend on X.
        offset: a bool () that :func:`batch_statistics` writes; None if nothing is known of the rows.
        W: 0 where an element of X takes no part in them, 1 elsewhere; broadcasts to X.
    """

    mean: Array
    var: Array
    share: Array | None = None
    offset: Array | None = None
    W: Array | None = None


def moving_average(ctx: Context, before: Array, batch: Array, after: Array, momentum: float) -> Calls:
    """Calls for ``after = momentum · before + (1 - momentum) · batch``; before and after may be the same."""
    small = ctx.scratch(batch.shape)
    return [
        (np.multiply, before, ctx.constant(momentum), after),
        (np.multiply, batch, ctx.constant(1 - momentum), small),
        (np.add, after, small, after),
    ]


def normalize(
    ctx: Context, data: ByChannel, Y: Array, moments: Moments, scale: Array, B: Array, *, first: int, epsilon: float
) -> tuple[Calls, Backward]:
    """Calls for ``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` by channel, and backward.

    Args:
        first: the index of the input ``scale``; ``B`` is the next.
    """
    X, order, channels = data.X, data.order, data.channels
    mean, share, W = moments.mean, moments.share, moments.W
    count = X.shape[1]
    inverse, factor = ctx.save_for_backward((count,)), ctx.save_for_backward((count,))
    small, shift = ctx.scratch((count,)), ctx.scratch((count,))
    calls: Calls = [
        *inverse_root(moments.var, ctx.constant(epsilon), inverse),
        (np.multiply, scale, inverse, factor),
        (np.multiply, mean, factor, small),
        (np.subtract, B, small, shift),
    ]
    (times, more), (plus, most) = channels.spread(factor), channels.spread(shift)
    calls += more + most
    for x, y in channels.blocks(data.rows, Y.transpose(order)):
        calls += [(np.multiply, x, channels.over(x, times), y), (np.add, y, channels.over(y, plus), y)]

    def backward(dY: Array, *_: None) -> Calls:
        rows, calls = contiguous(ctx, X, order)
        drows, copied = contiguous(ctx, dY, order)
        calls += copied
        sums = ctx.scratch((2, count))
        if ctx.wants(first) or ctx.wants(first + 1) or share is not None:
            calls += _gradient_sums(ctx, rows, drows, channels, mean, sums, moments.offset)
        if (dscale := ctx.grad(first)) is not None:
            calls.append((np.multiply, sums[1], inverse, dscale))
        if (dB := ctx.grad(first + 1)) is not None:
            calls.append((np.copyto, dB, sums[0]))
        if not ctx.wants(0):
            return calls
        times, more = channels.spread(factor)
        calls += more
        if share is not None:
            arrays = [rows, drows]
            if W is not None:
                arrays.append(weights := ctx.scratch(rows.shape))
                calls.append((np.copyto, weights, np.broadcast_to(W, X.shape).transpose(order)))
            calls += ctx.all_reduce(sums)
            calls += _centre(ctx, arrays, channels, sums, (times, factor, inverse, mean, share))
        else:
            for (dy,) in channels.blocks(drows):
                calls.append((np.multiply, dy, channels.over(dy, times), dy))
        if copied:
            dX = ctx.grad(0)
            assert dX is not None
            calls.append((np.copyto, dX.transpose(order), drows))
        else:
            ctx.give_grad(0, dY)
        return calls

    return calls, backward


def either(choice: Array, yes: Calls, no: Calls) -> Calls:
    """A call that makes those of ``yes`` if the bool array ``choice`` () is true when it is reached, else ``no``."""
    first, second = runner(yes), runner(no)

    def chosen() -> None:
        (first if choice else second)()

    return [(chosen,)]


def batch_statistics(ctx: Context, data: ByChannel, mean: Array, var: Array, share: Array, offset: Array) -> Calls:
    """Calls that write mean and biased variance of each channel over all workers; ``share`` is 1 / their samples.

    ``E[x²] - E[x]²`` loses digits where the mean is large against the deviation. The bool ``offset`` () becomes whether
    it is in a channel of this worker's rows; then the worker sums the differences from a number of its own, its first.
    """
    X, channels, count = data.X, data.channels, len(mean)
    own = channels.rows
    pilot, total, square, spare = (ctx.scratch((count,)) for _ in range(4))
    far = ctx.scratch((count,), np.bool_)
    first, second = channels.sums(), channels.sums()
    calls: Calls = [(pilot.fill, 0.0)]
    for (x,) in channels.blocks(data.rows):
        calls += [*first.add(x), *second.add(x, x)]
    calls += [
        *first.total(total),
        *second.total(square),
        (np.multiply, total, total, mean),
        (np.multiply, square, ctx.constant(own * _FAR / (1 + _FAR)), spare),
        (np.less, spare, mean, far),
        (np.logical_or.reduce, far, 0, None, offset),
    ]
    one: tuple[Any, ...] = (0, slice(None), *(0,) * (X.ndim - 2))
    again: Calls = [(np.copyto, pilot, X[one])] if own else []
    wide, more = channels.spread(pilot)
    again += more
    first, second, block = first.restart(), second.restart(), channels.scratch()
    for (x,) in channels.blocks(data.rows):
        t = channels.like(x, block)
        again += [(np.subtract, x, channels.over(x, wide), t), *first.add(t), *second.add(t, t)]
    calls += either(offset, [*again, *first.total(total), *second.total(square)], [])
    n = ctx.constant(own)
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

    The second is ``Σ dY · X - mean · Σ dY`` where ``offset`` says that this loses no digits.
    """
    wide, exact = channels.spread(mean)
    block = channels.scratch()
    plain, product = channels.sums(), channels.sums()
    for x, dy in channels.blocks(X, dY):
        t = channels.like(x, block)
        exact += [(np.subtract, x, channels.over(x, wide), t), *product.add(t, dy), *plain.add(dy)]
    exact += [*plain.total(sums[0]), *product.total(sums[1])]
    if offset is None:
        return exact
    plain, product, small = plain.restart(), product.restart(), ctx.scratch(mean.shape)
    quick: Calls = []
    for x, dy in channels.blocks(X, dY):
        quick += [*plain.add(dy), *product.add(x, dy)]
    quick += [
        *plain.total(sums[0]),
        *product.total(sums[1]),
        (np.multiply, mean, sums[0], small),
        (np.subtract, sums[1], small, sums[1]),
    ]
    return quick + either(offset, exact, [])


def _centre(
    ctx: Context,
    arrays: Sequence[Array],
    channels: Channels,
    sums: Array,
    given: tuple[Array, Array, Array, Array, Array],
) -> Calls:
    """Calls that turn dY into dX: ``factor · (dY - W · (Σ dY / n + (X - mean) · inverse² · Σ dY (X - mean) / n))``.

    ``arrays`` are X, dY and, where it is not 1 throughout, W.
    """
    times, factor, inverse, mean, share = given
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
    (tilt, more), (plus, most) = channels.spread(slope), channels.spread(offset)
    calls += more + most
    spare = channels.scratch()
    for x, dy, *weights in channels.blocks(*arrays):
        t = channels.like(x, spare)
        calls += [
            (np.multiply, x, channels.over(x, tilt), t),
            (np.add, t, channels.over(x, plus), t),
            *((np.multiply, t, w, t) for w in weights),
            (np.multiply, dy, channels.over(x, times), dy),
            (np.add, dy, t, dy),
        ]
    return calls
