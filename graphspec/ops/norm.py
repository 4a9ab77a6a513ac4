"""BatchNormalization."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, op
from graphspec.ops.channels import Channels, channel_count, channel_order, contiguous


@op
class BatchNormalization(Op):
    """``Y = (X - mean) / sqrt(var + epsilon) · scale + B`` for each channel of X (N, C, …).

    With ``training_mode`` mean and (biased) variance are those of the whole batch, over all workers, and the moving
    statistics become ``momentum · old + (1 - momentum) · batch``. Where these are parameters they are updated in place,
    the node has the one output Y, and a program that is not bound for training uses them; else the node has ONNX's three
    outputs (Y, running_mean, running_var).
    """

    keeps_in, keeps_out = (0, 1, 3, 4), False

    @staticmethod
    def infer(
        X: Value,
        scale: Value,
        B: Value,
        input_mean: Value,
        input_var: Value,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        training_mode: int = 0,
    ) -> Type | tuple[Type, ...]:
        channel_count(X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
        if training_mode and input_mean.kind != "param":
            return X.type, input_mean.type, input_var.type
        return X.type

    @staticmethod
    def bind(
        ctx: Context,
        X: Array,
        scale: Array,
        B: Array,
        input_mean: Array,
        input_var: Array,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        training_mode: int = 0,
    ) -> Bound:
        learning = bool(training_mode) and (ctx.training or ctx.outputs == 3)
        order, count = channel_order(X), X.shape[1]
        lying, calls = contiguous(ctx, X, order)
        Y = X if ctx.free(0) and not calls else ctx.out(order=order)
        channels = Channels(ctx, X.shape, order)
        inverse, factor, offset = ctx.save((count,)), ctx.save((count,)), ctx.scratch((count,))
        small, tiny = ctx.scratch((count,)), ctx.constant(epsilon)
        mean, var = input_mean, input_var
        running = (input_mean, input_var) if ctx.outputs == 1 else (ctx.out(1), ctx.out(2))
        samples = X.size // max(count, 1) * ctx.total / max(ctx.rows.stop - ctx.rows.start, 1)
        share = ctx.constant(1 / max(samples, 1))
        if learning:
            mean, var = ctx.save((count,)), ctx.scratch((count,))
            calls += batch_statistics(ctx, X, lying, channels, mean, var, share)
            if ctx.group.rank == 0 or ctx.outputs == 3:  # rank 0 alone writes shared state
                old, new = ctx.constant(momentum), ctx.constant(1 - momentum)
                for before, batch, after in zip((input_mean, input_var), (mean, var), running, strict=True):
                    calls += [
                        (np.multiply, before, old, after),
                        (np.multiply, batch, new, small),
                        (np.add, after, small, after),
                    ]
        calls += [
            (np.add, var, tiny, inverse),
            (np.sqrt, inverse, inverse),
            (np.reciprocal, inverse, inverse),
            (np.multiply, scale, inverse, factor),
            (np.multiply, mean, factor, small),
            (np.subtract, B, small, offset),
        ]
        (times, more), (plus, most) = channels.spread(factor), channels.spread(offset)
        calls += more + most
        for x, y in channels.blocks(lying, Y.transpose(order)):
            calls += [(np.multiply, x, channels.over(x, times), y), (np.add, y, channels.over(x, plus), y)]

        def backward(dY: Array, *_: None) -> Calls:
            lying, calls = contiguous(ctx, X, order)
            dlying, copied = contiguous(ctx, dY, order)
            calls += copied
            sums = ctx.scratch((2, count))
            if ctx.wants(1) or ctx.wants(2) or learning:
                calls += _gradient_sums(ctx, lying, dlying, channels, mean, sums)
            if (dscale := ctx.grad(1)) is not None:
                calls.append((np.multiply, sums[1], inverse, dscale))
            if (dB := ctx.grad(2)) is not None:
                calls.append((np.copyto, dB, sums[0]))
            if not ctx.wants(0):
                return calls
            times, more = channels.spread(factor)
            calls += more
            if learning:
                calls += ctx.all_reduce(sums)
                calls += _centre(ctx, lying, dlying, channels, sums, (times, factor, inverse, mean, share))
            else:
                for (dy,) in channels.blocks(dlying):
                    calls.append((np.multiply, dy, channels.over(dy, times), dy))
            if copied:
                dX = ctx.grad(0)
                assert dX is not None
                calls.append((np.copyto, dX.transpose(order), dlying))
            else:
                ctx.give(0, dY)
            return calls

        return (Y if ctx.outputs == 1 else (Y, *running)), calls, backward


def batch_statistics(
    ctx: Context, X: Array, lying: Array, channels: Channels, mean: Array, var: Array, share: Array
) -> Calls:
    """Calls that write mean and biased variance of each channel over all workers; ``share`` is 1 / their samples.

    Every worker sums the differences from a number of its own, its first: ``E[x²] - E[x]²`` would lose all digits where
    the mean is large.
    """
    count = len(mean)
    own = channels.rows
    pilot, total, square = (ctx.scratch((count,)) for _ in range(3))
    first, second = channels.sums(), channels.sums()
    one: tuple[Any, ...] = (0, slice(None), *(0,) * (X.ndim - 2))
    calls: Calls = [(np.copyto, pilot, X[one])] if own else [(pilot.fill, 0.0)]
    wide, more = channels.spread(pilot)
    calls += more
    spare = channels.scratch()
    for (x,) in channels.blocks(lying):
        t = channels.like(x, spare)
        calls += [(np.subtract, x, channels.over(x, wide), t), *first.add(t), (np.multiply, t, t, t), *second.add(t)]
    n = ctx.constant(own)
    calls += [
        *first.total(total),
        *second.total(square),
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


def _gradient_sums(ctx: Context, X: Array, dY: Array, channels: Channels, mean: Array, sums: Array) -> Calls:
    """Calls that write ``Σ dY`` and ``Σ dY · (X - mean)`` of each channel over this worker's rows."""
    wide, calls = channels.spread(mean)
    spare = channels.scratch()
    plain, product = channels.sums(), channels.sums()
    for x, dy in channels.blocks(X, dY):
        t = channels.like(x, spare)
        calls += [(np.subtract, x, channels.over(x, wide), t), (np.multiply, t, dy, t)]
        calls += [*plain.add(dy), *product.add(t)]
    return calls + plain.total(sums[0]) + product.total(sums[1])


def _centre(
    ctx: Context, X: Array, dY: Array, channels: Channels, sums: Array, given: tuple[Array, Array, Array, Array, Array]
) -> Calls:
    """Calls that turn dY into dX: ``factor · (dY - Σ dY / n - (X - mean) · inverse² · Σ dY (X - mean) / n)``."""
    times, factor, inverse, mean, share = given
    slope, offset = ctx.scratch(mean.shape), ctx.scratch(mean.shape)
    calls: Calls = [
        (np.multiply, sums, share, sums),
        (np.multiply, sums, factor, sums),
        (np.multiply, sums[1], inverse, slope),
        (np.multiply, slope, inverse, slope),
        (np.negative, slope, slope),
        (np.multiply, slope, mean, offset),
        (np.add, offset, sums[0], offset),
        (np.negative, offset, offset),
    ]
    (tilt, more), (plus, most) = channels.spread(slope), channels.spread(offset)
    calls += more + most
    spare = channels.scratch()
    for x, dy in channels.blocks(X, dY):
        t = channels.like(x, spare)
        calls += [
            (np.multiply, x, channels.over(x, tilt), t),
            (np.multiply, dy, channels.over(x, times), dy),
            (np.add, dy, t, dy),
            (np.add, dy, channels.over(x, plus), dy),
        ]
    return calls
