"""Convolution: Conv."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.channels import add_rows, column_sums, contiguous
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.kernels.correlation import correlation, input_gradient
from graphspec.kernels.windows import output_dims, spread, window_axes
from graphspec.ops.base import Op, op


@op
class Conv(Op):
    """``Y[n, o, y…] = B[o] + Σ W[o, c, k…] · X[n, c, y·stride + k·dilation - pad…]`` over any number of spatial axes.

    X (N, C, …), W (O, C / group, k…), B (O,) → Y (N, O, …). Y lies in memory with its channels last.
    """

    keeps_in, keeps_out = (0, 1), False

    auto_pad: str = "NOTSET"
    dilations: Sequence[int] | None = None
    group: int = 1
    kernel_shape: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value, W: Value, B: Value | None = None) -> Type:
        need_float(X, W, B)
        kernel = need_kernel(X, W, self.kernel_shape)
        rank = X.rank - 2
        channels, out = X.fixed(1), W.fixed(0)
        need(
            self.group >= 1 and channels % self.group == 0 and out % self.group == 0,
            f"{channels} channels and {out} filters do not divide by {self.group} groups",
            code="GS304",
            key="groups",
        )
        need(
            channels == W.fixed(1) * self.group,
            f"the kernel takes {W.fixed(1) * self.group} channels, but the input {show(X.shape)} has {channels}",
            code="GS304",
        )
        need_bias(B, out)
        steps = spread(self.strides, rank, 1, "strides"), spread(self.dilations, rank, 1, "dilations")
        return Type(X.dtype, (X.shape[0], out, *output_dims(X.shape[2:], kernel, *steps, self.pads, self.auto_pad)))

    def bind(self, ctx: Context, X: Array, W: Array, B: Array | None = None) -> Bound:
        rank = X.ndim - 2
        steps = spread(self.strides, rank, 1, "strides"), spread(self.dilations, rank, 1, "dilations")
        axes = window_axes(X.shape[2:], ctx.shape()[2:], W.shape[2:], *steps, self.pads, self.auto_pad)
        kernel = W.reshape(self.group, -1, *W.shape[1:])  # (g, o, c, k…)
        form = correlation(ctx, X, kernel.shape, axes)
        order = form.order
        Y = ctx.out(order=order)
        calls = form.forward(kernel, Y)
        if B is not None:
            calls += add_rows(ctx, Y.transpose(order).reshape(-1, W.shape[0]), B)

        def backward(dY: Array) -> Calls:
            lying, calls = contiguous(ctx, dY, order)
            dY = lying.transpose(np.argsort(order))
            if B is not None and (dB := ctx.grad(2)) is not None:
                calls += column_sums(ctx, lying.reshape(-1, W.shape[0]), dB)
            if (dW := ctx.grad(1)) is not None:
                taken = ctx.mark()
                form = correlation(ctx, X, kernel.shape, axes, gradient=True)
                calls += form.kernel_gradient(dY, dW.reshape(kernel.shape))
                ctx.reset(taken)
            if (dX := ctx.grad(0)) is not None:
                calls += input_gradient(ctx, dY, kernel, dX, axes)
            return calls

        return Y, calls, backward


def need_kernel(X: Value, W: Value, kernel_shape: Sequence[int] | None) -> tuple[int, ...]:
    """The spatial shape of a kernel, which must fit X."""
    need(X.rank >= 3, f"a convolution needs (N, C, …) with spatial axes, got {show(X.shape)}")
    need(W.rank == X.rank, f"the kernel {show(W.shape)} does not have the rank of the input {show(X.shape)}")
    kernel = tuple(W.fixed(k) for k in range(2, W.rank))
    need(
        kernel_shape is None or tuple(kernel_shape) == kernel,
        f"kernel_shape {list(kernel_shape or ())} is not that of the kernel {show(W.shape)}",
    )
    return kernel


def need_bias(B: Value | None, out: int) -> None:
    need(B is None or B.shape == (out,), f"the bias does not have {out} numbers, one for each filter", code="GS304")
