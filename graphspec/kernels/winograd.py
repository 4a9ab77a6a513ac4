"""Convolution by Winograd's F(2, 3) along the first spatial axis: two rows of outputs from four products instead of six.

Lavin and Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016. Along the other axis nothing is copied: the
transformed rows of all samples lie behind one another with zeros between them, and the ``k`` columns under a window are
``k·C`` neighbouring numbers. Windows overlap, but every ``k``-th one does not: those that start at columns 0, k, 2k, … are a
matrix that BLAS takes as it is, those from column 1 on another, and so forth. They include some that begin in one row and
end in the next. Where these are many, the matrices are those of all rows for each column of the output instead.

Rows are copied to and from such a layout, the even ones apart from the odd ones, so that all sums and differences of rows
are those of flat vectors: NumPy is three times as fast on these as on rows with gaps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.context import Context
from graphspec.kernels.matmul import SMALL
from graphspec.kernels.windows import Axis, ceil

_CHANNELS = 12  # channels and filters from which it is faster
_WORK = 0.9  # the share of the direct way's multiplications up to which it is faster
_CHUNK = 1 << 17  # numbers in the transformed input: with its products it stays in the second-level cache
_LEAST, _LEAST_BACK = 16, 48  # rows of a product below which it is better packed; of the kernel's gradient
_SUMMED = 128  # rows that one product of a weight gradient sums
_WASTED, _WASTED_BACK = 1.1, 1.15
"""Columns of a row, to those of the output, from which it is quicker to take them one by one; for the kernel's gradient."""
_TALL = 32  # rows in a chunk that this takes
_SUMS = 2048  # columns in a chunk of a weight gradient at least, for each of the kernel's


@dataclass(frozen=True)
class TileChunk:
    """Some tiles (pairs of rows of the output) of some samples."""

    tiles: slice
    samples: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.tiles.stop - self.tiles.start, self.samples.stop - self.samples.start

    @property
    def rows(self) -> int:
        tiles, samples = self.shape
        return int(tiles * samples)


@dataclass(frozen=True)
class RowLayout:
    """How a row of X lies: ``columns`` of its columns, without the first ``skip``, behind ``lead`` zeros, then zeros.

    What a window reads beyond the ``period`` columns of its row are the zeros in front of the next one.
    """

    lead: int
    skip: int
    columns: int
    period: int

    @staticmethod
    def of(axis: Axis) -> RowLayout:
        lead, skip = max(axis.begin, 0), max(-axis.begin, 0)
        reach = axis.out + axis.kernel - 1 - lead
        columns = max(0, min(axis.size - skip, reach))
        return RowLayout(lead, skip, columns, max(lead + columns, axis.out, reach))


def fits(axes: Sequence[Axis], groups: int) -> bool:
    """Whether there is an F(2, 3) for these windows."""
    return groups == 1 and len(axes) == 2 and axes[0].kernel == 3 and all(a.stride == a.dilation == 1 for a in axes)


def pays(axes: Sequence[Axis], channels: int, filters: int) -> bool:
    """Whether it is faster than matrix products with patches, where it fits; measured."""
    down, across = axes
    products = 4 * ceil(down.out, 2) * RowLayout.of(across).period
    return min(channels, filters) >= _CHANNELS and products <= _WORK * 3 * down.out * across.out


class Winograd:
    """Correlation of X (N, C, H, W) with kernels (1, filters, C, 3, k), or with ``gradient`` the kernel's gradient."""

    order: tuple[int, ...] = (2, 0, 3, 1)

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis], filters: int, *, gradient: bool = False) -> None:
        self._ctx, self._x = ctx, X.transpose(self.order)
        self._down, across = axes
        self._taps, self._out = across.kernel, across.out
        self._row = RowLayout.of(across)
        self._period = self._row.period
        self._tiles = ceil(self._down.out, 2)
        row, size = 4 * self._period * X.shape[1], self._taps * X.shape[1]
        # For each chunk the kernel is read once, or there is a sum of its gradient.
        most = max(_CHUNK, _SUMS * size if gradient else 4 * size * filters)
        self._rows = _even(self._tiles, most // row)
        self._samples = _even(len(X), most // (row * self._rows))
        enough = self._rows * self._samples >= _TALL
        self.by_column = enough and self._period >= (_WASTED_BACK if gradient else _WASTED) * self._out
        self._step = self._out if self.by_column else self._period  # columns of a row of products

    def forward(self, kernel: Array, Y: Array) -> Calls:
        if Y.size == 0:
            return []
        y, filters = Y.transpose(self.order), Y.shape[1]
        U, calls = self._kernel(kernel)
        V, M = self._planes(self._x.shape[-1]), self._planes(filters)
        halves, zeros = self._halves(V)
        calls += zeros
        for chunk in self._chunks():
            calls += self._transform(halves, V, chunk)
            for windows, m in self._matrices(V, M, chunk, _tallest(U[0].size, _LEAST)):
                calls.append((np.matmul, windows, U.reshape(4, *(1,) * (m.ndim - 3), *U.shape[1:]), m))
            flat, lying = self._products(M, chunk)
            even, odd = self._pairs(y, chunk)
            calls += [
                (np.add, flat[0], flat[1], flat[0]),
                (np.add, flat[0], flat[2], flat[0]),
                (np.copyto, even, lying[0]),
                (np.subtract, flat[1], flat[2], flat[1]),
                (np.subtract, flat[1], flat[3], flat[1]),
                (np.copyto, odd, lying[1, : len(odd)]),
            ]
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        if dY.size == 0:
            return [(dK.fill, 0.0)]
        dy, filters, channels = dY.transpose(self.order), dY.shape[1], self._x.shape[-1]
        V, D = self._planes(channels), self._planes(filters)
        halves, calls = self._halves(V)
        calls += self._tails(D[::3])
        size = self._taps * channels
        chunks = list(self._chunks())
        most = _tallest(size * filters, _LEAST_BACK, _SUMMED)
        pairs = [list(self._matrices(V, D, chunk, most)) for chunk in chunks]
        many = sum(_count(windows) for windows, _ in pairs[0])
        parts = self._ctx.scratch((many, 4, size, filters))
        total, more = (self._ctx.scratch((4, size, filters)) for _ in range(2))
        ones = self._ctx.constant(np.ones(many))
        for chunk, matrices in zip(chunks, pairs, strict=True):
            calls += self._transform(halves, V, chunk) + self._spread(dy, D, chunk)
            at = 0
            for windows, d in matrices:
                batch, end = windows.shape[1:-2], at + _count(windows)
                part = np.moveaxis(parts[at:end].reshape(*batch, 4, size, filters), -3, 0)
                calls.append((np.matmul, windows.mT, d, part))
                at = end
            into = total if chunk is chunks[0] else more
            calls.append((np.dot, ones[:at], parts[:at].reshape(at, -1), into.reshape(-1)))
            if into is more:
                calls.append((np.add, total, more, total))
        half = self._ctx.constant(0.5)
        top, middle, bottom = dK[0].transpose(2, 3, 1, 0)
        total, more = (a.reshape(4, *top.shape) for a in (total, more))
        return [
            *calls,
            (np.multiply, total[1:3], half, total[1:3]),
            (np.add, total[1], total[2], more[0]),
            (np.subtract, total[1], total[2], middle),
            (np.add, total[0], more[0], top),
            (np.subtract, more[0], total[3], bottom),
        ]

    def _chunks(self) -> Iterator[TileChunk]:
        samples = self._x.shape[1]
        for tile in range(0, self._tiles, self._rows):
            for sample in range(0, samples, self._samples):
                tiles = slice(tile, min(tile + self._rows, self._tiles))
                yield TileChunk(tiles, slice(sample, min(sample + self._samples, samples)))

    def _planes(self, depth: int) -> Array:
        """Four planes for the rows of a chunk, of ``depth`` numbers a column."""
        return self._ctx.scratch((4, self._whole(self._rows * self._samples) + self._taps - 1, depth))

    def _halves(self, V: Array) -> tuple[Array, Calls]:
        """Where the even and the odd rows of a chunk of X go, and calls that fill what stays zero there and in V."""
        rows = (self._rows + 1) * self._samples
        halves = self._ctx.scratch((2, rows * self._period, V.shape[-1]))
        tail = V[:, self._rows * self._samples * self._period :]
        view = self._lying(halves, (rows,))
        rest = view[:, :, : self._row.lead], view[:, :, self._row.lead + self._row.columns :], tail
        return halves, [(part.fill, 0.0) for part in rest if part.size]

    def _tails(self, D: Array) -> Calls:
        """Calls that fill what is behind the columns of the output in every row of products."""
        rows = D.shape[1] // self._step
        view = D[:, : rows * self._step].reshape(len(D), rows, self._step, -1, copy=False)[:, :, self._out :]
        return [(view.fill, 0.0)] if view.size else []

    def _whole(self, rows: int) -> int:
        """The columns of so many rows, in whole matrices."""
        return ceil(rows * self._period, self._taps) * self._taps

    def _lying(self, planes: Array, shape: tuple[int, ...]) -> Array:
        """The first rows of planes as (plane, *shape, period, depth)."""
        columns = int(np.prod(shape)) * self._period
        return planes[:, :columns].reshape(len(planes), *shape, self._period, planes.shape[-1], copy=False)

    def _pairs(self, y: Array, chunk: TileChunk) -> tuple[Array, Array]:
        """The even and the odd rows of a chunk of the output; of an odd number of rows the last odd one is missing."""
        first, end = 2 * chunk.tiles.start, 2 * chunk.tiles.stop
        return y[first:end:2, chunk.samples], y[first + 1 : end : 2, chunk.samples]

    def _matrices(self, V: Array, M: Array, chunk: TileChunk, most: int) -> Iterator[tuple[Array, Array]]:
        """Windows (4, …, rows, k·C) and what belongs to each in M (4, …, rows, depth), of at most so many rows."""
        k, size, depth = self._taps, self._taps * V.shape[-1], M.shape[-1]
        if self.by_column:
            block = _even(chunk.rows, most)
            for row in range(0, chunk.rows, block):
                rows = min(block, chunk.rows - row)
                windows = _view(V, row * self._period, [(self._out, 1), (rows, self._period)], size)
                yield windows, _view(M, row * self._out, [(self._out, 1), (rows, self._out)], depth)
            return
        every = self._whole(chunk.rows) // k
        rows = min(every, most)
        for row, count in ((0, every // rows), (every // rows * rows, 1)):
            if row < every:
                block = min(rows, every - row)
                axes = [(count, block * k), (k, 1), (block, k)]
                yield _view(V, row * k, axes, size), _view(M, row * k, axes, depth)

    def _products(self, M: Array, chunk: TileChunk) -> tuple[Array, Array]:
        """A chunk's planes of products, as they lie and as (4, tile, sample, column, depth)."""
        flat = M[:, : chunk.rows * self._step]
        lying = flat.reshape(4, *chunk.shape, self._step, M.shape[-1], copy=False)
        return flat, lying[:, :, :, : self._out]

    def _kernel(self, kernel: Array) -> tuple[Array, Calls]:
        top, middle, bottom = kernel[0].transpose(2, 3, 1, 0)  # (k, C, O)
        U, spare, half = self._ctx.scratch((4, *top.shape)), self._ctx.scratch(top.shape), self._ctx.constant(0.5)
        calls: Calls = [
            (np.copyto, U[0], top),
            (np.copyto, U[3], bottom),
            (np.multiply, middle, half, spare),
            (np.add, U[0], U[3], U[1]),
            (np.multiply, U[1], half, U[1]),
            (np.subtract, U[1], spare, U[2]),
            (np.add, U[1], spare, U[1]),
        ]
        return U.reshape(4, -1, top.shape[-1]), calls

    def _transform(self, halves: Array, V: Array, chunk: TileChunk) -> Calls:
        """Calls that write the planes of a chunk of X: sums and differences of its rows; rows outside X are zeros."""
        tiles, samples = chunk.shape
        lead, skip, columns = self._row.lead, self._row.skip, self._row.columns
        lying = self._lying(halves, (tiles + 1, samples))
        x = self._x[:, chunk.samples, skip : skip + columns]
        calls: Calls = []
        for parity, into in enumerate(lying):
            first = 2 * chunk.tiles.start + parity - self._down.begin
            inside = [k for k in range(tiles + 1) if 0 <= first + 2 * k < len(x)] or [0, -1]
            start, stop = inside[0], inside[-1] + 1
            if stop > start:
                source = x[first + 2 * start : first + 2 * stop : 2]
                calls.append((np.copyto, into[start:stop, :, lead : lead + columns], source))
            calls += [(part.fill, 0.0) for part in (into[:start], into[stop:]) if part.size]
        (even, odd), (even_2, odd_2) = (a.reshape(2, -1, copy=False) for a in (lying[:, :-1], lying[:, 1:]))
        into = V.reshape(4, -1)[:, : even.size]
        return [
            *calls,
            (np.subtract, even, even_2, into[0]),
            (np.add, odd, even_2, into[1]),
            (np.subtract, even_2, odd, into[2]),
            (np.subtract, odd, odd_2, into[3]),
        ]

    def _spread(self, dy: Array, D: Array, chunk: TileChunk) -> Calls:
        """Calls that write what the planes of the products get of a gradient, of the last plane the opposite."""
        flat, d = self._products(D, chunk)
        even, odd = self._pairs(dy, chunk)
        beyond = self._whole(chunk.rows) - chunk.rows * self._period
        whole = D[:, : flat.shape[1] + beyond]
        rest = d[3, len(odd) :], whole[::3, flat.shape[1] :]
        return [
            (np.copyto, d[0], even),
            (np.copyto, d[3, : len(odd)], odd),
            *((part.fill, 0.0) for part in rest if part.size),
            (np.add, whole[0], whole[3], whole[1]),
            (np.subtract, whole[0], whole[3], whole[2]),
        ]


def _view(planes: Array, start: int, axes: Sequence[tuple[int, int]], depth: int) -> Array:
    """(4, …, depth) from a column on: along each axis so many, so many columns apart."""
    plane, column, item = planes.strides
    shape, steps = zip(*axes, strict=True)
    return as_strided(planes[:, start:], (4, *shape, depth), (plane, *(step * column for step in steps), item))


def _tallest(size: int, least: int, most: int = SMALL) -> int:
    """Rows of a product with so many numbers that go unpacked, at most so many; all, where these would be too few."""
    rows = SMALL // size
    return min(rows, most) if rows >= least else sys.maxsize


def _count(windows: Array) -> int:
    return int(np.prod(windows.shape[1:-2]))


def _even(count: int, most: int) -> int:
    """The size of nearly equal parts of ``count``, each at most ``most`` or 1."""
    return ceil(count, ceil(count, max(most, 1)) or 1)
