"""The group of worker processes that share a batch. See :class:`graphspec.kernels.group.LocalGroup` for one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.pairwise import until_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.arrays.calls import Calls
    from graphspec.parallel.sync import Signals

SCRATCH = 1 << 18
"""Bytes: larger arrays are summed in pieces of this size."""

Array = np.ndarray[Any, Any]


class ProcessGroup:
    """Worker processes on one machine.

    Sums use the two halves of ``scratch`` alternately. So one barrier per sum is enough: before a worker writes to a half
    again, all workers have passed the barrier of the other half, and have finished reading this one.

    Args:
        scratch: shared, uint8, ``(2, shards, SCRATCH)``; there is a whole number of shards per worker.
    """

    def __init__(self, signals: Signals, scratch: Array, rank: int, size: int) -> None:
        self.rank, self.size, self.barrier = rank, size, signals.barrier
        self.writes_state = rank == 0
        self._scratch, self._turn = scratch, 0
        self._own = own_shards(scratch.shape[1], rank, size)
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
        for add, a, b, total in calls:
            add(a, b, total)
        for array in arrays:
            np.add(first, second, array)

    def _sum(self, half: Array, like: Array) -> tuple[Sequence[Array], Calls, Sequence[Array]]:
        """Return, for arrays ``like`` this one, this worker's parts of scratch memory, and the calls that add all parts."""
        parts = [part.view(like.dtype).reshape(like.shape) for part in half[:, : like.nbytes]]
        return parts[self._own], *until_two(parts)

    def _in_pieces(self, arrays: Sequence[Array]) -> None:
        flat = [array.reshape(-1) for array in arrays]  # copies if the arrays are not contiguous
        step = SCRATCH // arrays[0].itemsize
        for start in range(0, flat[0].size, step):
            self.all_reduce(*(values[start : start + step] for values in flat))
        for values, array in zip(flat, arrays, strict=True):
            if not np.may_share_memory(values, array):
                array[...] = values.reshape(array.shape)


def own_shards(shards: int, rank: int, workers: int) -> slice:
    """Return the shards of a worker, of which each has as many."""
    each = shards // workers
    return slice(rank * each, (rank + 1) * each)
