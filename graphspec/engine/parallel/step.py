"""What all workers have in common in a training step, and how one shard of it becomes a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphspec.base.arrays.layout import shard_slice
from graphspec.engine.compiler.fetches import fetches
from graphspec.engine.compiler.objective import Objective
from graphspec.engine.runtime.build import build_program
from graphspec.engine.runtime.lookups import lookups_of
from graphspec.engine.runtime.partition import Partition, cut_anywhere, divide
from graphspec.engine.runtime.program import Program
from graphspec.graph.ir.graph import Segment
from graphspec.graph.kernels.context import Group, Shard, ShardedKernel
from graphspec.graph.passes import FOR_PRODUCTS, prepare
from graphspec.graph.passes.for_program import wide_kernels
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from graphspec.base.arrays.random import Clock
    from graphspec.data.batches import BatchLoader
    from graphspec.engine.compiler.objective import Network
    from graphspec.engine.runtime.parameters import Parameters
    from graphspec.graph.ir.graph import Array
    from graphspec.graph.optimizers import Optimizer
    from graphspec.graph.optimizers.vectors import Lookup


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
        """Partition the weights: which kernels the workers shard, and which worker updates which elements.

        If the number of shards is fixed, there is a part for each, and no kernel is sharded.
        """
        parameters, batch, objective = self.parameters, self.loader.rows(0), self.objective
        segments, matrices = parameters.segments["trainable"], dict[str, Segment]()
        if (shards := self.network.spec.training.shards) is not None:
            workers = shards
        elif shard_kernels and cut_anywhere(optimizer, segments):
            target = Target(self.loader.shapes(batch))
            graph = prepare(objective.graph.with_outputs({}, objective.total), FOR_PRODUCTS, target)
            names = wide_kernels(graph, batch, workers)
            matrices = {s.param.name: s for s in segments if s.param.name in names}
        return divide(optimizer, segments, parameters.vectors["trainable"].size, workers, matrices, batch)

    def lookups(self, optimizer: Optimizer) -> list[Lookup]:
        """Return the weights whose gradients are kept by rows, for the gradient of one shard."""
        return lookups_of(optimizer, self.parameters.segments["trainable"])

    def bind(
        self,
        rows: int,
        gradient: Array,
        group: Group,
        matrices: Mapping[str, ShardedKernel] | None = None,
        lookups: Sequence[Lookup] = (),
    ) -> Program:
        """Bind one shard's program for batches of ``rows`` rows; it writes its part of the gradient to ``gradient``.

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
        program.load = self.loader.filler(program.feeds, own)
        return program
