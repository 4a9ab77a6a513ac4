"""What the ranks of an MPI job exchange in a step: gradients, weights, small sums, counters of metrics.

All sums are computed here, in a fixed order. So the same number of ranks gives the same bits, whatever the MPI library
and its algorithms; and the bits of as many worker processes on one machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.layout import aligned
from graphspec.base.arrays.pairwise import sum_into_first
from graphspec.base.codes import Code
from graphspec.base.errors import RunError
from graphspec.engine.parallel.group import Place
from graphspec.engine.parallel.mpi_group import MpiGroup
from graphspec.engine.parallel.pieces import Pieces
from graphspec.engine.parallel.rank_slots import RankSlots
from graphspec.engine.parallel.shards import ShardGroup, Shards, add_whole, update_part
from graphspec.engine.parallel.team import Team
from graphspec.graph.optimizers import Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphspec.base.arrays.calls import Calls
    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.engine.parallel.step import Step
    from graphspec.engine.runtime.program import Program
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.graph.ir.graph import Array
    from graphspec.graph.kernels.context import Group
    from graphspec.graph.optimizers import Optimizer, Rate

_GRADIENTS, _WEIGHTS = 1, 2
"""The numbers of the exchanges of a step."""


class Exchange:
    """One rank's part of every step.

    With several local workers per rank, the weights and slots are in memory that they share. They add their gradients
    before the first of them, this process, sends the sum to the other ranks.

    Args:
        workers: the processes of each rank.
        slots: on rank 0 the optimizer's slots; None on others, which allocate only those that they update.
        document: ``document``, the spec, ``adapted``, what it has learnt, or None, and ``folder``, its folder: for the local
            workers.
        gradient: memory for the gradient of a rank without other workers.

    Raises:
        OSError: processes or shared memory are not available.
    """

    def __init__(
        self,
        ranks: Ranks,
        step: Step,
        optimizer: Optimizer,
        running: RunningMetrics,
        workers: int,
        document: Mapping[str, Any],
        slots: Mapping[str, Array] | None = None,
        gradient: Array | None = None,
    ) -> None:
        self.group, self._ranks, self._step, self._optimizer = MpiGroup(ranks), ranks, step, optimizer
        place = Place(0, workers, ranks.rank, ranks.size)
        self._shard_parts = step.divide(optimizer, place.total, shard_kernels=False).parts
        count = len(self._shard_parts)
        of_ranks = [replace(place, rank=k).of_rank(count) for k in range(ranks.size)]
        self._parts = [_joined(self._shard_parts[shards]) for shards in of_ranks]
        self._part = self._parts[ranks.rank]
        weights = step.parameters.vectors["trainable"]
        self._slots = RankSlots(ranks, optimizer, step.parameters.segments["trainable"], self._parts, weights.dtype)
        shapes = self._slots.shapes() if slots is None else {n: (a.shape, a.dtype) for n, a in slots.items()}
        self.team: Team | None = None
        if workers > 1:
            self.team = Team(step, optimizer, running, shapes, document, place, self.group)
            self._gradients, self._received = self.team.member.gradients, self.team.member.arrays["received"]
            for name, array in (slots or {}).items():
                self.team.member.slots[name][...] = array
            self._slots.use(self.team.member.slots)
            self._counted = self.team.member.counters
        else:
            self._slots.use({n: _zeros(*s) for n, s in shapes.items()} if slots is None else slots)
            self._use_own_memory(place, running, gradient)
        self.counters, self._counting = np.zeros(len(self._gradients) * running.counters + 1), list[Any]()
        self.gathered = np.zeros((ranks.size, len(self.counters)))
        weights, gradient = step.parameters.vectors["trainable"], self._gradients[0]
        self._scatter = Pieces(ranks, _GRADIENTS, [gradient[part] for part in self._parts], list(self._received))
        self._gather = Pieces(
            ranks, _WEIGHTS, [weights[self._part]] * ranks.size, [weights[part] for part in self._parts]
        )

    def _use_own_memory(self, place: Place, running: RunningMetrics, gradient: Array | None) -> None:
        """Allocate gradients and sums of a rank without other workers."""
        weights, step = self._step.parameters.vectors["trainable"], self._step
        count, own = len(self._shard_parts), place.of_rank(len(self._shard_parts))
        self._gradients = [_zeros(weights.shape, weights.dtype) for _ in range(own.start + 1, own.stop)]
        self._gradients.insert(0, _zeros(weights.shape, weights.dtype) if gradient is None else gradient)
        self._received = _zeros((place.ranks, self._part.stop - self._part.start), weights.dtype)
        self._counted = [np.zeros(running.counters) for _ in self._gradients]
        groups: list[Group] = [self.group]
        if count > place.ranks:
            groups = [ShardGroup(k, count, writes_state=k == own.start) for k in range(own.start, own.stop)]
        lookups = [step.lookups(self._optimizer) for _ in groups]
        if len(groups) > 1:
            add_whole(lookups)
        self._shards = Shards(groups, self._gradients, self.group, step.network, self._counted, lookups)

    @property
    def slots(self) -> Mapping[str, Array]:
        """On rank 0 all slots; on others those that they update."""
        return self._slots.whole

    @property
    def counters_of_others(self) -> list[Array]:
        """On rank 0, where :meth:`gather_counters` writes the counters of each shard except for the first."""
        shards = len(self._gradients)
        return [part for counters in self.gathered for part in np.split(counters[:-1], shards)][1:]

    # A step.

    def bind(self, step: Step, rows: int) -> Program:
        """Bind a program for batches of ``rows`` rows over all ranks; its losses are summed over all ranks.

        Meanwhile the parts of the gradient travel to their owners, unless local workers have to add theirs first: both
        take one latency.
        """
        if self.team is not None:
            return self.team.member.bind(step, rows)
        program = self._shards.bind(step, rows)
        losses = max(k for k, call in enumerate(program.calls) if call[0] == self.group.all_reduce)
        program.calls[losses:losses] = [*sum_into_first(self._gradients), (self._scatter.start,)]
        return program

    def update(self, rate: Rate) -> Calls:
        """Return the calls that update the weights: each rank sums and updates its part, and gets the others' parts."""
        weights, segments = self._step.parameters.vectors["trainable"], self._step.parameters.segments["trainable"]
        vectors, clock = Vectors(weights, self._gradients[0], {}, segments), self._step.clock
        receive: Calls = [(self._scatter_gradients,)]
        collect: Calls = [(self._gather_weights,)]
        if self.team is not None:
            vectors, send = replace(vectors, slots=self.team.member.slots), [(self._scatter.start,), *receive]
            return self.team.member.update(self._optimizer, vectors, clock, rate, send, collect)
        own = replace(
            vectors.part(self._part, []),
            G=self._received[0],
            others=list(self._received[1:]),
            slots=self._slots.arrays,
        )
        update = update_part(self._shards, self._optimizer, own, self._part, self._shard_parts, clock, rate)
        return [*receive, *update, *collect]

    def launch(self, epoch: int, batch: int, rate: Rate) -> None:
        """Let the local workers start their shards of a step."""
        if self.team is not None:
            self.team.launch(epoch, batch, self._step.clock, rate)

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
        if self.team is not None:
            self.team.wait()
        self._scatter.finish()  # without an update nobody has waited for it
        self._ranks.finish(self._counting.pop() if self._counting else self._start_counters())

    def _start_counters(self) -> Any:
        np.concatenate(self._counted, out=self.counters[:-1])
        self.counters[-1] = self._ranks.requested
        return self._ranks.comm.Igather(self.counters, self.gathered if self.group.rank == 0 else None, 0)

    # Weights and slots.

    def renew(self) -> None:
        """Copy the weights of rank 0 to all ranks, and its slots to the ranks that update them."""
        for vector in self._step.parameters.vectors.values():
            self._ranks.share(vector)
        self._slots.renew()

    def collect_slots(self) -> None:
        """Bring the slots that other ranks have updated to rank 0."""
        self._slots.collect()

    def check(self) -> None:
        """Raise GS604 (RunError) if a local worker has died; if a rank dies, the launcher ends the job."""
        if self.team is not None:
            self.team.processes.check()

    def close(self) -> None:
        """End the local workers, and move the weights back into this process's memory."""
        if self.team is not None:
            self.team.close()


def joined(ranks: Ranks, *arguments: Any) -> Exchange:
    """Return one rank's part of every step, :class:`Exchange`, with its local workers.

    Raises:
        RunError: GS602, there is no memory for them, or they cannot be started.
    """
    try:
        return Exchange(ranks, *arguments)
    except OSError as error:
        text = f"rank {ranks.rank} cannot start its workers: {error}"
        raise RunError(Code.NOT_ENOUGH_MEMORY, text, "`workers: 1` has one process per rank") from None


def _joined(parts: Sequence[slice]) -> slice:
    return slice(parts[0].start, parts[-1].stop)


def _zeros(shape: Sequence[int], dtype: Any) -> Array:
    size = int(np.prod(shape))
    zeros: Array = aligned(size * np.dtype(dtype).itemsize).view(dtype)
    zeros[...] = 0
    return zeros.reshape(shape)
