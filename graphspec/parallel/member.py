"""One worker's part of every step: its shard of the batch, its gradient, its losses, its part of the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.split import shard_slice
from graphspec.compiler.fetches import fetches, losses_of
from graphspec.compiler.objective import Objective
from graphspec.graph.passes.shard_products import wide_kernels
from graphspec.graph.pipelines import FOR_PRODUCTS, prepare
from graphspec.graph.target import Target
from graphspec.ir.graph import Segment
from graphspec.kernels.group import Group, Shard, ShardedKernel
from graphspec.parallel.group import SCRATCH, ProcessGroup
from graphspec.parallel.sync import counter_words
from graphspec.runtime.build import build_program
from graphspec.runtime.lookups import lookups_of
from graphspec.runtime.partition import Partition, cut_anywhere, divide
from graphspec.runtime.program import Program

if TYPE_CHECKING:
    from graphspec.arrays.random import Clock
    from graphspec.compiler.objective import Network
    from graphspec.data.batches import BatchLoader
    from graphspec.ir.graph import Array
    from graphspec.optimizers import Optimizer
    from graphspec.optimizers.rows import Lookup
    from graphspec.parallel.sync import Signals
    from graphspec.runtime.parameters import Parameters
    from graphspec.runtime.running_metrics import RunningMetrics


@dataclass(frozen=True)
class Step:
    """The parts of a training step that are the same for all workers; only the rows differ."""

    network: Network
    objective: Objective
    parameters: Parameters
    loader: BatchLoader
    seed: int
    clock: Clock

    def divide(self, optimizer: Optimizer, workers: int, *, shard_kernels: bool = True) -> Partition:
        """Partition the weights: which kernels the workers shard, and which worker updates which elements."""
        parameters, batch, objective = self.parameters, self.loader.rows(0), self.objective
        segments, matrices = parameters.segments["trainable"], dict[str, Segment]()
        if shard_kernels and cut_anywhere(optimizer, segments):
            target = Target(self.loader.shapes(batch))
            graph = prepare(objective.graph.with_outputs({}, objective.total), FOR_PRODUCTS, target)
            names = wide_kernels(graph, batch, workers)
            matrices = {s.param.name: s for s in segments if s.param.name in names}
        return divide(optimizer, segments, parameters.vectors["trainable"].size, workers, matrices, batch)

    def lookups(self, optimizer: Optimizer) -> list[Lookup]:
        """Return the weights whose gradients are kept by rows, for one worker's gradient."""
        return lookups_of(optimizer, self.parameters.segments["trainable"])

    def bind(
        self,
        rows: int,
        gradient: Array,
        group: Group,
        matrices: Mapping[str, ShardedKernel] | None = None,
        lookups: Sequence[Lookup] = (),
    ) -> Program:
        """Bind one worker's program for batches of ``rows`` rows; it writes its part of the gradient to ``gradient``.

        ``lookups`` are the weights whose parts of this gradient are kept by rows.
        """
        own = shard_slice(rows, group.rank, group.size)
        objective, shard = self.objective, Shard(group, own, rows, matrices or {})
        program = build_program(
            objective.graph.with_outputs(fetches(self.network, objective), objective.total),
            self.parameters,
            Target(self.loader.shapes(own.stop - own.start), shard=shard),
            gradient=gradient,
            training=True,
            seed=self.seed,
            clock=self.clock,
            touched={lookup.touched.name: lookup.touched for lookup in lookups},
        )
        program.load = self.loader.filler(program.feeds, rows)
        return program


class Member:
    """One worker of a group, with its views of the shared ``arrays`` (:func:`layout`).

    Attributes:
        order: written by rank 0 before each step: epoch, batch, global step.
        rate: written by rank 0 before each step: the learning rate.
        lookups: the weights whose gradients are kept by rows, in this worker's gradient.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        signals: Signals,
        rank: int,
        partition: Partition,
        lookups: Sequence[Lookup],
    ) -> None:
        self.arrays, self.signals, self.partition, self.lookups = arrays, signals, partition, lookups
        self.group = ProcessGroup(signals, arrays["scratch"], rank, len(partition.parts))
        self._matrices = partition.views(arrays, rank)
        self.gradients = list(arrays["gradients"])
        self.counters = list(arrays["counters"])
        self.slots = {name[5:]: array for name, array in arrays.items() if name.startswith("slot/")}
        self.order = arrays["order"].view(np.uint8).data.cast("q")
        self.rate = arrays["rate"].view(np.uint8).data.cast("d")
        self._losses = list(arrays["losses"])
        self._sums = np.zeros(len(self._losses[0]))

    def bind(self, step: Step, rows: int) -> Program:
        """Bind a program that ends when all workers have their gradients; its losses are summed over all workers."""
        program = step.bind(rows, self.gradients[self.group.rank], self.group, self._matrices, self.lookups)
        names = losses_of(step.objective)
        program.calls += [(self._sum_losses, [program.fetches[name] for name in names]), *program.after]
        program.fetches |= {name: self._sums[k : k + 1].reshape(()) for k, name in enumerate(names)}
        return program

    def _sum_losses(self, losses: list[Array]) -> None:
        own = self._losses[self.group.rank]
        for k, loss in enumerate(losses):
            own[k] = loss
        self.group.barrier()
        np.add(self._losses[0], self._losses[1], self._sums)
        for others in self._losses[2:]:
            np.add(self._sums, others, self._sums)


def layout(
    step: Step, running: RunningMetrics, slots: Mapping[str, Array], partition: Partition
) -> dict[str, tuple[Any, Any]]:
    """Return the shapes and dtypes of the arrays that the workers share, by name."""
    vectors, dtype, size = step.parameters.vectors, step.parameters.dtype, len(partition.parts)
    return {
        "signals": ((counter_words(size),), np.int64),
        "order": ((3,), np.int64),
        "rate": ((1,), np.float64),
        "scratch": ((2, size, SCRATCH), np.uint8),
        "losses": ((size, len(losses_of(step.objective))), np.float64),
        "counters": ((size, running.counters), np.float64),
        "gradients": ((size, vectors["trainable"].size), dtype),
        **{f"weights/{name}": (vector.shape, dtype) for name, vector in vectors.items()},
        **{f"slot/{name}": (array.shape, dtype) for name, array in slots.items()},
        **partition.layout(dtype),
    }
