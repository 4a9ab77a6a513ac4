"""The group of worker processes that share a batch. For one process: :class:`graphspec.graph.kernels.context.LocalGroup`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.pairwise import until_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.base.arrays.calls import Calls
    from graphspec.engine.parallel.mpi_group import MpiGroup
    from graphspec.engine.parallel.sync import Signals

SCRATCH = 1 << 18
"""Bytes: larger arrays are summed in pieces of this size."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Place:
    """Where a worker is: which of the workers of one machine, or of one rank of an MPI job; and which rank that is.

    A training without MPI is rank 0 of one.
    """

    worker: int = 0
    workers: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def index(self) -> int:
        """The number of this worker among those of all ranks."""
        return self.rank * self.workers + self.worker

    @property
    def total(self) -> int:
        """The number of the workers of all ranks."""
        return self.ranks * self.workers

    def of_rank(self, shards: int) -> slice:
        """Return which of the shards of a batch the workers of this rank compute."""
        return _equal(shards, self.rank, self.ranks)

    def own(self, shards: int) -> slice:
        """Return which of the shards of a batch this worker computes."""
        return _equal(shards, self.index, self.total)

    def own_of_rank(self, shards: int) -> slice:
        """Return which of the shards of its rank this worker computes, counted from the first of the rank."""
        return _equal(shards, self.worker, self.workers)


def _equal(shards: int, part: int, parts: int) -> slice:
    each = shards // parts
    return slice(part * each, (part + 1) * each)


class ProcessGroup:
    """Worker processes on one machine.

    Sums use the two halves of ``scratch`` alternately. So one barrier per sum is enough: before a worker writes to a half
    again, all workers have passed the barrier of the other half, and have finished reading this one.

    Args:
        scratch: shared, uint8, ``(2, shards, SCRATCH)``; there is a whole number of shards per worker. Within an MPI job
            there is one more row, for the sum over all ranks.
        between: the group of all ranks, for the first worker of each, which exchanges the sums.

    Attributes:
        rank, size: the number of this worker, and of all, of all ranks.
    """

    def __init__(
        self,
        signals: Signals,
        scratch: Array,
        place: Place,
        between: MpiGroup | None = None,
    ) -> None:
        self.rank, self.size, self.barrier = place.index, place.total, signals.barrier
        self.writes_state, self._in_job, self._between = place.worker == 0, place.ranks > 1, between
        self._scratch, self._turn = scratch, 0
        self._own = place.own_of_rank(scratch.shape[1] - self._in_job)
        self._sums: dict[Any, list[tuple[Sequence[Array], Calls, Sequence[Array]]]] = {}

    def all_reduce(self, *arrays: Array) -> None:
        """Replace ``arrays``, one per shard of this worker, by their sum over all shards of all workers."""
        array = arrays[0]
        if array.nbytes > SCRATCH:
            self._in_pieces(arrays)
            return
        sums = self._sums.get((array.shape, array.dtype))
        if sums is None:
            sums = self._sums[array.shape, array.dtype] = [self._sum(half, array) for half in self._scratch]
        own, calls, (first, second) = sums[self._turn]
        self._turn ^= 1
        for part, array in zip(own, arrays, strict=True):
            np.copyto(part, array)
        self.barrier()
        if self._in_job:
            self._add_ranks(calls, first, second, arrays)
            return
        for add, a, b, total in calls:
            add(a, b, total)
        for array in arrays:
            np.add(first, second, array)

    def _add_ranks(self, calls: Calls, first: Array, second: Array, arrays: Sequence[Array]) -> None:
        """Let the first worker add the parts of this rank and of the others; then all workers copy the sum."""
        total = self._scratch[self._turn ^ 1, -1, : first.nbytes].view(first.dtype).reshape(first.shape)
        if self._between is not None:
            for add, a, b, out in calls:
                add(a, b, out)
            np.add(first, second, total)
            self._between.all_reduce(total)
        self.barrier()
        for array in arrays:
            np.copyto(array, total)

    def _sum(self, half: Array, like: Array) -> tuple[Sequence[Array], Calls, Sequence[Array]]:
        """Return, for arrays ``like`` this one, this worker's parts of scratch memory, and the calls that add all parts."""
        rows = half[:-1] if self._in_job else half
        parts = [part.view(like.dtype).reshape(like.shape) for part in rows[:, : like.nbytes]]
        return parts[self._own], *until_two(parts)

    def _in_pieces(self, arrays: Sequence[Array]) -> None:
        flat = [array.reshape(-1) for array in arrays]  # copies if the arrays are not contiguous
        step = SCRATCH // arrays[0].itemsize
        for start in range(0, flat[0].size, step):
            self.all_reduce(*(values[start : start + step] for values in flat))
        for values, array in zip(flat, arrays, strict=True):
            if not np.may_share_memory(values, array):
                array[...] = values.reshape(array.shape)
