"""Several shards of a batch in one worker, so that the number of workers does not change any bit.

With ``training: {shards: 8}`` a batch always has eight shards, each with a program, a gradient and a part of the update of
its own, as if eight workers computed them. A worker that computes several makes their calls in turns: up to the next sum
over all shards for the first, then for the next, and then the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from graphspec.base.arrays.calls import Call, Calls
from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.random import Clock
from graphspec.data.batches import BatchLoader, Dataset, Form
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import TOTAL, Network, Objective, fetches, objective_for
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.buffers import lookups_of
from graphspec.engine.runtime.parameters import Parameters, Partition, cut_anywhere, divide
from graphspec.engine.runtime.program import Program
from graphspec.graph.builder import Target
from graphspec.graph.cuts import cut
from graphspec.graph.ir.graph import Array, Graph, Segment
from graphspec.graph.kernels.context import Group, Shard, ShardedKernel
from graphspec.graph.kernels.one_call import runner
from graphspec.graph.optimizers import Optimizer
from graphspec.graph.optimizers.vectors import Lookup
from graphspec.graph.passes import FOR_PRODUCTS, prepare
from graphspec.graph.passes.for_program import wide_kernels
from graphspec.language.declarations import Spec
from graphspec.language.explain import REGISTRIES

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session


class Workers(Group, Protocol):
    """The workers of a training, seen from one of them."""

    def all_reduce(self, *arrays: Array) -> None:
        """Replace ``arrays``, one per shard of this worker, by their sum over all shards of all workers."""


class ShardGroup:
    """One of a worker's shards, as operators and optimizers see it. :func:`in_step` replaces calls of its methods."""

    def __init__(self, rank: int, size: int, *, writes_state: bool) -> None:
        self.rank, self.size, self.writes_state = rank, size, writes_state

    def all_reduce(self, array: Array) -> NoReturn:
        """Mark where the sum over all shards belongs."""
        raise AssertionError("a sum over shards was called by one of them alone")

    def barrier(self) -> NoReturn:
        """Mark where shards wait for each other."""
        raise AssertionError("a barrier was called by one shard alone")


def in_step(programs: Sequence[Calls], shards: Sequence[Group], workers: Workers) -> Calls:
    """Return the calls of programs that differ in their rows; those of their groups, ``shards``, go to ``workers``."""
    joined: Calls = []
    for parts in zip(*map(_parts, programs, shards), strict=True):
        for calls, _ in parts:
            joined += calls
        stops = [stop for _, stop in parts if stop is not None]
        functions = {stop[0].__func__ for stop in stops}
        assert len(functions) <= 1, "the programs of two shards wait at different places"
        if ShardGroup.all_reduce in functions:
            joined.append((workers.all_reduce, *(array for _, array in stops)))
        elif functions:
            joined.append((workers.barrier,))
    return joined


def _parts(calls: Calls, shard: Group) -> Iterator[tuple[Calls, Call | None]]:
    """Cut the calls of a program at the calls of its group: yield what is before each, and the call; at the end, None."""
    part: Calls = []
    for call in calls:
        if getattr(call[0], "__self__", None) is shard:
            yield part, call
            part = []
        else:
            part.append(call)
    yield part, None


@dataclass(frozen=True)
class Step:
    """The parts of a training step that are the same for all workers; only the rows differ."""

    network: Network
    objective: Objective
    parameters: Parameters
    loader: BatchLoader
    seed: int
    clock: Clock

    @property
    def optimizer(self) -> Optimizer:
        return self.network.spec.training.optimizer

    def divide(self, optimizer: Optimizer, workers: int, *, shard_kernels: bool = True) -> Partition:
        """Partition the weights: which kernels the workers shard, and which worker updates which elements.

        If the number of shards is fixed, there is a part for each, and no kernel is sharded.
        """
        parameters, batch, objective = self.parameters, self.loader.rows(0), self.objective
        segments, matrices = parameters.segments["trainable"], dict[str, Segment]()
        if (shards := self.network.spec.training.shards) is not None:
            workers = shards
        elif shard_kernels and cut_anywhere(optimizer, segments):
            target = Target(self.loader.shapes(batch), training=True)
            graph = prepare(objective.graph.with_outputs({}, objective.total), FOR_PRODUCTS, target)
            names = wide_kernels(graph, batch, workers)
            matrices = {s.param.name: s for s in segments if s.param.name in names}
        return divide(optimizer, segments, parameters.vectors["trainable"].size, workers, matrices, batch)

    def lookups(self) -> list[Lookup]:
        """Return the weights whose gradients are kept by rows, for the gradient of one shard."""
        return lookups_of(self.optimizer, self.parameters.segments["trainable"])

    def bind(
        self,
        form: Form,
        gradient: Array,
        group: Group,
        matrices: Mapping[str, ShardedKernel] | None = None,
        lookups: Sequence[Lookup] = (),
    ) -> Program:
        """Bind one shard's program for batches of this form; it writes its part of the gradient to ``gradient``.

        ``lookups`` are the weights whose parts of this gradient are kept by rows.
        """
        rows, width = form
        own = shard_slice(rows, group.rank, group.size)
        objective, shard = self.objective, Shard(group, own, rows, matrices or {})
        program = build_program(
            objective.graph.with_outputs(fetches(self.network, objective), objective.total),
            self.parameters,
            Target(self.loader.shapes(own.stop - own.start, width), shard=shard),
            gradient=gradient,
            training=True,
            seed=self.seed,
            clock=self.clock,
            touched={lookup.touched.name: lookup.touched for lookup in lookups},
        )
        program.load = self.loader.filler(program.feeds, own)
        return program


# The part of a training that every worker other than rank 0 does, a local process or a rank of an MPI job.
#
# It builds the network anew from what rank 0 sends (:func:`message_of`, :func:`step_of`), and then computes its part of each
# step that rank 0 launches (:class:`Follower`).
@dataclass(frozen=True)
class Replica:
    """The network on a worker: the spec, and the graph that computes prepared rows."""

    spec: Spec
    graph: Graph


def message_of(step: Step, model: Session) -> dict[str, Any]:
    """Return what rank 0 sends to every worker to build the network and its batches, plain JSON.

    Raises OSError: a plugin is the running script, which a worker would run again.
    """
    modules = list(dict.fromkeys(m for registry in REGISTRIES.values() for m in registry.plugins()))
    if "__main__" in modules:
        raise OSError("the script defines classes that the spec may use: move them to a module, and import it")
    loader = step.loader
    return {
        "document": model.document(),
        "adapted": None if model.adapted is None else model.adapted.to_json(),
        "folder": str((model.spec.base or Path()).resolve()),
        "plugins": modules,
        "seed": step.seed,
        "batch_size": loader.batch_size,
        "shuffle": loader.shuffle,
        "total": None,
    }


def step_of(message: Mapping[str, Any], rows: Mapping[str, Array]) -> Step:
    """Return a worker's step, built from rank 0's message and the training rows by name; rank 0 runs the callbacks."""
    for module in message["plugins"]:
        import_module(module)
    adapted = None if message["adapted"] is None else Adapted.of_json(message["adapted"])
    folder = Path(message["folder"])
    checked = check(message["document"], allow_outside=True, adapted=adapted, draws=False, base=folder)
    spec, lowered = checked.require()
    parts = cut(lowered.graph)
    network, data = Replica(spec, lowered.graph if parts is None else parts.rest), Dataset.of(rows)
    seed, total = message["seed"], message["total"]
    loader = BatchLoader(data, message["batch_size"], shuffle=message["shuffle"], seed=seed, total=total)
    return Step(network, objective_for(network, data), Parameters(network.graph), loader, seed, Clock())


class Follower:
    """Computes a worker's part of the steps that rank 0 launches: ``bind`` by forms of batches, then ``update``."""

    def __init__(self, step: Step, bind: Callable[[Form], Program], update: Calls) -> None:
        self._step, self._bind, self._update = step, bind, runner(update)
        self._programs: dict[Form, Program] = {}
        self._epoch = -1

    def step(self, epoch: int, batch: int) -> None:
        """Compute this worker's part of a step; if the loss is not finite, nothing is updated, as on rank 0."""
        loader = self._step.loader
        if epoch != self._epoch:
            self._epoch = epoch
            loader.start(epoch)
        form = loader.form(batch)
        program = self._programs.get(form)
        if program is None:
            program = self._programs[form] = self._bind(form)
        program.load(batch)
        program.run()
        if math.isfinite(program.fetches[TOTAL]):
            self._update()
