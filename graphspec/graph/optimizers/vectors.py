"""The operands of an update: weights, gradients and slots as flat vectors, the parts that a worker updates, and rows.

A step writes few rows of the gradients of weights that are looked up by ids. An optimizer that changes nothing where the
gradient is 0 (SGD, Adagrad) updates these rows alone. Others also change the rest, by their moments: for a gradient of 0
that takes fewer calls, and none for rows whose moments are still 0. Both give the bits of an update of all rows. With
``sparse`` the rest stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import setitem
from typing import NamedTuple

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import pieces, sum_into_first
from graphspec.graph.ir.graph import Array, Segment
from graphspec.graph.kernels.compiled import of_rows
from graphspec.graph.kernels.one_call import runner
from graphspec.graph.kernels.touched_rows import TouchedRows

_GATHERED = 1 << 14  # elements of the rows that are copied and updated together
_STREAMED_FROM = 0.25
# Share of rows with moments from which all rows are updated in place, not copies of these rows. See kernels-embeddings.md.

Update = Callable[..., "Calls"]
"""Receives weights, their gradient, a scratch buffer and the moments; returns the calls that update the weights."""
Idle = Callable[..., "Calls"]
"""Receives weights, a scratch buffer and the moments; returns the calls of an update with a gradient of 0."""


class Lookup(NamedTuple):
    """The part of a vector of weights that contains rows of a looked-up weight."""

    touched: TouchedRows  # the rows that the step has written
    start: int  # of the range of the vector: complete rows
    stop: int
    first: int = 0  # the id of the first of these rows

    def within(self, part: slice) -> Lookup:
        """Return the rows in ``part`` of the vector, with positions relative to it; maybe there are none."""
        start, stop = (min(max(at, self.start), self.stop) for at in (part.start, part.stop))
        if start == stop:
            return Lookup(self.touched, 0, 0)
        skipped = (start - self.start) // self.touched.width
        return Lookup(self.touched, start - part.start, stop - part.start, self.first + skipped)

    def view(self, vector: Array) -> Array:
        """Return these rows of a vector with the weights' layout, (rows, width)."""
        return vector[self.start : self.stop].reshape(-1, self.touched.width)


class Rows(NamedTuple):
    """The arrays of the rows of one weight, each (rows, width)."""

    P: Array
    gradients: Sequence[Array]  # by worker; their sum is the gradient
    moments: Mapping[str, Array]  # the slots of the update rule, by name


class RowUpdate:
    """Updates the rows of one weight; ``idle`` is the rule for a gradient of 0, None if these rows stay as they are.

    The calls ``whole`` update all rows from the gradients, which they may overwrite.
    """

    def __init__(self, lookup: Lookup, rows: Rows, update: Update, idle: Idle | None, whole: Calls) -> None:
        self._lookup, self._rows, self._update = lookup, rows, update
        self._whole = runner(whole)
        self._copies: list[_Copies] = []
        self._idle = None if idle is None else _IdleRows(rows, idle)

    def run(self) -> None:
        """Update after a step (:meth:`TouchedRows.share` comes before)."""
        ids, first = self._lookup.touched.ids, self._lookup.first
        if ids is None:
            self._whole()
            if self._idle is not None:
                self._idle.prepare()
                self._idle.meet(np.arange(len(self._rows.P)))  # any row may have moments
            return
        low, high = np.searchsorted(ids, (first, first + len(self._rows.P)))
        own = ids[low:high] - first
        if self._idle is None:
            self._copy(0).update_all(own)
            return
        # The rows are computed before the others change them, and written afterwards.
        self._idle.prepare()
        chunks = list(_chunks(own, self._copy(0).size))
        for k, chunk in enumerate(chunks):
            self._copy(k).compute(chunk)
        self._idle.run()
        for k in range(len(chunks)):
            self._copy(k).write()
        self._idle.meet(own)

    def _copy(self, k: int) -> _Copies:
        if k == len(self._copies):
            self._copies.append(_Copies(self._rows, self._update))
        return self._copies[k]


class _IdleRows:
    """The rows whose moments are not all 0: only these change if their gradient is 0."""

    def __init__(self, rows: Rows, idle: Idle) -> None:
        self._rows, self._idle = rows, idle
        self._met: Array | None = None
        self._count = 0
        self._copies = _Copies(rows, lambda p, g, t, m: idle(p, t, m), gradient=False)
        self._everywhere: Callable[[], None] | None = None
        self._in_place: Callable[[], None] | None = None  # of a compiled kernel, which needs no copies
        self._number = np.zeros(1, np.int64)

    def prepare(self) -> None:
        """Find the rows that have moments, before the first update."""
        if self._met is not None:
            return
        self._met, self._order = np.zeros(len(self._rows.P), bool), np.zeros(len(self._rows.P), np.int64)
        for block in pieces(0, len(self._rows.P), self._copies.size):
            for moment in self._rows.moments.values():
                self._met[block] |= moment[block].any(axis=1)
        rows = np.flatnonzero(self._met)
        self._count = rows.size
        self._order[: self._count] = rows
        whole = self._idle(self._rows.P, np.empty(0, self._rows.P.dtype), self._rows.moments)
        if (calls := of_rows(whole, self._order, self._number)) is not None:
            self._in_place = runner(calls)

    def meet(self, ids: Array) -> None:
        """Note rows that have moments from now on, after :meth:`prepare`."""
        assert self._met is not None, "prepare comes first"
        new = ids[~self._met[ids]]
        self._met[new] = True
        self._order[self._count : self._count + new.size] = new
        self._count += new.size

    def run(self) -> None:
        if self._count < _STREAMED_FROM * len(self._rows.P):
            if self._in_place is not None:
                self._number[0] = self._count
                self._in_place()
                return
            self._copies.update_all(self._order[: self._count])
            return
        if self._everywhere is None:
            self._everywhere = runner(self._calls())
        self._everywhere()

    def _calls(self) -> Calls:
        P = self._rows.P.reshape(-1)
        moments = {name: moment.reshape(-1) for name, moment in self._rows.moments.items()}
        t, calls = np.zeros(min(2 * _GATHERED, P.size), P.dtype), list[tuple[object, ...]]()
        for block in pieces(0, P.size, t.size):
            p = P[block]
            calls += self._idle(p, t[: p.size], {name: moment[block] for name, moment in moments.items()})
        return calls


class _Copies:
    """Copies of a few rows, on which the update is computed.

    The number of rows is fixed, so the calls are bound once. Fewer rows are filled up with the last one: it gets the same
    values several times.
    """

    def __init__(self, rows: Rows, update: Update, *, gradient: bool = True) -> None:
        width, dtype = rows.P.shape[1], rows.P.dtype
        self.size = max(min(_GATHERED // width, len(rows.P)), 1)
        self._ids = np.zeros(self.size, np.int64)
        shape = self.size, width
        copies = [np.zeros(shape, dtype) for _ in (rows.P, *rows.moments)]
        g, t = np.zeros(shape, dtype), np.zeros(shape, dtype)
        arrays = [rows.P, *rows.moments.values()]
        calls: Calls = [(np.take, of, self._ids, 0, copy, "clip") for of, copy in zip(arrays, copies, strict=True)]
        if gradient:
            terms = [g, *(np.zeros(shape, dtype) for _ in rows.gradients[1:])]
            calls += [
                (np.take, gradient, self._ids, 0, term, "clip")
                for gradient, term in zip(rows.gradients, terms, strict=True)
            ]
            calls += sum_into_first(terms)
        p, *moments = (copy.reshape(-1) for copy in copies)
        calls += update(p, g.reshape(-1), t.reshape(-1), dict(zip(rows.moments, moments, strict=True)))
        self._compute = runner(calls)
        self.write = runner(  # writes the copies back
            [(setitem, _items(array), self._ids, _items(copy)) for array, copy in zip(arrays, copies, strict=True)]
        )

    def compute(self, ids: Array) -> None:
        """Copy the rows ``ids``, at most ``size`` and at least one, and update the copies."""
        self._ids[: ids.size] = ids
        self._ids[ids.size :] = ids[-1]
        self._compute()

    def update_all(self, ids: Array) -> None:
        """Update any number of rows, one set of copies after the other."""
        for chunk in _chunks(ids, self.size):
            self.compute(chunk)
            self.write()


def _items(rows: Array) -> Array:
    """Return a view with one item per row: NumPy copies these faster than rows of numbers."""
    return np.asarray(rows.view(f"V{rows.shape[1] * rows.itemsize}")[:, 0])


def _chunks(ids: Array, size: int) -> list[Array]:
    return [ids[start : start + size] for start in range(0, ids.size, size)]


BLOCK = 1 << 15  # elements: the five to seven operands of a step fit into the L2 cache


def blocks(start: int, stop: int) -> list[slice]:
    """Return the range in blocks that fit into the cache."""
    return pieces(start, stop, BLOCK)


@dataclass(frozen=True, slots=True)
class Vectors:
    """The operands of an update. An update rule changes weights and slots in place, and may overwrite ``G``.

    The vectors have the layout ``segments``, with zeros between them. The slots of one weight are named
    ``<slot>/<weight>`` (:meth:`Optimizer.own_slots`).
    """

    P: Array  # the weights
    G: Array  # the gradients
    slots: Mapping[str, Array]  # the state vectors, by name
    segments: Sequence[Segment]  # the position of every weight
    others: Sequence[Array] = ()  # the gradients of other workers that have not been added to `G` yet
    summed: Sequence[slice] = ()  # the ranges of `G` that `others` are added to
    lookups: Sequence[Lookup] = ()  # the weights, or their parts, whose gradients are 0 except in a few rows
    cut: Sequence[Segment] | None = None  # in a part of the weights, `segments` and the pieces of other weights

    @property
    def spans(self) -> Sequence[Segment]:
        """The position of every weight, and of the pieces of others."""
        return self.segments if self.cut is None else self.cut

    @classmethod
    def of_workers(
        cls,
        weights: Array,
        gradients: Sequence[Array],
        slots: Mapping[str, Array],
        segments: Sequence[Segment],
        lookups: Sequence[Lookup] = (),
    ) -> Vectors:
        """Return the operands for all weights with one gradient per worker; the sum goes to the first gradient."""
        return cls(weights, gradients[0], slots, segments, gradients[1:], lookups=lookups)

    def part(self, part: slice, summed: Sequence[slice]) -> Vectors:
        """Return the operands of the shard ``part`` that one worker updates: complete weights, and pieces of others.

        The ranges ``summed``, whose gradients this worker sums, are relative to the start of the shard.
        """
        return Vectors(
            self.P[part],
            self.G[part],
            {name: slot if "/" in name else slot[part] for name, slot in self.slots.items()},
            [
                Segment(s.param, s.start - part.start, s.stop - part.start)
                for s in self.segments
                if part.start <= s.start and s.stop <= part.stop
            ],
            [gradient[part] for gradient in self.others],
            summed,
            [lookup.within(part) for lookup in self.lookups],
            [
                Segment(s.param, max(s.start, part.start) - part.start, min(s.stop, part.stop) - part.start)
                for s in self.spans
                if s.start < part.stop and part.start < s.stop
            ],
        )

    def cut_out(self, run: slice) -> Vectors:
        """Return the operands of a range, of which the same is summed as of the whole."""
        summed = [(max(s.start, run.start), min(s.stop, run.stop)) for s in self.summed]
        return self.part(run, [slice(start - run.start, stop - run.start) for start, stop in summed if start < stop])

    def blocks(self) -> list[slice]:
        """Return the range between the looked-up weights in blocks that fit into the cache."""
        at, parts = 0, list[slice]()
        for lookup in self.lookups:
            parts += blocks(at, lookup.start)
            at = max(at, lookup.stop)
        return [*parts, *blocks(at, self.P.size)]

    def sum_gradients(self, block: slice) -> Calls:
        """Return calls that add the gradients of all workers, in a fixed order; they overwrite the others' gradients."""
        ranges = [slice(max(block.start, s.start), min(block.stop, s.stop)) for s in self.summed]
        every = [self.G, *self.others]
        return [call for s in ranges if s.start < s.stop for call in sum_into_first([vector[s] for vector in every])]

    def scratch(self) -> Array:
        """Return a scratch buffer of the size of the largest weight."""
        return np.zeros(max((s.stop - s.start for s in self.segments), default=0), self.P.dtype)
