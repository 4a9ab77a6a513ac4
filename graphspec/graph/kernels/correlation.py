"""Cross-correlation and its gradients. The forward pass of Conv is the input gradient of ConvTranspose, and vice versa.

A kernel is (groups, out, in, k…), where out and in are the channels of one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import gcd, prod
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.base.arrays.blas import small_kernels
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.channels import channel_order, contiguous
from graphspec.graph.kernels.common import CACHE_ELEMENTS, as_records, zeros
from graphspec.graph.kernels.compiled import alone, available, spreads_well, use_fast_kernel
from graphspec.graph.kernels.context import Calls, Context
from graphspec.graph.kernels.depthwise import ByTap, Depthwise, DepthwiseRows, compiled_pays
from graphspec.graph.kernels.matmul import SMALL, ReusedScratch, matmul, single_call, small_products, worth_transposing
from graphspec.graph.kernels.windows import Axis, ceil
from graphspec.graph.kernels.winograd import Winograd, form_of

# Convolution as matrix products with patches: the inputs under each window, as rows of matrices.
#
# MEC (Cho and Brand, *MEC: memory-efficient convolution for deep neural network*, ICML 2017): one copy of the input contains
# the windows of all spatial axes but the first. The windows of the first axis are overlapping views of that copy, which BLAS
# reads without another copy.
_PARTIAL_SUMS = 1 << 18  # elements in the partial sums of a weight gradient
# A product of a weight gradient sums at most 256 rows if BLAS need not pack it, and packs it if that allows fewer than 48.
_SUMMED_ROWS, _LEAST_SUMMED = 256, 48
_MANY_ROWS = 512  # for at least as many it pays to copy a transposed kernel


@dataclass
class PatchProducts:
    """Correlation by products with patches: matrices of ``shape`` (groups, batches, rows, kernel·channels).

    Each row is one window (k…, c). The product with a kernel is (groups, batches, rows, out). Batches and rows together are
    the output's axes without the channels, in ``order``. ``calls`` run first. Then each of the ``chunks`` has calls, a
    matrix that is valid from their end to the calls of the next chunk, and its rows.
    """

    ctx: Context
    shape: tuple[int, int, int, int]
    order: tuple[int, ...]
    calls: Calls
    chunks: list[tuple[Calls, Array, slice]]

    def rows(self, Y: Array) -> Array:
        """Return an array (N, O, …), C-contiguous in ``order``, as (groups, batches, rows, out)."""
        groups, batches, rows, _ = self.shape
        shape = (batches, rows, groups, Y.shape[1] // groups)
        return Y.transpose(self.order).reshape(shape, copy=False).transpose(2, 0, 1, 3)

    def untransposed(self, kernel: Array) -> bool:
        """Return whether to copy a kernel (groups, kernel·channels, out) that is transposed in memory, by measured rules."""
        _, batches, rows, _ = self.shape
        _, k, n = kernel.shape
        return batches * rows >= _MANY_ROWS and worth_transposing(min(rows, SMALL // max(k * n, 1)), k, n)

    def multiply(self, kernel: Array, out: Array) -> Calls:
        """Return calls that write the product with ``kernel`` (groups, kernel·channels, out)."""
        calls = list(self.calls)
        for copies, matrix, rows in self.chunks:
            calls += copies + _multiply_patches(matrix, kernel, out[:, :, rows])
        return calls

    def multiply_transposed(self, D: Array, out: Array) -> Calls:
        """Return calls for ``out = Σ matrixᵀ @ D`` over batches and rows; out (groups, k…, channels, out) is in C order."""
        groups, batches, rows, depth = self.shape
        size = groups * depth * D.shape[-1]
        tile = min(_SUMMED_ROWS, SMALL // max(depth * D.shape[-1], 1))
        if batches > 1 or tile < _LEAST_SUMMED or not small_products():
            tile = rows
        step = max(1, min(max(batches, ceil(rows, max(tile, 1))), _PARTIAL_SUMS // max(size, 1)))
        total = out.reshape(-1)
        next_sum, parts = self.ctx.scratch((size,)), self.ctx.scratch((step, size))
        ones = self.ctx.constant(np.ones(step))
        calls: Calls = list(self.calls) if self.chunks else [(total.fill, 0.0)]
        result = total
        for copies, matrix, span in self.chunks:
            calls += copies
            for M, E in _row_tiles(matrix, D[:, :, span], tile):
                for start in range(0, len(M), step):
                    A, B = M[start : start + step].mT, E[start : start + step]
                    part = parts[: len(A)] if len(A) > 1 else result[None]
                    calls.append((np.matmul, A, B, part.reshape(len(A), groups, depth, D.shape[-1])))
                    if len(A) > 1:
                        calls.append((np.dot, ones[: len(A)], part, result))
                    if result is next_sum:
                        calls.append((np.add, total, next_sum, total))
                    result = next_sum
        return calls

    def forward(self, kernel: Array, Y: Array) -> Calls:
        view = kernel.transpose(0, *range(3, kernel.ndim), 2, 1)
        shape = (view.shape[0], -1, view.shape[-1])
        calls: Calls = []
        try:
            packed = view.reshape(shape, copy=False)
        except ValueError:
            copy = self.ctx.scratch(view.shape)
            packed, calls = copy.reshape(shape), [(np.copyto, copy, view)]
        if packed.strides[-1] != packed.itemsize and self.untransposed(packed):
            packed, calls = contiguous(self.ctx, packed, (0, 1, 2))
        try:
            return calls + self.multiply(packed, self.rows(Y))
        except ValueError:  # Y has another memory order
            ordered = Y.transpose(self.order)
            result = self.ctx.scratch(ordered.shape)
            rows = self.rows(result.transpose(np.argsort(self.order)))
            return [*calls, *self.multiply(packed, rows), (np.copyto, ordered, result)]

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        ordered, calls = contiguous(self.ctx, dY, self.order)
        rows = self.rows(ordered.transpose(np.argsort(self.order)))
        target = dK.transpose(0, *range(3, dK.ndim), 2, 1)
        if target.flags.c_contiguous:
            return calls + self.multiply_transposed(rows, target)
        total = self.ctx.scratch(target.shape)
        return [*calls, *self.multiply_transposed(rows, total), (np.copyto, target, total)]


def patches(ctx: Context, X: Array, axes: Sequence[Axis], groups: int, *, least: int = 0) -> PatchProducts:
    """Return the patches of X (N, C, …): views or copies, in chunks of ``least`` elements or of what fits the cache."""
    if groups == 1 and X.size and all(a.trivial for a in axes):
        order = channel_order(X)
        if X.shape[1] == 1:
            order = (*(k for k in order if k != 1), 1)
        ordered = X.transpose(order)
        if order[-1] == 1 and ordered.flags.c_contiguous:
            matrix = ordered.reshape(1, 1, -1, ordered.shape[-1])
            return PatchProducts(ctx, matrix.shape, order, [], [([], matrix, slice(0, matrix.shape[2]))])
    batch, channels, rank = X.shape[0], X.shape[1] // groups, len(axes)
    overlapped = rank > 1 and axes[0].dilation == 1
    first = axes[0] if overlapped else Axis(1, 1, 1, 1, 1, 0)
    others = axes[1:] if overlapped else axes
    height = first.reach
    outs, kernels = [a.out for a in others], [a.kernel for a in others]
    windows, row = prod(outs), prod(kernels) * channels

    limit = max(1, min(batch, max(CACHE_ELEMENTS, least) // (groups * windows * height * row)))
    step = _equal_part(batch, limit)
    copy = ctx.scratch((groups, step, *outs, height, *kernels, channels))
    item = copy.itemsize
    matrix = as_strided(
        copy,
        (groups, first.out, step * windows, first.kernel * row),
        (step * windows * height * row * item, first.stride * row * item, height * row * item, item),
        writeable=False,
    )
    chunks = []
    for start in range(0, batch, step):
        count = min(step, batch - start)
        calls = _copies(X[start : start + count], copy[:, :count], first, others)
        chunks.append((calls, matrix[:, :, : count * windows], slice(start * windows, (start + count) * windows)))
    order = (2, 0, *range(3, rank + 2), 1) if overlapped else (0, *range(2, rank + 2), 1)
    shape = (groups, first.out, batch * windows, matrix.shape[-1])
    return PatchProducts(ctx, shape, order, zeros(*_borders(copy, first, others)), chunks)


def _copies(X: Array, copy: Array, first: Axis, others: Sequence[Axis]) -> Calls:
    """Return calls that copy X to (groups, N, out…, height, kernel…, channels), one for each run of outputs with equal taps.

    ``first`` is the spatial axis that is missing in ``others``, or an axis of size 1 that X does not have.
    """
    N, C, *spatial = X.strides
    overlapped, channels = len(spatial) > len(others), copy.shape[-1]
    down = spatial.pop(0) if overlapped else 0
    rows = first.inside
    outer = [a.stride * s for a, s in zip(others, spatial, strict=True)]
    inner = [a.dilation * s for a, s in zip(others, spatial, strict=True)]
    calls: Calls = []
    for runs in product(*(a.segments() for a in others)):
        outs: list[Any] = [slice(o, o_end) for o, o_end, _, _ in runs]
        taps = [slice(k, k_end) for _, _, k, k_end in runs]
        target = copy[(slice(None), slice(None), *outs, rows, *taps)]
        if target.size == 0:
            continue
        start = [o * a.stride + k * a.dilation - a.begin for a, (o, _, k, _) in zip(others, runs, strict=True)]
        if overlapped:
            start.insert(0, rows.start - first.begin)
        source = X[(slice(None), slice(None), *(slice(s, None) for s in start))]
        source = as_strided(source, target.shape, (channels * C, N, *outer, down, *inner, C), writeable=False)
        with suppress(ValueError):  # the last two axes may not be contiguous: else they are one, short ones a record
            shape = (*target.shape[:-2], -1)
            target, source = as_records(target.reshape(shape, copy=False), source.reshape(shape, copy=False))
        calls.append((np.copyto, target, source))
    return calls


def _borders(copy: Array, first: Axis, others: Sequence[Axis]) -> list[Array]:
    """Return views of the parts of the copy that contain padding."""
    every = (slice(None),) * len(others)
    rows = first.inside
    parts = [copy[:, :, *every, : rows.start], copy[:, :, *every, rows.stop :]]
    for position, axis in enumerate(others):
        for o, o_end, k, k_end in axis.segments():
            taps = slice(0, k), slice(k_end, None)
            parts += [copy[:, :, *every[:position], o:o_end, *every, padded] for padded in taps]
    return parts


def _multiply_patches(A: Array, B: Array, out: Array) -> Calls:
    """Return calls for ``out = A @ B`` of A (g, b, m, k) and B (g, k, n)."""
    if A.shape[3] == 1 and A.shape[:2] == (1, 1) and all(X.flags.c_contiguous for X in (A, B, out)) and out.size:
        return [single_call(A[0, 0], B[0], out[0, 0])]  # np.matmul has no BLAS for it
    return _multiply(A, B[:, None], out) if out.size else []


def _multiply(A: Array, B: Array, out: Array) -> Calls:
    """Return calls for ``out = A @ B`` of A (…, m, k) and B (…, k, n), in tiles of rows that OpenBLAS does not pack."""
    m, limit = A.shape[-2], SMALL // max(1, B.shape[-2] * B.shape[-1])
    if limit < _LEAST_TILE or m <= limit or not small_products():
        return [(np.matmul, A, B, out)]
    tile = _equal_part(m, limit)
    tail = m // tile * tile
    calls: Calls = [(np.matmul, _tiles(A[..., :tail, :], tile), B[..., None, :, :], _tiles(out[..., :tail, :], tile))]
    return calls if tail == m else [*calls, (np.matmul, A[..., tail:, :], B, out[..., tail:, :])]


def _equal_part(count: int, limit: int) -> int:
    """Return the largest part up to ``limit`` of which ``count`` has a whole number, if it is more than half of it."""
    return next((part for part in range(limit, limit // 2, -1) if count % part == 0), limit)


def _row_tiles(A: Array, D: Array, tile: int) -> Iterator[tuple[Array, Array]]:
    """Yield corresponding rows of A (g, b, m, k) and D (g, b, m, n), (batch, g, rows, …): tiles, then the other rows."""
    m = A.shape[2]
    tail = m // tile * tile if tile < m else 0
    if tail:
        a, d = (_tiles(X[:, :, :tail], tile)[:, 0].swapaxes(0, 1) for X in (A, D))
        yield a, d
    if tail < m:
        yield A[:, :, tail:].swapaxes(0, 1), D[:, :, tail:].swapaxes(0, 1)


def _tiles(X: Array, rows: int) -> Array:
    """Return a view of X (…, m, n) as (…, tiles, rows, n)."""
    *lead, row, column = X.strides
    return as_strided(X, (*X.shape[:-2], X.shape[-2] // rows, rows, X.shape[-1]), (*lead, rows * row, row, column))


# Correlation along one axis by products with views of X: it is copied only if that axis is not the fastest.
#
# If the axis and the channels are the fastest in memory, the ``k`` inputs under a window are ``k·C`` contiguous elements.
# Neighbouring windows overlap, which BLAS does not accept, but every ``k``-th does not: the windows 0, k, 2k, … of a line
# form a matrix that BLAS reads as it is, the windows 1, k + 1, … another. If a line has too few windows for that, each
# matrix contains the windows of one output in all lines. So do windows at the borders: they leave out the taps that read
# padding. Measured thresholds:
_LEAST_TILE = 16  # products of fewer rows are faster if BLAS packs them
_LEAST_WINDOWS = 8  # every k-th window of a row: matrices of at least as many rows
_LEAST_ROWS = 64  # the windows of one output in all rows: matrices of at least as many rows
_LEAST_ROWS_BACK = 128  # the same for the kernel's gradient
_LEAST_SIZE_BACK = SMALL // 48  # elements of a kernel: for smaller ones, products with patches need no packing
_MOST_OUTPUTS = 64  # and at most as many of them: their rows are far apart in memory


def long_axis(axes: Sequence[Axis]) -> int | None:
    """Return the index of the only axis with windows of several inputs, next to each other; None if there is none."""
    long = [k for k, axis in enumerate(axes) if not axis.trivial]
    single = len(long) == 1 and axes[long[0]].kernel > 1 and axes[long[0]].dilation == 1
    return long[0] if single else None


class OneAxis:
    """Correlation of X (N, C, …) with kernels (1, filters, C, …) along the spatial axis ``index``."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis], index: int) -> None:
        order = [k for k in channel_order(X) if k not in (1, index + 2)]
        self._ctx, self.axis, self._lines = ctx, axes[index], (*order, index + 2, 1)
        x, self._copies = contiguous(ctx, X, self._lines)
        self.order: tuple[int, ...] = (index + 2, *order, 1) if self._copies else self._lines
        self.lines = x.reshape(-1, *x.shape[-2:])  # X, or its copy, as (lines, inputs, C)
        self._step = ceil(self.axis.kernel, self.axis.stride)  # the distance of two windows that do not overlap

    def pays(self, filters: int, *, gradient: bool = False) -> bool:
        """Return whether it is faster than products with patches; by measured thresholds."""
        axis, (lines, _, channels) = self.axis, self.lines.shape
        size, by_output = axis.kernel * channels * filters, axis.out <= _MOST_OUTPUTS
        if gradient:
            return by_output and lines >= _LEAST_ROWS_BACK and size >= _LEAST_SIZE_BACK
        return (by_output and lines >= _LEAST_ROWS) or (small_kernels() and self._in_lines(axis.out, size))

    def forward(self, kernel: Array, Y: Array) -> Calls:
        channels, filters = self.lines.shape[-1], Y.shape[1]
        if Y.size == 0:
            return []
        y, copied = self._by_line(Y)
        weights = kernel[0].reshape(filters, channels, -1).transpose(2, 1, 0)
        packed, calls = contiguous(self._ctx, weights, (0, 1, 2))
        calls = [*self._copies, *calls]
        for first, end, tap, tap_end in self.axis.segments():
            out, W = y[:, first:end], packed[tap:tap_end].reshape(-1, filters)
            calls += self._products(self._inputs(first, tap), W, out) if tap < tap_end else [(out.fill, 0.0)]
        ordered = Y.transpose(self._lines)
        return [*calls, (np.copyto, ordered, y.reshape(ordered.shape))] if copied else calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        if dY.size == 0:
            return [(dK.fill, 0.0)]
        channels, filters = self.lines.shape[-1], dY.shape[1]
        dy, copied = self._by_line(dY)
        ordered, calls = dY.transpose(self._lines), list(self._copies)
        if copied:
            calls.append((np.copyto, dy.reshape(ordered.shape), ordered))
        total = self._ctx.scratch((self.axis.kernel, channels * filters))
        calls.append((total.fill, 0.0))
        mark = self._ctx.mark()
        for first, end, tap, tap_end in self.axis.segments():
            self._ctx.reset(mark)
            if tap < tap_end:
                calls += self._sum(self._inputs(first, tap), dy[:, first:end], total[tap:tap_end].reshape(-1, filters))
        result = total.reshape(-1, channels, filters).transpose(2, 1, 0)
        return [*calls, (np.copyto, dK[0].reshape(filters, channels, -1), result)]

    def _sum(self, x: Array, dy: Array, total: Array) -> Calls:
        """Return calls that add the sum over all windows from the first column of ``x`` on to ``total``."""
        count, size = dy.shape[1], total.size
        step = min(count, max(1, _PARTIAL_SUMS // size))
        next_sum, parts = self._ctx.scratch(total.shape), self._ctx.scratch((step, *total.shape))
        ones = self._ctx.constant(np.ones(step))
        windows, d = self._by_output(x, count, len(total)).mT, dy.swapaxes(0, 1)
        calls: Calls = []
        for start in range(0, count, step):
            n = min(step, count - start)
            calls += [
                (np.matmul, windows[start : start + n], d[start : start + n], parts[:n]),
                (np.dot, ones[:n], parts[:n].reshape(n, -1), next_sum.reshape(-1)),
                (np.add, total, next_sum, total),
            ]
        return calls

    def _by_line(self, Y: Array) -> tuple[Array, bool]:
        """Return Y (N, filters, …) as (lines, outputs, filters), or scratch of that shape and True if no view has it."""
        with suppress(ValueError):  # the lines of Y may not be at equal distances
            return Y.transpose(self._lines).reshape(len(self.lines), -1, Y.shape[1], copy=False), False
        return self._ctx.scratch((len(self.lines), self.axis.out, Y.shape[1])), True

    def _inputs(self, output: int, tap: int) -> Array:
        """Return the inputs of all lines from the one on that the tap of this output reads."""
        return self.lines[:, output * self.axis.stride + tap - self.axis.begin :]

    def _by_output(self, x: Array, count: int, size: int) -> Array:
        """Return the windows of the first ``count`` outputs, (count, lines, size)."""
        line, column, item = x.strides
        return as_strided(x, (count, len(x), size), (self.axis.stride * column, line, item), writeable=False)

    def _products(self, x: Array, W: Array, out: Array) -> Calls:
        """Return calls for the windows from the first column of ``x`` on; W is (taps·C, filters)."""
        (lines, count, filters), size, stride, step = out.shape, len(W), self.axis.stride, self._step
        (line, column, item), (out_line, out_column, out_item) = x.strides, out.strides
        calls, done = Calls(), 0
        if self._in_lines(count, W.size):
            rows = count // step
            done = rows * step
            windows = as_strided(x, (lines, step, rows, size), (line, stride * column, step * stride * column, item))
            results = as_strided(out, (lines, step, rows, filters), (out_line, out_column, step * out_column, out_item))
            calls += _multiply(windows, W, results)
        if done < count:
            windows = self._by_output(x[:, done * stride :], count - done, size)
            calls += _multiply(windows, W, out[:, done:].swapaxes(0, 1))
        return calls

    def _in_lines(self, count: int, size: int) -> bool:
        """Return whether ``count`` windows of a line make matrices that are large enough for a kernel of this size."""
        return size * _LEAST_TILE <= SMALL and count >= _LEAST_WINDOWS * self._step


# Correlation with few filters: one product gives all taps' terms of all inputs, which are added where they belong.
#
# Patches would copy the input once for each tap of a row, to multiply it by a narrow matrix. Here the input is read where it
# is, and only the terms are moved: one number for each filter, tap and input. The kernel's gradient, of one filter, is the
# product of the outputs' gradient, moved the other way, with the input. Measured thresholds:
_LEAST_CHANNELS, _LEAST_CHANNELS_BACK = 16, 8
_MOST_FILTERS = 8
_MOST_TERMS = 1 << 19  # of all taps of a sample, where strides divide them among the outputs
_MOST_TAPS = 1.5  # for each channel: the terms take at most that much more memory than X


class FewFilters(ByTap):
    """Correlation of X (N, C, …) with a kernel (1, filters, C, k…)."""

    @staticmethod
    def fits(X: Array, kernel: Sequence[int], axes: Sequence[Axis], *, gradient: bool = False) -> bool:
        """Return whether it computes a correlation of X with a kernel of that shape, or its gradient.

        Several filters only where it is faster, so that other algorithms can be forced.
        """
        few = kernel[1] <= _MOST_FILTERS and not gradient and FewFilters.pays(kernel, gradient=False)
        few = kernel[0] == 1 and (kernel[1] == 1 or few) and all(a.stride == 1 for a in axes)
        return few and X.size > 0 and all(a.out for a in axes) and not all(a.trivial for a in axes)

    @staticmethod
    def pays(kernel: Sequence[int], *, gradient: bool) -> bool:
        """Return whether it is faster than products with patches."""
        _, filters, channels, *taps = kernel
        least = _LEAST_CHANNELS_BACK if gradient else _LEAST_CHANNELS
        return channels >= least and filters * prod(taps) <= _MOST_TAPS * channels

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis], filters: int = 1) -> None:
        super().__init__(ctx, X, axes)
        if self.order[0] == 0:  # samples whose terms stay in the cache
            least = filters * prod(X.shape[2:]) * prod(a.kernel for a in axes)
            limit = max(1, min(len(X), CACHE_ELEMENTS // least))
            step = next(n for n in range(limit, 0, -1) if len(X) % n == 0)
            self._axes[0] = Axis(step, step, 1, 1, 1, 0)

    def forward(self, kernel: Array, Y: Array) -> Calls:
        taps = kernel[0].transpose(*(k for k in self.order if k > 1), 0, 1)  # (k…, filters, C), with k… in memory order
        weights = self._ctx.scratch(taps.shape)
        terms = self._ctx.scratch((*taps.shape[:-1], *(a.size for a in self._axes)))
        total = self._ctx.scratch((Y.shape[1], *(a.out for a in self._axes)))
        count, source = prod(taps.shape[:-1]), ReusedScratch(self._ctx)
        calls: Calls = [*self._copies, (np.copyto, weights, taps)]
        for x, outputs in self._chunks(Y.transpose(self.order)):
            calls += matmul(source, weights.reshape(count, -1), x.T, terms.reshape(count, -1))
            y = np.moveaxis(outputs, -1, 0)
            result = y if len(y) == 1 else total[:, : len(outputs)]
            calls += self._sum(terms.reshape(-1, *terms.shape[taps.ndim - 2 :]), result)
            calls += [] if result is y else [(np.copyto, y, result)]
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        target, dy = self._taps(dK[:, 0]), dY.transpose(self.order)[..., 0]
        count, source = prod(target.shape[:-1]), ReusedScratch(self._ctx)
        terms = self._ctx.scratch((count, *(a.size for a in self._axes)))
        total, part = (self._ctx.scratch((count, self._X.shape[-1])) for _ in range(2))
        calls: Calls = [*self._copies, (terms.fill, 0.0)]
        result = total
        for x, outputs in self._chunks(dy):
            calls += [(np.copyto, plane[inputs], outputs[outs]) for plane, (outs, inputs) in self._each_tap(terms)]
            calls += matmul(source, terms.reshape(count, -1), x, result)
            if result is part:
                calls.append((np.add, total, part, total))
            result = part
        return [*calls, (np.copyto, target, total.reshape(target.shape))]

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
        """Return calls for ``y = Σ terms[tap]``, filters first; a tap that all outputs use, if there is one, comes first."""
        everywhere = tuple(slice(0, size) for size in y.shape[1:])
        taps = sorted(self._each_tap(terms), key=lambda tap: tap[1][0] != everywhere)
        first = [(np.copyto, y, plane[:, *inputs]) for plane, (outs, inputs) in taps[:1] if outs == everywhere]
        calls: Calls = [*first] or [(y.fill, 0.0)]
        rest = taps[len(first) :]
        return calls + [(np.add, y[:, *outs], plane[:, *inputs], y[:, *outs]) for plane, (outs, inputs) in rest]


# Correlation with a stride that divides the kernel: the inputs of each stride are channels of one block.
#
# A 4×4 kernel with stride 2 over C channels is a 2×2 kernel with stride 1 over 4·C channels, to which Winograd's algorithm
# applies.
class StrideBlocks:
    """Correlation of X (N, C, …) with kernels (1, filters, C, k…), whose sizes are multiples of the strides."""

    @staticmethod
    def pays(kernel: Sequence[int], axes: Sequence[Axis]) -> bool:
        """Whether it is applicable, and faster than products with patches."""
        fits = kernel[0] == 1 and all(a.kernel % a.stride == 0 and a.dilation == 1 for a in axes)
        if not fits or all(a.stride == 1 for a in axes):
            return False
        inner = form_of([_of_blocks(a) for a in axes], kernel[2] * prod(a.stride for a in axes), kernel[1])
        return inner is not None and use_fast_kernel(inner[1])

    def __init__(self, ctx: Context, X: Array, kernel: Sequence[int], axes: Sequence[Axis], *, gradient: bool) -> None:
        self._ctx, self._steps, blocks = ctx, [a.stride for a in axes], [_of_blocks(a) for a in axes]
        first, *others = (a.size for a in blocks)
        Z = ctx.scratch((first, len(X), *others, *self._steps, X.shape[1]))
        by_sample, rank = Z.swapaxes(0, 1), len(axes)
        x, self._copies = X.transpose(0, *range(2, X.ndim), 1), Calls()
        windows = [Axis(a.size, b.size, a.stride, a.stride, 1, a.begin) for a, b in zip(axes, blocks, strict=True)]
        for taps in product(*map(range, self._steps)):
            target = by_sample[(slice(None),) * (rank + 1) + taps]
            outs, inputs = zip(*(w.tap(k) for w, k in zip(windows, taps, strict=True)), strict=True)
            for k, out in enumerate(outs):
                before: tuple[slice, ...] = (slice(None),) * (k + 1)
                self._copies += zeros(target[(*before, slice(0, out.start))], target[(*before, slice(out.stop, None))])
            if target[:, *outs].size:
                self._copies.append((np.copyto, *as_records(target[:, *outs], x[:, *inputs])))
        depth = prod(self._steps) * X.shape[1]
        joined = by_sample.reshape(*by_sample.shape[: rank + 1], depth, copy=False)
        self._kernel = ctx.scratch((*(a.kernel for a in blocks), *self._steps, X.shape[1], kernel[1]))
        packed = self._kernel.reshape(*self._kernel.shape[:rank], depth, kernel[1])
        self._joined = packed.transpose(rank + 1, rank, *range(rank))[None]
        X = joined.transpose(0, rank + 1, *range(1, rank + 1))
        self._form = partial(correlation, ctx, X, self._joined.shape, blocks)
        self._inner = self._form(gradient=gradient)
        self.order = self._inner.order

    def forward_again(self, kernel: Array, Y: Array) -> Calls:
        """Return the calls of :meth:`forward` after those of :meth:`kernel_gradient`, which have made the blocks."""
        return [(np.copyto, self._kernel, self._by_block(kernel)), *self._form().forward(self._joined, Y)]

    def _by_block(self, kernel: Array) -> Array:
        """Return a view of a kernel (1, filters, C, k…) as (blocks…, strides…, C, filters)."""
        rank = len(self._steps)
        sizes = [n for k, step in zip(kernel.shape[3:], self._steps, strict=True) for n in (k // step, step)]
        split: Array = kernel[0].reshape(*kernel.shape[1:3], *sizes, copy=False)
        return split.transpose(*range(2, 2 + 2 * rank, 2), *range(3, 2 + 2 * rank, 2), 1, 0)

    def forward(self, kernel: Array, Y: Array) -> Calls:
        return [*self._copies, (np.copyto, self._kernel, self._by_block(kernel)), *self._inner.forward(self._joined, Y)]

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        calls = [*self._copies, *self._inner.kernel_gradient(dY, self._joined)]
        return [*calls, (np.copyto, self._by_block(dK), self._kernel)]


def _of_blocks(axis: Axis) -> Axis:
    """Return the axis of the blocks of a stride, of which a window reads a whole number."""
    kernel = axis.kernel // axis.stride
    return Axis(axis.out + kernel - 1, axis.out, kernel, 1, 1, 0)


class Correlation(Protocol):
    """``Y[n, o, y…] = Σ kernel[o, c, k…] · X[n, c, y·stride + k·dilation - begin…]`` for one X, by some algorithm."""

    order: tuple[int, ...]  # the memory order of Y that is cheapest to write: its axes, slowest first, channels last

    def forward(self, kernel: Array, Y: Array) -> Calls:
        """Return calls that write Y, which may have any memory order."""

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        """Return calls that write ``dK[o, c, k…] = Σ dY[n, o, y…] · X[n, c, …]``."""


def correlation(
    ctx: Context, X: Array, kernel: Sequence[int], axes: Sequence[Axis], *, gradient: bool = False
) -> Correlation:
    """Return the algorithm for X (N, C, …) and a kernel of that shape, or for the kernel's gradient with ``gradient``."""
    groups, outs, ins = kernel[:3]
    if groups > 1 and outs * ins == 1:
        by_rows = DepthwiseRows.fits(X, axes) and not compiled_pays(X)
        if by_rows and use_fast_kernel(DepthwiseRows.pays(X, axes)):
            return DepthwiseRows(ctx, X, axes)
        return Depthwise(ctx, X, axes)
    few = FewFilters.fits(X, kernel, axes, gradient=gradient)
    if few and use_fast_kernel(FewFilters.pays(kernel, gradient=gradient)):
        return FewFilters(ctx, X, axes, outs)
    if (found := form_of(axes, ins, outs, groups)) is not None and use_fast_kernel(found[1]):
        return Winograd(ctx, X, axes, outs, found[0], gradient=gradient)
    if StrideBlocks.pays(kernel, axes):
        return StrideBlocks(ctx, X, kernel, axes, gradient=gradient)
    if groups == 1 and (index := long_axis(axes)) is not None:
        start = ctx.mark()
        along = OneAxis(ctx, X, axes, index)
        if use_fast_kernel(along.pays(outs, gradient=gradient)):
            return along
        ctx.reset(start)
    least = 16 * prod(kernel) if gradient else 0  # each chunk adds a sum of the kernel's size
    return patches(ctx, X, axes, groups, least=least)


def input_gradient(ctx: Context, dY: Array, kernel: Array, dX: Array, axes: Sequence[Axis]) -> Calls:
    """Return calls that write dX: correlations of dY with the flipped kernel, for each phase (index modulo stride)."""
    phases = [[phase for f in range(a.stride) if (phase := _phase(a, f)) is not None] for a in axes]
    swapped = kernel.swapaxes(1, 2)
    complete = all(len(met) == a.stride for met, a in zip(phases, axes, strict=True))
    calls: Calls = [] if complete else [(dX.fill, 0.0)]
    for parts in product(*phases):
        inputs, inner, taps = zip(*parts, strict=True)
        target, flipped = dX[:, :, *inputs], swapped[:, :, :, *taps]
        if target.size:
            calls += correlation(ctx, dY, flipped.shape, inner).forward(flipped, target)
    return calls


def transposed(ctx: Context, X: Array, kernel: Array, Y: Array, axes: Sequence[Axis]) -> Calls:
    """Return calls of a ConvTranspose: its terms by one product, which a kernel adds, where that pays; else by phases."""
    terms, order = prod(kernel.shape[2:]) * prod(X.shape[2:]), (0, *range(2, X.ndim), 1)
    fits = len(kernel) == 1 and len(axes) <= 3 and kernel.shape[-1] <= 16 and prod(kernel.shape[3:]) <= 256
    fits = fits and any(a.stride > 1 for a in axes) and X.size > 0 and Y.size > 0 and channel_order(Y)[-1] == 1
    pays = spreads_well(kernel.shape[1:]) and terms <= _MOST_TERMS
    if not fits or not available("spread_terms") or not use_fast_kernel(pays):
        return input_gradient(ctx, X, kernel, Y, axes)
    (x, calls), (weights, copies) = contiguous(ctx, X, order), contiguous(ctx, kernel[0], order)
    sizes = np.array([[a.stride for a in axes], [a.dilation for a in axes], [a.begin for a in axes]], np.intc)
    taps, step = weights.shape[1:], max(1, CACHE_ELEMENTS // (weights[0].size * prod(x.shape[1:-1])))
    terms, source = ctx.scratch((min(step, len(x)), *x.shape[1:-1], *taps)), ReusedScratch(ctx)
    calls += copies
    for n in range(0, len(x), step):
        part = x[n : n + step]
        own = terms[: len(part)]
        rows = part.reshape(-1, part.shape[-1]), weights.reshape(len(weights), -1), own.reshape(-1, weights[0].size)
        calls += matmul(source, *rows)
        calls += alone("spread_terms", own, Y[n : n + step].transpose(order), sizes)
    return calls


def _phase(axis: Axis, f: int) -> tuple[slice, Axis, slice] | None:
    """Return the inputs ``x`` with ``(x + begin) % stride == f``, their windows, and the taps, last first, or None."""
    first = (f - axis.begin) % axis.stride
    inputs = slice(first, None, axis.stride)
    count = len(range(first, axis.size, axis.stride))
    period = axis.stride // gcd(axis.dilation, axis.stride)
    start = next((k for k in range(min(period, axis.kernel)) if (k * axis.dilation - f) % axis.stride == 0), None)
    if start is None:
        return None
    taps = range(start, axis.kernel, period)
    dilation = period * axis.dilation // axis.stride
    ahead = (first + axis.begin - start * axis.dilation) // axis.stride
    begin = (len(taps) - 1) * dilation - ahead
    backwards = slice(taps[-1], start - period if start >= period else None, -period)
    return inputs, Axis(axis.out, count, len(taps), 1, dilation, begin), backwards
