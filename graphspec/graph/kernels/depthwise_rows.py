"""Depthwise correlation row by row: a row of outputs stays in the first-level cache while all taps are added to it.

``np.einsum`` multiplies and adds in one pass. It orders its loops by strides, so those over the taps are within a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.channels import channel_order
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.depthwise import Depthwise
from graphspec.graph.kernels.windows import Axis

_LOGICAL = (0, 2, 3, 1)  # the axes of X as (N, H, W, C)
# Measured thresholds.
_PADDED = 1 << 16  # elements of the padded inputs of a chunk of samples
_TILED = 1 << 17  # elements of a kernel that is repeated for the columns of a row
_LEAST_ROW = 256  # elements of a row of outputs


def fits(X: Array, axes: Sequence[Axis]) -> bool:
    """Whether rows are applicable: images with channels last in memory, windows at every column."""
    return len(axes) == 2 and axes[1].stride == 1 and channel_order(X)[2:] == (3, 1)


def pays(X: Array, axes: Sequence[Axis]) -> bool:
    """Whether it is faster than whole planes, if it is applicable; by measured thresholds."""
    return axes[1].out * X.shape[1] >= _LEAST_ROW and axes[0].kernel * axes[1].kernel > 1


class DepthwiseRows:
    """Correlation of X (N, C, H, W) with kernels (C, 1, 1, k, l); memory is (N, H, W, C) or (H, N, W, C)."""

    def __init__(self, ctx: Context, X: Array, axes: Sequence[Axis]) -> None:
        self._ctx, self._planes = ctx, Depthwise(ctx, X, axes)
        self._x, self.order = X.transpose(_LOGICAL), self._planes.order
        self._down, self._across = axes
        self._channels = X.shape[1]
        self._height, self._width = (_reach(axis) for axis in axes)
        taps = self._down.kernel * self._across.kernel
        self._columns = max(1, min(self._across.out, _TILED // max(taps * self._channels, 1)))
        self._samples = max(1, _PADDED // max(self._height * self._width * self._channels, 1))

    def forward(self, kernel: Array, Y: Array) -> Calls:
        if Y.size == 0:
            return []
        y = Y.transpose(_LOGICAL)
        if y.strides[2:] != (
            self._channels * y.itemsize,
            y.itemsize,
        ):  # its rows have gaps, as inputs of strided windows
            return self._planes.forward(kernel, Y)
        weights = kernel[:, 0, 0].transpose(1, 2, 0)
        tiled = self._ctx.scratch((*weights.shape[:2], self._columns, self._channels))
        padded, calls = self._padded()
        calls.append((np.copyto, tiled, weights[:, :, None]))
        flat = tiled.reshape(*tiled.shape[:2], -1)
        for chunk in self._chunks():
            calls.append(self._load(padded, chunk))
            for first in range(0, self._across.out, self._columns):
                out = _rows(y[chunk, :, first : first + self._columns])
                windows = self._windows(padded, out.shape[0], first, out.shape[2])
                calls.append((partial(np.einsum, "nhijx,ijx->nhx", out=out), windows, flat[:, :, : out.shape[2]]))
        return calls

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        """Return the calls that work on whole planes: they are faster."""
        return self._planes.kernel_gradient(dY, dK)

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, len(self._x), self._samples):
            yield slice(start, min(start + self._samples, len(self._x)))

    def _padded(self) -> tuple[Array, Calls]:
        """Return a buffer for the inputs of a chunk with their padding, and the calls that fill the padding with zeros."""
        samples = min(self._samples, len(self._x))
        padded = self._ctx.scratch((samples, self._height, self._width, self._channels))
        (top, bottom), (left, right) = (_inside(axis) for axis in (self._down, self._across))
        borders = padded[:, :top], padded[:, bottom:], padded[:, top:bottom, :left], padded[:, top:bottom, right:]
        return padded, [(part.fill, 0.0) for part in borders if part.size]

    def _load(self, padded: Array, chunk: slice) -> tuple[object, ...]:
        """Return a call that copies the inputs of some samples."""
        (top, bottom), (left, right) = (_inside(axis) for axis in (self._down, self._across))
        rows = slice(top - self._down.begin, bottom - self._down.begin)
        columns = slice(left - self._across.begin, right - self._across.begin)
        return np.copyto, padded[: chunk.stop - chunk.start, top:bottom, left:right], self._x[chunk, rows, columns]

    def _windows(self, padded: Array, samples: int, first: int, size: int) -> Array:
        """Return the inputs of ``size`` elements of each row of outputs, from a column on: (samples, rows, k, l, size)."""
        down, across = self._down, self._across
        sample, row, column, item = padded.strides
        shape = samples, down.out, down.kernel, across.kernel, size
        strides = sample, down.stride * row, down.dilation * row, across.dilation * column, item
        return as_strided(padded[:, :, first:], shape, strides, writeable=False)


def _reach(axis: Axis) -> int:
    """Return the number of inputs, with padding, from the first to the last that a window reads."""
    return (axis.out - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1


def _inside(axis: Axis) -> tuple[int, int]:
    """Return where the inputs start and end in the padded axis."""
    start = min(max(axis.begin, 0), _reach(axis))
    return start, max(start, min(axis.begin + axis.size, _reach(axis)))


def _rows(Y: Array) -> Array:
    """Return a view of (n, h, w, C) as (n, h, w·C)."""
    return Y.reshape(*Y.shape[:2], -1, copy=False)
