"""The part of a training that every worker other than rank 0 does, a local process or a rank of an MPI job.

It builds the network anew from what rank 0 sends (:func:`message_of`, :func:`step_of`), and then computes its part of each
step that rank 0 launches (:class:`Follower`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.calls import Calls, runner
from graphspec.base.arrays.random import Clock
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.engine.compiler.adapted import Adapted
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import TOTAL, objective_for
from graphspec.engine.parallel.shards import Step
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.cuts import cut
from graphspec.language.explain import REGISTRIES

if TYPE_CHECKING:
    from graphspec.engine.runtime.program import Program
    from graphspec.graph.ir.graph import Array, Graph
    from graphspec.language.declarations import Spec


@dataclass(frozen=True)
class Replica:
    """The network on a worker: the spec, and the graph that computes prepared rows."""

    spec: Spec
    graph: Graph


def message_of(step: Step, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what rank 0 sends to every worker, plain JSON.

    ``document``: ``document``, the spec with absolute paths of data files, ``adapted``, what it has learnt, or None,
    and ``folder``, the folder of the spec. Raises OSError: a plugin is the running script, which a worker would run
    again.
    """
    modules = list(dict.fromkeys(m for registry in REGISTRIES.values() for m in registry.plugins()))
    if "__main__" in modules:
        raise OSError("the script defines classes that the spec may use: move them to a module, and import it")
    loader = step.loader
    return {
        **document,
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
    """Computes a worker's part of the steps that rank 0 launches.

    Args:
        bind: binds the worker's program for batches of a given length.
        update: the calls that update the worker's part of the weights.
    """

    def __init__(self, step: Step, bind: Callable[[int], Program], update: Calls) -> None:
        self._step, self._bind, self._update = step, bind, runner(update)
        self._programs: dict[int, Program] = {}
        self._epoch = -1

    def step(self, epoch: int, batch: int) -> None:
        """Compute this worker's part of a step; if the loss is not finite, nothing is updated, as on rank 0."""
        loader = self._step.loader
        if epoch != self._epoch:
            self._epoch = epoch
            loader.start(epoch)
        rows = loader.rows(batch)
        program = self._programs.get(rows)
        if program is None:
            program = self._programs[rows] = self._bind(rows)
        program.load(batch)
        program.run()
        if math.isfinite(program.fetches[TOTAL]):
            self._update()
