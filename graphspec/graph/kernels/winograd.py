"""Convolution by Winograd's F(m, r) along the first spatial axis: m rows of outputs from m + r - 1 products instead of m·r.

Lavin and Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016. A tile of rows and a kernel of r rows are
polynomials, multiplied at the points 0, ±1 and infinity, or 0, ±5/8, ±3/2 and infinity (±1 and ±2 would double the errors).
Along the other axis nothing is copied: the transformed rows of all samples are stored one after another with zeros between
them, and the ``k`` columns under a window are ``k·C`` contiguous elements. Neighbouring windows overlap, but every ``k``-th
does not: the windows from columns 0, k, 2k, … form a matrix that BLAS reads without a copy, those from columns 1, k + 1, …
another, and so on. Some of these windows begin in one row and end in the next; their products are not used. If these are
too many, each matrix contains the windows of one output column in all rows instead.

A row of a series has one column. In a volume, the rows under a window of the second axis are copied side by side: a window
has more channels, and each row of outputs is a sample.

The rows of tiles are copied to separate buffers, so sums and differences of rows are sums and differences of flat vectors:
NumPy is three times as fast on these as on non-contiguous rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.channels import contiguous
from graphspec.graph.kernels.common import CACHE_ELEMENTS, as_records, zeros
from graphspec.graph.kernels.compiled import Twin, twin
from graphspec.graph.kernels.context import Calls, Context
from graphspec.graph.kernels.matmul import SMALL, small_products
from graphspec.graph.kernels.windows import Axis, ceil

# Measured thresholds; names with _BACK apply to the kernel's gradient.
_CHANNELS = 12  # it is faster from this many channels and filters on
_DEPTH = {4: 18, 6: 40}  # and if a form with so many products has as many products for each number that is transformed
_WORK = 0.9  # and up to this fraction of the multiplications of a direct convolution
_LEAST_ROWS, _LEAST_ROWS_BACK = 16, 48  # products of fewer rows are faster if BLAS packs them
_GOOD_ROWS = 20  # filters are divided so that BLAS need not pack a product of so many rows
_SUMMED_ROWS = 128  # the most rows that one product of a weight gradient sums
# from this ratio of a row's columns to the output's columns on, one matrix for each output column is faster
_WASTED, _WASTED_BACK = 1.1, 1.15
_LEAST_CHUNK_ROWS = 24  # this needs at least as many rows in a chunk, a third more if BLAS packs each matrix
_POINTS: dict[int, tuple[float, ...]] = {
    4: (1.0,),
    6: (0.625, 1.5),
}  # by the number of products; their powers are exact
_LEAST_COLUMNS = 2048  # a chunk of a weight gradient has at least this many columns for each column of the kernel


class Form(NamedTuple):
    """F(rows, taps): the rows of a tile of the output, and of the kernel."""

    rows: int
    taps: int

    @property
    def products(self) -> int:
        return self.rows + self.taps - 1

    def kernel_matrix(self) -> Array:
        """Return the matrix (products, taps) that transforms a kernel."""
        points = (0.0, *(q for p in _POINTS[self.products] for q in (p, -p)))
        scales = [prod(p - q for q in points if q != p) for p in points]
        finite = [[p**k / scale for k in range(self.taps)] for p, scale in zip(points, scales, strict=True)]
        return np.array([*finite, [0.0] * (self.taps - 1) + [1.0]])


_ONE = Axis(1, 1, 1, 1, 1, 0)  # a series has one column
_FORMS = [Form(3, 2), Form(2, 3), Form(4, 3), Form(3, 4), Form(2, 5)]


class TileChunk(NamedTuple):
    """Some tiles (rows of the output) of some samples; ``shape`` are their numbers."""

    tiles: slice
    samples: slice
    shape: tuple[int, int]
    rows: int  # transformed ones: one for each tile of each sample

    def of(self, y: Array, step: int) -> Array:
        """Return its rows of the output, ``step`` for each tile; the last tile may have fewer."""
        return y[step * self.tiles.start : step * self.tiles.stop, self.samples]


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


def form_of(axes: Sequence[Axis], channels: int, filters: int, groups: int = 1) -> tuple[Form, bool] | None:
    """Return the form of the fewest products, and whether it is faster than patches, by measured thresholds; or None."""
    forms = [f for f in _FORMS if f.taps == axes[0].kernel]
    if groups != 1 or len(axes) > 3 or not forms or any(a.stride > 1 or a.dilation > 1 for a in axes):
        return None
    down, across = axes[0], axes[-1] if len(axes) > 1 else _ONE
    channels *= axes[1].kernel if len(axes) == 3 else 1
    depth = across.kernel * channels * filters / max(channels + filters, 1)
    forms = [f for f in forms if depth >= _DEPTH[f.products]] or forms[:1]
    best = min(forms, key=lambda f: f.products * ceil(down.out, f.rows))
    work = best.products * ceil(down.out, best.rows) * RowLayout.of(across).period
    pays = work <= _WORK * best.taps * down.out * across.out and depth >= _DEPTH[best.products]
    return best, pays and min(channels, filters) >= _CHANNELS


@twin()
def winograd_input(x: Array, planes: Array, tiles: Array, /, *, rows: Array) -> Calls:
    """Return calls that write the sums and differences of x's rows (rows, samples, columns, channels), 0 outside x.

    ``tiles`` has the row of x at which the first tile starts, the column at which x does in the planes (products, tiles,
    samples, columns, channels), and the number m of rows from one tile to the next. ``rows`` (m + 1, tiles + …) are
    scratch, 0 beside x's columns.
    """
    first, lead, m = tiles.tolist()
    calls, (n, count), columns = Calls(), planes.shape[:2], x.shape[2]
    for k, buffer in enumerate(rows[:m]):
        row, target = first + k, buffer[: count + (n - 1 - k) // m]
        inside = [i for i in range(len(target)) if 0 <= row + m * i < len(x)] or [0, -1]
        start, stop = inside[0], inside[-1] + 1
        if stop > start:
            source = x[row + m * start : row + m * stop : m]
            calls.append((np.copyto, target[start:stop, :, lead : lead + columns], source))
        calls += zeros(target[:start], target[stop:])
    d = [rows[k % m, k // m : k // m + count].reshape(-1, copy=False) for k in range(n)]
    v, t = planes.reshape(n, -1, copy=False), rows[m, :count].reshape(-1, copy=False)
    if n == 4:
        calls += [(np.subtract, d[2], d[0], v[0]), (np.add, d[2], d[1], v[1]), (np.subtract, d[2], d[1], v[2])]
        return [*calls, (np.subtract, d[3], d[1], v[3])]
    (a, b), (a2, b2) = (np.array(_POINTS[6], x.dtype) ** power for power in (1, 2))
    return [
        *calls,
        (np.multiply, d[1], a2, v[5]),
        (np.subtract, d[3], v[5], v[5]),
        (np.multiply, v[5], b, v[4]),
        (np.multiply, v[5], b2, v[5]),
        (np.multiply, d[3], a2, t),
        (np.subtract, d[5], t, t),
        (np.subtract, t, v[5], v[5]),
        (np.multiply, d[2], a2, v[2]),
        (np.subtract, d[4], v[2], v[2]),
        (np.add, v[2], v[4], v[3]),
        (np.subtract, v[2], v[4], v[4]),
        (np.multiply, d[0], a2, t),
        (np.subtract, d[2], t, t),
        (np.multiply, t, b2, t),
        (np.subtract, v[2], t, v[0]),
        (np.multiply, d[2], b2, t),
        (np.subtract, d[4], t, t),
        (np.multiply, d[1], b2, v[1]),
        (np.subtract, d[3], v[1], v[1]),
        (np.multiply, v[1], a, v[2]),
        (np.add, t, v[2], v[1]),
        (np.subtract, t, v[2], v[2]),
    ]


@twin()
def winograd_output(planes: Array, y: Array, step: Array, /, *, flat: Array, views: Array) -> Calls:
    """Return calls that write the rows of y (rows, samples, columns, channels), ``step`` of them a tile.

    ``planes`` is (products, tiles, samples, columns, channels). It and one plane more are ``views``, with further columns,
    and ``flat`` (products + 1, columns, channels), which is overwritten.
    """
    n, m = len(planes), int(step[0])
    calls, spare, even, odd = Calls(), n, list[int](), list[int]()  # numbers of planes
    for k in range(1, n - 1, 2):  # the products at p and at -p
        calls += [(np.subtract, flat[k], flat[k + 1], flat[spare]), (np.add, flat[k], flat[k + 1], flat[k])]
        even, odd, spare = [*even, k], [*odd, spare], k + 1
    calls += [(np.add, flat[0], flat[pair], flat[0]) for pair in even]
    calls.append((np.copyto, y[::m], views[0, :, :, : y.shape[2]]))
    for row in range(1, min(m, len(y))):
        pairs, target = odd if row % 2 else even, y[row::m]
        total = pairs[0]
        if n == 6:
            for pair, p, to in zip(pairs, _POINTS[n], (spare, 0), strict=True):
                calls.append((np.multiply, flat[pair], np.array(p**row, y.dtype), flat[to]))
            calls.append((np.add, flat[spare], flat[0], flat[spare]))
            total = spare
        if row == m - 1:
            calls.append((np.add, flat[total], flat[n - 1], flat[spare]))
            total = spare
        calls.append((np.copyto, target, views[total, : len(target), :, : y.shape[2]]))
    return calls


@twin()
def winograd_gradient(dy: Array, planes: Array, step: Array, /, *, flat: Array, views: Array) -> Calls:
    """Return calls that write the gradients of the planes, 0 beyond dy's columns.

    The operands are as in :func:`winograd_output`, but ``views`` and ``flat`` have ``step`` planes more than ``planes``.
    Beyond dy's columns ``flat`` is 0; the calls write there, too.
    """
    n, m, columns = len(planes), int(step[0]), dy.shape[2]
    places = [0, *range(n, n + m - 2), n - 1]  # the planes of a tile's rows
    calls, rows, spares = Calls(), [flat[k] for k in places], flat[n + m - 2 :]
    for k, place in enumerate(places):
        source, target = dy[k::m], views[place, :, :, :columns]
        calls += [(np.copyto, target[: len(source)], source), *zeros(target[len(source) :])]
    for k, p in zip(range(1, n - 1, 2), _POINTS[n], strict=True):
        sums = list[Array]()
        for terms, spare in zip((rows[::2], rows[1::2]), spares, strict=True):
            total = terms[-1]
            for term in terms[-2::-1]:
                if p != 1:
                    calls.append((np.multiply, total, np.array(p * p, dy.dtype), spare))
                    total = spare
                calls.append((np.add, total, term, spare))
                total = spare
            sums.append(total)
        even, odd = sums
        if p != 1:
            calls.append((np.multiply, odd, np.array(p, dy.dtype), spares[1]))
            odd = spares[1]
        calls += [(np.add, even, odd, flat[k]), (np.subtract, even, odd, flat[k + 1])]
    return calls


class Winograd:
    """Correlation of X (N, C, …) with kernels (1, filters, C, r, …), or with ``gradient`` the kernel's gradient."""

    def __init__(
        self, ctx: Context, X: Array, axes: Sequence[Axis], filters: int, form: Form, *, gradient: bool = False
    ) -> None:
        self._ctx, self._form, self._copies = ctx, form, Calls()
        self.order = (2, 0, *range(3, X.ndim), 1)
        self._kernel_order = (2, *range(len(axes) + 1, 2, -1), 1, 0)  # (r, …, C, filters)
        self._x = X.transpose(self.order)
        if len(axes) != 2:
            self._x = self._x[:, :, None] if len(axes) == 1 else self._side_by_side(axes[1])
        self._shape = (axes[0].out, self._x.shape[1], 1 if len(axes) == 1 else axes[-1].out)  # of Y without channels
        self._served = _served(winograd_input, self._x)
        self._down, across = axes[0], axes[-1] if len(axes) > 1 else _ONE
        self._taps, self._out = across.kernel, across.out
        self._row, self._tiles = RowLayout.of(across), ceil(self._down.out, form.rows)
        self._period, self._step = self._row.period, np.array([form.rows], np.intc)
        n, samples, depth = form.products, self._x.shape[1], self._x.shape[-1]
        row, size = n * self._period * depth, self._taps * depth
        # For each chunk the kernel is read once, or its gradient is summed once.
        limit = max(CACHE_ELEMENTS, _LEAST_COLUMNS * size if gradient else n * size * filters)
        self._rows = _even_part(self._tiles, limit // row)
        self._samples = _even_part(samples, limit // (row * self._rows))
        tall = self._rows * self._samples >= _LEAST_CHUNK_ROWS * (1 if small_products() else 4 / 3)
        self.by_column = tall and self._period >= (_WASTED_BACK if gradient else _WASTED) * self._out
        self._columns = self._out if self.by_column else self._period  # of a row of products

    def forward(self, kernel: Array, Y: Array) -> Calls:
        if Y.size == 0:
            return []
        y, copied = self._as_rows(Y)
        bind = winograd_output if _served(winograd_output, y) else winograd_output.numpy
        n, filters = self._form.products, Y.shape[1]
        U, calls = self._kernel(kernel)
        parts = next((p for p in (1, 2, 4) if filters % p == 0 and U[0].size // p * _GOOD_ROWS <= SMALL), 1)
        W = U.reshape(*U.shape[:2], parts, -1).swapaxes(1, 2)  # each part is multiplied on its own
        V, M = self._planes(n, self._x.shape[-1]), self._planes(n + 1, filters)
        buffers, fills = self._buffers(V)
        calls += fills
        for chunk in self._chunks():
            calls += self._transform(buffers, V, chunk)
            for windows, m in self._matrices(V, M[:n], chunk, _row_limit(U[0].size // parts, _LEAST_ROWS)):
                by_part = m.reshape(*m.shape[:-1], parts, -1, copy=False).swapaxes(-2, -3)
                calls.append((np.matmul, windows[..., None, :, :], W[:, *(None,) * (m.ndim - 3)], by_part))
            flat, views = self._products(M, chunk)
            region = chunk.of(y, self._form.rows)
            calls += bind(views[:n, :, :, : self._out], region, self._step, flat=flat, views=views)
        return [*self._copies, *calls, *([(np.copyto, Y.transpose(self.order), y.reshape(copied))] if copied else [])]

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        if dY.size == 0:
            return [(dK.fill, 0.0)]
        (dy, copied), filters, channels = self._as_rows(dY), dY.shape[1], self._x.shape[-1]
        calls: Calls = [*self._copies, *([(np.copyto, dy.reshape(copied), dY.transpose(self.order))] if copied else [])]
        n, m, r = self._form.products, *self._form
        V, D = self._planes(n, channels), self._planes(n + m, filters)
        buffers, fills = self._buffers(V)
        # The columns after those of the output are 0, in every row of products.
        rows = D.shape[1] // self._columns
        tails = D[:, : rows * self._columns].reshape(n + m, rows, self._columns, filters, copy=False)
        calls += fills + zeros(tails[:, :, self._out :])
        size = self._taps * channels
        chunks = list(self._chunks())
        limit = _row_limit(size * filters, _LEAST_ROWS_BACK, _SUMMED_ROWS)
        pairs = [list(self._matrices(V, D[:n], chunk, limit)) for chunk in chunks]
        n_parts = sum(_count(windows) for windows, _ in pairs[0])
        parts = self._ctx.scratch((n_parts, n, size, filters))
        total, next_sum = (self._ctx.scratch((n, size, filters)) for _ in range(2))
        ones = self._ctx.constant(np.ones(n_parts))
        for chunk, matrices in zip(chunks, pairs, strict=True):
            calls += self._transform(buffers, V, chunk) + self._transform_gradient(dy, D, chunk)
            start = 0
            for windows, d in matrices:
                end = start + _count(windows)
                part = np.moveaxis(parts[start:end].reshape(*windows.shape[1:-2], n, size, filters), -3, 0)
                calls.append((np.matmul, windows.mT, d, part))
                start = end
            result = total if chunk is chunks[0] else next_sum
            calls.append((np.dot, ones[:start], parts[:start].reshape(start, -1), result.reshape(-1)))
            if result is next_sum:
                calls.append((np.add, total, next_sum, total))
        matrix, kernel = self._ctx.constant(self._form.kernel_matrix().T), dK[0].transpose(self._kernel_order)
        calls.append((np.dot, matrix, total.reshape(n, -1), next_sum[:r].reshape(r, -1)))
        return [*calls, (np.copyto, kernel, next_sum[:r].reshape(kernel.shape))]

    def _side_by_side(self, axis: Axis) -> Array:
        """Return a copy of X (rows, N, second axis, columns, C) as (rows, N · outputs, columns, taps · C)."""
        rows, samples, _, columns, channels = self._x.shape
        copy = self._ctx.scratch((rows, samples, axis.out, columns, axis.kernel, channels))
        for k in range(axis.kernel):
            (outs, inputs), target = axis.tap(k), copy[:, :, :, :, k]
            self._copies += zeros(target[:, :, : outs.start], target[:, :, outs.stop :])
            if outs.stop > outs.start:
                self._copies.append((np.copyto, *as_records(target[:, :, outs], self._x[:, :, inputs])))
        return copy.reshape(rows, samples * axis.out, columns, axis.kernel * channels)

    def _as_rows(self, Y: Array) -> tuple[Array, tuple[int, ...] | None]:
        """Return Y as (rows, samples, columns, filters), or scratch of that shape and its shape as Y, if no view has it."""
        ordered, shape = Y.transpose(self.order), (*self._shape, Y.shape[1])
        with suppress(ValueError):  # the rows of a volume may not be at equal distances
            return ordered.reshape(shape, copy=False), None
        return self._ctx.scratch(shape), ordered.shape

    def _chunks(self) -> Iterator[TileChunk]:
        samples = self._x.shape[1]
        for tile in range(0, self._tiles, self._rows):
            for sample in range(0, samples, self._samples):
                n, m = min(self._rows, self._tiles - tile), min(self._samples, samples - sample)
                yield TileChunk(slice(tile, tile + n), slice(sample, sample + m), (n, m), n * m)

    def _planes(self, count: int, depth: int) -> Array:
        """Return planes for the rows of a chunk, with ``depth`` elements per column."""
        columns = self._padded_columns(self._rows * self._samples) + self._taps - 1
        return self._ctx.scratch((count, columns, depth))

    def _buffers(self, V: Array) -> tuple[Array, Calls]:
        """Return buffers for the rows of a chunk's tiles, and calls that fill the zeros of them and of V."""
        tail = V[:, self._rows * self._samples * self._period :]
        if self._served:  # the kernel reads X
            return V[:2, :0], zeros(tail)
        m = self._form.rows
        rows = (self._rows + (len(V) - 1) // m) * self._samples
        buffers = self._ctx.scratch((m + 1, rows * self._period, V.shape[-1]))
        view = self._by_row(buffers, (rows,))
        return buffers, zeros(view[:, :, : self._row.lead], view[:, :, self._row.lead + self._row.columns :], tail)

    def _padded_columns(self, rows: int) -> int:
        """Return the number of columns of ``rows`` rows, rounded up to a multiple of the kernel's columns."""
        return ceil(rows * self._period, self._taps) * self._taps

    def _by_row(self, planes: Array, shape: tuple[int, ...]) -> Array:
        """Return a view of the first rows of planes as (plane, *shape, period, depth)."""
        columns = prod(shape) * self._period
        return planes[:, :columns].reshape(len(planes), *shape, self._period, planes.shape[-1], copy=False)

    def _matrices(self, V: Array, M: Array, chunk: TileChunk, limit: int) -> Iterator[tuple[Array, Array]]:
        """Yield windows (plane, …, rows, k·C) and their rows of M (plane, …, rows, depth), at most ``limit`` rows each."""
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
        """Return a chunk's planes of products, flat and as (plane, tile, sample, column, depth) with all columns."""
        flat = M[:, : chunk.rows * self._columns]
        return flat, flat.reshape(len(M), *chunk.shape, self._columns, M.shape[-1], copy=False)

    def _kernel(self, kernel: Array) -> tuple[Array, Calls]:
        """Return the transformed kernel (products, k·C, filters) and the calls that compute it."""
        n, r = self._form.products, self._form.taps
        packed, calls = contiguous(self._ctx, kernel[0], self._kernel_order)
        U = self._ctx.scratch((n, packed[0].size))
        matrix = self._ctx.constant(self._form.kernel_matrix())
        return U.reshape(n, -1, packed.shape[-1]), [*calls, (np.dot, matrix, packed.reshape(r, -1), U)]

    def _transform(self, buffers: Array, V: Array, chunk: TileChunk) -> Calls:
        """Return calls that write the planes of a chunk of X."""
        row, m = self._row, self._form.rows
        x = self._x[:, chunk.samples, row.skip : row.skip + row.columns]
        place = np.array([m * chunk.tiles.start - self._down.begin, row.lead, m], np.intc)
        planes, (tiles, samples) = self._by_row(V, chunk.shape), chunk.shape
        if self._served:
            return winograd_input(x, planes, place, rows=buffers)
        shape = tiles + (len(V) - 1) // m, samples
        return winograd_input.numpy(x, planes, place, rows=self._by_row(buffers, shape))

    def _transform_gradient(self, dy: Array, D: Array, chunk: TileChunk) -> Calls:
        """Return calls that write the gradients of the planes of products."""
        flat, views = self._products(D, chunk)
        beyond = D[:, flat.shape[1] : self._padded_columns(chunk.rows) - chunk.rows * (self._period - self._columns)]
        bind = winograd_gradient if _served(winograd_gradient, dy) else winograd_gradient.numpy
        planes, region = views[: self._form.products], chunk.of(dy, self._form.rows)
        return zeros(beyond) + bind(region, planes, self._step, flat=flat, views=views)


def _served(kernel: Twin[Any], image: Array) -> bool:
    """Whether there is a compiled kernel that serves the image: its channels must be contiguous."""
    return kernel.compiled and (image.shape[-1] == 1 or image.strides[-1] == image.itemsize)


def _view(planes: Array, start: int, axes: Sequence[tuple[int, int]], depth: int) -> Array:
    """Return a view (plane, …, depth) from column ``start`` on; ``axes`` are (size, stride in columns)."""
    plane, column, item = planes.strides
    shape, steps = zip(*axes, strict=True)
    strides = (plane, *(step * column for step in steps), item)
    return as_strided(planes[:, start:], (len(planes), *shape, depth), strides)


def _row_limit(size: int, least: int, most: int = SMALL) -> int:
    """Return the most rows, up to ``most``, for which BLAS does not pack ``size`` elements; no limit below ``least``."""
    rows = SMALL // size
    return min(rows, most) if rows >= least and small_products() else sys.maxsize


def _count(windows: Array) -> int:
    return prod(windows.shape[1:-2])


def _even_part(count: int, limit: int) -> int:
    """Return the size of nearly equal parts of ``count``, each at most ``limit``, or 1."""
    return ceil(count, ceil(count, max(limit, 1)) or 1)
