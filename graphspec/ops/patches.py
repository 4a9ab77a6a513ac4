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

from graphspec.compiler.ir import Array
from graphspec.ops.base import Calls, Context
from graphspec.ops.channels import channel_order
from graphspec.ops.windows import Axis

_SMALL = 1_000_000  # up to m·n·k of about this, OpenBLAS has kernels that do not pack
_PARTIAL = 1 << 19  # numbers in the partial sums of a weight gradient


@dataclass(frozen=True)
class Patches:
    """``matrix`` (groups, batches, rows, kernel·channels): window (k…, c) by window, for each batch of rows.

    The product with a kernel, (groups, batches, rows, out), has the output's axes in ``order``: batches and rows are all
    but the channels, in that order.
    """

    matrix: Array
    order: tuple[int, ...]
    calls: Calls

    def rows(self, Y: Array) -> Array:
        """An array (N, O, …) that is C-contiguous in ``order``, as (groups, batches, rows, out)."""
        groups, batches, rows, _ = self.matrix.shape
        return (
            Y.transpose(self.order)
            .reshape(batches, rows, groups, Y.shape[1] // groups, copy=False)
            .transpose(2, 0, 1, 3)
        )


def patches(ctx: Context, X: Array, axes: Sequence[Axis], groups: int, *, keep: bool) -> Patches:
    """The patches of X (N, C, …).

    Args:
        keep: keep the copy from forward to backward (its zero borders are then written only once).
    """
    if groups == 1 and all(a.trivial for a in axes):
        order = channel_order(X)
        lying = X.transpose(order)
        if order[-1] == 1 and lying.flags.c_contiguous:
            return Patches(lying.reshape(1, lying.shape[0], -1, lying.shape[-1]), order, [])
    batch, channels = X.shape[0], X.shape[1] // groups
    rank = len(axes)
    overlapped = rank > 1 and axes[0].dilation == 1
    first = axes[0] if overlapped else Axis(1, 1, 1, 1, 1, 0)
    rest = axes[1:] if overlapped else axes
    height = (first.out - 1) * first.stride + first.kernel
    outs, kernels = [a.out for a in rest], [a.kernel for a in rest]
    shape = (groups, batch, *outs, height, *kernels, channels)
    copy = (ctx.save if keep else ctx.scratch)(shape)
    calls: Calls = []
    if keep:
        copy[...] = 0
    else:
        calls += [(piece.fill, 0.0) for piece in _border(copy, first, rest) if piece.size]

    N, C, *spatial = X.strides
    rows = slice(max(0, first.begin), max(0, first.begin, min(height, first.begin + first.size)))
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
            *(a.stride * s for a, s in zip(rest, spatial[-len(rest) :], strict=True)),
            spatial[0] if overlapped else 0,
            *(a.dilation * s for a, s in zip(rest, spatial[-len(rest) :], strict=True)),
            C,
        )
        calls.append((np.copyto, target, as_strided(source, target.shape, strides, writeable=False)))

    line = int(np.prod(kernels, dtype=np.int64)) * channels
    many = batch * int(np.prod(outs, dtype=np.int64))
    item = copy.itemsize
    matrix = as_strided(
        copy,
        (groups, first.out, many, first.kernel * line),
        (many * height * line * item, first.stride * line * item, height * line * item, item),
        writeable=False,
    )
    return Patches(matrix, (2, 0, *range(3, rank + 2), 1) if overlapped else (0, *range(2, rank + 2), 1), calls)


def _border(copy: Array, first: Axis, rest: Sequence[Axis]) -> list[Array]:
    """The parts of the copy that no input reaches."""
    height = copy.shape[2 + len(rest)]
    lead = (slice(None),) * (2 + len(rest))
    end = max(0, first.begin, min(height, first.begin + first.size))
    parts = [copy[(*lead, slice(0, max(0, first.begin)))], copy[(*lead, slice(end, None))]]
    for place, axis in enumerate(rest):
        for o, o_end, k, k_end in axis.segments():
            for taps in (slice(0, k), slice(k_end, None)):
                where: list[Any] = [slice(None)] * copy.ndim
                where[2 + place], where[3 + len(rest) + place] = slice(o, o_end), taps
                parts.append(copy[tuple(where)])
    return parts


def multiply(A: Array, B: Array, out: Array) -> Calls:
    """``out = A @ B`` for A (g, b, m, k), B (g, k, n), the rows cut so that each product is small enough to go unpacked."""
    B = B[:, None]
    m, most = A.shape[2], _SMALL // max(1, B.shape[-1] * A.shape[3])
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


def multiply_transposed(ctx: Context, A: Array, D: Array) -> tuple[Array, Calls]:
    """``Σ_b A[g, b]ᵀ @ D[g, b]``, (g, k, n), in scratch."""
    groups, batches, _, k = A.shape
    n = D.shape[-1]
    total = ctx.scratch((groups, k, n))
    if batches == 0:
        return total, [(total.fill, 0.0)]
    if batches == 1:
        return total, [(np.matmul, A[:, 0].swapaxes(1, 2), D[:, 0], total)]
    A, D = A.transpose(1, 0, 3, 2), D.transpose(1, 0, 2, 3)
    step = max(1, min(batches, _PARTIAL // (groups * k * n)))
    parts = ctx.scratch((step, groups, k, n))
    more = total if step == batches else ctx.scratch((groups, k, n))
    ones = ctx.constant(np.ones(step))
    calls: Calls = []
    for start in range(0, batches, step):
        count = min(step, batches - start)
        into = total if start == 0 else more
        calls.append((np.matmul, A[start : start + count], D[start : start + count], parts[:count]))
        calls.append((np.dot, ones[:count], parts[:count].reshape(count, -1), into.reshape(-1)))
        if start:
            calls.append((np.add, total, more, total))
    return total, calls
