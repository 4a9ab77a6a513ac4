"""Correlation along one axis by products with views of X: it is copied only if that axis is not the fastest.

If the axis and the channels are the fastest in memory, the ``k`` inputs under a window are ``k·C`` contiguous elements.
Neighbouring windows overlap, which BLAS does not accept, but every ``k``-th does not: the windows 0, k, 2k, … of a line
form a matrix that BLAS reads as it is, the windows 1, k + 1, … another. If a line has too few windows for that, each matrix
contains the windows of one output in all lines. So do windows at the borders: they leave out the taps that read padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.base.arrays.blas import small_kernels
from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.channels import channel_order, contiguous
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import SMALL
from graphspec.graph.kernels.windows import Axis, ceil

# Measured thresholds.
_LEAST_TILE = 16  # products of fewer rows are faster if BLAS packs them
_LEAST_WINDOWS = 8  # every k-th window of a row: matrices of at least as many rows
_LEAST_ROWS = 64  # the windows of one output in all rows: matrices of at least as many rows
_LEAST_ROWS_BACK = 128  # the same for the kernel's gradient
_LEAST_SIZE_BACK = SMALL // 48  # elements of a kernel: for smaller ones, products with patches need no packing
_PARTIAL_SUMS = 1 << 18  # elements in the partial sums of a kernel's gradient
_MOST_OUTPUTS = 64  # and at most as many of them: their rows are far apart in memory


def long_axis(axes: Sequence[Axis]) -> int | None:
    """Return the index of the only axis with windows of several inputs, next to each other; None if there is none."""
    found = [k for k, axis in enumerate(axes) if not axis.trivial]
    if len(found) != 1 or axes[found[0]].kernel == 1 or axes[found[0]].dilation != 1:
        return None
    return found[0]


class OneAxis:
    """Correlation of X (N, C, …) with kernels (1, filters, C, …) along the spatial axis ``index``."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis], index: int) -> None:
        order = [k for k in channel_order(X) if k not in (1, index + 2)]
        self._ctx, self.axis, self._lines = ctx, axes[index], (*order, index + 2, 1)
        x, self._copies = contiguous(ctx, X, self._lines)
        self.order: tuple[int, ...] = (index + 2, *order, 1) if self._copies else self._lines
        self.lines = x.reshape(-1, *x.shape[-2:])
        """X, or its copy, as (lines, inputs, C)."""

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
            if tap == tap_end:
                calls.append((out.fill, 0.0))
            else:
                calls += self._products(self._inputs(first, tap), W, out)
        if copied:
            ordered = Y.transpose(self._lines)
            calls.append((np.copyto, ordered, y.reshape(ordered.shape)))
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        if dY.size == 0:
            return [(dK.fill, 0.0)]
        channels, filters = self.lines.shape[-1], dY.shape[1]
        dy, copied = self._by_line(dY)
        calls = list(self._copies)
        if copied:
            ordered = dY.transpose(self._lines)
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
        ones, windows, d = (
            self._ctx.constant(np.ones(step)),
            self._by_output(x, count, len(total)).mT,
            dy.swapaxes(0, 1),
        )
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
        (lines, count, filters), size, stride = out.shape, len(W), self.axis.stride
        (line, column, item), (out_line, out_column, out_item) = x.strides, out.strides
        calls, done = Calls(), 0
        if self._in_lines(count, W.size):
            step = self._step
            rows = count // step
            done = rows * step
            windows = as_strided(x, (lines, step, rows, size), (line, stride * column, step * stride * column, item))
            results = as_strided(out, (lines, step, rows, filters), (out_line, out_column, step * out_column, out_item))
            calls += _multiply(windows, W, results)
        if done < count:
            windows = self._by_output(x[:, done * stride :], count - done, size)
            calls += _multiply(windows, W, out[:, done:].swapaxes(0, 1))
        return calls

    @property
    def _step(self) -> int:
        """The distance of two windows that do not overlap."""
        return ceil(self.axis.kernel, self.axis.stride)

    def _in_lines(self, count: int, size: int) -> bool:
        """Return whether ``count`` windows of a line make matrices that are large enough for a kernel of this size."""
        return size * _LEAST_TILE <= SMALL and count >= _LEAST_WINDOWS * self._step


def _multiply(A: Array, B: Array, out: Array) -> Calls:
    """Return calls for ``out = A @ B`` of A (…, m, k) and B (k, n); rows are split into tiles that BLAS does not pack."""
    m, limit = A.shape[-2], SMALL // B.size
    if limit < _LEAST_TILE or m <= limit:
        return [(np.matmul, A, B, out)]
    tile = next((c for c in range(limit, limit // 2, -1) if m % c == 0), limit)
    tail = m // tile * tile
    calls: Calls = [(np.matmul, _tiles(A[..., :tail, :], tile), B, _tiles(out[..., :tail, :], tile))]
    return calls if tail == m else [*calls, (np.matmul, A[..., tail:, :], B, out[..., tail:, :])]


def _tiles(X: Array, rows: int) -> Array:
    """Return a view of X (…, m, n) as (…, tiles, rows, n)."""
    *lead, row, column = X.strides
    return as_strided(X, (*X.shape[:-2], X.shape[-2] // rows, rows, X.shape[-1]), (*lead, rows * row, row, column))
