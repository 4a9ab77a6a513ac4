"""Max pooling in one pass by a compiled kernel, and windows along one axis, tap by tap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import as_words, copy_rows, fold, saved_like, scratch_like, zeros
from graphspec.graph.kernels.compiled import twin, use_fast_kernel
from graphspec.graph.kernels.context import Calls, Context
from graphspec.graph.kernels.windows import Axis

# Windows along one axis, tap by tap; the maximum of each window, and its gradient.
_SHORT = 256  # rows of fewer elements are copied to contiguous memory first: NumPy is slow on short rows


def along(X: Array, axis: int, indices: slice) -> Array:
    """Return a view of X with only ``indices`` along ``axis``."""
    return X[(slice(None),) * axis + (indices,)]


class Taps:
    """The taps of windows along one axis: the outputs that use each tap, and the inputs that it reads for them.

    A plane is every stride-th input, from one phase on; a tap reads a contiguous range of one plane. Taps that no output
    uses are omitted. Attributes are lists with one entry per tap: the ``outputs`` that use it, the phase of the plane that
    it reads and the range there, the ``new`` outputs, whose first tap it is, and the others, ``joined`` to an earlier tap.
    """

    def __init__(self, axis: int, a: Axis) -> None:
        self.axis, self.stride = axis, a.stride
        pairs = [(outs, inputs) for outs, inputs in map(a.tap, range(a.kernel)) if outs.stop > outs.start]
        self.outputs = [outs for outs, _ in pairs]
        self.planes = [inputs.start % a.stride for _, inputs in pairs]
        starts = [inputs.start // a.stride for _, inputs in pairs]
        self.ranges = [slice(k, k + outs.stop - outs.start) for k, outs in zip(starts, self.outputs, strict=True)]
        firsts = [outs.stop for outs in self.outputs[:1]]
        firsts += [min(before.start, outs.stop) for before, outs in zip(self.outputs, self.outputs[1:], strict=False)]
        self.new = [slice(outs.start, first) for outs, first in zip(self.outputs, firsts, strict=True)]
        self.joined = [slice(first, outs.stop) for outs, first in zip(self.outputs, firsts, strict=True)]
        self.complete = sum(new.stop - new.start for new in self.new) == a.out  # every output has a tap

    def plane(self, U: Array, p: int) -> Array:
        """Return a view of the plane of U with phase ``p``."""
        return along(U, self.axis, slice(p, None, self.stride))

    def gathered(self, ctx: Context, U: Array) -> tuple[dict[int, Array], list[tuple[Array, Array]]]:
        """Return the planes that are read, contiguous if U has short rows, and the copies for that: (to, from)."""
        planes = {p: self.plane(U, p) for p in self.planes}
        if axis_order(U)[-1] == self.axis or not any(map(_short_rows, planes.values())):
            return planes, []
        size = U.shape[self.axis]
        if len(planes) < self.stride or size % self.stride:
            copies = {p: scratch_like(ctx, plane) for p, plane in planes.items()}
            return copies, [(copies[p], plane) for p, plane in planes.items()]
        shape = (*U.shape[: self.axis], size // self.stride, self.stride, *U.shape[self.axis + 1 :])
        phase_first = np.moveaxis(U.reshape(shape, copy=False), self.axis + 1, 0)
        order = (0, *(k + 1 for k in axis_order(planes[0])))
        copy = ctx.scratch([phase_first.shape[k] for k in order], U.dtype).transpose(np.argsort(order))
        return dict(enumerate(copy)), [(copy, phase_first)]  # a single copy reads U's memory only once

    def pieces(self, planes: dict[int, Array]) -> list[Array]:
        """Return the view that each tap reads."""
        return [along(planes[p], self.axis, indices) for p, indices in zip(self.planes, self.ranges, strict=True)]

    def reduce(
        self, pieces: Sequence[Array], V: Array, empty: float, join: Callable[[int, Array, Array, slice], Calls]
    ) -> Calls:
        """Return calls that reduce the taps' ``pieces`` into V. An output without a tap is ``empty``.

        The first tap of an output is copied. For the others, ``join(number, so_far, tap, outputs)`` returns the calls that
        combine the value so far with the tap and write V at ``outputs``.
        """
        calls: Calls = [] if self.complete else [(V.fill, empty)]
        for number, (piece, joined, new) in enumerate(zip(pieces, self.joined, self.new, strict=True)):
            if number == 0 and len(pieces) > 1:  # the second tap reads the first one directly, without a copy
                new = slice(max(new.start, self.joined[1].stop), new.stop)
            if joined.stop > joined.start:
                so_far = self._read(0, pieces[0], joined) if number == 1 else along(V, self.axis, joined)
                calls += join(number, so_far, self._read(number, piece, joined), joined)
            if new.stop > new.start:
                calls.append((np.copyto, along(V, self.axis, new), self._read(number, piece, new)))
        return calls

    def _read(self, number: int, piece: Array, outs: slice) -> Array:
        """Return the view that a tap reads for some of its outputs."""
        start = self.outputs[number].start
        return along(piece, self.axis, slice(outs.start - start, outs.stop - start))


def _short_rows(X: Array) -> bool:
    row = 1
    for k in reversed(axis_order(X)):
        if X.shape[k] > 1 and X.strides[k] != row * X.itemsize:
            return row < _SHORT
        row *= X.shape[k]
    return False


class MaxTaps:
    """The maxima V of U's windows along one axis.

    ``calls`` write V and, for each tap but the first, a bool: whether it is larger than all taps before it. The last tap
    with True is the first tap that equals V.
    """

    def __init__(self, ctx: Context, U: Array, V: Array, taps: Taps) -> None:
        self._taps, self._larger = taps, [saved_like(ctx, V, np.bool_) for _ in taps.outputs[1:]]

        def join(number: int, so_far: Array, tap: Array, outs: slice) -> Calls:
            larger, target = (along(B, taps.axis, outs) for B in (self._larger[number - 1], V))
            return [(np.greater, tap, so_far, larger), *fold(np.maximum, [so_far, tap], target)]

        start = ctx.mark()
        planes, copies = taps.gathered(ctx, U)
        self.calls = [copy_rows(copy, plane) for copy, plane in copies]
        self.calls += taps.reduce(taps.pieces(planes), V, -np.inf, join)
        for larger, new in zip(self._larger, taps.new[1:], strict=True):
            if new.stop > new.start:
                self.calls.append((along(larger, taps.axis, new).fill, True))
        ctx.reset(start)

    def gradient(self, ctx: Context, dV: Array, dU: Array) -> Calls:
        """Return calls that write dU.

        Taps are processed from the last to the first. dV is overwritten by the gradient that remains for earlier taps. A
        bool as an integer (1 or 0) times the bits of a float gives this float or 0.
        """
        taps, axis = self._taps, self._taps.axis
        start = ctx.mark()
        remaining, scratch = as_words(dV), as_words(scratch_like(ctx, dV))
        planes, copies = taps.gathered(ctx, dU)
        pieces = taps.pieces(planes)
        calls: Calls = [(taps.plane(dU, p).fill, 0.0) for p in range(taps.stride) if p not in planes]
        written: set[int] = set()
        # The second tap can write the remainder to the first tap's piece if no other tap writes there.
        direct = len(pieces) > 1 and taps.outputs[0] == taps.outputs[1] and taps.planes[0] not in taps.planes[1:]
        for number in reversed(range(len(pieces))):
            p, outs, indices, piece = taps.planes[number], taps.outputs[number], taps.ranges[number], pieces[number]
            before, bits = along(remaining, axis, outs), along(scratch, axis, outs)
            of_tap = bits if p in written else as_words(piece)
            if number:
                after = as_words(pieces[0]) if direct and number == 1 else before
                calls.append((np.copyto, bits, along(self._larger[number - 1], axis, outs)))
                calls += [(np.multiply, bits, before, of_tap), (np.bitwise_xor, before, of_tap, after)]
            elif p in written:
                of_tap = before
            elif not direct:
                calls.append((np.copyto, of_tap, before))
            if p in written:
                calls.append((np.add, piece, of_tap.view(dV.dtype), piece))
                continue
            written.add(p)
            edges = slice(0, indices.start), slice(indices.stop, None)
            calls += zeros(*(along(planes[p], axis, edge) for edge in edges))
        ctx.reset(start)
        return calls + [copy_rows(plane, copy) for copy, plane in copies]


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


Windowed = Sequence[tuple[int, Axis]]  # axes with their numbers, from the outermost tap to the innermost


class OnePass:
    """Max pooling of X (N, C, …) to Y over some ``axes``, in one pass where the compiled kernel serves and is faster.

    Args:
        by_axis: returns NumPy's calls, if the kernel has not ``served``.
        differentiated: whether there will be a gradient; taps are then combined in row-major order.
    """

    def __init__(
        self, ctx: Context, X: Array, Y: Array, axes: Windowed, by_axis: Callable[[], Calls], *, differentiated: bool
    ) -> None:
        by_channel = bool(X.shape[1] > 1 and X.strides[1] == Y.strides[1] == X.itemsize)  # rows of all channels
        faster = X.shape[1] >= _CHANNELS if by_channel else Y.shape[-1] >= _ROW
        self.served = _fits(X, Y, axes, by_channel=by_channel) and use_fast_kernel(bool(faster))
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
        places = zip(dY.shape, dY.strides, self._largest.strides, strict=True)
        if any(n > 1 and a != b * dY.itemsize for n, a, b in places):  # elements of one index lie in different places
            copy = scratch_like(ctx, self._largest, dY.dtype)
            calls, dY = [(np.copyto, copy, dY)], copy
        operands = _five(self._largest), _five(dY), _five(dX), self._windows
        return calls + max_pool_gradient(*operands, by_axis=by_axis)


def _fits(X: Array, Y: Array, axes: Windowed, *, by_channel: bool) -> bool:
    """Return whether the compiled kernels serve these windows: channels or rows of outputs must be contiguous."""
    rows = Y.shape[-1] == 1 or Y.strides[-1] == Y.itemsize
    if not max_pool.compiled or not (rows or by_channel):
        return False
    counts = [len(Taps(k, a).outputs) for k, a in axes]
    small = min(counts) > 0 and max(counts) <= _TAPS and prod(counts) <= _NUMBERS
    return X.ndim <= 2 + _AXES and X.dtype.char in "fd" and small


def _five(X: Array) -> Array:
    """Return a view of X (N, C, …) with three spatial axes."""
    return X.reshape(*X.shape[:2], *(1,) * (2 + _AXES - X.ndim), *X.shape[2:], copy=False)


def _table(axes: Windowed, rank: int, *, complete_first: bool) -> Array:
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

    With ``complete_first`` those that all outputs use come first, if there are two: ``graph.ops.pooling.maxima`` does so.
    """
    outputs = {k * a.dilation - a.begin: a.tap(k)[0] for k in range(a.kernel)}
    lacking = {read: outs != slice(0, a.out) for read, outs in outputs.items() if outs.stop > outs.start}
    complete_first = complete_first and list(lacking.values()).count(False) > 1
    return sorted(lacking, key=lambda read: complete_first and lacking[read])
