"""Ranks other than 0 of an MPI job: they compute their shard of every step that rank 0 launches, and read no spec."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.blas import one_thread
from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.memory import free, human, open_map
from graphspec.base.arrays.random import Clock
from graphspec.base.codes import Code
from graphspec.base.errors import RunError
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.engine.compiler.adapted import Adapted
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import objective_for
from graphspec.engine.parallel.agreement import program
from graphspec.engine.parallel.exchange import joined
from graphspec.engine.parallel.follower import Follower
from graphspec.engine.parallel.mpi import Order
from graphspec.engine.parallel.rank_leader import fingerprint
from graphspec.engine.parallel.step import Step
from graphspec.engine.parallel.stops import STOPS
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.graph.cuts import cut
from graphspec.graph.optimizers import Rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.graph.ir.graph import Array, Graph
    from graphspec.language.declarations import Spec


@dataclass(frozen=True)
class _Network:
    spec: Spec
    graph: Graph


def serve(ranks: Ranks) -> None:
    """Follow rank 0's orders until it ends the job."""
    with _signals(ranks), settings():
        while True:
            order, _ = ranks.next_order()
            if order is Order.END:
                return
            assert order is Order.JOIN, order
            with one_thread():
                _train(ranks, ranks.receive())


def _train(ranks: Ranks, message: dict[str, Any]) -> None:
    """Compute this rank's shard of the steps of one training."""
    for module in message["plugins"]:
        import_module(module)
    adapted = None if message["adapted"] is None else Adapted.of_json(message["adapted"])
    folder = Path(message["folder"])
    checked = check(message["document"], allow_outside=True, adapted=adapted, draws=False, base=folder)
    spec, lowered = checked.require()
    parts = cut(lowered.graph)
    network = _Network(spec, lowered.graph if parts is None else parts.rest)
    data = Dataset.of(_rows(ranks, message["rows"]))
    loader = BatchLoader(data, message["batch_size"], shuffle=message["shuffle"], seed=message["seed"])
    parameters, clock, optimizer = Parameters(network.graph), Clock(), spec.training.optimizer
    step = Step(network, objective_for(network, data), parameters, loader, message["seed"], clock)
    try:
        ranks.agree(program(step, optimizer))
    except RunError:
        return  # rank 0 reports it
    rate, workers = Rate(optimizer.learning_rate), spec.training.workers
    local = workers if isinstance(workers, int) else 1
    member = joined(ranks, step, optimizer, RunningMetrics(network), local, message)
    member.renew()
    follower = Follower(step, member.bind, member.update(rate))
    while True:
        order, values = ranks.next_order()
        if order is Order.LEAVE:
            member.close()
            return
        if order is Order.COLLECT:
            member.collect_slots()
        elif order is Order.RENEW:
            member.renew()
        else:
            epoch, batch, clock.step = (int(v) for v in values[:3])
            rate.value = values[3]
            member.launch(epoch, batch, rate)
            follower.step(epoch, batch)
            member.gather_counters()


def _rows(ranks: Ranks, described: Mapping[str, Any]) -> dict[str, Array]:
    """Return the rows: this rank maps the files that it sees as rank 0 does, and receives the rest.

    Raises:
        RunError: GS602, the rest does not fit into the memory.
    """
    rows: dict[str, Array] = {}
    for name, at in described.items():
        where = at["map"]
        if where is not None and where["fingerprint"] == fingerprint(where["file"]) is not None:
            rows[name] = open_map(where)
    answers = ranks.collect({"lacks": [name for name in described if name not in rows]})
    lacking = {name for answer in answers for name in answer["lacks"]}
    sizes = {n: math.prod(d["shape"]) * np.dtype(d["dtype"]).itemsize for n, d in described.items() if n in lacking}
    if sum(sizes.values()) > free():
        text = f"rank {ranks.rank} does not see rank 0's files of rows, and {human(sum(sizes.values()))} do not fit"
        hint = "put the run directory, or `--cache DIR`, on a file system that all ranks share"
        raise RunError(Code.NOT_ENOUGH_MEMORY, f"{text} into its memory ({human(free())} free)", hint)
    for name, at in described.items():
        if name in lacking:
            received = np.empty(at["shape"], at["dtype"])
            ranks.share(received)
            rows.setdefault(name, received)
    return rows


@contextmanager
def _signals(ranks: Ranks) -> Iterator[None]:
    """Let a request to stop set a flag that rank 0 reads at the end of the step: it decides when all ranks end."""

    def handle(number: int, frame: FrameType | None) -> None:
        ranks.requested = number

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, *STOPS)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
