"""Depthwise correlation: every channel has a kernel of its own, so there is nothing for a matrix product.

Each tap of the kernel is multiplied with the whole plane that it reads, and added. Blocks of the output stay in the cache
over all taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.channels import channel_order, contiguous
from graphspec.kernels.context import Context
from graphspec.kernels.windows import Axis

_BLOCK = 1 << 16  # numbers of the output in a block
_ROW = 1 << 14  # numbers up to which a tap is repeated along a row of the output: NumPy is slow on narrow rows

Where = tuple[slice, ...]


class Depthwise:
    """Correlation of X (N, C, …) with kernels (C, 1, 1, k…), with channels last in memory."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        order = channel_order(X)
        if order[-1] != 1:
            order = (0, *range(2, X.ndim), 1)
        self._ctx, self.order = ctx, order
        self._X, self._before = contiguous(ctx, X, order)
        every = {0: Axis(len(X), len(X), 1, 1, 1, 0), **{k + 2: a for k, a in enumerate(axes)}}
        self._axes = [every[k] for k in order[:-1]]
        self._spatial = [k - 2 for k in order if k > 1]
        """The spatial axes in the order of memory."""

    def forward(self, kernel: Array, Y: Array) -> Calls:
        lying, channels = Y.transpose(self.order), self._X.shape[-1]
        row = self._axes[-1]
        width = row.out if row.stride == 1 and row.out * channels <= _ROW else 1
        weights = self._taps(kernel)
        wide = self._ctx.scratch((*weights.shape[:-1], width, channels))
        calls: Calls = [*self._before, (np.copyto, wide, weights[..., None, :])]
        wide = wide.reshape(-1, width, channels)
        spare = self._ctx.scratch((self._largest() * channels,))
        for block, axes in self._blocks():
            y, first = lying[block], True
            taps = self._reads(axes)
            whole = tuple(slice(0, a.out) for a in axes)
            for number, outs, inputs in sorted(taps, key=lambda tap: tap[1] != whole):
                x, into = self._X[inputs], y[outs]
                factor = wide[number, : into.shape[-2]]
                if first and outs == whole:
                    calls.append((np.multiply, x, factor, into))
                else:
                    if first:
                        calls.append((y.fill, 0.0))
                    part = spare[: into.size].reshape(into.shape)
                    calls += [(np.multiply, x, factor, part), (np.add, into, part, into)]
                first = False
            if first:
                calls.append((y.fill, 0.0))
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        lying, calls = contiguous(self._ctx, dY, self.order)
        channels = self._X.shape[-1]
        target = self._taps(dK)
        blocks = list(self._blocks())
        count, rows, most = target.size // max(channels, 1), self._largest(), max(len(blocks), 1)
        sums = self._ctx.scratch((most, count, channels))
        spare, ones = self._ctx.scratch((rows * channels,)), self._ctx.constant(np.ones(max(rows, most)))
        calls += [*self._before, (sums.fill, 0.0)]
        for (block, axes), total in zip(blocks, sums, strict=False):
            for number, outs, inputs in self._reads(axes):
                d = lying[block][outs]
                part = spare[: d.size]
                calls += [
                    (np.multiply, self._X[inputs], d, part.reshape(d.shape)),
                    (np.dot, ones[: d.size // channels], part.reshape(-1, channels), total[number]),
                ]
        result = self._ctx.scratch((count * channels,))
        calls.append((np.dot, ones[:most], sums.reshape(most, -1), result))
        return [*calls, (np.copyto, target, result.reshape(target.shape))]

    def _taps(self, kernel: Array) -> Array:
        """Kernels (C, 1, 1, k…) as (k…, C), k… in the order of memory."""
        return kernel[:, 0, 0].transpose(*(k + 1 for k in self._spatial), 0)

    def _largest(self) -> int:
        """The most rows of C numbers that a block has."""
        return max((int(np.prod([a.out for a in axes], dtype=np.int64)) for _, axes in self._blocks()), default=0)

    def _blocks(self) -> Iterator[tuple[Where, list[Axis]]]:
        """Where each block of the output lies, and its axes: the two slowest ones are cut."""
        sizes = [a.out for a in self._axes]
        if 0 in sizes:
            return
        steps = list(sizes)
        for k in (0, 1):
            rest = int(np.prod(sizes[k + 1 :], dtype=np.int64)) * self._X.shape[-1]
            steps[k] = min(sizes[k], max(1, _BLOCK // max(rest, 1)))
            if steps[k] > 1:
                break
        for starts in product(*(range(0, size, step) for size, step in zip(sizes, steps, strict=True))):
            where = tuple(slice(o, min(o + step, size)) for o, step, size in zip(starts, steps, sizes, strict=True))
            cut = [
                replace(a, out=w.stop - w.start, begin=a.begin - w.start * a.stride)
                for a, w in zip(self._axes, where, strict=True)
            ]
            yield where, cut

    def _reads(self, axes: Sequence[Axis]) -> list[tuple[int, Where, Where]]:
        """For each tap that reads anything: its number, the outputs of a block that have it, the inputs that they read."""
        found = []
        for number, taps in enumerate(product(*(range(a.kernel) for a in axes))):
            outs, inputs = zip(*(a.tap(k) for a, k in zip(axes, taps, strict=True)), strict=True)
            if all(o.stop > o.start for o in outs):
                found.append((number, outs, inputs))
        return found
