"""What the ranks of an MPI job exchange in a step: gradients, weights, small sums, counters of metrics.

All sums are computed here, in the order of ranks. So the same number of ranks gives the same bits, whatever the MPI library
and its algorithms; and the bits of as many worker processes on one machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.layout import aligned
from graphspec.compiler.fetches import losses_of
from graphspec.optimizers import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphspec.arrays.calls import Calls
    from graphspec.ir.graph import Array
    from graphspec.optimizers import Optimizer, Rate
    from graphspec.optimizers.rows import Lookup
    from graphspec.parallel.member import Step
    from graphspec.parallel.mpi import Ranks
    from graphspec.runtime.program import Program
    from graphspec.runtime.running_metrics import RunningMetrics


class MpiGroup:
    """The ranks of a job, as operators and optimizers see them. Every rank has its own copy of everything."""

    writes_state = True

    def __init__(self, ranks: Ranks) -> None:
        self.rank, self.size, self._ranks = ranks.rank, ranks.size, ranks
        self._buffers: dict[Any, Array] = {}

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        """Replace ``array`` by its sum over all ranks, in the order of ranks, in place."""
        if array.size == 0:
            return
        key = array.shape, array.dtype
        parts = self._buffers.get(key)
        if parts is None:
            parts = self._buffers[key] = np.empty((self.size + 1, *array.shape), array.dtype)
        np.copyto(parts[-1, ...], array)
        octets = parts.reshape(self.size + 1, -1).view(np.uint8)
        self._ranks.finish(self._ranks.comm.Iallgather(octets[-1], octets[:-1]))
        np.add(parts[0], parts[1], array)
        for part in parts[2:-1]:
            np.add(array, part, array)

    def barrier(self) -> None:
        """Do nothing: there is no shared memory in which a rank could overtake another."""


class Exchange:
    """One rank's part of every step.

    Args:
        gradient: where the rank's programs write the gradient of its rows.
        lookups: the weights whose parts of ``gradient`` are kept by rows.
        slots: on rank 0 the optimizer's slots; None on others, which allocate only those that they update.
    """

    def __init__(
        self,
        ranks: Ranks,
        step: Step,
        optimizer: Optimizer,
        running: RunningMetrics,
        gradient: Array,
        lookups: Sequence[Lookup],
        slots: Mapping[str, Array] | None = None,
    ) -> None:
        self.group, self._ranks, self._step, self._optimizer = MpiGroup(ranks), ranks, step, optimizer
        self._gradient, self._lookups, rank = gradient, lookups, ranks.rank
        self._partition = step.divide(optimizer, ranks.size, shard_kernels=False)
        self._parts = self._partition.parts
        self._part = self._parts[rank]
        self._segments = step.parameters.segments["trainable"]
        self._counts = np.array([part.stop - part.start for part in self._parts])
        self._starts = np.array([part.start for part in self._parts])
        self._whole = slots
        weights = step.parameters.vectors["trainable"]
        length = int(self._counts[rank])
        self._kind = ranks.mpi.FLOAT if weights.dtype == np.float32 else ranks.mpi.DOUBLE
        self._received = aligned(ranks.size * length * weights.itemsize).view(weights.dtype).reshape(ranks.size, length)
        if slots is None:
            self._slots = {name: _zeros(length, weights.dtype) for name in optimizer.slots()}
            self._slots |= {name: np.zeros(shape, weights.dtype) for name, shape, owner in self._own() if owner == rank}
        else:
            self._slots = {name: a if "/" in name else a[self._part] for name, a in slots.items()}
        self.counters = np.zeros(running.counters + 1)
        self.gathered = np.zeros((ranks.size, running.counters + 1))
        names = losses_of(step.objective)
        self._names, self._sums = names, np.zeros(len(names))

    def _own(self) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """Yield the slots of single weights: name, shape, and the rank that updates the weight."""
        for s in self._segments:
            owner = next((k for k, p in enumerate(self._parts) if p.start <= s.start and s.stop <= p.stop), 0)
            for slot, axes in self._optimizer.own_slots(s.param).items():
                whole = len(axes) == len(s.param.shape)
                shape = (s.param.size,) if whole else tuple(s.param.shape[axis] for axis in axes)
                yield f"{slot}/{s.param.name}", shape, owner

    # A step.

    def bind(self, step: Step, rows: int) -> Program:
        """Bind a program for batches of ``rows`` rows over all ranks; its losses are summed over all ranks."""
        program = step.bind(rows, self._gradient, self.group, lookups=self._lookups)
        program.calls += [(self._sum_losses, [program.fetches[name] for name in self._names]), *program.after]
        program.fetches |= {name: self._sums[k : k + 1].reshape(()) for k, name in enumerate(self._names)}
        return program

    def _sum_losses(self, losses: list[Array]) -> None:
        for k, loss in enumerate(losses):
            self._sums[k] = loss
        self.group.all_reduce(self._sums)

    def update(self, rate: Rate) -> Calls:
        """Return the calls that update the weights: each rank sums and updates its part, and gets the others' parts."""
        weights = self._step.parameters.vectors["trainable"]
        summed = list(self._partition.summed(self.group.rank))
        vectors = Vectors(weights, self._gradient, {}, self._segments, lookups=self._lookups).part(self._part, summed)
        vectors = replace(vectors, G=self._received[0], others=list(self._received[1:]), slots=self._slots)
        update = self._optimizer.bind(vectors, self._step.clock, rate, self.group)
        return [(self._scatter_gradients,), *update, (self._gather_weights, weights)]

    def _scatter_gradients(self) -> None:
        length, size = int(self._counts[self.group.rank]), self.group.size
        lengths, starts = np.full(size, length), np.arange(size) * length
        sent = [self._gradient, (self._counts, self._starts), self._kind]
        received = [self._received, (lengths, starts), self._kind]
        self._ranks.finish(self._ranks.comm.Ialltoallv(sent, received))

    def _gather_weights(self, weights: Array) -> None:
        parts = [weights, (self._counts, self._starts), self._kind]
        self._ranks.finish(self._ranks.comm.Iallgatherv(self._ranks.mpi.IN_PLACE, parts))

    def gather_counters(self) -> None:
        """Bring the counters of all ranks, and whether they were asked to stop, to rank 0's ``gathered``."""
        self.counters[-1] = self._ranks.requested
        every = self.gathered if self.group.rank == 0 else None
        self._ranks.finish(self._ranks.comm.Igather(self.counters, every, 0))

    # Weights and slots.

    def renew(self) -> None:
        """Copy the weights of rank 0 to all ranks, and its slots to the ranks that update them."""
        for vector in self._step.parameters.vectors.values():
            self._ranks.share(vector)
        comm, mpi, rank = self._ranks.comm, self._ranks.mpi, self.group.rank
        for name in self._optimizer.slots():
            if rank == 0:
                comm.Scatterv([self._all(name), (self._counts, self._starts), self._kind], mpi.IN_PLACE, 0)
            else:
                comm.Scatterv(None, [self._slots[name], self._kind], 0)
        self._move_own(comm.Send, comm.Recv, to_owner=True)

    def collect_slots(self) -> None:
        """Bring the slots that other ranks have updated to rank 0."""
        comm, mpi, rank = self._ranks.comm, self._ranks.mpi, self.group.rank
        for name in self._optimizer.slots():
            if rank == 0:
                comm.Gatherv(mpi.IN_PLACE, [self._all(name), (self._counts, self._starts), self._kind], 0)
            else:
                comm.Gatherv([self._slots[name], self._kind], None, 0)
        self._move_own(comm.Send, comm.Recv, to_owner=False)

    def _all(self, name: str) -> Array:
        assert self._whole is not None, "only rank 0 has all slots"
        return self._whole[name]

    def _move_own(self, send: Callable[..., None], receive: Callable[..., None], *, to_owner: bool) -> None:
        """Send the slots of single weights from rank 0 to their owners, or back."""
        for name, _, owner in self._own():
            if owner and self.group.rank in (0, owner):
                sends = (self.group.rank == 0) == to_owner
                array, other = self._slots[name], owner if self.group.rank == 0 else 0
                if sends:
                    send(array, other)
                else:
                    receive(array, other)


def _zeros(size: int, dtype: Any) -> Array:
    zeros: Array = aligned(size * np.dtype(dtype).itemsize).view(dtype)
    zeros[...] = 0
    return zeros
