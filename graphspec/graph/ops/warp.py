"""Affine warping of images: each output pixel is interpolated at the point that the map assigns to it. Training only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import copy_cast
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.dropout import identity

_PIXELS = 1 << 15  # pixels per block of rows
FILL_MODES = ("constant", "nearest", "reflect", "wrap")


@op
class AffineWarp(Op):
    """Images X (batch, height, width, channels), each warped by its affine map (batch, 6): ``a₀, a₁, a₂, b₀, b₁, b₂``.

    The pixel at (x, y) from the centre is read from ``(a₀x + a₁y + a₂·width, b₀x + b₁y + b₂·height)``. Beyond the border
    this is ``fill_value`` (constant), the edge (nearest), the mirror image ``d c b a | a b c d | d c b a`` (reflect) or the
    opposite side (wrap), as in ``jax.scipy.ndimage.map_coordinates``. Keras uses that on JAX and reimplements it for
    PyTorch; on TensorFlow, ``reflect`` and ``wrap`` differ from Keras's documentation by fractions of a pixel. The map has
    no gradient.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (1,), False
    exported, identity_in_inference = False, True

    interpolation: str = "bilinear"
    fill_mode: str = "reflect"
    fill_value: float = 0.0

    def infer(self, X: Value, matrix: Value) -> Type:
        need_float(X, matrix)
        need(X.rank == 4, f"needs images (batch, height, width, channels), got {show(X.shape)}")
        need(matrix.shape == (X.shape[0], 6), f"needs a map of shape {show((X.shape[0], 6))}, got {show(matrix.shape)}")
        need(
            self.interpolation in ("nearest", "bilinear"),
            f"has no interpolation {self.interpolation!r}",
            code=Code.VALUE_NOT_ALLOWED,
        )
        need(self.fill_mode in FILL_MODES, f"has no fill_mode {self.fill_mode!r}", code=Code.VALUE_NOT_ALLOWED)
        return X.type

    def bind(self, ctx: Context, X: Array, matrix: Array) -> Bound:
        if not ctx.training:
            return identity(ctx, X)
        Y, channels = ctx.out(like=X), X.shape[3]
        lookup = Lookup(ctx, X.shape, matrix, self.interpolation, self.fill_mode)
        planes, total, part = (ctx.scratch((channels, lookup.pixels)) for _ in range(3))
        calls: Calls = []
        for rows, count in lookup.blocks():
            P, S, T = (a[:, :count] for a in (planes, total, part))
            calls += [(np.copyto, as_images(P, X[rows]), X[rows]), *lookup.locate(rows)]
            for k, (indices, weight, tap_calls) in enumerate(lookup.taps(count)):
                A = T if k else S
                calls += [*tap_calls, (np.take, P, indices, 1, A, "clip")]
                if weight is not None:
                    calls.append((np.multiply, A, weight, A))
                if k:
                    calls.append((np.add, S, T, S))
            if self.fill_mode == "constant" and self.fill_value:
                calls += [*lookup.missing(count, self.fill_value), (np.add, S, lookup.weight[:count], S)]
            calls.append((np.copyto, Y[rows], as_images(S, X[rows])))

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            if dX is None:
                return []
            lookup = Lookup(ctx, X.shape, matrix, self.interpolation, self.fill_mode)
            planes, total, part = (ctx.scratch((channels, lookup.pixels)) for _ in range(3))
            calls: Calls = []
            for rows, count in lookup.blocks():
                P, S, T = (a[:, :count] for a in (planes, total, part))
                calls += [(np.copyto, as_images(P, X[rows]), dY[rows]), (S.fill, 0), *lookup.locate(rows)]
                for indices, weight, tap_calls in lookup.taps(count):
                    calls += tap_calls
                    if weight is not None:
                        calls.append((np.multiply, P, weight, T))
                    source = P if weight is None else T
                    calls += [(np.add.at, S[c], indices, source[c]) for c in range(channels)]
                calls.append((np.copyto, dX[rows], as_images(S, X[rows])))
            return calls

        return Y, calls, backward


def as_images(planes: Array, images: Array) -> Array:
    """Return ``planes`` (channels, pixels) as a view in the shape of ``images`` (rows, height, width, channels)."""
    return planes.reshape(images.shape[3], *images.shape[:3]).transpose(1, 2, 3, 0)


class Lookup:
    """The source indices and weights of the pixels of a block of rows: temporaries, and the calls that fill them."""

    def __init__(self, ctx: Context, shape: tuple[int, ...], matrix: Array, interpolation: str, fill_mode: str) -> None:
        self._ctx, self._matrix, self._mode, self._linear = ctx, matrix, fill_mode, interpolation == "bilinear"
        self._rows, self._height, self._width = shape[:3]
        self._size = self._height * self._width
        self._step = max(min(_PIXELS // max(self._size, 1), self._rows), 1)
        self.pixels = self._step * self._size
        """The size of the largest block."""
        self.weight = ctx.scratch((self.pixels,))
        self._flat_index, self._buffer = ctx.scratch((self.pixels,), np.int64), ctx.scratch((self.pixels,), np.int64)
        self._valid = ctx.scratch((self.pixels,), np.bool_)
        count = 2 if self._linear else 1
        self._index = [[ctx.scratch((self.pixels,), np.int64) for _ in range(count)] for _ in range(2)]
        self._across = ctx.scratch((self._step, 1, self._width))
        self._down, self._offset = ctx.scratch((self._step, self._height, 1)), ctx.scratch((self._step, 1, 1))
        self._x = ctx.constant(np.arange(self._width) - (self._width - 1) / 2)
        self._y = ctx.constant(np.arange(self._height)[:, None] - (self._height - 1) / 2)
        self._starts = ctx.constant(np.arange(self._step)[:, None] * self._size, np.int64)
        weighted = self._linear or fill_mode == "constant"
        self._weights = [[ctx.scratch((self.pixels,)) for _ in range(count)] if weighted else [] for _ in range(2)]

    def blocks(self) -> Iterator[tuple[slice, int]]:
        """Yield the rows of each block, and its number of pixels."""
        for start in range(0, self._rows if self._size else 0, self._step):
            stop = min(start + self._step, self._rows)
            yield slice(start, stop), (stop - start) * self._size

    def locate(self, rows: slice) -> Calls:
        """Return the calls that fill the indices and weights along both axes for these rows."""
        ctx, count = self._ctx, rows.stop - rows.start
        pixels = count * self._size
        across, down, offset = self._across[:count], self._down[:count], self._offset[:count]
        coordinates = self.weight[:pixels].reshape(count, self._height, self._width)
        calls: Calls = []
        for axis, size in enumerate((self._height, self._width)):
            a, b, shift = (self._matrix[rows, 3 * (1 - axis) + k].reshape(count, 1, 1) for k in range(3))
            calls += [
                (np.multiply, shift, ctx.constant(size), offset),
                (np.add, offset, ctx.constant((size - 1) / 2), offset),
                (np.multiply, a, self._x, across),
                (np.multiply, b, self._y, down),
                (np.add, down, offset, down),
                (np.add, across, down, coordinates),
                *self._along(axis, size, pixels),
            ]
        for index in self._index[0]:
            down = index[:pixels].reshape(count, self._size)
            calls += [
                (np.multiply, down, ctx.constant(self._width, np.int64), down),
                (np.add, down, self._starts[:count], down),
            ]
        return calls

    def _along(self, axis: int, size: int, count: int) -> Calls:
        """Return the calls that turn the coordinates in ``weight`` into indices and weights along an axis of ``size``."""
        ctx, coordinates = self._ctx, self.weight[:count]
        indices = [index[:count] for index in self._index[axis]]
        weights = [weight[:count] for weight in self._weights[axis]]
        if self._linear:
            low, high = weights
            calls: Calls = [
                (np.floor, coordinates, low),
                (copy_cast, indices[0], low),
                (np.add, indices[0], ctx.constant(1, np.int64), indices[1]),
                (np.subtract, coordinates, low, high),
                (np.subtract, ctx.constant(1.0), high, low),
            ]
        else:  # halves away from zero, as JAX rounds
            half = self._buffer[:count].view(coordinates.dtype)[:count]
            calls = [
                (np.copysign, ctx.constant(0.5), coordinates, half),
                (np.add, coordinates, half, coordinates),
                (copy_cast, indices[0], coordinates),
                *((weight.fill, 1) for weight in weights),
            ]
        for k, index in enumerate(indices):
            if self._mode == "constant":
                valid = self._valid[:count]
                calls += [
                    (np.greater_equal, index, ctx.constant(0, np.int64), valid),
                    (np.multiply, weights[k], valid, weights[k]),
                    (np.less, index, ctx.constant(size, np.int64), valid),
                    (np.multiply, weights[k], valid, weights[k]),
                ]
            calls += self._inside(index, size)
        return calls

    def _inside(self, index: Array, size: int) -> Calls:
        """Return the calls that map indices into an axis of ``size``, in place."""
        ctx, spare = self._ctx, self._buffer[: len(index)]
        at_least, at_most = partial(np.maximum, out=index), partial(np.minimum, out=index)
        if self._mode == "wrap":
            return [(np.remainder, index, ctx.constant(size, np.int64), index)]
        if self._mode == "reflect":
            return [
                (np.remainder, index, ctx.constant(2 * size, np.int64), index),
                (np.subtract, ctx.constant(2 * size - 1, np.int64), index, spare),
                (at_most, index, spare),
            ]
        return [(at_least, index, ctx.constant(0, np.int64)), (at_most, index, ctx.constant(size - 1, np.int64))]

    def taps(self, count: int) -> Iterator[tuple[Array, Array | None, Calls]]:
        """Yield the source pixels of all pixels, tap by tap: indices, weights, and the calls that fill both."""
        indices, weight = self._flat_index[:count], self.weight[:count]
        for k, down in enumerate(self._index[0]):
            for j, across in enumerate(self._index[1]):
                calls: Calls = [(np.add, down[:count], across[:count], indices)]
                if not self._weights[0]:
                    yield indices, None, calls
                else:
                    calls.append((np.multiply, self._weights[0][k][:count], self._weights[1][j][:count], weight))
                    yield indices, weight, calls

    def missing(self, count: int, value: float) -> Calls:
        """Return the calls that write ``value · (1 - Σ weights)`` into ``weight``."""
        weight, spare = self.weight[:count], self._buffer[:count].view(self.weight.dtype)[:count]
        sums: Calls = []
        for weights, out in zip(self._weights, (weight, spare), strict=True):
            parts = [w[:count] for w in weights]
            sums.append((np.add, *parts, out) if len(parts) == 2 else (np.copyto, out, parts[0]))
        return [
            *sums,
            (np.multiply, weight, spare, weight),
            (np.subtract, self._ctx.constant(1.0), weight, weight),
            (np.multiply, weight, self._ctx.constant(value), weight),
        ]
