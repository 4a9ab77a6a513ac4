"""Arithmetic by channel over an array (N, C, …), in whatever order its axes lie in memory.

Where channels lie last, memory is rows of C numbers; a vector of C numbers is *spread* over several rows, because NumPy
is slow on narrow rows, and sums over rows are products with ones. Else memory is (outer, C, inner). Either way it is
taken in blocks that stay in the cache between the calls of one formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Value
from graphspec.kernels.blocks import each_block
from graphspec.kernels.context import Context, need, need_float
from graphspec.kernels.fast import use_fast_kernel

_MANY, _LARGE = 256, 2048  # rows of a matrix, and its numbers, from which it is faster to spread a vector for them
_WIDTH = 1024  # numbers in a row of several channels' vectors
_BLOCK = 1 << 16  # numbers in a block: 256 KiB of float32


def contiguous(ctx: Context, X: Array, order: Sequence[int]) -> tuple[Array, Calls]:
    """X with its axes in ``order``, C-contiguous: a view of X, or scratch and the call that copies X there."""
    view = X.transpose(order)
    if view.flags.c_contiguous:
        return view, []
    copy = ctx.scratch(view.shape, X.dtype)
    return copy, [(np.copyto, copy, view)]


def channel_count(X: Value, **vectors: Value) -> int:
    """The number C of channels of X (N, C, …), which each of the ``vectors`` must have a number for."""
    need_float(X, *vectors.values())
    need(X.rank >= 2, f"needs (N, C, …), got {show(X.shape)}")
    count = X.fixed(1)
    for name, value in vectors.items():
        text = f"has {name} {show(value.shape)}, which does not fit {count} channels of {show(X.shape)}"
        need(value.shape == (count,), text, code="GS304")
    return count


def channel_order(X: Array) -> tuple[int, ...]:
    """X's axes, slowest in memory first; the channel axis is last wherever that is true of the memory."""
    order = axis_order(X)
    place = order.index(1)
    if all(X.shape[k] == 1 for k in order[place + 1 :]):
        return (*order[:place], *order[place + 1 :], 1)
    return order


def inverse_root(var: Array, epsilon: Array, out: Array) -> Calls:
    """Calls for ``1 / sqrt(var + epsilon)``."""
    return [(np.add, var, epsilon, out), (np.sqrt, out, out), (np.reciprocal, out, out)]


class Channels:
    """How arrays of X's shape, with axes in memory ``order``, are cut into blocks.

    The methods take and give arrays that are C-contiguous in that order (see :func:`contiguous`).
    """

    def __init__(self, ctx: Context, shape: Sequence[int], order: Sequence[int]) -> None:
        self._ctx = ctx
        self.count = shape[1]
        place = list(order).index(1)
        sizes = [shape[k] for k in order]
        self.outer, self.inner = _product(sizes[:place]), _product(sizes[place + 1 :])
        self.last = self.inner == 1
        self.rows = self.outer * self.inner
        if self.last:
            self.times = max(1, min(_WIDTH // max(self.count, 1), self.outer))
            self._step = max(1, _BLOCK // max(self.times * self.count, 1))
        else:
            self.times = 1
            self._step = max(1, _BLOCK // (self.count * self.inner))
        self._whole = self.outer // self.times
        self._rest = self.outer - self._whole * self.times

    def blocks(self, *arrays: Array) -> Iterator[tuple[Array, ...]]:
        """Corresponding blocks of the arrays: matrices of whole rows, or (outer, C, inner) pieces."""
        if not self.last:
            pieces = [a.reshape(self.outer, self.count, self.inner) for a in arrays]
            for start in range(0, self.outer, self._step):
                yield tuple(p[start : start + self._step] for p in pieces)
            return
        width, whole = self.times * self.count, self._whole
        flat = [a.reshape(-1) for a in arrays]
        main = [f[: whole * width].reshape(whole, width) for f in flat]
        for start in range(0, whole, self._step):
            yield tuple(m[start : start + self._step] for m in main)
        if self._rest:
            yield tuple(f[whole * width :].reshape(1, -1) for f in flat)

    def scratch(self) -> Array:
        """A temporary that any block fits into; see :meth:`like`."""
        if self.last:
            return self._ctx.scratch((self._step * self.times * self.count,))
        return self._ctx.scratch((self._step * self.count * self.inner,))

    def like(self, block: Array, scratch: Array) -> Array:
        """The first numbers of ``scratch`` in ``block``'s shape."""
        return scratch[: block.size].reshape(block.shape)

    def spread(self, vector: Array) -> tuple[Array, Calls]:
        """A vector of C numbers as :meth:`over` needs it, and the calls that bring it up to date."""
        if not self.last:
            return vector.reshape(self.count, 1), []
        if self.times == 1:
            return vector, []
        wide = self._ctx.scratch((self.times * self.count,))
        return wide, [(np.copyto, wide.reshape(self.times, self.count), vector)]

    def over(self, block: Array, spread: Array) -> Array:
        """The part of a spread vector that fits a block."""
        return spread[: block.shape[-1]] if self.last else spread

    def sums(self) -> Sums:
        return Sums(self, self._ctx)


class Sums:
    """A sum for each channel, gathered block by block, in order: :meth:`add` each block, then :meth:`total`.

    The sum of products of two arrays where each block is added with a factor.
    """

    def __init__(self, channels: Channels, ctx: Context) -> None:
        self._channels, self._at = channels, 0
        if channels.last:
            blocks = -(-channels._whole // channels._step) + (channels._rest > 0)
            self._parts = ctx.save_for_backward((blocks, channels.times * channels.count))
            self._parts[...] = 0
            self._ones = ctx.constant(np.ones(max(channels._step, 1)))
        else:
            self._parts = ctx.save_for_backward((channels.outer, channels.count))
            self._ones = ctx.constant(np.ones(channels.inner))
        self._more = ctx.constant(np.ones(self._parts.size // max(channels.count, 1)))

    def add(self, block: Array, factor: Array | None = None) -> Calls:
        """Calls that take in the next block."""
        start = self._at
        self._at += 1 if self._channels.last else len(block)
        parts = self._parts[start, : block.shape[1]] if self._channels.last else self._parts[start : self._at]
        if factor is not None:
            products = "ij,ij->j" if self._channels.last else "ijk,ijk->ij"
            return [(partial(np.einsum, products, out=parts), block, factor)]
        if self._channels.last:
            return [(np.dot, self._ones[: len(block)], block, parts)]
        return [(np.matmul, block, self._ones, parts)]

    def again(self) -> Sums:
        """This once more from the first block: other calls for a sum in the same memory."""
        self._at = 0
        return self

    def total(self, out: Array) -> Calls:
        """Calls that write the sum of all blocks into ``out`` (C numbers)."""
        return [(np.dot, self._more, self._parts.reshape(-1, self._channels.count), out)]


def column_sums(ctx: Context, rows: Array, out: Array) -> Calls:
    """Calls that write the sum over the rows of a C-contiguous matrix into ``out``."""
    channels = Channels(ctx, (rows.shape[0], rows.shape[1]), (0, 1))
    sums = channels.sums()
    calls = [call for (block,) in channels.blocks(rows) for call in sums.add(block)]
    return calls + sums.total(out)


def add_rows(ctx: Context, rows: Array, vector: Array) -> Calls:
    """Calls that add ``vector`` to every row of a C-contiguous matrix, in place."""
    return _each_row(ctx, np.add, rows, vector, rows)


def broadcast_rows(ctx: Context, function: np.ufunc, A: Array, B: Array, C: Array) -> Calls:
    """Calls for ``C = function(A, B)``; a vector B along the axis that lies last, which many rows meet, is spread."""
    order = [k for k in axis_order(C) if C.shape[k] != 1]
    rows = C.size // max(B.size, 1)
    if A.shape == C.shape and A.dtype == ctx.dtype and order and C.size and B.size == C.shape[order[-1]]:
        axis, lying = order[-1] - C.ndim, [X.transpose(axis_order(C)) for X in (A, C)]
        fits = B.ndim >= -axis and B.shape[axis] == B.size and all(X.flags.c_contiguous for X in lying)
        if fits and use_fast_kernel(rows >= _MANY and C.size >= _LARGE and B.size <= _WIDTH // 2):
            a, c = (X.reshape(rows, B.size) for X in lying)
            return _each_row(ctx, function, a, B.reshape(B.size), c)
    return each_block(function, A, B, C)


def _each_row(ctx: Context, function: np.ufunc, rows: Array, vector: Array, out: Array) -> Calls:
    channels = Channels(ctx, rows.shape, (0, 1))
    wide, calls = channels.spread(vector)
    return calls + [(function, a, channels.over(a, wide), c) for a, c in channels.blocks(rows, out)]


def _product(sizes: Sequence[Any]) -> int:
    return int(np.prod(sizes, dtype=np.int64))
