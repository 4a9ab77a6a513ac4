"""Convolution: Conv."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import add_rows, column_sums, contiguous
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.kernels.correlation import correlation, input_gradient
from graphspec.graph.kernels.windows import Window, output_dims, per_axis, window_axes, windows_along
from graphspec.graph.ops.base import Op, op


@op
class Conv(Op):
    """``Y[n, o, y…] = B[o] + Σ W[o, c, k…] · X[n, c, y·stride + k·dilation - pad…]`` with any number of spatial axes.

    X (N, C, …), W (O, C / group, k…), B (O,) → Y (N, O, …). In memory the channels of Y are the last axis. X, W and B
    have gradients.
    """

    rows = "in_front"
    weights_at, vectors_at, channels = (1,), (2,), 1
    activation = "linear"
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
            f"cannot divide {channels} channels and {out} filters by {self.group} groups",
            code=Code.SIZES_DO_NOT_FIT,
            key="groups",
        )
        need(
            channels == W.fixed(1) * self.group,
            f"has a kernel for {W.fixed(1) * self.group} channels, but the input {show(X.shape)} has {channels}",
            code=Code.SIZES_DO_NOT_FIT,
        )
        need_bias(B, out)
        steps = per_axis(self.strides, rank, 1, "strides"), per_axis(self.dilations, rank, 1, "dilations")
        return Type(X.dtype, (X.shape[0], out, *output_dims(X.shape[2:], kernel, *steps, self.pads, self.auto_pad)))

    def windows(self, X: Value, W: Value | None = None) -> list[Window] | None:
        kernel = () if W is None else W.shape[2:]
        return windows_along(X.shape[2:], kernel, self.strides, self.dilations, self.pads, self.auto_pad)

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(output) * fixed_size(shapes[1][1:])

    def bind(self, ctx: Context, X: Array, W: Array, B: Array | None = None) -> Bound:
        rank = X.ndim - 2
        steps = per_axis(self.strides, rank, 1, "strides"), per_axis(self.dilations, rank, 1, "dilations")
        axes = window_axes(X.shape[2:], ctx.shape()[2:], W.shape[2:], *steps, self.pads, self.auto_pad)
        kernel = W.reshape(self.group, -1, *W.shape[1:])  # (g, o, c, k…)
        form = correlation(ctx, X, kernel.shape, axes)
        order = form.order
        Y = ctx.out(order=order)
        calls = form.forward(kernel, Y)
        if B is not None:
            calls += add_rows(ctx, Y.transpose(order).reshape(-1, W.shape[0]), B)

        def backward(dY: Array) -> Calls:
            rows, calls = contiguous(ctx, dY, order)
            dY = rows.transpose(np.argsort(order))
            if B is not None and (dB := ctx.grad(2)) is not None:
                calls += column_sums(ctx, rows.reshape(-1, W.shape[0]), dB)
            if (dW := ctx.grad(1)) is not None:
                start = ctx.mark()
                form = correlation(ctx, X, kernel.shape, axes, gradient=True)
                calls += form.kernel_gradient(dY, dW.reshape(kernel.shape))
                ctx.reset(start)
            if (dX := ctx.grad(0)) is not None:
                calls += input_gradient(ctx, dY, kernel, dX, axes)
            return calls

        return Y, calls, backward


def need_kernel(X: Value, W: Value, kernel_shape: Sequence[int] | None) -> tuple[int, ...]:
    """The spatial shape of kernel W; raise :class:`ShapeError` if it does not fit X."""
    need(X.rank >= 3, f"needs (N, C, …) with spatial axes, got {show(X.shape)}")
    need(W.rank == X.rank, f"has a kernel {show(W.shape)} of another rank than the input {show(X.shape)}")
    kernel = tuple(W.fixed(k) for k in range(2, W.rank))
    need(
        kernel_shape is None or tuple(kernel_shape) == kernel,
        f"has kernel_shape {list(kernel_shape or ())}, but the kernel {show(W.shape)}",
    )
    return kernel


def need_bias(B: Value | None, out: int) -> None:
    """Raise :class:`ShapeError` unless the bias, if any, has one element per filter."""
    need(
        B is None or B.shape == (out,),
        f"needs a bias with {out} elements, one for each filter",
        code=Code.SIZES_DO_NOT_FIT,
    )
