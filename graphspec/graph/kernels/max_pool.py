"""Max pooling in one pass, by a compiled kernel: the maxima, the number of each window's first largest tap, the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import saved_like, scratch_like
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.fast import use_fast_kernel
from graphspec.graph.kernels.max_taps import Taps
from graphspec.graph.kernels.windows import Axis

_AXES, _TAPS, _NUMBERS = 3, 64, 256  # of the compiled kernels: spatial axes, taps of an axis, taps of a window
_CHANNELS, _ROW = 8, 64  # from this many channels, or outputs of a row of one channel, on they are faster (measured)


@twin()
def max_pool(x: Array, y: Array, largest: Array | None, windows: Array, /, *, by_axis: Callable[[], Calls]) -> Calls:
    """Return calls that write the maxima of x's windows (N, C, i, i, i) into y (N, C, o, o, o).

    Args:
        largest: uint8 of y's shape, which receives the number of the first largest tap; None if there is no gradient.
        windows: a row for each spatial axis, in the order in which taps are combined, the outermost first: the axis, its
            stride, the number of its taps, and the input that output 0 reads with each.
        by_axis: returns NumPy's calls, which reduce one axis after another and save bools in place of ``largest``.
    """
    return by_axis()


@twin()
def max_pool_gradient(
    largest: Array, dy: Array, dx: Array, windows: Array, /, *, by_axis: Callable[[], Calls]
) -> Calls:
    """Return calls that write dx, the gradient of :func:`max_pool`. NumPy's calls overwrite dy."""
    return by_axis()


class OnePass:
    """Max pooling of X (N, C, …) to Y over some ``axes``, in one pass where the compiled kernel serves and is faster.

    Args:
        axes: from the outermost tap to the innermost.
        by_axis: returns NumPy's calls.
        differentiated: whether there will be a gradient; taps are then combined in row-major order.

    Attributes:
        calls: write Y, and save what the gradient needs.
        served: whether the kernel makes them.
    """

    def __init__(
        self,
        ctx: Context,
        X: Array,
        Y: Array,
        axes: Sequence[tuple[int, Axis]],
        by_axis: Callable[[], Calls],
        *,
        differentiated: bool,
    ) -> None:
        self.served = _fits(X, Y, axes) and use_fast_kernel(_is_faster(X, Y))
        if not self.served:
            self.calls = by_axis()
            return
        self._windows = _table(axes, X.ndim - 2, complete_first=not differentiated)
        self._largest = saved_like(ctx, Y, np.uint8) if differentiated else None
        numbers = None if self._largest is None else _five(self._largest)
        self.calls = max_pool(_five(X), _five(Y), numbers, self._windows, by_axis=by_axis)
        self.served = max_pool.bound((_five(X), _five(Y), numbers, self._windows)) is not None

    def gradient(self, ctx: Context, dY: Array, dX: Array, by_axis: Callable[[], Calls]) -> Calls:
        """Return calls that write dX; ``by_axis`` returns NumPy's, if the kernel has not served."""
        if not self.served:
            return by_axis()
        assert self._largest is not None
        calls: Calls = []
        if _other_order(dY, self._largest):
            copy = scratch_like(ctx, self._largest, dY.dtype)
            calls, dY = [(np.copyto, copy, dY)], copy
        operands = _five(self._largest), _five(dY), _five(dX), self._windows
        return calls + max_pool_gradient(*operands, by_axis=by_axis)


def _fits(X: Array, Y: Array, axes: Sequence[tuple[int, Axis]]) -> bool:
    """Return whether the compiled kernels serve these windows: channels or rows of outputs must be contiguous."""
    rows = Y.shape[-1] == 1 or Y.strides[-1] == Y.itemsize
    if not max_pool.compiled or not (rows or _of_channels(X, Y)):
        return False
    counts = [len(Taps(k, a).outputs) for k, a in axes]
    small = min(counts) > 0 and max(counts) <= _TAPS and prod(counts) <= _NUMBERS
    return X.ndim <= 2 + _AXES and X.dtype.char in "fd" and small


def _of_channels(X: Array, Y: Array) -> bool:
    """Return whether the kernels process rows of all channels, which must be contiguous."""
    return bool(X.shape[1] > 1 and X.strides[1] == Y.strides[1] == X.itemsize)


def _is_faster(X: Array, Y: Array) -> bool:
    return bool(X.shape[1] >= _CHANNELS if _of_channels(X, Y) else Y.shape[-1] >= _ROW)


def _other_order(X: Array, Y: Array) -> bool:
    """Return whether the elements of two arrays of one shape lie in different places."""
    return any(
        n > 1 and a * Y.itemsize != b * X.itemsize for n, a, b in zip(X.shape, X.strides, Y.strides, strict=True)
    )


def _five(X: Array) -> Array:
    """Return a view of X (N, C, …) with three spatial axes."""
    return X.reshape(*X.shape[:2], *(1,) * (2 + _AXES - X.ndim), *X.shape[2:], copy=False)


def _table(axes: Sequence[tuple[int, Axis]], rank: int, *, complete_first: bool) -> Array:
    """Return the operand ``windows`` of :func:`max_pool`; axes that are not listed have windows of one tap."""
    rows = [[k + _AXES - rank - 2, a.stride, *_reads(a, complete_first=complete_first)] for k, a in axes]
    listed = {row[0] for row in rows}
    others = [[k, 1, 0] for k in range(_AXES) if k not in listed]
    rows = others + rows if complete_first else sorted(others + rows)
    table = np.zeros((_AXES, max(map(len, rows)) + 1), np.intc)
    for line, (k, stride, *reads) in zip(table, rows, strict=True):
        line[: len(reads) + 3] = k, stride, len(reads), *reads
    return table


def _reads(a: Axis, *, complete_first: bool) -> list[int]:
    """Return the input that output 0 would read with each tap that any output uses.

    Args:
        complete_first: begin with those that all outputs use, if there are two, as
            :func:`~graphspec.graph.ops.pooling.maxima` does.
    """
    taps = [
        (k * a.dilation - a.begin, outs) for k in range(a.kernel) for outs, _ in (a.tap(k),) if outs.stop > outs.start
    ]
    complete = [outs for _, outs in taps if outs == slice(0, a.out)]
    if complete_first and len(complete) > 1:
        taps.sort(key=lambda tap: tap[1] != slice(0, a.out))
    return [read for read, _ in taps]
