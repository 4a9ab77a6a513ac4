"""One worker's part of every step: its shards of the batch, their gradients and losses, its part of the update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.kernels.group import Group
from graphspec.parallel.group import SCRATCH, ProcessGroup, own_shards
from graphspec.parallel.shards import ShardGroup, Shards
from graphspec.parallel.sync import counter_words
from graphspec.runtime.partition import Partition
from graphspec.runtime.program import Program

if TYPE_CHECKING:
    from graphspec.arrays.calls import Calls
    from graphspec.arrays.random import Clock
    from graphspec.compiler.objective import Network
    from graphspec.ir.graph import Array
    from graphspec.optimizers import Optimizer, Rate, Vectors
    from graphspec.parallel.step import Step
    from graphspec.parallel.sync import Signals
    from graphspec.runtime.running_metrics import RunningMetrics


class Member:
    """One worker of a group on one machine, with its views of the shared ``arrays`` (:func:`layout`).

    Attributes:
        order: written by rank 0 before each step: epoch, batch, global step.
        rate: written by rank 0 before each step: the learning rate.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        signals: Signals,
        rank: int,
        size: int,
        partition: Partition,
        network: Network,
    ) -> None:
        self.arrays, self.signals, self._partition = arrays, signals, partition
        self.gradients, self.counters = list(arrays["gradients"]), list(arrays["counters"])
        own, count = own_shards(len(partition.parts), rank, size), len(partition.parts)
        group = ProcessGroup(signals, arrays["scratch"], rank, size)
        groups: list[Group] = [group]
        if count > size:
            groups = [ShardGroup(k, count, writes_state=k == 0) for k in range(own.start, own.stop)]
        self._shards = Shards(groups, self.gradients[own], group, network, self.counters[own])
        self._matrices = partition.views(arrays, rank)
        self.slots = {name[5:]: array for name, array in arrays.items() if name.startswith("slot/")}
        self.order = arrays["order"].view(np.uint8).data.cast("q")
        self.rate = arrays["rate"].view(np.uint8).data.cast("d")

    def bind(self, step: Step, rows: int) -> Program:
        """Bind a program that ends when all workers have their gradients; its losses are summed over all workers."""
        return self._shards.bind(step, rows, self._matrices)

    def update(self, optimizer: Optimizer, vectors: Vectors, clock: Clock, rate: Rate) -> Calls:
        """Return the calls that sum the gradients of this worker's part of the weights, and update it."""

        def update(group: Group) -> Calls:
            part = self._partition.parts[group.rank], list(self._partition.summed(group.rank))
            return optimizer.bind(vectors.part(*part), clock, rate, group)

        return self._shards.in_step(update)


def layout(
    step: Step, running: RunningMetrics, slots: Mapping[str, Array], partition: Partition, size: int
) -> dict[str, tuple[Any, Any]]:
    """Return the shapes and dtypes of the arrays that ``size`` workers share, by name."""
    vectors, dtype, shards = step.parameters.vectors, step.parameters.dtype, len(partition.parts)
    return {
        "signals": ((counter_words(size),), np.int64),
        "order": ((3,), np.int64),
        "rate": ((1,), np.float64),
        "scratch": ((2, shards, SCRATCH), np.uint8),
        "counters": ((shards, running.counters), np.float64),
        "gradients": ((shards, vectors["trainable"].size), dtype),
        **{f"weights/{name}": (vector.shape, dtype) for name, vector in vectors.items()},
        **{f"slot/{name}": (array.shape, dtype) for name, array in slots.items()},
        **partition.layout(dtype),
    }
