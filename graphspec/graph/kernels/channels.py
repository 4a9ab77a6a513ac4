"""Arithmetic by channel on arrays (N, C, …) of any memory order.

In a channels-last array memory consists of rows of C elements. NumPy is slow on narrow rows, so a vector of C elements is
*spread*: tiled over several rows. Sums over rows are products with ones. In other arrays memory is (outer, C, inner). Both
layouts are processed in blocks that stay in the cache between the calls of one formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Array, Value, show
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.common import BLOCK_ELEMENTS, each_block, unsigned
from graphspec.graph.kernels.compiled import Neighbour, twin, use_fast_kernel
from graphspec.graph.kernels.context import Calls, Context, need

_MANY_ROWS, _MANY_ELEMENTS = 256, 2048  # spreading a vector is faster for matrices with at least as many
_WIDTH = 1024  # elements in a spread vector


def contiguous(ctx: Context, X: Array, order: Sequence[int]) -> tuple[Array, Calls]:
    """Return X with its axes in ``order``, C-contiguous: a view of X, or scratch and the call that copies X to it."""
    view = X.transpose(order)
    if view.flags.c_contiguous:
        return view, []
    copy = ctx.scratch(view.shape, X.dtype)
    return copy, [(np.copyto, copy, view)]


def channel_count(X: Value, **vectors: Value) -> int:
    """Return the number C of channels of X (N, C, …); each of the ``vectors`` must have C elements."""
    need.float(X, *vectors.values())
    need(X.rank >= 2, f"needs (N, C, …), got {show(X.shape)}")
    count = X.fixed(1)
    for name, value in vectors.items():
        text = f"has {name} {show(value.shape)}, which does not fit {count} channels of {show(X.shape)}"
        need.sizes(value.shape == (count,), text)
    return count


def channel_order(X: Array) -> tuple[int, ...]:
    """Return X's axes, slowest in memory first, with the channel axis last if only axes of size 1 are faster."""
    order = axis_order(X)
    position = order.index(1)
    if all(X.shape[k] == 1 for k in order[position + 1 :]):
        return (*order[:position], *order[position + 1 :], 1)
    return order


def inverse_root(var: Array, epsilon: Array, out: Array) -> Calls:
    """Return calls for ``out = 1 / sqrt(var + epsilon)``."""
    return [(np.add, var, epsilon, out), (np.sqrt, out, out), (np.reciprocal, out, out)]


_ADDED = [Neighbour("added", np.add, operands) for operands in (("y", "added", "y"), ("added", "y", "y"))]


@twin(after=(*_ADDED, Neighbour("relu", "relu", ("y", "y"))))
def scale_shift(
    x: Array, factors: Array | None, shifts: Array, y: Array, added: Array | None, relu: Array | None, /
) -> Calls:
    """Return calls for ``y = max(x · factors + shifts + added, 0)`` of blocks, vectors spread; None is left out."""
    calls: Calls = [(np.add, x, shifts, y)]
    if factors is not None:
        calls = [(np.multiply, x, factors, y), (np.add, y, shifts, y)]
    if added is not None:
        calls.append((np.add, y, added, y))
    return calls if relu is None else [*calls, (partial(np.maximum, out=y), y, np.zeros_like(y))]


@twin()
def norm_gradient(
    x: Array, dy: Array, slopes: Array, offsets: Array, factors: Array, weights: Array | None, /, *, t: Array
) -> Calls:
    """Return calls for ``dy = dy · factors + (x · slopes + offsets) · weights``, for blocks as :func:`scale_shift`."""
    calls: Calls = [(np.multiply, x, slopes, t), (np.add, t, offsets, t)]
    if weights is not None:
        calls.append((np.multiply, t, weights, t))
    return [*calls, (np.multiply, dy, factors, dy), (np.add, dy, t, dy)]


@twin()
def square_sums(x: Array, sums: Array, squares: Array, /) -> Calls:
    """Return calls for the sums of x's columns and of their squares: x (rows, width), sums and squares (width,).

    Each column is added row by row, whatever the processor, so that a kernel can have the same bits.
    """
    return [(np.add.reduce, x, 0, None, sums), (partial(np.einsum, "ij,ij->j", out=squares), x, x)]


@twin(before=(Neighbour("active", "relu_gradient", ("active", "dy")),))
def gradient_sums(
    x: Array, dy: Array, sums: Array | None, products: Array, active: Array | None, scale: Array | None, /
) -> Calls:
    """Return calls for the sums of the columns of dy and of ``x · dy``, in the shapes and the order of :func:`square_sums`.

    Before, dy becomes 0 where ``active`` is; after, it is multiplied by ``scale`` (width,), if asked for.
    """
    calls: Calls = [(partial(np.einsum, "ij,ij->j", out=products), x, dy)]
    if sums is not None:
        calls.insert(0, (np.add.reduce, dy, 0, None, sums))
    if active is not None:
        gradient, kept = unsigned(dy), np.zeros_like(unsigned(dy))
        calls = [(np.sign, unsigned(active), kept), (np.multiply, gradient, kept, gradient), *calls]
    return calls if scale is None else [*calls, (np.multiply, dy, scale, dy)]


def _round_alike(dtype: np.dtype[Any]) -> bool:
    """Return whether there are kernels of sums, and they give NumPy's bits on this machine.

    NumPy's ``einsum`` multiplies and adds with one rounding if it is built for processors that can, the kernels if they
    are built for ARM64. Neither is documented, so it is tried out.
    """
    return square_sums.compiled and gradient_sums.compiled and same_roundings(compiled.LIBRARY, dtype)


@lru_cache
def same_roundings(library: Any, dtype: np.dtype[Any]) -> bool:
    """Return whether ``library`` sums squares and products with the bits of NumPy."""
    x, dy = np.random.default_rng(0).standard_normal((2, 5, 67)).astype(dtype)
    for sums, rows in ((square_sums, (x,)), (gradient_sums, (x, dy))):
        absent = [None] * (len(sums.operands) - len(rows) - 2)
        actual, expected = np.zeros((2, 2, x.shape[1]), dtype)
        library.bind(sums.name, *rows, *actual, *absent)()
        for f, *operands in sums.numpy(*rows, *expected, *absent):
            f(*operands)
        if actual.tobytes() != expected.tobytes():
            return False
    return True


class Channels:
    """The partition into blocks of arrays of ``shape`` (N, C, …) that are C-contiguous with axes in memory ``order``."""

    def __init__(self, ctx: Context, shape: Sequence[int], order: Sequence[int]) -> None:
        self._ctx, self.count = ctx, shape[1]
        position, sizes = list(order).index(1), [shape[k] for k in order]
        self.outer, self.inner = prod(sizes[:position]), prod(sizes[position + 1 :])
        self.last = self.inner == 1
        self.rows = self.outer * self.inner
        self.times = max(1, min(_WIDTH // max(self.count, 1), self.outer)) if self.last else 1
        self._width = self.times * self.count * self.inner  # elements of a row of a block
        self._step = max(1, BLOCK_ELEMENTS // max(self._width, 1))
        self._tiled_rows, self._remainder = divmod(self.outer, self.times)

    def blocks(self, *arrays: Array) -> Iterator[tuple[Array, ...]]:
        """Yield corresponding blocks of the arrays: matrices of complete rows, or (outer, C, inner)."""
        if not self.last:
            reshaped = [a.reshape(self.outer, self.count, self.inner) for a in arrays]
            for start in range(0, self.outer, self._step):
                yield tuple(a[start : start + self._step] for a in reshaped)
            return
        width, rows = self._width, self._tiled_rows
        flat = [a.reshape(-1) for a in arrays]
        main = [f[: rows * width].reshape(rows, width) for f in flat]
        for start in range(0, rows, self._step):
            yield tuple(m[start : start + self._step] for m in main)
        if self._remainder:
            yield tuple(f[rows * width :].reshape(1, -1) for f in flat)

    def scratch(self) -> Array:
        """Return a scratch buffer large enough for every block; see :meth:`like`."""
        return self._ctx.scratch((self._step * self._width,))

    def like(self, block: Array, scratch: Array) -> Array:
        """Return the first elements of ``scratch`` in ``block``'s shape."""
        return scratch[: block.size].reshape(block.shape)

    def spread(self, vector: Array) -> tuple[Array, Calls]:
        """Return a vector of C elements in the form that :meth:`over` needs, and the calls that update it."""
        if not self.last:
            return vector.reshape(self.count, 1), []
        if self.times == 1:
            return vector, []
        tiled = self._ctx.scratch((self.times * self.count,))
        return tiled, [(np.copyto, tiled.reshape(self.times, self.count), vector)]

    def over(self, block: Array, spread: Array) -> Array:
        """Return the part of a spread vector that broadcasts with a block."""
        return spread[: block.shape[-1]] if self.last else spread

    def sums(self) -> Sums:
        return Sums(self, self._ctx)


class Sums:
    """A sum for each channel: :meth:`add` each block in order, or to two sums in one pass, then call :meth:`total`."""

    def __init__(self, channels: Channels, ctx: Context) -> None:
        self._channels, self._at = channels, 0
        blocks = -(-channels._tiled_rows // channels._step) + (channels._remainder > 0)
        shape = (blocks, channels._width) if channels.last else (channels.outer, channels.count)
        self._parts = ctx.save_for_backward(shape)
        if channels.last:
            self._parts[...] = 0
        self._ones = ctx.constant(np.ones(channels._step if channels.last else channels.inner))
        self._ones_of_parts = ctx.constant(np.ones(self._parts.size // max(channels.count, 1)))

    def add(self, block: Array) -> Calls:
        parts = self._next(block)
        if self._channels.last:
            return [(np.dot, self._ones[: len(block)], block, parts)]
        return [(np.matmul, block, self._ones, parts)]

    def add_squares(self, squares: Sums, block: Array) -> Calls:
        """Return calls that add the next block, and its squares to ``squares``."""
        if self._channels.last:
            make = square_sums if _round_alike(block.dtype) else square_sums.numpy
            return make(block, self._next(block), squares._next(block))
        return [*self.add(block), *squares._add_products(block, block)]

    def add_products(self, x: Array, dy: Array, gradient: Sums | None, scale: Array | None = None) -> Calls:
        """Return calls that add the next block of ``x · dy``, dy to ``gradient``, and multiply dy by a spread ``scale``."""
        scale = None if scale is None else self._channels.over(dy, scale)
        if self._channels.last:
            make = gradient_sums if _round_alike(dy.dtype) else gradient_sums.numpy
            return make(x, dy, None if gradient is None else gradient._next(dy), self._next(dy), None, scale)
        calls = [] if gradient is None else gradient.add(dy)
        calls += self._add_products(x, dy)
        return calls if scale is None else [*calls, (np.multiply, dy, scale, dy)]

    def _add_products(self, x: Array, y: Array) -> Calls:
        """Return the call that adds the next block of ``x · y``, (outer, C, inner)."""
        return [(partial(np.einsum, "ijk,ijk->ij", out=self._next(x)), x, y)]

    def _next(self, block: Array) -> Array:
        """Return the parts of the sum that belong to the next block."""
        start = self._at
        self._at += 1 if self._channels.last else len(block)
        return self._parts[start, : block.shape[1]] if self._channels.last else self._parts[start : self._at]

    def restart(self) -> Sums:
        """Start at the first block again: the next calls compute another sum in the same memory."""
        self._at = 0
        return self

    def total(self, out: Array) -> Calls:
        """Return calls that write the sum of all blocks into ``out`` (C,)."""
        return [(np.dot, self._ones_of_parts, self._parts.reshape(-1, self._channels.count), out)]


def column_sums(ctx: Context, rows: Array, out: Array) -> Calls:
    """Return calls that write the sum over the rows of a C-contiguous matrix into ``out``."""
    channels = Channels(ctx, (rows.shape[0], rows.shape[1]), (0, 1))
    sums = channels.sums()
    calls = [call for (block,) in channels.blocks(rows) for call in sums.add(block)]
    return calls + sums.total(out)


def add_rows(ctx: Context, rows: Array, vector: Array) -> Calls:
    """Return calls that add ``vector`` to every row of a C-contiguous matrix, in place."""
    return _each_row(ctx, np.add, rows, vector, rows)


def broadcast_rows(ctx: Context, function: np.ufunc, A: Array, B: Array, C: Array) -> Calls:
    """Return calls for ``C = function(A, B)``; a vector B along the fastest axis is spread if there are many rows."""
    order = [k for k in axis_order(C) if C.shape[k] != 1]
    rows = C.size // max(B.size, 1)
    if A.shape == C.shape and A.dtype == ctx.dtype and order and C.size and B.size == C.shape[order[-1]]:
        axis, ordered = order[-1] - C.ndim, [X.transpose(axis_order(C)) for X in (A, C)]
        fits = B.ndim >= -axis and B.shape[axis] == B.size and all(X.flags.c_contiguous for X in ordered)
        if fits and use_fast_kernel(rows >= _MANY_ROWS and C.size >= _MANY_ELEMENTS and B.size <= _WIDTH // 2):
            a, c = (X.reshape(rows, B.size) for X in ordered)
            return _each_row(ctx, function, a, B.reshape(B.size), c)
    return each_block(function, A, B, C)


def _each_row(ctx: Context, function: np.ufunc, rows: Array, vector: Array, out: Array) -> Calls:
    channels = Channels(ctx, rows.shape, (0, 1))
    tiled, calls = channels.spread(vector)
    for a, c in channels.blocks(rows, out):
        over = channels.over(a, tiled)
        calls += scale_shift(a, None, over, c, None, None) if function is np.add else [(function, a, over, c)]
    return calls
