"""Transposed convolution: ConvTranspose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, Shape, add, fixed_size, mul, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import add_rows, column_sums, contiguous
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.kernels.correlation import correlation, input_gradient
from graphspec.graph.kernels.windows import Axis, per_axis
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.convolution import need_bias, need_kernel


@op
class ConvTranspose(Op):
    """``Y[n, o, y·stride + k·dilation - pad…] += W[c, o, k…] · X[n, c, y…]``, then ``+ B[o]``: the adjoint of Conv.

    X (N, C, …), W (C, O / group, k…), B (O,) → Y (N, O, …) with any number of spatial axes; in memory the channels of Y
    are the last axis. ``output_padding`` appends outputs at the end of each spatial axis. X, W and B have gradients.
    """

    rows = "in_front"
    weights_at, vectors_at, channels = (1,), (2,), 1
    activation = "linear"
    keeps_in, keeps_out = (0, 1), False

    dilations: Sequence[int] | None = None
    group: int = 1
    kernel_shape: Sequence[int] | None = None
    output_padding: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value, W: Value, B: Value | None = None) -> Type:
        need_float(X, W, B)
        kernel = need_kernel(X, W, self.kernel_shape)
        channels = X.fixed(1)
        need(
            self.group >= 1 and channels % self.group == 0,
            f"cannot divide {channels} channels by {self.group} groups",
            code=Code.SIZES_DO_NOT_FIT,
            key="groups",
        )
        need(
            channels == W.fixed(0),
            f"has a kernel for {W.fixed(0)} channels, but the input {show(X.shape)} has {channels}",
            code=Code.SIZES_DO_NOT_FIT,
        )
        out = W.fixed(1) * self.group
        need_bias(B, out)
        rank = X.rank - 2
        steps, gaps = per_axis(self.strides, rank, 1, "strides"), per_axis(self.dilations, rank, 1, "dilations")
        begins, ends, extra = _padding(rank, self.pads, self.output_padding)
        dims: list[Dim] = []
        for k, size in enumerate(X.shape[2:]):
            need(
                0 <= extra[k] < steps[k],
                f"needs output_padding below the stride {steps[k]}, got {extra[k]}",
                code=Code.VALUE_NOT_ALLOWED,
                key="output_padding",
            )
            extent = (kernel[k] - 1) * gaps[k] + 1
            out_size = add(mul(size, steps[k]), extent - steps[k] + extra[k] - begins[k] - ends[k])
            need(
                not isinstance(out_size, int) or out_size >= 1,
                f"has an output of size {out_size} along spatial axis {k + 1}: padding removes all elements",
                code=Code.SIZES_DO_NOT_FIT,
                hint="use `padding: valid` or another `output_padding`",
                key="padding",
            )
            dims.append(out_size)
        return Type(X.dtype, (X.shape[0], out, *dims))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(shapes[0]) * fixed_size(shapes[1][1:])

    def bind(self, ctx: Context, X: Array, W: Array, B: Array | None = None) -> Bound:
        rank = X.ndim - 2
        steps, gaps = per_axis(self.strides, rank, 1, "strides"), per_axis(self.dilations, rank, 1, "dilations")
        begins, _, _ = _padding(rank, self.pads, self.output_padding)
        axes = [
            Axis(y, x, k, s, d, begin)
            for y, x, k, s, d, begin in zip(ctx.shape()[2:], X.shape[2:], W.shape[2:], steps, gaps, begins, strict=True)
        ]
        kernel = W.reshape(self.group, -1, *W.shape[1:])  # (g, c, o, k…), the kernel of the convolution from Y to X
        order = (0, *range(2, X.ndim), 1)
        Y = ctx.out(order=order)
        calls = input_gradient(ctx, X, kernel, Y, axes)
        if B is not None:
            calls += add_rows(ctx, Y.transpose(order).reshape(-1, len(B)), B)

        def backward(dY: Array) -> Calls:
            rows, calls = contiguous(ctx, dY, order)
            dY = rows.transpose(np.argsort(order))
            if B is not None and (dB := ctx.grad(2)) is not None:
                calls += column_sums(ctx, rows.reshape(-1, len(B)), dB)
            if (dW := ctx.grad(1)) is not None:
                form = correlation(ctx, dY, kernel.shape, axes, gradient=True)
                calls += form.kernel_gradient(X, dW.reshape(kernel.shape))
            if (dX := ctx.grad(0)) is not None:
                calls += correlation(ctx, dY, kernel.shape, axes).forward(kernel, dX)
            return calls

        return Y, calls, backward


def _padding(
    rank: int, pads: Sequence[int] | None, output_padding: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Per spatial axis: the elements removed at the start and at the end, and those appended at the end."""
    both = tuple(pads) if pads is not None else (0,) * (2 * rank)
    extra = tuple(output_padding) if output_padding is not None else (0,) * rank
    need(len(both) == 2 * rank, f"has pads {list(both)} for {rank} spatial axes")
    need(len(extra) == rank, f"has output_padding {list(extra)} for {rank} spatial axes", key="output_padding")
    return both[:rank], both[rank:], extra
