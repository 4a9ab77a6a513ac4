"""Convolutions: Conv, ConvTranspose, and ConvPool, which takes in the max pooling that follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from graphspec.base.arrays.layout import pieces
from graphspec.graph.ir.dims import Dim, Shape, add, fixed_size, mul, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import add_rows, column_sums, contiguous
from graphspec.graph.kernels.common import as_words, fold, negate
from graphspec.graph.kernels.compiled import alone, available, pools_directly, twin, use_fast_kernel
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.kernels.correlation import StrideBlocks, correlation, input_gradient, transposed
from graphspec.graph.kernels.windows import Axis, Window, ceil, output_dims, per_axis, window_axes, windows_along
from graphspec.graph.ops.op import TrainingOnly, Windowed, need_spatial


class Convolution(Windowed):
    """A sum over windows of products with a kernel, plus a bias."""

    rows = "in_front"
    weights_at, vectors_at, channels = (1,), (2,), 1
    activation = "linear"
    keeps_in, keeps_out = (0, 1), False


class Conv(Convolution):
    """``Y[n, o, y…] = B[o] + Σ W[o, c, k…] · X[n, c, y·stride + k·dilation - pad…]`` with any number of spatial axes.

    X (N, C, …), W (O, C / group, k…), B (O,) → Y (N, O, …). In memory the channels of Y are the last axis. X, W and B
    have gradients.
    """

    auto_pad: str = "NOTSET"
    dilations: Sequence[int] | None = None
    group: int = 1
    kernel_shape: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value, W: Value, B: Value | None = None) -> Type:
        need.float(X, W, B)
        kernel = need_kernel(X, W, self.kernel_shape)
        channels, out = X.fixed(1), W.fixed(0)
        divides = self.group >= 1 and channels % self.group == 0 and out % self.group == 0
        text = f"cannot divide {channels} channels and {out} filters by {self.group} groups"
        need.sizes(divides, text, key="groups")
        count = W.fixed(1) * self.group
        text = f"has a kernel for {count} channels, but the input {show(X.shape)} has {channels}"
        need.sizes(channels == count, text)
        need_bias(B, out)
        steps = self.steps(X.rank - 2)
        return Type(X.dtype, (X.shape[0], out, *output_dims(X.shape[2:], kernel, *steps, self.pads, self.auto_pad)))

    def windows(self, X: Value, W: Value | None = None) -> list[Window] | None:
        kernel = () if W is None else W.shape[2:]
        return windows_along(X.shape[2:], kernel, self.strides, self.dilations, self.pads, self.auto_pad)

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(output) * fixed_size(shapes[1][1:])

    def bind(self, ctx: Context, X: Array, W: Array, B: Array | None = None) -> Bound:
        steps = self.steps(X.ndim - 2)
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
    need_spatial(X)
    need(W.rank == X.rank, f"has a kernel {show(W.shape)} of another rank than the input {show(X.shape)}")
    kernel = tuple(W.fixed(k) for k in range(2, W.rank))
    text = f"has kernel_shape {list(kernel_shape or ())}, but the kernel {show(W.shape)}"
    need(kernel_shape is None or tuple(kernel_shape) == kernel, text)
    return kernel


def need_bias(B: Value | None, out: int) -> None:
    """Raise :class:`ShapeError` unless the bias, if any, has one element per filter."""
    need.sizes(B is None or B.shape == (out,), f"needs a bias with {out} elements, one for each filter")


# Transposed convolution: ConvTranspose.
class ConvTranspose(Convolution):
    """``Y[n, o, y·stride + k·dilation - pad…] += W[c, o, k…] · X[n, c, y…]``, then ``+ B[o]``: the adjoint of Conv.

    X (N, C, …), W (C, O / group, k…), B (O,) → Y (N, O, …) with any number of spatial axes; in memory the channels of Y
    are the last axis. ``output_padding`` appends outputs at the end of each spatial axis. X, W and B have gradients.
    """

    dilations: Sequence[int] | None = None
    group: int = 1
    kernel_shape: Sequence[int] | None = None
    output_padding: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value, W: Value, B: Value | None = None) -> Type:
        need.float(X, W, B)
        kernel = need_kernel(X, W, self.kernel_shape)
        channels = X.fixed(1)
        divides = self.group >= 1 and channels % self.group == 0
        need.sizes(divides, f"cannot divide {channels} channels by {self.group} groups", key="groups")
        text = f"has a kernel for {W.fixed(0)} channels, but the input {show(X.shape)} has {channels}"
        need.sizes(channels == W.fixed(0), text)
        out = W.fixed(1) * self.group
        need_bias(B, out)
        rank = X.rank - 2
        steps, gaps = self.steps(rank)
        begins, ends, extra = _padding(rank, self.pads, self.output_padding)
        dims: list[Dim] = []
        for k, size in enumerate(X.shape[2:]):
            text = f"needs output_padding below the stride {steps[k]}, got {extra[k]}"
            need.value(0 <= extra[k] < steps[k], text, key="output_padding")
            extent = (kernel[k] - 1) * gaps[k] + 1
            out_size = add(mul(size, steps[k]), extent - steps[k] + extra[k] - begins[k] - ends[k])
            need.sizes(
                not isinstance(out_size, int) or out_size >= 1,
                f"has an output of size {out_size} along spatial axis {k + 1}: padding removes all elements",
                hint="use `padding: valid` or another `output_padding`",
                key="padding",
            )
            dims.append(out_size)
        return Type(X.dtype, (X.shape[0], out, *dims))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(shapes[0]) * fixed_size(shapes[1][1:])

    def bind(self, ctx: Context, X: Array, W: Array, B: Array | None = None) -> Bound:
        rank = X.ndim - 2
        steps, gaps = self.steps(rank)
        begins, _, _ = _padding(rank, self.pads, self.output_padding)
        sizes = (ctx.shape()[2:], X.shape[2:], W.shape[2:])
        axes = [Axis(*numbers) for numbers in zip(*sizes, steps, gaps, begins, strict=True)]
        kernel = W.reshape(self.group, -1, *W.shape[1:])  # (g, c, o, k…), the kernel of the convolution from Y to X
        order = (0, *range(2, X.ndim), 1)
        Y = ctx.out(order=order)
        calls = transposed(ctx, X, kernel, Y, axes)
        if B is not None:
            calls += add_rows(ctx, Y.transpose(order).reshape(-1, len(B)), B)

        def backward(dY: Array) -> Calls:
            rows, calls = contiguous(ctx, dY, order)
            dY = rows.transpose(np.argsort(order))
            if B is not None and (dB := ctx.grad(2)) is not None:
                calls += column_sums(ctx, rows.reshape(-1, len(B)), dB)
            blocks: StrideBlocks | None = None
            if (dW := ctx.grad(1)) is not None:
                form = correlation(ctx, dY, kernel.shape, axes, gradient=True)
                calls += form.kernel_gradient(X, dW.reshape(kernel.shape))
                blocks = form if isinstance(form, StrideBlocks) else None
            if (dX := ctx.grad(0)) is not None and blocks is not None:
                calls += blocks.forward_again(kernel, dX)
            elif dX is not None:
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


# ConvPool: a convolution and the max pooling that follows it, computed tap by tap.
_TAPS = 256  # of a window, at most, in the compiled kernels
_DIRECT_TAPS = 64  # and in those that do not write the convolution
_ROW = 32  # from so many elements on, rows are faster in the compiled kernel even without a gradient (measured)
_BLOCK = 1 << 18  # elements of all taps of a block: 1 MiB of float32, which stays in the L2 cache until the maximum


class ConvPool(TrainingOnly, Windowed):
    """``Y = MaxPool(Conv(X, W))`` with adjacent windows that do not overlap; X has no gradient.

    X (N, C, …), W (O, C, k…) → Y (N, O, …). The convolution's outputs at one tap (position within the window) of all
    windows form a plane, which is a convolution with larger strides. The maximum and the gradient are then computed on
    contiguous planes instead of every second column. Blocks of samples are processed one after another; only
    masks of the largest tap, the first of equals in row-major order, are saved for backward.
    """

    rows = "in_front"
    keeps_in, keeps_out = (0,), False

    window: Sequence[int]
    auto_pad: str = "NOTSET"
    dilations: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value, W: Value) -> Type:
        conv = Conv(auto_pad=self.auto_pad, dilations=self.dilations, pads=self.pads, strides=self.strides)
        Y = conv.infer(X, W)
        per_axis(self.window, X.rank - 2, 1, "window")
        text = f"has a window {show(tuple(self.window))} of one tap"
        need.value(math.prod(self.window) > 1, text, key="window")
        ones = (1,) * len(self.window)
        return Type(Y.dtype, (*Y.shape[:2], *output_dims(Y.shape[2:], self.window, self.window, ones, None, "VALID")))

    def bind(self, ctx: Context, X: Array, W: Array) -> Bound:
        assert not ctx.wants(0), "the input of a ConvPool has no gradient"
        rank = X.ndim - 2
        steps = self.steps(rank)
        conv_sizes = [o * w for o, w in zip(ctx.shape()[2:], self.window, strict=True)]
        axes = window_axes(X.shape[2:], conv_sizes, W.shape[2:], *steps, self.pads, self.auto_pad)
        taps, inputs = math.prod(self.window), math.prod(W.shape[1:])
        fits = taps % 4 == 0 and taps <= _DIRECT_TAPS and inputs <= _TAPS and rank <= 3 and X.size > 0
        if fits and available("conv_pool_direct") and use_fast_kernel(pools_directly(W.shape)):
            return self._directly(ctx, X, W, axes)
        # With several spatial axes, a plane contains all rows of its windows: rows are long, so taking every second row
        # of a plane is fast, and only the other axes need planes of their own.
        rows, split = (1, self.window) if rank == 1 else (self.window[0], (1, *self.window[1:]))
        planes = [
            [a.every(w, tap) for a, w, tap in zip(axes, split, taps, strict=True)]
            for taps in product(*(range(w) for w in split))
        ]
        kernel = W[None]
        start = ctx.mark()
        order = correlation(ctx, X, kernel.shape, planes[0]).order
        ctx.reset(start)
        Y = ctx.out(order=order)
        blocks = _blocks(len(X), math.prod(Y.shape[1:]) * math.prod(self.window))
        saved: list[Pooled] = []
        calls: Calls = []
        for block in blocks:
            ctx.reset(start)
            y = Y[block]
            shape = (*y.shape[:2], y.shape[2] * rows, *y.shape[3:])
            memory = ctx.scratch((len(planes), *(shape[k] for k in order)))
            results = [plane.transpose(np.argsort(order)) for plane in memory]
            planes_end = ctx.mark()
            for plane, result in zip(planes, results, strict=True):
                ctx.reset(planes_end)
                calls += correlation(ctx, X[block], kernel.shape, plane).forward(kernel, result)
            pooled = Pooled(ctx, memory, y, order, rows)
            calls += pooled.calls
            saved.append(pooled)

        def backward(dY: Array) -> Calls:
            dW = ctx.grad(1)
            assert dW is not None
            inner = (*dW.shape[2:], *dW.shape[1::-1])
            parts, total = ctx.scratch((len(blocks) * len(planes), dW.size)), ctx.scratch((dW.size,))
            start, unused_parts = ctx.mark(), iter(parts)
            calls: Calls = []
            for block, pooled in zip(blocks, saved, strict=True):
                for k, plane in enumerate(planes):
                    ctx.reset(start)
                    dP = _in_order(ctx.scratch, pooled.shape, order)
                    calls += pooled.gradient(ctx, dY[block], dP, k)
                    form = correlation(ctx, X[block], kernel.shape, plane, gradient=True)
                    calls += form.kernel_gradient(dP, _as_kernel(next(unused_parts).reshape(inner))[None])
            calls.append((np.dot, ctx.constant(np.ones(len(parts))), parts, total))
            return [*calls, (np.copyto, dW, _as_kernel(total.reshape(inner)))]

        return Y, calls, backward

    def _directly(self, ctx: Context, X: Array, W: Array, axes: Sequence[Axis]) -> Bound:
        """Bind as a kernel that writes the maxima alone, and one that sums the gradient of W."""
        space = range(2, X.ndim)
        order, by_input = (0, *space, 1), (*space, 1, 0)
        sizes = np.array([self.window, [a.stride for a in axes], [a.dilation for a in axes]], np.intc)
        (x, calls), (weights, copies) = _padded(ctx, X.transpose(order), axes), contiguous(ctx, W, by_input)
        Y = ctx.out(order=order)
        y = Y.transpose(order)
        largest = ctx.save_for_backward(y.shape, np.uint8) if ctx.wants(1) else None
        calls += [*copies, *alone("conv_pool_direct", x, weights, y, largest, sizes)]

        def backward(dY: Array) -> Calls:
            dW = ctx.grad(1)
            assert dW is not None
            (x, calls), (dy, copies) = _padded(ctx, X.transpose(order), axes), contiguous(ctx, dY, order)
            target = dW.transpose(by_input)
            sums = target if target.flags.c_contiguous else ctx.scratch(target.shape)
            calls += [*copies, *alone("conv_pool_direct_gradient", x, sums, dy, largest, sizes)]
            return calls if sums is target else [*calls, (np.copyto, target, sums)]

        return Y, calls, backward


def _padded(ctx: Context, x: Array, axes: Sequence[Axis]) -> tuple[Array, Calls]:
    """The inputs (N, …, C) that windows read, with their padding, and the calls that copy them if they have any."""
    inside = [a.inside for a in axes]
    source = x[:, *(slice(s.start - a.begin, s.stop - a.begin) for a, s in zip(axes, inside, strict=True))]
    shape = (len(x), *(a.reach for a in axes), x.shape[-1])
    if source.shape == shape:
        return source, []
    copy = ctx.scratch(shape)
    return copy, [(copy.fill, 0.0), (np.copyto, copy[:, *inside], source)]


@twin()
def conv_pool(planes: Array, y: Array, largest: Array | None, /, *, by_mask: Callable[[], Calls]) -> Calls:
    """Return calls that write the maxima y (windows, n) of planes (P, windows, rows, n).

    Args:
        largest: uint8 (windows, n), which receives the first largest tap, ``row · P + plane``; None if there is no gradient.
        by_mask: returns NumPy's calls, which save masks in place of ``largest``.
    """
    return by_mask()


@twin()
def conv_pool_gradient(largest: Array, dy: Array, dx: Array, place: Array, /, *, by_mask: Callable[[], Calls]) -> Calls:
    """Return calls that write the gradient dx (windows, rows, n) of plane ``place[0]`` of ``place[1]`` planes."""
    return by_mask()


class Pooled:
    """The maxima y (N, O, …) of planes, with axes in memory ``order``, and what their gradient needs.

    Its ``calls`` write y, and save the largest taps; ``shape`` is that of a plane.
    """

    def __init__(self, ctx: Context, memory: Array, y: Array, order: Sequence[int], rows: int) -> None:
        self._order, self._rows, self._count = order, rows, len(memory)
        planes = [plane.transpose(np.argsort(order)) for plane in memory]
        self.shape = planes[0].shape
        self._masks: list[Array] = []
        self._largest: Array | None = None
        values = _taps(planes, rows)

        def by_mask() -> Calls:
            calls = fold(np.maximum, values, y)
            if ctx.wants(1):
                masks = [_in_order(ctx.save_for_backward, self.shape, order, np.int8) for _ in planes]
                calls += _first_largest(values, y, _taps([mask.view(np.bool_) for mask in masks], rows))
                calls += [negate(mask, mask) for mask in masks]
                self._masks = masks
            return calls

        ordered = y.transpose(order)
        after = math.prod(ordered.shape[order.index(2) + 1 :]) if rows > 1 else y.size  # one row of all windows
        fits = conv_pool.compiled and len(values) <= _TAPS and y.size > 0
        if not fits or not use_fast_kernel(ctx.wants(1) or after >= _ROW):
            self.calls = by_mask()
            return
        joined = ordered.flags.c_contiguous  # if not, these samples lie apart
        if not joined:
            y = _in_order(ctx.scratch, y.shape, order)
        flat = y.transpose(order).reshape(-1, after, copy=False)
        if ctx.wants(1):
            self._largest = ctx.save_for_backward(flat.shape, np.uint8)
        self.calls = conv_pool(memory.reshape(len(memory), -1, rows, after), flat, self._largest, by_mask=by_mask)
        if self._masks:
            self._largest = None
        if not joined:
            self.calls.append((np.copyto, ordered, y.transpose(order)))

    def gradient(self, ctx: Context, dy: Array, dP: Array, plane: int) -> Calls:

        def by_mask() -> Calls:
            bits, mask = (_split_rows(x, self._rows) for x in (as_words(dP), self._masks[plane]))
            return [(np.copyto, bits, mask), (np.bitwise_and, bits, as_words(dy)[:, :, :, None], bits)]

        if self._largest is None:
            return by_mask()
        lying, calls = contiguous(ctx, dy, self._order)
        windows, after = self._largest.shape
        dx = dP.transpose(self._order).reshape(windows, self._rows, after, copy=False)
        place = np.array([plane, self._count], np.intc)
        return calls + conv_pool_gradient(self._largest, lying.reshape(windows, after), dx, place, by_mask=by_mask)


def _blocks(samples: int, elements: int) -> list[slice]:
    """Blocks of samples of nearly equal size; a sample has ``elements`` elements."""
    count = max(1, min(samples, ceil(samples * elements, _BLOCK)))
    return pieces(0, samples, max(1, ceil(samples, count)))


def _in_order(
    allocate: Callable[..., Array], shape: Sequence[int], order: Sequence[int], dtype: object = None
) -> Array:
    """An array of ``shape`` whose axes have the memory order ``order``, slowest first."""
    return allocate([shape[k] for k in order], dtype).transpose(np.argsort(order))


def _split_rows(plane: Array, rows: int) -> Array:
    """A view of a plane (N, O, rows of all windows, …) as (N, O, windows, rows per window, …)."""
    return plane.reshape(*plane.shape[:2], plane.shape[2] // rows, rows, *plane.shape[3:], copy=False)


def _taps(planes: Sequence[Array], rows: int) -> list[Array]:
    """The elements at each tap of all windows, taps in row-major order."""
    split = [_split_rows(plane, rows) for plane in planes]
    return [plane[:, :, :, row] for row in range(rows) for plane in split]


def _first_largest(taps: Sequence[Array], Y: Array, masks: Sequence[Array]) -> Calls:
    """Calls that write, per tap, where it is the first that equals the maximum Y; where Y is NaN, the last tap is marked."""
    before = masks[0]  # whether an earlier tap is the maximum
    *others, last = masks
    calls: Calls = [(np.equal, taps[0], Y, before)]
    for tap, mask in zip(taps[1:], others[1:], strict=False):
        calls += [(np.equal, tap, Y, mask), (np.greater, mask, before, mask), (np.logical_or, before, mask, last)]
        before = last
    return [*calls, (np.logical_not, before, last)]


def _as_kernel(array: Array) -> Array:
    """A view of (k…, C, O) as (O, C, k…)."""
    rank = array.ndim - 2
    return array.transpose(rank + 1, rank, *range(rank))
