"""The operands of an update: weights, gradients and slots as flat vectors, and the parts of them that a worker updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.layout import pieces
from graphspec.base.arrays.pairwise import sum_into_first
from graphspec.graph.ir.graph import Segment
from graphspec.graph.optimizers.rows import Lookup

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.graph.ir.graph import Array

BLOCK = 1 << 15  # elements: the five to seven operands of a step fit into the L2 cache


def blocks(start: int, stop: int) -> list[slice]:
    """Return the range in blocks that fit into the cache."""
    return pieces(start, stop, BLOCK)


@dataclass(frozen=True, slots=True)
class Vectors:
    """The operands of an update. An update rule changes weights and slots in place, and may overwrite ``G``.

    Attributes:
        P: the weights, with the layout ``segments`` and zeros between the segments.
        G: the gradients, with the same layout.
        slots: the state vectors by name, with the same layout; the slots of one weight are named ``<slot>/<weight>``
            (:meth:`Optimizer.own_slots`).
        segments: the position of every weight.
        others: the gradients of other workers that have not been added to ``G`` yet.
        summed: the ranges of ``G`` that ``others`` are added to.
        lookups: the weights, or their parts, whose gradients are known to be 0 except in a few rows.
        cut: in a part of the weights, ``segments`` and the pieces of other weights.
    """

    P: Array
    G: Array
    slots: Mapping[str, Array]
    segments: Sequence[Segment]
    others: Sequence[Array] = ()
    summed: Sequence[slice] = ()
    lookups: Sequence[Lookup] = ()
    cut: Sequence[Segment] | None = None

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
        """Return the operands of the shard that one worker updates: complete weights, and pieces of other weights.

        Args:
            part: the shard.
            summed: the ranges that this worker sums the gradients of, relative to the start of the shard.
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
        at, found = 0, list[slice]()
        for lookup in self.lookups:
            found += blocks(at, lookup.start)
            at = max(at, lookup.stop)
        return [*found, *blocks(at, self.P.size)]

    def sum_gradients(self, block: slice) -> Calls:
        """Return calls that add the gradients of all workers, in a fixed order; they overwrite the others' gradients."""
        ranges = [slice(max(block.start, s.start), min(block.stop, s.stop)) for s in self.summed]
        every = [self.G, *self.others]
        return [call for s in ranges if s.start < s.stop for call in sum_into_first([vector[s] for vector in every])]

    def scratch(self) -> Array:
        """Return a scratch buffer of the size of the largest weight."""
        return np.zeros(max((s.stop - s.start for s in self.segments), default=0), self.P.dtype)
