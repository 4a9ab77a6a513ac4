"""Convolution: Conv."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import gcd

import numpy as np

from graphspec.compiler.dims import show
from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, need, need_float, op
from graphspec.ops.channels import add_rows, column_sums, contiguous
from graphspec.ops.patches import patches
from graphspec.ops.windows import Axis, output_dims, spread, window_axes


@op
class Conv(Op):
    """``Y[n, o, y…] = B[o] + Σ W[o, c, k…] · X[n, c, y·stride + k·dilation - pad…]`` over any number of spatial axes.

    X (N, C, …), W (O, C / group, k…), B (O,) → Y (N, O, …). Y lies in memory with its channels last.
    """

    keeps_in, keeps_out = (0, 1), False

    @staticmethod
    def infer(
        X: Value,
        W: Value,
        B: Value | None = None,
        *,
        auto_pad: str = "NOTSET",
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Type:
        need_float(X, W, B)
        need(X.rank >= 3, f"a convolution needs (N, C, …) with spatial axes, got {show(X.shape)}")
        need(W.rank == X.rank, f"the kernel {show(W.shape)} does not have the rank of the input {show(X.shape)}")
        rank = X.rank - 2
        kernel = tuple(W.fixed(k) for k in range(2, W.rank))
        need(
            kernel_shape is None or tuple(kernel_shape) == kernel,
            f"kernel_shape {list(kernel_shape or ())} is not that of the kernel {show(W.shape)}",
        )
        channels, out = X.fixed(1), W.fixed(0)
        need(
            group >= 1 and channels % group == 0 and out % group == 0,
            f"{channels} channels and {out} filters do not divide by {group} groups",
            code="GS304",
            key="groups",
        )
        need(
            channels == W.fixed(1) * group,
            f"the kernel takes {W.fixed(1) * group} channels, but the input {show(X.shape)} has {channels}",
            code="GS304",
        )
        need(B is None or B.shape == (out,), f"the bias does not have {out} numbers, one for each filter", code="GS304")
        steps = spread(strides, rank, 1, "strides"), spread(dilations, rank, 1, "dilations")
        return Type(X.dtype, (X.shape[0], out, *output_dims(X.shape[2:], kernel, *steps, pads, auto_pad)))

    @staticmethod
    def bind(
        ctx: Context,
        X: Array,
        W: Array,
        B: Array | None = None,
        *,
        auto_pad: str = "NOTSET",
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Bound:
        rank = X.ndim - 2
        steps = spread(strides, rank, 1, "strides"), spread(dilations, rank, 1, "dilations")
        axes = window_axes(X.shape[2:], ctx.shape()[2:], W.shape[2:], *steps, pads, auto_pad)
        under = patches(ctx, X, axes, group)
        Y = ctx.out(order=under.order)
        kernel = W.reshape(group, -1, *W.shape[1:])  # (g, o, c, k…)
        spatial = tuple(range(3, W.ndim + 1))
        packed, calls = pack(ctx, kernel, (0, *spatial, 2, 1))
        calls += under.multiply(packed, under.rows(Y))
        if B is not None:
            calls += add_rows(ctx, Y.transpose(under.order).reshape(-1, W.shape[0]), B)

        def backward(dY: Array) -> Calls:
            lying, calls = contiguous(ctx, dY, under.order)
            dY = lying.transpose(np.argsort(under.order))
            if B is not None and (dB := ctx.grad(2)) is not None:
                calls += column_sums(ctx, lying.reshape(-1, W.shape[0]), dB)
            if (dW := ctx.grad(1)) is not None:
                rows = patches(ctx, X, axes, group, least=16 * W.size)  # each chunk costs a sum of W's size
                total, more = rows.multiply_transposed(ctx, under.rows(dY))
                total = total.reshape(group, *W.shape[2:], W.shape[1], -1)
                target = dW.reshape(kernel.shape).transpose(0, *spatial, 2, 1)
                calls += [*more, (np.copyto, target, total)]
            if (dX := ctx.grad(0)) is not None:
                calls += input_gradient(ctx, dY, kernel, dX, axes)
            return calls

        return Y, calls, backward


def pack(ctx: Context, kernel: Array, order: Sequence[int]) -> tuple[Array, Calls]:
    """A kernel with its axes in ``order`` as (g, …, n) matrices: a view where that is one, else a copy in scratch."""
    view = kernel.transpose(order)
    shape = (view.shape[0], -1, view.shape[-1])
    try:
        return view.reshape(shape, copy=False), []
    except ValueError:
        copy = ctx.scratch(view.shape)
        return copy.reshape(shape), [(np.copyto, copy, view)]


def input_gradient(ctx: Context, dY: Array, kernel: Array, dX: Array, axes: Sequence[Axis]) -> Calls:
    """Calls that write dX: the convolution of dY with the flipped kernel, one for each phase of the strides.

    Inputs whose index has the same remainder by the stride see the same taps of the kernel.
    """
    groups = kernel.shape[0]
    phases = [[_phase(a, f) for f in range(a.stride)] for a in axes]
    calls: Calls = []
    for parts in product(*phases):
        target = dX[(slice(None), slice(None), *(inputs for inputs, _, _ in parts))]
        if target.size == 0:
            continue
        if any(axis is None for _, axis, _ in parts):
            calls.append((target.fill, 0.0))
            continue
        inner = [axis for _, axis, _ in parts if axis is not None]
        flipped = kernel[(slice(None), slice(None), slice(None), *(taps for _, _, taps in parts))]
        packed, more = pack(ctx, flipped, (0, *range(3, kernel.ndim), 1, 2))
        under = patches(ctx, dY, inner, groups)
        calls += more
        try:
            calls += under.multiply(packed, under.rows(target))
        except ValueError:  # the gradient lies in another order
            lying = target.transpose(under.order)
            result = ctx.scratch(lying.shape)
            rows = under.rows(result.transpose(np.argsort(under.order)))
            calls += [*under.multiply(packed, rows), (np.copyto, lying, result)]
    return calls


def _phase(axis: Axis, f: int) -> tuple[slice, Axis | None, slice]:
    """The inputs ``x`` with ``(x + begin) % stride == f``, their windows over the output, and the taps, last first.

    The axis is None where no tap reaches them.
    """
    first = (f - axis.begin) % axis.stride
    inputs = slice(first, None, axis.stride)
    count = len(range(first, axis.size, axis.stride))
    period = axis.stride // gcd(axis.dilation, axis.stride)
    start = next((k for k in range(min(period, axis.kernel)) if (k * axis.dilation - f) % axis.stride == 0), None)
    if start is None:
        return inputs, None, slice(0)
    taps = range(start, axis.kernel, period)
    dilation = period * axis.dilation // axis.stride
    ahead = (first + axis.begin - start * axis.dilation) // axis.stride
    begin = (len(taps) - 1) * dilation - ahead
    backwards = slice(taps[-1], start - period if start >= period else None, -period)
    return inputs, Axis(axis.out, count, len(taps), 1, dilation, begin), backwards
