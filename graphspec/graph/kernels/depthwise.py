"""Depthwise correlation: every channel has its own kernel, so the work is elementwise, not a matrix product.

Each tap of the kernel multiplies all inputs that it reads; the products are added. Blocks of the output stay in the cache
over all taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.channels import channel_order, contiguous
from graphspec.graph.kernels.common import BLOCK_ELEMENTS, zeros
from graphspec.graph.kernels.compiled import twin, use_fast_kernel
from graphspec.graph.kernels.context import Calls, Context
from graphspec.graph.kernels.windows import Axis

_ROW = 1 << 14  # a tap is tiled along output rows of at most this many elements: NumPy is slow on narrow rows
_COMPILED_TAPS, _COMPILED_RANK = 256, 6  # the most taps and axes of the compiled kernels
_COMPILED_CHANNELS = 8  # from this many channels on they are faster (measured)

Region = tuple[slice, ...]
Blocks = Sequence[tuple[Array, Array, Array]]  # x, dy and their taps, block by block


@twin()
def depthwise(x: Array, weights: Array, y: Array, steps: Array, taps: Array, /, *, product: Array) -> Calls:
    """Return calls for ``y[o] = Σ x[o·step + …] · weights[tap]`` over the rows of ``taps``, in their order.

    The input x is (…, C), as is y, the output or a part of it; weights (taps, columns, C) have each tap's vector repeated
    for columns of the output, and ``steps`` the stride of each axis but the last. A row of ``taps`` has the tap's number
    and, for each axis, the first output that uses it, their end, and the input that the first of them reads.
    """
    calls: Calls = []
    everywhere = tuple(slice(0, size) for size in y.shape[:-1])
    for tap in taps.tolist():
        outs, inputs = _regions(tap[1:], steps.tolist())
        source, target = x[inputs], y[outs]
        factor = weights[tap[0], : target.shape[-2] if weights.shape[1] > 1 else 1]
        if not calls and outs == everywhere:
            calls.append((np.multiply, source, factor, target))
            continue
        if not calls:
            calls.append((y.fill, 0.0))
        part = product[: target.size].reshape(target.shape)
        calls += [(np.multiply, source, factor, part), (np.add, target, part, target)]
    return calls or [(y.fill, 0.0)]


@twin()
def depthwise_gradient(
    x: Array,
    sums: Array,
    dy: Array,
    steps: Array,
    taps: Array,
    /,
    *,
    blocks: Blocks,
    buffers: tuple[Array, Array, Array],
) -> Calls:
    """Return calls for ``sums[tap] = Σ x[o·step + …] · dy[o]``, with operands as :func:`depthwise`.

    ``buffers`` are scratch of a block's size, ones for each block and for each row of a block, scratch (blocks, taps·C).
    """
    channels = sums.shape[-1]
    product, ones, parts = buffers
    calls: Calls = [(parts.fill, 0.0)]
    for (x_part, d_part, block_taps), total in zip(blocks, parts, strict=False):
        for tap in block_taps.tolist():
            outs, inputs = _regions(tap[1:], steps.tolist())
            d = d_part[outs]
            part = product[: d.size]
            calls += [
                (np.multiply, x_part[inputs], d, part.reshape(d.shape)),
                (np.dot, ones[: d.size // channels], part.reshape(-1, channels), total.reshape(-1, channels)[tap[0]]),
            ]
    return [*calls, (np.dot, ones[: len(parts)], parts, sums.reshape(-1))]


def compiled_pays(X: Array) -> bool:
    """Whether the compiled kernels are there, applicable and faster, by a measured threshold."""
    fits = depthwise.compiled and X.ndim <= _COMPILED_RANK
    return fits and use_fast_kernel(X.shape[1] >= _COMPILED_CHANNELS)


class ByTap:
    """X (N, C, …) with channels last in memory, and its axes but the channels in memory order."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        order = channel_order(X)
        if order[-1] != 1:
            order = (0, *range(2, X.ndim), 1)
        self._ctx, self.order = ctx, order
        self._X, self._copies = contiguous(ctx, X, order)
        every = {0: Axis(len(X), len(X), 1, 1, 1, 0), **{k + 2: a for k, a in enumerate(axes)}}
        self._axes = [every[k] for k in order[:-1]]

    def _taps(self, kernel: Array) -> Array:
        """Return a view of kernels (1, C, k…) or (C, 1, k…) as (k…, C), with k… in memory order."""
        return kernel.reshape(-1, *kernel.shape[2:], copy=False).transpose(*(k - 1 for k in self.order if k > 1), 0)


class Depthwise(ByTap):
    """Correlation of X (N, C, …) with kernels (C, 1, 1, k…)."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        super().__init__(ctx, X, axes)
        self._served = compiled_pays(X)
        self._steps = np.array([a.stride for a in self._axes], np.intc)

    def forward(self, kernel: Array, Y: Array) -> Calls:
        ordered, channels = Y.transpose(self.order), self._X.shape[-1]
        row = self._axes[-1]
        weights = self._taps(kernel[:, 0])
        count = weights.size // max(channels, 1)
        contiguous_channels = channels == 1 or ordered.strides[-1] == ordered.itemsize
        served = self._served and count <= _COMPILED_TAPS and contiguous_channels
        width = row.out if row.stride == 1 and row.out * channels <= _ROW and not served else 1
        tiled = self._ctx.scratch((*weights.shape[:-1], width, channels))
        product_buffer = self._ctx.scratch((self._largest_block() * channels,))
        calls: Calls = [*self._copies, (np.copyto, tiled, weights[..., None, :])]
        tiled = tiled.reshape(count, width, channels)
        bind = depthwise if served else depthwise.numpy
        for block, axes in self._blocks():
            taps = self._table(axes)
            calls += bind(self._X, tiled, ordered[block], self._steps, taps, product=product_buffer)
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        ordered, calls = contiguous(self._ctx, dY, self.order)
        channels = self._X.shape[-1]
        target = self._taps(dK[:, 0])
        blocks = [(self._X, ordered[block], self._table(axes)) for block, axes in self._blocks()]
        count, rows, n_sums = target.size // max(channels, 1), self._largest_block(), max(len(blocks), 1)
        result = self._ctx.scratch((count, 1, channels))
        calls += self._copies
        bind = depthwise_gradient if self._served and count <= _COMPILED_TAPS else depthwise_gradient.numpy
        taps, product_buffer = self._table(self._axes, in_order=True), self._ctx.scratch((rows * channels,))
        ones, parts = self._ctx.constant(np.ones(max(rows, n_sums))), self._ctx.scratch((n_sums, count * channels))
        buffers = product_buffer, ones, parts
        calls += bind(self._X, result, ordered, self._steps, taps, blocks=blocks, buffers=buffers)
        return [*calls, (np.copyto, target, result.reshape(target.shape))]

    def _largest_block(self) -> int:
        """Return the number of rows (of C elements) of the largest block."""
        return max((prod(a.out for a in axes) for _, axes in self._blocks()), default=0)

    def _blocks(self) -> Iterator[tuple[Region, list[Axis]]]:
        """Yield the region of each block of the output, and its axes; the two slowest axes are split."""
        sizes = [a.out for a in self._axes]
        if 0 in sizes:
            return
        steps = list(sizes)
        for k in (0, 1):
            inner = prod(sizes[k + 1 :]) * self._X.shape[-1]
            steps[k] = min(sizes[k], max(1, BLOCK_ELEMENTS // max(inner, 1)))
            if steps[k] > 1:
                break
        for starts in product(*(range(0, size, step) for size, step in zip(sizes, steps, strict=True))):
            region = tuple(slice(o, min(o + step, size)) for o, step, size in zip(starts, steps, sizes, strict=True))
            pairs = zip(self._axes, region, strict=True)
            yield region, [replace(a, out=s.stop - s.start, begin=a.begin - s.start * a.stride) for a, s in pairs]

    def _table(self, axes: Sequence[Axis], *, in_order: bool = False) -> Array:
        """Return the taps of a block that read any input, for :func:`depthwise`; by number if ``in_order``."""
        everywhere, others = list[list[int]](), list[list[int]]()  # for a sum to begin with a product
        for number, taps in enumerate(product(*(range(a.kernel) for a in axes))):
            reads = [a.tap(k) for a, k in zip(axes, taps, strict=True)]
            if all(outs.stop > outs.start for outs, _ in reads):
                whole = all(outs == slice(0, a.out) for a, (outs, _) in zip(axes, reads, strict=True))
                tap = [n for outs, inputs in reads for n in (outs.start, outs.stop, inputs.start)]
                (everywhere if whole or in_order else others).append([number, *tap])
        rows = everywhere + others
        return np.array(rows, np.intc).reshape(len(rows), 1 + 3 * len(axes))


def _regions(axes: Sequence[int], steps: Sequence[int]) -> tuple[Region, Region]:
    """Return the outputs of a tap and the inputs that they read; ``axes`` are a row of the table without the number."""
    outs, inputs = [], []
    for start, stop, first, step in zip(axes[::3], axes[1::3], axes[2::3], steps, strict=True):
        outs.append(slice(start, stop))
        inputs.append(slice(first, first + (stop - start - 1) * step + 1, step))
    return tuple(outs), tuple(inputs)


# Depthwise correlation row by row: a row of outputs stays in the first-level cache while all taps are added to it.
#
# ``np.einsum`` multiplies and adds in one pass. It orders its loops by strides, so those over the taps are within a row.
_LOGICAL = (0, 2, 3, 1)  # the axes of X as (N, H, W, C)
# Measured thresholds.
_PADDED = 1 << 16  # elements of the padded inputs of a chunk of samples
_TILED = 1 << 17  # elements of a kernel that is repeated for the columns of a row
_LEAST_ROW = 256  # elements of a row of outputs


class DepthwiseRows(Depthwise):  # for the kernel's gradient, whole planes are faster
    """Correlation of X (N, C, H, W), in memory (N, H, W, C) or (H, N, W, C), with kernels (C, 1, 1, k, l)."""

    @staticmethod
    def fits(X: Array, axes: Sequence[Axis]) -> bool:
        """Whether rows are applicable: images with channels last in memory, windows at every column."""
        return len(axes) == 2 and axes[1].stride == 1 and channel_order(X)[2:] == (3, 1)

    @staticmethod
    def pays(X: Array, axes: Sequence[Axis]) -> bool:
        """Whether it is faster than whole planes, if it is applicable; by measured thresholds."""
        return axes[1].out * X.shape[1] >= _LEAST_ROW and axes[0].kernel * axes[1].kernel > 1

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        super().__init__(ctx, X, axes)
        self._x, self._channels = X.transpose(_LOGICAL), X.shape[1]
        self._down, self._across = axes
        self._height, self._width = (axis.reach for axis in axes)
        taps = self._down.kernel * self._across.kernel
        self._columns = max(1, min(self._across.out, _TILED // max(taps * self._channels, 1)))
        self._samples = max(1, _PADDED // max(self._height * self._width * self._channels, 1))

    def forward(self, kernel: Array, Y: Array) -> Calls:
        if Y.size == 0:
            return []
        y = Y.transpose(_LOGICAL)
        if y.strides[2:] != (self._channels * y.itemsize, y.itemsize):  # its rows have gaps: inputs of strided windows
            return super().forward(kernel, Y)
        weights = kernel[:, 0, 0].transpose(1, 2, 0)
        tiled = self._ctx.scratch((*weights.shape[:2], self._columns, self._channels))
        samples = min(self._samples, len(self._x))
        padded = self._ctx.scratch((samples, self._height, self._width, self._channels))
        rows, columns = self._down.inside, self._across.inside
        above, below, inside = padded[:, : rows.start], padded[:, rows.stop :], padded[:, rows, columns]
        beside = padded[:, rows, : columns.start], padded[:, rows, columns.stop :]
        calls: Calls = [*zeros(above, below, *beside), (np.copyto, tiled, weights[:, :, None])]
        flat = tiled.reshape(*tiled.shape[:2], -1)
        top, left = rows.start - self._down.begin, columns.start - self._across.begin
        x = self._x[:, top : top + inside.shape[1], left : left + inside.shape[2]]
        for start in range(0, len(x), self._samples):
            chunk = slice(start, min(start + self._samples, len(x)))
            calls.append((np.copyto, inside[: chunk.stop - start], x[chunk]))
            for first in range(0, self._across.out, self._columns):
                part = y[chunk, :, first : first + self._columns]
                out = part.reshape(*part.shape[:2], -1, copy=False)
                windows = self._windows(padded, out.shape[0], first, out.shape[2])
                calls.append((partial(np.einsum, "nhijx,ijx->nhx", out=out), windows, flat[:, :, : out.shape[2]]))
        return calls

    def _windows(self, padded: Array, samples: int, first: int, size: int) -> Array:
        """Return the inputs of ``size`` elements of each row of outputs, from a column on: (samples, rows, k, l, size)."""
        down, across = self._down, self._across
        sample, row, column, item = padded.strides
        shape = samples, down.out, down.kernel, across.kernel, size
        strides = sample, down.stride * row, down.dilation * row, across.dilation * column, item
        return as_strided(padded[:, :, first:], shape, strides, writeable=False)
