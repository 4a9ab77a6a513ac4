"""One worker's part of every step: its shards of the batch, their gradients and losses, its part of the update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.pairwise import sum_into_first
from graphspec.engine.parallel.group import SCRATCH, Place, ProcessGroup
from graphspec.engine.parallel.shards import ShardGroup, Shards, add_whole, update_part
from graphspec.engine.parallel.sync import counter_words
from graphspec.engine.runtime.partition import Partition
from graphspec.engine.runtime.program import Program
from graphspec.graph.kernels.context import Group

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.base.arrays.random import Clock
    from graphspec.engine.compiler.objective import Network
    from graphspec.engine.parallel.mpi_group import MpiGroup
    from graphspec.engine.parallel.step import Step
    from graphspec.engine.parallel.sync import Signals
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.graph.ir.graph import Array
    from graphspec.graph.optimizers import Optimizer, Rate, Vectors
    from graphspec.graph.optimizers.vectors import Lookup


class Member:
    """One worker of a group on one machine, with its views of the shared ``arrays`` (:func:`layout`).

    Attributes:
        order: written by rank 0 before each step: epoch, batch, global step.
        rate: written by rank 0 before each step: the learning rate.

    Args:
        lookups: returns the weights whose gradients are kept by rows, for the gradient of another shard.
        between: the group of the ranks, on the first worker of each.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        signals: Signals,
        place: Place,
        partition: Partition,
        network: Network,
        lookups: Callable[[], Sequence[Lookup]],
        between: MpiGroup | None = None,
    ) -> None:
        self.arrays, self.signals, self._partition = arrays, signals, partition
        self.gradients, self.counters = list(arrays["gradients"]), list(arrays["counters"])
        self._place, count = place, len(partition.parts)
        group, first = ProcessGroup(signals, arrays["scratch"], place, between), place.of_rank(count).start
        groups: list[Group] = [group]
        if count > place.total:
            own = place.own(count)
            groups = [ShardGroup(k, count, writes_state=k == first) for k in range(own.start, own.stop)]
        here = place.own_of_rank(len(self.gradients))
        kept = [lookups() for _ in groups]
        if place.ranks > 1:
            add_whole(kept)
        self._shards = Shards(groups, self.gradients[here], group, network, self.counters[here], kept)
        self._matrices = partition.views(arrays, place.worker)
        self.slots = {name[5:]: array for name, array in arrays.items() if name.startswith("slot/")}
        self.order = arrays["order"].view(np.uint8).data.cast("q")
        self.rate = arrays["rate"].view(np.uint8).data.cast("d")

    def bind(self, step: Step, rows: int) -> Program:
        """Bind a program that ends when all workers have their gradients; its losses are summed over all workers."""
        return self._shards.bind(step, rows, self._matrices)

    def update(
        self,
        optimizer: Optimizer,
        vectors: Vectors,
        clock: Clock,
        rate: Rate,
        send: Calls | None = None,
        collect: Calls | None = None,
    ) -> Calls:
        """Return the calls that sum the gradients of this worker's part of the weights, and update it.

        Args:
            send, collect: on the first worker of a rank of an MPI job, the calls that send the rank's gradients to the
                others and receive theirs, and that collect the weights.
        """
        parts = self._partition.parts
        if self._place.ranks == 1:

            def update(group: Group, lookups: Sequence[Lookup]) -> Calls:
                part = parts[group.rank], list(self._partition.summed(group.rank))
                return optimizer.bind(replace(vectors, lookups=lookups).part(*part), clock, rate, group)

            return self._shards.update(update)
        here = self._place.of_rank(len(parts))
        part = slice(parts[here.start].start, parts[here.stop - 1].stop)
        slots = {name: a if "/" in name or self._place.rank else a[part] for name, a in vectors.slots.items()}
        own = replace(vectors, slots={}, others=()).part(part, [])
        own = replace(own, G=self.arrays["received"][0], others=list(self.arrays["received"][1:]), slots=slots)
        piece = shard_slice(vectors.P.size, self._place.worker, self._place.workers)
        wait: Calls = [(self.signals.barrier,)]
        return [
            *sum_into_first([gradient[piece] for gradient in self.gradients]),
            *wait,
            *(send or []),
            *wait,
            *update_part(self._shards, optimizer, own, part, parts, clock, rate),
            *wait,
            *(collect or []),
        ]


def layout(
    step: Step,
    running: RunningMetrics,
    slots: Mapping[str, tuple[Sequence[int], Any]],
    partition: Partition,
    place: Place,
) -> dict[str, tuple[Any, Any]]:
    """Return the shapes and dtypes of the arrays that the workers of a machine share, by name."""
    vectors, dtype = step.parameters.vectors, step.parameters.dtype
    here = place.of_rank(len(partition.parts))
    shards, parts = here.stop - here.start, partition.parts[here]
    in_job = place.ranks > 1
    received = {"received": ((place.ranks, parts[-1].stop - parts[0].start), dtype)} if in_job else {}
    return {
        "signals": ((counter_words(place.workers),), np.int64),
        "order": ((3,), np.int64),
        "rate": ((1,), np.float64),
        "scratch": ((2, shards + in_job, SCRATCH), np.uint8),
        "counters": ((shards, running.counters), np.float64),
        "gradients": ((shards, vectors["trainable"].size), dtype),
        **{f"weights/{name}": (vector.shape, dtype) for name, vector in vectors.items()},
        **{f"slot/{name}": slot for name, slot in slots.items()},
        **received,
        **partition.layout(dtype),
    }
