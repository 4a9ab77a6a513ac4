"""Convolution by Winograd's F(2, 3) along the first spatial axis: two rows of outputs from four products instead of six.

Lavin and Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016. Along the other axis nothing is copied: the
transformed rows of all samples are stored one after another with zeros between them, and the ``k`` columns under a window
are ``k·C`` contiguous elements. Neighbouring windows overlap, but every ``k``-th does not: the windows from columns
0, k, 2k, … form a matrix that BLAS reads without a copy, those from columns 1, k + 1, … another, and so on. Some of these
windows begin in one row and end in the next; their products are not used. If these are too many, each matrix contains the
windows of one output column in all rows instead.

Even and odd rows are copied to separate buffers, so sums and differences of rows are sums and differences of flat vectors:
NumPy is three times as fast on these as on non-contiguous rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import CACHE_ELEMENTS, zeros
from graphspec.graph.kernels.compiled import Twin, twin
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import SMALL
from graphspec.graph.kernels.windows import Axis, ceil

# Measured thresholds; names with _BACK apply to the kernel's gradient.
_CHANNELS = 12  # Winograd is faster from this many channels and filters on
_WORK = 0.9  # and up to this fraction of the multiplications of a direct convolution
_LEAST_ROWS, _LEAST_ROWS_BACK = 16, 48  # products of fewer rows are faster if BLAS packs them
_SUMMED_ROWS = 128  # the most rows that one product of a weight gradient sums
# from this ratio of a row's columns to the output's columns on, one matrix for each output column is faster
_WASTED, _WASTED_BACK = 1.1, 1.15
_LEAST_CHUNK_ROWS = 32  # this needs at least as many rows in a chunk
_LEAST_COLUMNS = 2048  # a chunk of a weight gradient has at least this many columns for each column of the kernel


class TileChunk(NamedTuple):
    """Some tiles (pairs of rows of the output) of some samples; ``shape`` are their numbers."""

    tiles: slice
    samples: slice
    shape: tuple[int, int]
    rows: int  # transformed ones: one for each tile of each sample

    def of(self, y: Array) -> Array:
        """Return its rows of the output; with an odd number of rows the last tile has one."""
        return y[2 * self.tiles.start : 2 * self.tiles.stop, self.samples]


class RowLayout(NamedTuple):
    """The layout of a row of X: ``lead`` zeros, ``columns`` columns of X after the first ``skip``, then zeros."""

    lead: int
    skip: int
    columns: int
    period: int  # all columns; beyond them a window reads the zeros at the start of the next row

    @staticmethod
    def of(axis: Axis) -> RowLayout:
        """Return the layout for the windows along ``axis``."""
        lead, skip = max(axis.begin, 0), max(-axis.begin, 0)
        reach = axis.out + axis.kernel - 1 - lead
        columns = max(0, min(axis.size - skip, reach))
        return RowLayout(lead, skip, columns, max(lead + columns, axis.out, reach))


def fits(axes: Sequence[Axis], groups: int) -> bool:
    """Whether F(2, 3) is applicable to these windows."""
    return groups == 1 and len(axes) == 2 and axes[0].kernel == 3 and all(a.stride == a.dilation == 1 for a in axes)


def pays(axes: Sequence[Axis], channels: int, filters: int) -> bool:
    """Whether it is faster than matrix products with patches, if it is applicable; by measured thresholds."""
    down, across = axes
    products = 4 * ceil(down.out, 2) * RowLayout.of(across).period
    return min(channels, filters) >= _CHANNELS and products <= _WORK * 3 * down.out * across.out


@twin()
def winograd_input(x: Array, planes: Array, place: Array, /, *, halves: Array) -> Calls:
    """Return calls that write the sums and differences of x's rows (rows, samples, columns, channels), 0 outside x.

    ``place`` is the row of x at which the first tile starts, and the column at which x does in the planes (4, tiles,
    samples, columns, channels). The even and odd ``halves`` (2, tiles + 1, …) are scratch, 0 beside x's columns.
    """
    first, lead = place.tolist()
    calls, columns = Calls(), x.shape[2]
    for row, target in enumerate(halves, first):
        inside = [k for k in range(len(target)) if 0 <= row + 2 * k < len(x)] or [0, -1]
        start, stop = inside[0], inside[-1] + 1
        if stop > start:
            source = x[row + 2 * start : row + 2 * stop : 2]
            calls.append((np.copyto, target[start:stop, :, lead : lead + columns], source))
        calls += zeros(target[:start], target[stop:])
    (even, odd), (even_2, odd_2) = (a.reshape(2, -1, copy=False) for a in (halves[:, :-1], halves[:, 1:]))
    flat = planes.reshape(4, -1, copy=False)
    return [
        *calls,
        (np.subtract, even, even_2, flat[0]),
        (np.add, odd, even_2, flat[1]),
        (np.subtract, even_2, odd, flat[2]),
        (np.subtract, odd, odd_2, flat[3]),
    ]


@twin()
def winograd_output(planes: Array, y: Array, /, *, flat: Array) -> Calls:
    """Return calls that write the rows of y (rows, samples, columns, channels) and overwrite the planes.

    ``planes`` is (4, tiles, samples, columns, channels), a view of the ``flat`` (4, columns, channels).
    """
    even, odd = y[::2], y[1::2]
    return [
        (np.add, flat[0], flat[1], flat[0]),
        (np.add, flat[0], flat[2], flat[0]),
        (np.copyto, even, planes[0]),
        (np.subtract, flat[1], flat[2], flat[1]),
        (np.subtract, flat[1], flat[3], flat[1]),
        (np.copyto, odd, planes[1, : len(odd)]),
    ]


@twin()
def winograd_gradient(dy: Array, planes: Array, /, *, flat: Array) -> Calls:
    """Return calls that write the gradients of the planes, 0 beyond dy's columns; the last one has the opposite sign.

    ``planes`` is as in :func:`winograd_output`. The calls also write other columns of ``flat``.
    """
    even, odd = dy[::2], dy[1::2]
    inside = planes[:, :, :, : dy.shape[2]]
    return [
        (np.copyto, inside[0], even),
        (np.copyto, inside[3, : len(odd)], odd),
        *zeros(inside[3, len(odd) :]),
        (np.add, flat[0], flat[3], flat[1]),
        (np.subtract, flat[0], flat[3], flat[2]),
    ]


class Winograd:
    """Correlation of X (N, C, H, W) with kernels (1, filters, C, 3, k), or with ``gradient`` the kernel's gradient."""

    order: tuple[int, ...] = (2, 0, 3, 1)

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis], filters: int, *, gradient: bool = False) -> None:
        self._ctx, self._x = ctx, X.transpose(self.order)
        self._served = _served(winograd_input, self._x)
        self._down, across = axes
        self._taps, self._out = across.kernel, across.out
        self._row, self._tiles = RowLayout.of(across), ceil(self._down.out, 2)
        self._period = self._row.period
        row, size = 4 * self._period * X.shape[1], self._taps * X.shape[1]
        # For each chunk the kernel is read once, or its gradient is summed once.
        limit = max(CACHE_ELEMENTS, _LEAST_COLUMNS * size if gradient else 4 * size * filters)
        self._rows = _even_part(self._tiles, limit // row)
        self._samples = _even_part(len(X), limit // (row * self._rows))
        tall = self._rows * self._samples >= _LEAST_CHUNK_ROWS
        self.by_column = tall and self._period >= (_WASTED_BACK if gradient else _WASTED) * self._out
        self._step = self._out if self.by_column else self._period  # columns of a row of products

    def forward(self, kernel: Array, Y: Array) -> Calls:
        if Y.size == 0:
            return []
        y, filters = Y.transpose(self.order), Y.shape[1]
        bind = winograd_output if _served(winograd_output, y) else winograd_output.numpy
        U, calls = self._kernel(kernel)
        V, M = self._planes(self._x.shape[-1]), self._planes(filters)
        halves, fills = self._halves(V)
        calls += fills
        for chunk in self._chunks():
            calls += self._transform(halves, V, chunk)
            for windows, m in self._matrices(V, M, chunk, _row_limit(U[0].size, _LEAST_ROWS)):
                calls.append((np.matmul, windows, U.reshape(4, *(1,) * (m.ndim - 3), *U.shape[1:]), m))
            flat, rows = self._products(M, chunk)
            calls += bind(rows[:, :, :, : self._out], chunk.of(y), flat=flat)
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        if dY.size == 0:
            return [(dK.fill, 0.0)]
        dy, filters, channels = dY.transpose(self.order), dY.shape[1], self._x.shape[-1]
        V, D = self._planes(channels), self._planes(filters)
        halves, calls = self._halves(V)
        # The columns after those of the output are 0, in every row of products.
        rows = D.shape[1] // self._step
        tails = D[::3, : rows * self._step].reshape(2, rows, self._step, filters, copy=False)[:, :, self._out :]
        calls += zeros(tails)
        size = self._taps * channels
        chunks = list(self._chunks())
        limit = _row_limit(size * filters, _LEAST_ROWS_BACK, _SUMMED_ROWS)
        pairs = [list(self._matrices(V, D, chunk, limit)) for chunk in chunks]
        n_parts = sum(_count(windows) for windows, _ in pairs[0])
        parts = self._ctx.scratch((n_parts, 4, size, filters))
        total, next_sum = (self._ctx.scratch((4, size, filters)) for _ in range(2))
        ones = self._ctx.constant(np.ones(n_parts))
        for chunk, matrices in zip(chunks, pairs, strict=True):
            calls += self._transform(halves, V, chunk) + self._transform_gradient(dy, D, chunk)
            start = 0
            for windows, d in matrices:
                end = start + _count(windows)
                part = np.moveaxis(parts[start:end].reshape(*windows.shape[1:-2], 4, size, filters), -3, 0)
                calls.append((np.matmul, windows.mT, d, part))
                start = end
            result = total if chunk is chunks[0] else next_sum
            calls.append((np.dot, ones[:start], parts[:start].reshape(start, -1), result.reshape(-1)))
            if result is next_sum:
                calls.append((np.add, total, next_sum, total))
        half = self._ctx.constant(0.5)
        top, middle, bottom = dK[0].transpose(2, 3, 1, 0)
        total, next_sum = (a.reshape(4, *top.shape) for a in (total, next_sum))
        return [
            *calls,
            (np.multiply, total[1:3], half, total[1:3]),
            (np.add, total[1], total[2], next_sum[0]),
            (np.subtract, total[1], total[2], middle),
            (np.add, total[0], next_sum[0], top),
            (np.subtract, next_sum[0], total[3], bottom),
        ]

    def _chunks(self) -> Iterator[TileChunk]:
        samples = self._x.shape[1]
        for tile in range(0, self._tiles, self._rows):
            for sample in range(0, samples, self._samples):
                n, m = min(self._rows, self._tiles - tile), min(self._samples, samples - sample)
                yield TileChunk(slice(tile, tile + n), slice(sample, sample + m), (n, m), n * m)

    def _planes(self, depth: int) -> Array:
        """Return four planes for the rows of a chunk, with ``depth`` elements per column."""
        return self._ctx.scratch((4, self._padded_columns(self._rows * self._samples) + self._taps - 1, depth))

    def _halves(self, V: Array) -> tuple[Array, Calls]:
        """Return buffers for the even and the odd rows of a chunk of X, and calls that fill the zeros of them and of V."""
        tail = V[:, self._rows * self._samples * self._period :]
        if self._served:  # the kernel reads X
            return V[:2, :0], zeros(tail)
        rows = (self._rows + 1) * self._samples
        halves = self._ctx.scratch((2, rows * self._period, V.shape[-1]))
        view = self._by_row(halves, (rows,))
        return halves, zeros(view[:, :, : self._row.lead], view[:, :, self._row.lead + self._row.columns :], tail)

    def _padded_columns(self, rows: int) -> int:
        """Return the number of columns of ``rows`` rows, rounded up to a multiple of the kernel's columns."""
        return ceil(rows * self._period, self._taps) * self._taps

    def _by_row(self, planes: Array, shape: tuple[int, ...]) -> Array:
        """Return a view of the first rows of planes as (plane, *shape, period, depth)."""
        columns = prod(shape) * self._period
        return planes[:, :columns].reshape(len(planes), *shape, self._period, planes.shape[-1], copy=False)

    def _matrices(self, V: Array, M: Array, chunk: TileChunk, limit: int) -> Iterator[tuple[Array, Array]]:
        """Yield windows (4, …, rows, k·C) and their rows of M (4, …, rows, depth), of at most ``limit`` rows each."""
        k, size, depth = self._taps, self._taps * V.shape[-1], M.shape[-1]
        if self.by_column:
            block = _even_part(chunk.rows, limit)
            for row in range(0, chunk.rows, block):
                rows = min(block, chunk.rows - row)
                windows = _view(V, row * self._period, [(self._out, 1), (rows, self._period)], size)
                yield windows, _view(M, row * self._out, [(self._out, 1), (rows, self._out)], depth)
            return
        total = self._padded_columns(chunk.rows) // k
        rows = min(total, limit)
        for row, count in ((0, total // rows), (total // rows * rows, 1)):
            if row < total:
                block = min(rows, total - row)
                axes = [(count, block * k), (k, 1), (block, k)]
                yield _view(V, row * k, axes, size), _view(M, row * k, axes, depth)

    def _products(self, M: Array, chunk: TileChunk) -> tuple[Array, Array]:
        """Return a chunk's planes of products, flat and as (4, tile, sample, column, depth) with all columns."""
        flat = M[:, : chunk.rows * self._step]
        return flat, flat.reshape(4, *chunk.shape, self._step, M.shape[-1], copy=False)

    def _kernel(self, kernel: Array) -> tuple[Array, Calls]:
        """Return the transformed kernel (4, k·C, filters) and the calls that compute it."""
        top, middle, bottom = kernel[0].transpose(2, 3, 1, 0)  # (k, C, filters)
        U, spare, half = self._ctx.scratch((4, *top.shape)), self._ctx.scratch(top.shape), self._ctx.constant(0.5)
        calls: Calls = [(np.copyto, U[0], top), (np.copyto, U[3], bottom), (np.multiply, middle, half, spare)]
        calls += [(np.add, U[0], U[3], U[1]), (np.multiply, U[1], half, U[1])]
        calls += [(np.subtract, U[1], spare, U[2]), (np.add, U[1], spare, U[1])]
        return U.reshape(4, -1, top.shape[-1]), calls

    def _transform(self, halves: Array, V: Array, chunk: TileChunk) -> Calls:
        """Return calls that write the planes of a chunk of X."""
        row = self._row
        x = self._x[:, chunk.samples, row.skip : row.skip + row.columns]
        place = np.array([2 * chunk.tiles.start - self._down.begin, row.lead], np.intc)
        planes, (tiles, samples) = self._by_row(V, chunk.shape), chunk.shape
        if self._served:
            return winograd_input(x, planes, place, halves=halves)
        return winograd_input.numpy(x, planes, place, halves=self._by_row(halves, (tiles + 1, samples)))

    def _transform_gradient(self, dy: Array, D: Array, chunk: TileChunk) -> Calls:
        """Return calls that write the gradients of the planes of products."""
        flat, planes = self._products(D, chunk)
        columns = self._padded_columns(chunk.rows) - chunk.rows * self._period
        padded, region = D[:, : flat.shape[1] + columns], chunk.of(dy)
        if _served(winograd_gradient, dy):
            beyond, calls = padded[:, flat.shape[1] :], winograd_gradient(region, planes, flat=flat)
        else:
            beyond, calls = padded[::3, flat.shape[1] :], winograd_gradient.numpy(region, planes, flat=padded)
        return zeros(beyond) + calls


def _served(kernel: Twin[Any], image: Array) -> bool:
    """Whether there is a compiled kernel that serves the image: its channels must be contiguous."""
    return kernel.compiled and (image.shape[-1] == 1 or image.strides[-1] == image.itemsize)


def _view(planes: Array, start: int, axes: Sequence[tuple[int, int]], depth: int) -> Array:
    """Return a view (4, …, depth) from column ``start`` on; ``axes`` are (size, stride in columns)."""
    plane, column, item = planes.strides
    shape, steps = zip(*axes, strict=True)
    return as_strided(planes[:, start:], (4, *shape, depth), (plane, *(step * column for step in steps), item))


def _row_limit(size: int, least: int, most: int = SMALL) -> int:
    """Return the most rows, up to ``most``, for which BLAS does not pack ``size`` elements; no limit below ``least``."""
    rows = SMALL // size
    return min(rows, most) if rows >= least else sys.maxsize


def _count(windows: Array) -> int:
    """Return the number of matrices in each plane."""
    return prod(windows.shape[1:-2])


def _even_part(count: int, limit: int) -> int:
    """Return the size of nearly equal parts of ``count``, each at most ``limit``, or 1."""
    return ceil(count, ceil(count, max(limit, 1)) or 1)
