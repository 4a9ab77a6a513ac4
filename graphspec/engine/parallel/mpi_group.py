"""The group of the ranks of an MPI job, which share no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.pairwise import until_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.base.arrays.calls import Calls
    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.graph.ir.graph import Array


class MpiGroup:
    """The ranks of a job, as operators and optimizers see them. Every rank has its own copy of everything."""

    writes_state = True

    def __init__(self, ranks: Ranks) -> None:
        self.rank, self.size, self._ranks = ranks.rank, ranks.size, ranks
        self._buffers: dict[Any, tuple[Array, Array, Calls, Sequence[Array]]] = {}

    def all_reduce(self, *arrays: np.ndarray[Any, Any]) -> None:
        """Replace ``arrays``, one per shard of this rank, by their sum over all shards of all ranks."""
        array = arrays[0]
        if array.size == 0:
            return
        key = array.shape, array.dtype
        if key not in self._buffers:
            own = np.empty((len(arrays), *array.shape), array.dtype)
            every = np.empty((self.size * len(arrays), *array.shape), array.dtype)
            self._buffers[key] = own, every, *until_two([every[k, ...] for k in range(len(every))], overwrite=True)
        own, every, calls, (first, second) = self._buffers[key]
        for k, array in enumerate(arrays):
            np.copyto(own[k, ...], array)
        self._ranks.finish(self._ranks.comm.Iallgather(_octets(own), _octets(every)))
        for add, a, b, total in calls:
            add(a, b, total)
        for array in arrays:
            np.add(first, second, array)

    def barrier(self) -> None:
        """Do nothing: there is no shared memory in which a rank could overtake another."""


def _octets(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)
