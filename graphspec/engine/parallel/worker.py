"""A worker process: ``python -m graphspec.engine.parallel.worker``, started by :mod:`graphspec.engine.parallel.leader`.

It reads one line of JSON, compiles the spec, computes its shards of every step that rank 0 launches, and ends with its
parent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from graphspec.engine.parallel.stops import ignore

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Graph
    from graphspec.language.declarations import Spec

DIAGNOSTICS = "graphspec: diagnostics"
"""The key of the diagnostics in the last line of output of a worker that they ended."""


@dataclass(frozen=True)
class _Network:
    spec: Spec
    graph: Graph


def serve(message: dict[str, Any]) -> NoReturn:
    """Compute this worker's shards of each step until the process is ended."""
    from graphspec.base.arrays.memory import open_map
    from graphspec.base.arrays.random import Clock
    from graphspec.data.batches import BatchLoader, Dataset
    from graphspec.engine.compiler.adapted import Adapted
    from graphspec.engine.compiler.check import check
    from graphspec.engine.compiler.objective import objective_for
    from graphspec.engine.parallel.agreement import compare, installation, program
    from graphspec.engine.parallel.follower import Follower
    from graphspec.engine.parallel.group import Place
    from graphspec.engine.parallel.member import Member
    from graphspec.engine.parallel.shared_memory import attach
    from graphspec.engine.parallel.step import Step
    from graphspec.engine.parallel.sync import Pipes, Signals, Spin
    from graphspec.engine.parallel.validation import PREFIX, VALIDATE, Validator
    from graphspec.engine.runtime.parameters import Parameters
    from graphspec.graph.cuts import cut
    from graphspec.graph.optimizers import Rate, Vectors

    place = replace(Place(**message["place"]), worker=message["rank"])
    rank, size = place.worker, place.workers
    arrays = attach(message["memory"])
    rows = {name[5:]: array for name, array in arrays.items() if name.startswith("rows/")}
    maps = {name: open_map(where) for name, where in message["maps"].items()}
    rows |= {name: array for name, array in maps.items() if not name.startswith(PREFIX)}
    for module in message["plugins"]:
        import_module(module)
    adapted = None if message["adapted"] is None else Adapted.of_json(message["adapted"])
    folder = Path(message["folder"])  # rank 0 runs the callbacks
    checked = check(message["document"], allow_outside=True, adapted=adapted, draws=False, base=folder)
    spec, lowered = checked.require()
    parts = cut(lowered.graph)
    graph = lowered.graph if parts is None else parts.rest
    parameters, clock, optimizer = Parameters(graph), Clock(), spec.training.optimizer
    for group in parameters.vectors:
        parameters.vectors[group] = arrays[f"weights/{group}"]
    data = Dataset.of(rows)
    loader = BatchLoader(
        data, message["batch_size"], shuffle=message["shuffle"], seed=message["seed"], total=message["total"]
    )
    signals: Signals
    if message["pipes"]:
        read, write = message["pipes"]
        signals = Pipes([read], [write], rank, _end)
    else:
        signals = Spin(arrays["signals"], rank, size, lambda: None)
    network = _Network(spec, graph)
    step = Step(network, objective_for(network, data), parameters, loader, message["seed"], clock)
    compare(message["facts"], {**installation(), **program(step, optimizer)}, f"rank {place.rank}", f"worker {rank}")
    partition = step.divide(optimizer, place.total, shard_kernels=place.ranks == 1)
    member, rate = (
        Member(arrays, signals, place, partition, network, partial(step.lookups, optimizer)),
        Rate(optimizer.learning_rate),
    )
    weights, segments = parameters.vectors["trainable"], parameters.segments["trainable"]
    vectors = Vectors.of_workers(weights, member.gradients, member.slots, segments)
    follower = Follower(step, member.bind, member.update(optimizer, vectors, clock, rate))
    order, same = member.order, message["validation"]
    validator = Validator(arrays | maps, same, network, parameters, message["batch_size"], rank, size)
    signals.notify()  # rank 0 waits for it before the first step
    while True:
        signals.wait()
        clock.step, rate.value = order[2], member.rate[0]
        if order[0] == VALIDATE:
            validator.run()
        else:
            follower.step(order[0], order[1])
        signals.notify()


def _end() -> NoReturn:
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when its parent ends: that closes standard input, whose other end the parent owns."""

    def watch() -> None:
        os.read(0, 1)
        _end()

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Read the leader's message from standard input, and serve it."""
    ignore()
    message = json.loads(sys.stdin.buffer.readline())
    _end_with_parent()

    from graphspec.base.arrays.calls import settings
    from graphspec.base.errors import RunError, SpecError

    try:
        with settings():
            serve(message)
    except SpecError as error:
        if not all(d.code.startswith("GS5") for d in error.diagnostics):
            raise
        # An error in the data, such as an id out of range: rank 0 reports it.
        print(json.dumps({DIAGNOSTICS: [asdict(d) for d in error.diagnostics]}), flush=True)
        sys.exit(error.status)
    except RunError as error:
        print(json.dumps({DIAGNOSTICS: {"code": error.code, "message": error.message, "hint": error.hint}}), flush=True)
        sys.exit(error.status)


if __name__ == "__main__":
    main()
