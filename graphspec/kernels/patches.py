"""Convolution as matrix products: what lies under each window, laid out as matrices.

MEC (Cho and Brand, *MEC: memory-efficient convolution for deep neural network*, ICML 2017): the input is copied once with
the windows of every spatial axis but the first; the windows of the first overlap in that copy, which BLAS takes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.channels import channel_order
from graphspec.kernels.common import as_records
from graphspec.kernels.context import Context
from graphspec.kernels.matmul import SMALL
from graphspec.kernels.windows import Axis

_CHUNK = 1 << 17  # numbers in a copy: it stays in the second-level cache between copying and multiplying
_PARTIAL = 1 << 18  # numbers in the partial sums of a weight gradient


@dataclass(frozen=True)
class RowChunk:
    """Some rows of the patches: valid after its calls and until those of the next chunk."""

    calls: Calls
    matrix: Array
    rows: slice


@dataclass(frozen=True)
class Patches:
    """Matrices (groups, batches, rows, kernel·channels): window (k…, c) by window, for each batch of rows.

    The product with a kernel, (groups, batches, rows, out), has the output's axes in ``order``: batches and rows are all
    but the channels, in that order.
    """

    shape: tuple[int, int, int, int]
    order: tuple[int, ...]
    calls: Calls
    """What comes before the first chunk's calls."""
    chunks: list[RowChunk]

    def rows(self, Y: Array) -> Array:
        """An array (N, O, …) that is C-contiguous in ``order``, as (groups, batches, rows, out)."""
        groups, batches, rows, _ = self.shape
        shape = (batches, rows, groups, Y.shape[1] // groups)
        return Y.transpose(self.order).reshape(shape, copy=False).transpose(2, 0, 1, 3)

    def multiply(self, kernel: Array, out: Array) -> Calls:
        """Calls that write the product with ``kernel`` (groups, kernel·channels, out)."""
        calls = list(self.calls)
        for chunk in self.chunks:
            calls += chunk.calls + _multiply(chunk.matrix, kernel, out[:, :, chunk.rows])
        return calls

    def multiply_transposed(self, ctx: Context, D: Array, out: Array) -> Calls:
        """Calls that write ``Σ matrixᵀ @ D`` over batches and rows, (groups, k…, channels, out), C-contiguous."""
        groups, batches, _, depth = self.shape
        n = D.shape[-1]
        size = groups * depth * n
        step = max(1, min(batches, _PARTIAL // max(size, 1)))
        total = out.reshape(-1)
        more, parts = ctx.scratch((size,)), ctx.scratch((step, size))
        ones = ctx.constant(np.ones(step))
        calls: Calls = list(self.calls) if self.chunks else [(total.fill, 0.0)]
        first = True
        for chunk in self.chunks:
            calls += chunk.calls
            A, E = chunk.matrix.transpose(1, 0, 3, 2), D[:, :, chunk.rows].transpose(1, 0, 2, 3)
            for start in range(0, batches, step):
                count = min(step, batches - start)
                into = total if first else more
                part = parts[:count] if count > 1 else into[None]
                calls.append(
                    (
                        np.matmul,
                        A[start : start + count],
                        E[start : start + count],
                        part.reshape(count, groups, depth, n),
                    )
                )
                if count > 1:
                    calls.append((np.dot, ones[:count], part, into))
                if not first:
                    calls.append((np.add, total, more, total))
                first = False
        return calls


def patches(ctx: Context, X: Array, axes: Sequence[Axis], groups: int, *, least: int = 0) -> Patches:
    """The patches of X (N, C, …), copied into scratch unless X's memory serves; a chunk has about ``least`` numbers."""
    if groups == 1 and X.size and all(a.trivial for a in axes):
        order = channel_order(X)
        lying = X.transpose(order)
        if order[-1] == 1 and lying.flags.c_contiguous:
            matrix = lying.reshape(1, lying.shape[0], -1, lying.shape[-1])
            _, batches, many, depth = matrix.shape
            return Patches((1, batches, many, depth), order, [], [RowChunk([], matrix, slice(0, many))])
    batch, channels, rank = X.shape[0], X.shape[1] // groups, len(axes)
    overlapped = rank > 1 and axes[0].dilation == 1
    first = axes[0] if overlapped else Axis(1, 1, 1, 1, 1, 0)
    rest = axes[1:] if overlapped else axes
    height = (first.out - 1) * first.stride + first.kernel
    outs, kernels = [a.out for a in rest], [a.kernel for a in rest]
    windows, line = _product(outs), _product(kernels) * channels

    most = max(1, min(batch, max(_CHUNK, least) // (groups * windows * height * line)))
    step = next((n for n in range(most, most // 2, -1) if batch % n == 0), most)
    copy = ctx.scratch((groups, step, *outs, height, *kernels, channels))
    item = copy.itemsize
    matrix = as_strided(
        copy,
        (groups, first.out, step * windows, first.kernel * line),
        (step * windows * height * line * item, first.stride * line * item, height * line * item, item),
        writeable=False,
    )
    chunks = []
    for start in range(0, batch, step):
        count = min(step, batch - start)
        calls = _copies(X[start : start + count], copy[:, :count], first, rest)
        rows = slice(start * windows, (start + count) * windows)
        chunks.append(RowChunk(calls, matrix[:, :, : count * windows], rows))
    order = (2, 0, *range(3, rank + 2), 1) if overlapped else (0, *range(2, rank + 2), 1)
    borders: Calls = [(piece.fill, 0.0) for piece in _borders(copy, first, rest) if piece.size]
    return Patches((groups, first.out, batch * windows, matrix.shape[-1]), order, borders, chunks)


def _copies(X: Array, copy: Array, first: Axis, rest: Sequence[Axis]) -> Calls:
    """Calls that copy X into (groups, N, out…, height, kernel…, channels): one for each run of equal taps.

    ``first`` is the axis that is not in ``rest``, or one of size 1 that X does not have.
    """
    N, C, *spatial = X.strides
    overlapped, channels = len(spatial) > len(rest), copy.shape[-1]
    down = spatial.pop(0) if overlapped else 0
    rows = _reached(first, copy.shape[2 + len(rest)])
    calls: Calls = []
    for runs in product(*(a.segments() for a in rest)):
        into: list[Any] = [slice(o, o_end) for o, o_end, _, _ in runs]
        taps = [slice(k, k_end) for _, _, k, k_end in runs]
        target = copy[(slice(None), slice(None), *into, rows, *taps)]
        if target.size == 0:
            continue
        start = [o * a.stride + k * a.dilation - a.begin for a, (o, _, k, _) in zip(rest, runs, strict=True)]
        if overlapped:
            start.insert(0, rows.start - first.begin)
        source = X[(slice(None), slice(None), *(slice(s, None) for s in start))]
        strides = (
            channels * C,
            N,
            *(a.stride * s for a, s in zip(rest, spatial, strict=True)),
            down,
            *(a.dilation * s for a, s in zip(rest, spatial, strict=True)),
            C,
        )
        calls.append((np.copyto, *_lines(target, as_strided(source, target.shape, strides, writeable=False))))
    return calls


def _lines(target: Array, source: Array) -> tuple[Array, Array]:
    """Arrays to be copied, with the last two axes as one where they lie so, and as one element where that is short."""
    shape = (*target.shape[:-2], target.shape[-2] * target.shape[-1])
    try:
        return as_records(target.reshape(shape, copy=False), source.reshape(shape, copy=False))
    except ValueError:
        return target, source


def _reached(axis: Axis, height: int) -> slice:
    """The rows of a copy of ``height`` rows that hold inputs."""
    start = max(0, axis.begin)
    return slice(start, max(start, min(height, axis.begin + axis.size)))


def _borders(copy: Array, first: Axis, rest: Sequence[Axis]) -> list[Array]:
    """The parts of the copy that no input reaches."""
    lead = (slice(None),) * (2 + len(rest))
    rows = _reached(first, copy.shape[len(lead)])
    parts = [copy[(*lead, slice(0, rows.start))], copy[(*lead, slice(rows.stop, None))]]
    for place, axis in enumerate(rest):
        for o, o_end, k, k_end in axis.segments():
            for taps in (slice(0, k), slice(k_end, None)):
                where: list[Any] = [slice(None)] * copy.ndim
                where[2 + place], where[3 + len(rest) + place] = slice(o, o_end), taps
                parts.append(copy[tuple(where)])
    return parts


def _multiply(A: Array, B: Array, out: Array) -> Calls:
    """``out = A @ B`` for A (g, b, m, k), B (g, k, n), the rows cut so that each product is small enough to go unpacked."""
    B = B[:, None]
    m, most = A.shape[2], SMALL // max(1, B.shape[-1] * A.shape[3])
    if most < 16 or m <= most:
        return [(np.matmul, A, B, out)] if out.size else []
    cut = next((c for c in range(most, most // 2, -1) if m % c == 0), most)
    whole = m // cut * cut
    calls: Calls = [(np.matmul, _cut(A[:, :, :whole], cut), B[:, None], _cut(out[:, :, :whole], cut))]
    if whole < m:
        calls.append((np.matmul, A[:, :, whole:], B, out[:, :, whole:]))
    return calls


def _cut(X: Array, rows: int) -> Array:
    g, b, m, n = X.shape
    sg, sb, sm, sn = X.strides
    return as_strided(X, (g, b, m // rows, rows, n), (sg, sb, rows * sm, sm, sn))


def _product(sizes: Sequence[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64))
