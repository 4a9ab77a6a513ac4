"""Windows along one axis, tap by tap; the largest number under each, and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.graph import Array
from graphspec.kernels.common import as_words, copy_rows, fold, kept_like, scratch_like
from graphspec.kernels.context import Context
from graphspec.kernels.windows import Axis

_SHORT = 256  # numbers in a row below which rows are gathered first: their copies take less than other calls


def along(X: Array, axis: int, where: slice) -> Array:
    return X[(slice(None),) * axis + (where,)]


class Taps:
    """The taps of windows along one axis: the outputs that have each of them, and what it reads there.

    That is a piece (``places``) of a plane, every stride-th number. Taps that no output has are left out. The first
    outputs of a tap may have none before it (``alone``), the others do (``met``).
    """

    def __init__(self, axis: int, a: Axis) -> None:
        self.axis, self.stride = axis, a.stride
        pairs = [(outs, inputs) for outs, inputs in map(a.tap, range(a.kernel)) if outs.stop > outs.start]
        self.outputs = [outs for outs, _ in pairs]
        self.planes = [inputs.start % a.stride for _, inputs in pairs]
        starts = [inputs.start // a.stride for _, inputs in pairs]
        self.places = [slice(k, k + outs.stop - outs.start) for k, outs in zip(starts, self.outputs, strict=True)]
        firsts = [outs.stop for outs in self.outputs[:1]]
        firsts += [min(before.start, outs.stop) for before, outs in zip(self.outputs, self.outputs[1:], strict=False)]
        self.alone = [slice(outs.start, first) for outs, first in zip(self.outputs, firsts, strict=True)]
        self.met = [slice(first, outs.stop) for outs, first in zip(self.outputs, firsts, strict=True)]
        self.complete = sum(alone.stop - alone.start for alone in self.alone) == a.out

    def plane(self, U: Array, p: int) -> Array:
        return along(U, self.axis, slice(p, None, self.stride))

    def gathered(self, ctx: Context, U: Array) -> tuple[dict[int, Array], list[tuple[Array, Array]]]:
        """The planes that are read, in memory of their own if U's have short rows, and what to copy: (own, of U)."""
        planes = {p: self.plane(U, p) for p in self.planes}
        if axis_order(U)[-1] == self.axis or not any(map(_short_rows, planes.values())):
            return planes, []
        size = U.shape[self.axis]
        if len(planes) < self.stride or size % self.stride:
            own = {p: scratch_like(ctx, plane) for p, plane in planes.items()}
            return own, [(own[p], plane) for p, plane in planes.items()]
        split = (*U.shape[: self.axis], size // self.stride, self.stride, *U.shape[self.axis + 1 :])
        apart = np.moveaxis(U.reshape(split, copy=False), self.axis + 1, 0)
        order = (0, *(k + 1 for k in axis_order(planes[0])))
        together = ctx.scratch([apart.shape[k] for k in order], U.dtype).transpose(np.argsort(order))
        return dict(enumerate(together)), [(together, apart)]  # one copy goes through U's memory once

    def pieces(self, planes: dict[int, Array]) -> list[Array]:
        """What each tap reads."""
        return [along(planes[p], self.axis, place) for p, place in zip(self.planes, self.places, strict=True)]

    def over(
        self, pieces: Sequence[Array], V: Array, empty: float, join: Callable[[int, Array, Array, slice], Calls]
    ) -> Calls:
        """Calls that go through what the taps read: ``join(number, so_far, tap, outputs)`` makes those that write V there.

        Where a tap is an output's first, it is copied; an output without any has ``empty``.
        """
        calls: Calls = [] if self.complete else [(V.fill, empty)]
        for number, (piece, met, alone) in enumerate(zip(pieces, self.met, self.alone, strict=True)):
            if number == 0 and len(pieces) > 1:  # what the second one meets need not be copied
                alone = slice(max(alone.start, self.met[1].stop), alone.stop)
            if met.stop > met.start:
                so_far = self._of(0, pieces[0], met) if number == 1 else along(V, self.axis, met)
                calls += join(number, so_far, self._of(number, piece, met), met)
            if alone.stop > alone.start:
                calls.append((np.copyto, along(V, self.axis, alone), self._of(number, piece, alone)))
        return calls

    def _of(self, number: int, piece: Array, outs: slice) -> Array:
        """What a tap reads for some of its outputs."""
        start = self.outputs[number].start
        return along(piece, self.axis, slice(outs.start - start, outs.stop - start))


def _short_rows(X: Array) -> bool:
    """Whether X is not in one piece, and its rows are short."""
    row = 1
    for k in reversed(axis_order(X)):
        if X.shape[k] > 1 and X.strides[k] != row * X.itemsize:
            return row < _SHORT
        row *= X.shape[k]
    return False


class MaxTaps:
    """The largest numbers V of U's windows along one axis.

    ``calls`` write V and a bool for each tap but the first: whether it is larger than all before it. So the last such tap
    is the first that is as large as V.
    """

    def __init__(self, ctx: Context, U: Array, V: Array, taps: Taps) -> None:
        self._taps, self._larger = taps, [kept_like(ctx, V, np.bool_) for _ in taps.outputs[1:]]

        def join(number: int, so_far: Array, tap: Array, met: slice) -> Calls:
            larger, into = (along(B, taps.axis, met) for B in (self._larger[number - 1], V))
            return [(np.greater, tap, so_far, larger), *fold(np.maximum, [so_far, tap], into)]

        start = ctx.mark()
        planes, copies = taps.gathered(ctx, U)
        self.calls = [copy_rows(own, plane) for own, plane in copies]
        self.calls += taps.over(taps.pieces(planes), V, -np.inf, join)
        for larger, alone in zip(self._larger, taps.alone[1:], strict=True):
            if alone.stop > alone.start:
                self.calls.append((along(larger, taps.axis, alone).fill, True))
        ctx.reset(start)

    def gradient(self, ctx: Context, dV: Array, dU: Array) -> Calls:
        """Calls that write dU; dV is overwritten: it is what is left for the taps before.

        A bool as an integer, 1 or 0, times the bits of a number is this number or 0.
        """
        taps, axis = self._taps, self._taps.axis
        start = ctx.mark()
        left, spare = as_words(dV), as_words(scratch_like(ctx, dV))
        planes, copies = taps.gathered(ctx, dU)
        pieces = taps.pieces(planes)
        calls: Calls = [(taps.plane(dU, p).fill, 0.0) for p in range(taps.stride) if p not in planes]
        written: set[int] = set()
        straight = len(pieces) > 1 and taps.outputs[0] == taps.outputs[1] and taps.planes[0] not in taps.planes[1:]
        for number in reversed(range(len(pieces))):
            p, outs, place, piece = taps.planes[number], taps.outputs[number], taps.places[number], pieces[number]
            rest, bits = along(left, axis, outs), along(spare, axis, outs)
            mine = bits if p in written else as_words(piece)
            if number:
                remains = as_words(pieces[0]) if straight and number == 1 else rest
                calls += [
                    (np.copyto, bits, along(self._larger[number - 1], axis, outs)),
                    (np.multiply, bits, rest, mine),
                    (np.bitwise_xor, rest, mine, remains),
                ]
            elif p in written:
                mine = rest
            elif not straight:
                calls.append((np.copyto, mine, rest))
            if p in written:
                calls.append((np.add, piece, mine.view(dV.dtype), piece))
                continue
            written.add(p)
            for edge in (slice(0, place.start), slice(place.stop, None)):
                outside = along(planes[p], axis, edge)
                if outside.size:
                    calls.append((outside.fill, 0.0))
        ctx.reset(start)
        return calls + [copy_rows(plane, own) for own, plane in copies]
