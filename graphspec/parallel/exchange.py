"""What the ranks of an MPI job exchange in a step: gradients, weights, small sums, counters of metrics.

All sums are computed here, in a fixed order. So the same number of ranks gives the same bits, whatever the MPI library
and its algorithms; and the bits of as many worker processes on one machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.layout import aligned
from graphspec.arrays.pairwise import sum_into_first, until_two
from graphspec.optimizers import Vectors
from graphspec.parallel.group import own_shards
from graphspec.parallel.pieces import Pieces
from graphspec.parallel.shards import ShardGroup, Shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphspec.arrays.calls import Calls
    from graphspec.ir.graph import Array
    from graphspec.kernels.group import Group
    from graphspec.optimizers import Optimizer, Rate
    from graphspec.parallel.mpi import Ranks
    from graphspec.parallel.step import Step
    from graphspec.runtime.program import Program
    from graphspec.runtime.running_metrics import RunningMetrics

_GRADIENTS, _WEIGHTS = 1, 2
"""The numbers of the exchanges of a step."""


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


class Exchange:
    """One rank's part of every step.

    Args:
        gradient: where the rank's programs write the gradient of its rows, or of those of its first shard.
        slots: on rank 0 the optimizer's slots; None on others, which allocate only those that they update.
    """

    def __init__(
        self,
        ranks: Ranks,
        step: Step,
        optimizer: Optimizer,
        running: RunningMetrics,
        gradient: Array,
        slots: Mapping[str, Array] | None = None,
    ) -> None:
        self.group, self._ranks, self._step, self._optimizer = MpiGroup(ranks), ranks, step, optimizer
        rank, size = ranks.rank, ranks.size
        shards = step.divide(optimizer, size, shard_kernels=False).parts
        count, own = len(shards), own_shards(len(shards), rank, size)
        self._gradients = [gradient, *(_zeros(gradient.size, gradient.dtype) for _ in range(own.start + 1, own.stop))]
        groups: list[Group] = [self.group]
        if count > size:
            groups = [ShardGroup(k, count, writes_state=k == own.start) for k in range(own.start, own.stop)]
        self.counters, self._counting = np.zeros(len(groups) * running.counters + 1), list[Any]()
        self.gathered = np.zeros((size, len(self.counters)))
        self._shards = Shards(groups, self._gradients, self.group, step.network, self._by_shard(self.counters))
        self._shard_parts = shards
        self._parts = [slice(p[0].start, p[-1].stop) for k in range(size) if (p := shards[own_shards(count, k, size)])]
        self._part = self._parts[rank]
        self._segments = step.parameters.segments["trainable"]
        self._counts = np.array([part.stop - part.start for part in self._parts])
        self._starts = np.array([part.start for part in self._parts])
        self._whole = slots
        weights = step.parameters.vectors["trainable"]
        length = int(self._counts[rank])
        self._kind = ranks.mpi.FLOAT if weights.dtype == np.float32 else ranks.mpi.DOUBLE
        self._received = aligned(ranks.size * length * weights.itemsize).view(weights.dtype).reshape(ranks.size, length)
        self._scatter = Pieces(ranks, _GRADIENTS, [gradient[part] for part in self._parts], list(self._received))
        self._gather = Pieces(
            ranks, _WEIGHTS, [weights[self._part]] * ranks.size, [weights[part] for part in self._parts]
        )
        if slots is None:
            self._slots = {name: _zeros(length, weights.dtype) for name in optimizer.slots()}
            self._slots |= {name: np.zeros(shape, weights.dtype) for name, shape, owner in self._own() if owner == rank}
        else:
            self._slots = {name: a if "/" in name else a[self._part] for name, a in slots.items()}

    def _by_shard(self, counters: Array) -> list[Array]:
        """Split the counters of a rank into those of its shards; the last one is whether it was asked to stop."""
        return np.split(counters[:-1], len(self._gradients))

    @property
    def counters_of_others(self) -> list[Array]:
        """On rank 0, where :meth:`gather_counters` writes the counters of each shard except for the first."""
        return [part for counters in self.gathered for part in self._by_shard(counters)][1:]

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
        """Bind a program for batches of ``rows`` rows over all ranks; its losses are summed over all ranks.

        Meanwhile the parts of the gradient travel to their owners: both take one latency.
        """
        program = self._shards.bind(step, rows)
        losses = max(k for k, call in enumerate(program.calls) if call[0] == self.group.all_reduce)
        program.calls[losses:losses] = [*sum_into_first(self._gradients), (self._scatter.start,)]
        return program

    def update(self, rate: Rate) -> Calls:
        """Return the calls that update the weights: each rank sums and updates its part, and gets the others' parts."""
        weights, start = self._step.parameters.vectors["trainable"], self._part.start
        own = Vectors(weights, self._gradients[0], {}, self._segments).part(self._part, [])
        own = replace(own, G=self._received[0], others=list(self._received[1:]), slots=self._slots)

        def update(group: Group) -> Calls:
            part = self._shard_parts[group.rank]
            part = slice(part.start - start, part.stop - start)
            vectors = own.part(part, [slice(0, part.stop - part.start)])
            return self._optimizer.bind(vectors, self._step.clock, rate, group)

        return [(self._scatter_gradients,), *self._shards.in_step(update), (self._gather_weights,)]

    def _scatter_gradients(self) -> None:
        """Wait until each rank has the parts of all gradients that it updates."""
        np.copyto(self._received[self.group.rank], self._gradients[0][self._part])
        self._scatter.finish()

    def _gather_weights(self) -> None:
        """Send this rank's part of the weights to all, and the counters with it, which are ready before the update."""
        self._counting.append(self._start_counters())
        self._gather.start()
        self._gather.finish()

    def gather_counters(self) -> None:
        """Bring the counters of all ranks, and whether they were asked to stop, to rank 0's ``gathered``.

        After an update they are on their way.
        """
        self._scatter.finish()  # without an update nobody has waited for it
        self._ranks.finish(self._counting.pop() if self._counting else self._start_counters())

    def _start_counters(self) -> Any:
        self.counters[-1] = self._ranks.requested
        return self._ranks.comm.Igather(self.counters, self.gathered if self.group.rank == 0 else None, 0)

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


def _octets(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


def _zeros(size: int, dtype: Any) -> Array:
    zeros: Array = aligned(size * np.dtype(dtype).itemsize).view(dtype)
    zeros[...] = 0
    return zeros
