"""Transposed convolution: ConvTranspose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import Dim, add, mul, show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.channels import add_rows, column_sums, contiguous
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.kernels.correlation import correlation, input_gradient
from graphspec.kernels.windows import Axis, spread
from graphspec.ops.base import Op, op
from graphspec.ops.convolution import need_bias, need_kernel


@op
class ConvTranspose(Op):
    """The gradient of Conv to its input: every input adds ``W``, scaled by it, to the outputs that it reaches.

    ``Y[n, o, y·stride + k·dilation - pad…] += W[c, o, k…] · X[n, c, y…]``, then ``+ B[o]``; ``output_padding`` lengthens
    an axis at its end. X (N, C, …), W (C, O / group, k…), B (O,) → Y (N, O, …), channels last in memory.
    """

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
            f"{channels} channels do not divide by {self.group} groups",
            code="GS304",
            key="groups",
        )
        need(
            channels == W.fixed(0),
            f"the kernel takes {W.fixed(0)} channels, but the input {show(X.shape)} has {channels}",
            code="GS304",
        )
        out = W.fixed(1) * self.group
        need_bias(B, out)
        rank = X.rank - 2
        steps, gaps = spread(self.strides, rank, 1, "strides"), spread(self.dilations, rank, 1, "dilations")
        begins, ends, more = _padding(rank, self.pads, self.output_padding)
        dims: list[Dim] = []
        for k, size in enumerate(X.shape[2:]):
            need(
                0 <= more[k] < steps[k],
                f"output_padding {more[k]} must be below the stride {steps[k]}",
                code="GS105",
                key="output_padding",
            )
            extent = (kernel[k] - 1) * gaps[k] + 1
            made = add(mul(size, steps[k]), extent - steps[k] + more[k] - begins[k] - ends[k])
            need(
                not isinstance(made, int) or made >= 1,
                f"has an output of size {made} along spatial axis {k + 1}: padding takes away all that the kernel reaches",
                code="GS304",
                hint="use `padding: valid` or another `output_padding`",
                key="padding",
            )
            dims.append(made)
        return Type(X.dtype, (X.shape[0], out, *dims))

    def bind(self, ctx: Context, X: Array, W: Array, B: Array | None = None) -> Bound:
        rank = X.ndim - 2
        steps, gaps = spread(self.strides, rank, 1, "strides"), spread(self.dilations, rank, 1, "dilations")
        begins, _, _ = _padding(rank, self.pads, self.output_padding)
        axes = [
            Axis(y, x, k, s, d, begin)
            for y, x, k, s, d, begin in zip(ctx.shape()[2:], X.shape[2:], W.shape[2:], steps, gaps, begins, strict=True)
        ]
        kernel = W.reshape(self.group, -1, *W.shape[1:])  # (g, c, o, k…): that of the convolution from Y to X
        order = (0, *range(2, X.ndim), 1)
        Y = ctx.out(order=order)
        calls = input_gradient(ctx, X, kernel, Y, axes)
        if B is not None:
            calls += add_rows(ctx, Y.transpose(order).reshape(-1, len(B)), B)

        def backward(dY: Array) -> Calls:
            lying, calls = contiguous(ctx, dY, order)
            dY = lying.transpose(np.argsort(order))
            if B is not None and (dB := ctx.grad(2)) is not None:
                calls += column_sums(ctx, lying.reshape(-1, len(B)), dB)
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
    """What is cut off in front of and behind each axis, and what is added behind."""
    both = tuple(pads) if pads is not None else (0,) * (2 * rank)
    more = tuple(output_padding) if output_padding is not None else (0,) * rank
    need(len(both) == 2 * rank, f"pads {list(both)} does not fit {rank} spatial axes")
    need(len(more) == rank, f"output_padding {list(more)} does not fit {rank} spatial axes", key="output_padding")
    return both[:rank], both[rank:], more
