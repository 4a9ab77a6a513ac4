"""Depthwise correlation: every channel has its own kernel, so the work is elementwise, not a matrix product.

Each tap of the kernel multiplies all inputs that it reads; the products are added. Blocks of the output stay in the cache
over all taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.blocks import BLOCK_ELEMENTS
from graphspec.kernels.channels import channel_order, contiguous
from graphspec.kernels.context import Context
from graphspec.kernels.windows import Axis

_ROW = 1 << 14  # a tap is tiled along output rows of at most this many elements: NumPy is slow on narrow rows

Region = tuple[slice, ...]


class Depthwise:
    """Correlation of X (N, C, …) with kernels (C, 1, 1, k…), with channels last in memory."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        order = channel_order(X)
        if order[-1] != 1:
            order = (0, *range(2, X.ndim), 1)
        self._ctx, self.order = ctx, order
        self._X, self._copies = contiguous(ctx, X, order)
        every = {0: Axis(len(X), len(X), 1, 1, 1, 0), **{k + 2: a for k, a in enumerate(axes)}}
        self._axes = [every[k] for k in order[:-1]]
        self._spatial = [k - 2 for k in order if k > 1]
        """The spatial axes in memory order."""

    def forward(self, kernel: Array, Y: Array) -> Calls:
        ordered, channels = Y.transpose(self.order), self._X.shape[-1]
        row = self._axes[-1]
        width = row.out if row.stride == 1 and row.out * channels <= _ROW else 1
        weights = self._taps(kernel)
        tiled = self._ctx.scratch((*weights.shape[:-1], width, channels))
        calls: Calls = [*self._copies, (np.copyto, tiled, weights[..., None, :])]
        tiled = tiled.reshape(-1, width, channels)
        product_buffer = self._ctx.scratch((self._largest_block() * channels,))
        for block, axes in self._blocks():
            y, first = ordered[block], True
            taps = self._reads(axes)
            everywhere = tuple(slice(0, a.out) for a in axes)
            for number, outs, inputs in sorted(taps, key=lambda tap: tap[1] != everywhere):
                x, target = self._X[inputs], y[outs]
                factor = tiled[number, : target.shape[-2]]
                if first and outs == everywhere:
                    calls.append((np.multiply, x, factor, target))
                else:
                    if first:
                        calls.append((y.fill, 0.0))
                    part = product_buffer[: target.size].reshape(target.shape)
                    calls += [(np.multiply, x, factor, part), (np.add, target, part, target)]
                first = False
            if first:
                calls.append((y.fill, 0.0))
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        ordered, calls = contiguous(self._ctx, dY, self.order)
        channels = self._X.shape[-1]
        target = self._taps(dK)
        blocks = list(self._blocks())
        count, rows, n_sums = target.size // max(channels, 1), self._largest_block(), max(len(blocks), 1)
        sums = self._ctx.scratch((n_sums, count, channels))
        product_buffer, ones = self._ctx.scratch((rows * channels,)), self._ctx.constant(np.ones(max(rows, n_sums)))
        calls += [*self._copies, (sums.fill, 0.0)]
        for (block, axes), total in zip(blocks, sums, strict=False):
            for number, outs, inputs in self._reads(axes):
                d = ordered[block][outs]
                part = product_buffer[: d.size]
                calls += [
                    (np.multiply, self._X[inputs], d, part.reshape(d.shape)),
                    (np.dot, ones[: d.size // channels], part.reshape(-1, channels), total[number]),
                ]
        result = self._ctx.scratch((count * channels,))
        calls.append((np.dot, ones[:n_sums], sums.reshape(n_sums, -1), result))
        return [*calls, (np.copyto, target, result.reshape(target.shape))]

    def _taps(self, kernel: Array) -> Array:
        """Return a view of kernels (C, 1, 1, k…) as (k…, C), with k… in memory order."""
        return kernel[:, 0, 0].transpose(*(k + 1 for k in self._spatial), 0)

    def _largest_block(self) -> int:
        """Return the number of rows (of C elements) of the largest block."""
        return max((int(np.prod([a.out for a in axes], dtype=np.int64)) for _, axes in self._blocks()), default=0)

    def _blocks(self) -> Iterator[tuple[Region, list[Axis]]]:
        """Yield the region of each block of the output, and its axes; the two slowest axes are split."""
        sizes = [a.out for a in self._axes]
        if 0 in sizes:
            return
        steps = list(sizes)
        for k in (0, 1):
            inner = int(np.prod(sizes[k + 1 :], dtype=np.int64)) * self._X.shape[-1]
            steps[k] = min(sizes[k], max(1, BLOCK_ELEMENTS // max(inner, 1)))
            if steps[k] > 1:
                break
        for starts in product(*(range(0, size, step) for size, step in zip(sizes, steps, strict=True))):
            region = tuple(slice(o, min(o + step, size)) for o, step, size in zip(starts, steps, sizes, strict=True))
            axes = [
                replace(a, out=outs.stop - outs.start, begin=a.begin - outs.start * a.stride)
                for a, outs in zip(self._axes, region, strict=True)
            ]
            yield region, axes

    def _reads(self, axes: Sequence[Axis]) -> list[tuple[int, Region, Region]]:
        """Return (number, outputs of the block that use it, inputs that they read) for each tap that reads any input."""
        found = []
        for number, taps in enumerate(product(*(range(a.kernel) for a in axes))):
            outs, inputs = zip(*(a.tap(k) for a, k in zip(axes, taps, strict=True)), strict=True)
            if all(o.stop > o.start for o in outs):
                found.append((number, outs, inputs))
        return found
