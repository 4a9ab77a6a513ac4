"""Correlation with a single filter: one product gives all taps' terms of all inputs, which are added where they belong.

Patches would copy the input once for each tap of a row, to multiply it by a vector. Here the input is read where it is, and
only the terms are moved: one number for each tap and input. The kernel's gradient is the product of the outputs' gradient,
moved the other way, with the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.blocks import CACHE_ELEMENTS
from graphspec.graph.kernels.channels import channel_order, contiguous
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import ReusedScratch, matmul
from graphspec.graph.kernels.windows import Axis

# Measured thresholds.
_LEAST_CHANNELS, _LEAST_CHANNELS_BACK = 16, 8
_MOST_TAPS = 1.5  # for each channel: the terms take at most that much more memory than X


def fits(X: Array, kernel: Sequence[int], axes: Sequence[Axis]) -> bool:
    """Return whether :class:`OneFilter` computes a correlation of X with a kernel of that shape."""
    single = tuple(kernel[:2]) == (1, 1) and all(a.stride == 1 for a in axes)
    return single and X.size > 0 and all(a.out for a in axes) and not all(a.trivial for a in axes)


def pays(kernel: Sequence[int], *, gradient: bool) -> bool:
    """Return whether it is faster than products with patches."""
    channels = kernel[2]
    least = _LEAST_CHANNELS_BACK if gradient else _LEAST_CHANNELS
    return channels >= least and prod(kernel[3:]) <= _MOST_TAPS * channels


class OneFilter:
    """Correlation of X (N, C, …) with a kernel (1, 1, C, k…), with channels last in memory."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        order = channel_order(X)
        if order[-1] != 1:
            order = (0, *range(2, X.ndim), 1)
        self._ctx, self.order = ctx, order
        self._X, self._copies = contiguous(ctx, X, order)
        step, least = len(X), prod(X.shape[2:]) * prod(a.kernel for a in axes)
        if order[0] == 0:  # samples whose terms stay in the cache
            step = next(n for n in range(max(1, min(step, CACHE_ELEMENTS // least)), 0, -1) if step % n == 0)
        self._step = step
        every = {0: Axis(step, step, 1, 1, 1, 0), **{k + 2: a for k, a in enumerate(axes)}}
        self._axes = [every[k] for k in order[:-1]]
        self._spatial = [k - 2 for k in order if k > 1]
        """The spatial axes in memory order."""

    def forward(self, kernel: Array, Y: Array) -> Calls:
        taps, y = self._taps(kernel), Y.transpose(self.order)[..., 0]
        weights = self._ctx.scratch(taps.shape)
        terms = self._ctx.scratch((*taps.shape[:-1], *(a.size for a in self._axes)))
        count, source = prod(taps.shape[:-1]), ReusedScratch(self._ctx)
        calls: Calls = [*self._copies, (np.copyto, weights, taps)]
        for x, outputs in self._chunks(y):
            calls += matmul(source, weights.reshape(count, -1), x.T, terms.reshape(count, -1))
            calls += self._sum(terms.reshape(count, *terms.shape[taps.ndim - 1 :]), outputs)
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        target, dy = self._taps(dK), dY.transpose(self.order)[..., 0]
        count, source = prod(target.shape[:-1]), ReusedScratch(self._ctx)
        terms = self._ctx.scratch((count, *(a.size for a in self._axes)))
        total, part = self._ctx.scratch((count, self._X.shape[-1])), self._ctx.scratch((count, self._X.shape[-1]))
        calls: Calls = [*self._copies, (terms.fill, 0.0)]
        result = total
        for x, outputs in self._chunks(dy):
            calls += [(np.copyto, plane[inputs], outputs[outs]) for plane, (outs, inputs) in self._each_tap(terms)]
            calls += matmul(source, terms.reshape(count, -1), x, result)
            if result is part:
                calls.append((np.add, total, part, total))
            result = part
        return [*calls, (np.copyto, target, total.reshape(target.shape))]

    def _taps(self, kernel: Array) -> Array:
        """Return a view of a kernel (1, 1, C, k…) as (k…, C), with k… in memory order."""
        taps: Array = kernel[0, 0]
        return taps.transpose(*(k + 1 for k in self._spatial), 0)

    def _chunks(self, Y: Array) -> Iterator[tuple[Array, Array]]:
        """Yield parts of X as rows (inputs, C) and the corresponding parts of Y, both without channels in memory order."""
        size = self._axes[0].size
        if self.order[0] != 0:
            yield self._X.reshape(-1, self._X.shape[-1]), Y
            return
        for start in range(0, len(self._X), size):
            yield self._X[start : start + size].reshape(-1, self._X.shape[-1]), Y[start : start + size]

    def _each_tap(self, terms: Array) -> Iterator[tuple[Array, tuple[tuple[slice, ...], tuple[slice, ...]]]]:
        """Yield the plane of each tap that reads inputs, the outputs that use it, and the inputs that they read."""
        for plane, taps in zip(terms, product(*(range(a.kernel) for a in self._axes)), strict=True):
            outs, inputs = zip(*(a.tap(k) for a, k in zip(self._axes, taps, strict=True)), strict=True)
            if all(s.stop > s.start for s in outs):
                yield plane, (outs, inputs)

    def _sum(self, terms: Array, y: Array) -> Calls:
        """Return calls for ``y = Σ terms[tap]``; a tap that all outputs use, if there is one, comes first."""
        everywhere = tuple(slice(0, size) for size in y.shape)
        taps = sorted(self._each_tap(terms), key=lambda tap: tap[1][0] != everywhere)
        first = [(np.copyto, y, plane[inputs]) for plane, (outs, inputs) in taps[:1] if outs == everywhere]
        calls: Calls = [*first] or [(y.fill, 0.0)]
        return calls + [(np.add, y[outs], plane[inputs], y[outs]) for plane, (outs, inputs) in taps[len(first) :]]
