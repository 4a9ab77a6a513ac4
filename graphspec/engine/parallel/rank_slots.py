"""The optimizer's slots in an MPI job: each rank has those of the weights that it updates, rank 0 has room for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.graph.ir.graph import Array, Segment
    from graphspec.graph.optimizers import Optimizer


class RankSlots:
    """The slots of the weights that one rank updates.

    Args:
        parts: by rank, the part of the weights that it updates.

    Attributes:
        arrays: the slots of the weights that this rank updates, by name. Set by :meth:`use`.
        whole: on rank 0 all slots, by name; on others ``arrays``.
    """

    def __init__(
        self, ranks: Ranks, optimizer: Optimizer, segments: Sequence[Segment], parts: Sequence[slice], dtype: Any
    ) -> None:
        self._ranks, self._optimizer, self._segments, self._parts = ranks, optimizer, segments, parts
        self._dtype = np.dtype(dtype)
        self._lengths = np.array([part.stop - part.start for part in parts])
        self._starts = np.array([part.start for part in parts])
        self._kind = ranks.mpi.FLOAT if self._dtype == np.float32 else ranks.mpi.DOUBLE
        self.arrays: Mapping[str, Array] = {}
        self.whole: Mapping[str, Array] = {}

    def shapes(self) -> dict[str, tuple[Sequence[int], Any]]:
        """Return shape and dtype of the slots that this rank needs, by name; rank 0 needs all."""
        rank = self._ranks.rank
        vectors = {name: ((int(self._lengths[rank]),), self._dtype) for name in self._optimizer.slots()}
        return vectors | {name: (shape, self._dtype) for name, shape, owner in self._own() if owner == rank}

    def use(self, slots: Mapping[str, Array]) -> None:
        """Use these arrays: on rank 0 all slots, on another rank those of :meth:`shapes`."""
        self.whole, part = slots, self._parts[0]
        rank = self._ranks.rank
        self.arrays = slots if rank else {name: a if "/" in name else a[part] for name, a in slots.items()}

    def _own(self) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """Yield the slots of single weights: name, shape, and the rank that updates the weight."""
        for s in self._segments:
            owner = next((k for k, p in enumerate(self._parts) if p.start <= s.start and s.stop <= p.stop), 0)
            for slot, axes in self._optimizer.own_slots(s.param).items():
                whole = len(axes) == len(s.param.shape)
                shape = (s.param.size,) if whole else tuple(s.param.shape[axis] for axis in axes)
                yield f"{slot}/{s.param.name}", shape, owner

    def renew(self) -> None:
        """Copy the slots of rank 0 to the ranks that update them."""
        comm, mpi = self._ranks.comm, self._ranks.mpi
        for name in self._optimizer.slots():
            if self._ranks.rank == 0:
                comm.Scatterv([self.whole[name], (self._lengths, self._starts), self._kind], mpi.IN_PLACE, 0)
            else:
                comm.Scatterv(None, [self.arrays[name], self._kind], 0)
        self._move_own(comm.Send, comm.Recv, to_owner=True)

    def collect(self) -> None:
        """Bring the slots that other ranks have updated to rank 0."""
        comm, mpi = self._ranks.comm, self._ranks.mpi
        for name in self._optimizer.slots():
            if self._ranks.rank == 0:
                comm.Gatherv(mpi.IN_PLACE, [self.whole[name], (self._lengths, self._starts), self._kind], 0)
            else:
                comm.Gatherv([self.arrays[name], self._kind], None, 0)
        self._move_own(comm.Send, comm.Recv, to_owner=False)

    def _move_own(self, send: Callable[..., None], receive: Callable[..., None], *, to_owner: bool) -> None:
        """Send the slots of single weights from rank 0 to their owners, or back."""
        rank = self._ranks.rank
        for name, _, owner in self._own():
            if owner and rank in (0, owner):
                array, other = self.arrays[name], owner if rank == 0 else 0
                if (rank == 0) == to_owner:
                    send(array, other)
                else:
                    receive(array, other)
