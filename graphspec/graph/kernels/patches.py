"""Convolution as matrix products with patches: the inputs under each window, as rows of matrices.

MEC (Cho and Brand, *MEC: memory-efficient convolution for deep neural network*, ICML 2017): one copy of the input contains
the windows of all spatial axes but the first. The windows of the first axis are overlapping views of that copy, which BLAS
reads without another copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.blocks import CACHE_ELEMENTS
from graphspec.graph.kernels.channels import channel_order
from graphspec.graph.kernels.common import as_records
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import SMALL, single_call, worth_transposing
from graphspec.graph.kernels.windows import Axis, ceil

_PARTIAL_SUMS = 1 << 18  # elements in the partial sums of a weight gradient
# A product of a weight gradient sums at most 256 rows if BLAS need not pack it, and packs it if that allows fewer than 48.
_SUMMED_ROWS, _LEAST_TILE = 256, 48
_MANY_ROWS = 512  # for at least as many it pays to copy a transposed kernel


@dataclass(frozen=True)
class RowChunk:
    """Some rows of the patches; ``matrix`` is valid from the end of ``calls`` to the calls of the next chunk."""

    calls: Calls
    matrix: Array
    rows: slice


@dataclass(frozen=True)
class Patches:
    """Matrices of shape (groups, batches, rows, kernel·channels); each row is one window (k…, c).

    The product with a kernel is (groups, batches, rows, out). Batches and rows together are the output's axes without the
    channels, in ``order``.
    """

    shape: tuple[int, int, int, int]
    order: tuple[int, ...]
    calls: Calls
    """The calls that run before those of the first chunk."""
    chunks: list[RowChunk]

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
        for chunk in self.chunks:
            calls += chunk.calls + _multiply(chunk.matrix, kernel, out[:, :, chunk.rows])
        return calls

    def multiply_transposed(self, ctx: Context, D: Array, out: Array) -> Calls:
        """Return calls that write ``Σ matrixᵀ @ D`` over batches and rows to ``out`` (groups, k…, channels, out).

        ``out`` must be C-contiguous.
        """
        groups, batches, rows, depth = self.shape
        n = D.shape[-1]
        size = groups * depth * n
        tile = min(_SUMMED_ROWS, SMALL // max(depth * n, 1))
        if batches > 1 or tile < _LEAST_TILE:
            tile = rows
        step = max(1, min(max(batches, ceil(rows, max(tile, 1))), _PARTIAL_SUMS // max(size, 1)))
        total = out.reshape(-1)
        next_sum, parts = ctx.scratch((size,)), ctx.scratch((step, size))
        ones = ctx.constant(np.ones(step))
        calls: Calls = list(self.calls) if self.chunks else [(total.fill, 0.0)]
        first = True
        for chunk in self.chunks:
            calls += chunk.calls
            for M, E in _row_tiles(chunk.matrix, D[:, :, chunk.rows], tile):
                for start in range(0, len(M), step):
                    count = min(step, len(M) - start)
                    result = total if first else next_sum
                    part = parts[:count] if count > 1 else result[None]
                    A, B = M[start : start + count].mT, E[start : start + count]
                    calls.append((np.matmul, A, B, part.reshape(count, groups, depth, n)))
                    if count > 1:
                        calls.append((np.dot, ones[:count], part, result))
                    if not first:
                        calls.append((np.add, total, next_sum, total))
                    first = False
        return calls


def patches(ctx: Context, X: Array, axes: Sequence[Axis], groups: int, *, least: int = 0) -> Patches:
    """Return the patches of X (N, C, …): views of X if possible, else copies in scratch.

    A chunk has about ``least`` elements, or as many as stay in the cache if these are more.
    """
    if groups == 1 and X.size and all(a.trivial for a in axes):
        order = channel_order(X)
        if X.shape[1] == 1:
            order = (*(k for k in order if k != 1), 1)
        ordered = X.transpose(order)
        if order[-1] == 1 and ordered.flags.c_contiguous:
            matrix = ordered.reshape(1, 1, -1, ordered.shape[-1])
            n_rows, depth = matrix.shape[2:]
            return Patches((1, 1, n_rows, depth), order, [], [RowChunk([], matrix, slice(0, n_rows))])
    batch, channels, rank = X.shape[0], X.shape[1] // groups, len(axes)
    overlapped = rank > 1 and axes[0].dilation == 1
    first = axes[0] if overlapped else Axis(1, 1, 1, 1, 1, 0)
    others = axes[1:] if overlapped else axes
    height = (first.out - 1) * first.stride + first.kernel
    outs, kernels = [a.out for a in others], [a.kernel for a in others]
    windows, row = _product(outs), _product(kernels) * channels

    limit = max(1, min(batch, max(CACHE_ELEMENTS, least) // (groups * windows * height * row)))
    step = next((n for n in range(limit, limit // 2, -1) if batch % n == 0), limit)
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
        rows = slice(start * windows, (start + count) * windows)
        chunks.append(RowChunk(calls, matrix[:, :, : count * windows], rows))
    order = (2, 0, *range(3, rank + 2), 1) if overlapped else (0, *range(2, rank + 2), 1)
    borders: Calls = [(piece.fill, 0.0) for piece in _borders(copy, first, others) if piece.size]
    return Patches((groups, first.out, batch * windows, matrix.shape[-1]), order, borders, chunks)


def _copies(X: Array, copy: Array, first: Axis, others: Sequence[Axis]) -> Calls:
    """Return calls that copy X to (groups, N, out…, height, kernel…, channels), one for each run of outputs with equal taps.

    ``first`` is the spatial axis that is missing in ``others``, or an axis of size 1 that X does not have.
    """
    N, C, *spatial = X.strides
    overlapped, channels = len(spatial) > len(others), copy.shape[-1]
    down = spatial.pop(0) if overlapped else 0
    rows = _rows_with_inputs(first, copy.shape[2 + len(others)])
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
        strides = (
            channels * C,
            N,
            *(a.stride * s for a, s in zip(others, spatial, strict=True)),
            down,
            *(a.dilation * s for a, s in zip(others, spatial, strict=True)),
            C,
        )
        calls.append((np.copyto, *_merge_rows(target, as_strided(source, target.shape, strides, writeable=False))))
    return calls


def _merge_rows(target: Array, source: Array) -> tuple[Array, Array]:
    """Return the arrays of a copy with the last two axes merged if they are contiguous, as records if they are short."""
    shape = (*target.shape[:-2], target.shape[-2] * target.shape[-1])
    try:
        return as_records(target.reshape(shape, copy=False), source.reshape(shape, copy=False))
    except ValueError:
        return target, source


def _rows_with_inputs(axis: Axis, height: int) -> slice:
    """Return the rows of a copy of ``height`` rows that contain inputs, not padding."""
    start = max(0, axis.begin)
    return slice(start, max(start, min(height, axis.begin + axis.size)))


def _borders(copy: Array, first: Axis, others: Sequence[Axis]) -> list[Array]:
    """Return views of the parts of the copy that contain padding."""
    lead = (slice(None),) * (2 + len(others))
    rows = _rows_with_inputs(first, copy.shape[len(lead)])
    parts = [copy[(*lead, slice(0, rows.start))], copy[(*lead, slice(rows.stop, None))]]
    for position, axis in enumerate(others):
        for o, o_end, k, k_end in axis.segments():
            for taps in (slice(0, k), slice(k_end, None)):
                indices: list[Any] = [slice(None)] * copy.ndim
                indices[2 + position], indices[3 + len(others) + position] = slice(o, o_end), taps
                parts.append(copy[tuple(indices)])
    return parts


def _multiply(A: Array, B: Array, out: Array) -> Calls:
    """Return calls for ``out = A @ B`` of A (g, b, m, k) and B (g, k, n).

    Rows are split into tiles, each small enough for OpenBLAS's kernels that do not pack.
    """
    if A.shape[3] == 1 and A.shape[:2] == (1, 1) and all(X.flags.c_contiguous for X in (A, B, out)) and out.size:
        return [single_call(A[0, 0], B[0], out[0, 0])]  # np.matmul has no BLAS for it
    B = B[:, None]
    m, limit = A.shape[2], SMALL // max(1, B.shape[-1] * A.shape[3])
    if limit < 16 or m <= limit:
        return [(np.matmul, A, B, out)] if out.size else []
    tile = next((c for c in range(limit, limit // 2, -1) if m % c == 0), limit)
    tail = m // tile * tile
    calls: Calls = [(np.matmul, _tiles(A[:, :, :tail], tile), B[:, None], _tiles(out[:, :, :tail], tile))]
    if tail < m:
        calls.append((np.matmul, A[:, :, tail:], B, out[:, :, tail:]))
    return calls


def _row_tiles(A: Array, D: Array, tile: int) -> Iterator[tuple[Array, Array]]:
    """Yield corresponding rows of A (g, b, m, k) and D (g, b, m, n), (batch, g, rows, …): tiles, then the other rows."""
    m = A.shape[2]
    tail = m // tile * tile if tile < m else 0
    if tail:
        X, Y = (_tiles(M[:, :, :tail], tile)[:, 0].swapaxes(0, 1) for M in (A, D))
        yield X, Y
    if tail < m:
        yield A[:, :, tail:].swapaxes(0, 1), D[:, :, tail:].swapaxes(0, 1)


def _tiles(X: Array, rows: int) -> Array:
    """Return a view of X (g, b, m, n) as (g, b, tiles, rows, n)."""
    g, b, m, n = X.shape
    sg, sb, sm, sn = X.strides
    return as_strided(X, (g, b, m // rows, rows, n), (sg, sb, rows * sm, sm, sn))


def _product(sizes: Sequence[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64))
