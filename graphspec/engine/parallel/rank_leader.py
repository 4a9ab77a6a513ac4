"""Rank 0 of an MPI job: it sends the network and the rows to the other ranks, launches steps, and collects the state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.blas import one_thread
from graphspec.base.arrays.memory import describe_map
from graphspec.engine.parallel.agreement import program
from graphspec.engine.parallel.exchange import joined
from graphspec.engine.parallel.mpi import Order
from graphspec.engine.parallel.team import plugins

if TYPE_CHECKING:
    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.engine.parallel.step import Step
    from graphspec.engine.runtime.optimizer_state import OptimizerState
    from graphspec.engine.runtime.running_metrics import RunningMetrics

_SAMPLES, _SAMPLE = 64, 4096  # blocks of a file that its fingerprint contains, and bytes of a block


class RankLeader:
    """Rank 0 of a training by the ranks of a job, until :meth:`close`.

    Attributes:
        member: computes this rank's shard of a step.

    Args:
        document: ``document``, the spec, ``adapted``, what it has learnt, or None, and ``folder``, its folder.
        workers: the processes of each rank.
    """

    def __init__(
        self,
        step: Step,
        optimizer_state: OptimizerState,
        running: RunningMetrics,
        document: Mapping[str, Any],
        ranks: Ranks,
        workers: int = 1,
    ) -> None:
        self._step, self._state, self._ranks, self._stack = step, optimizer_state, ranks, ExitStack()
        loader = step.loader
        data = loader.dataset.named()
        rows = {name: {"dtype": a.dtype.str, "shape": list(a.shape), "map": located(a)} for name, a in data.items()}
        modules = plugins()
        ranks.busy = True  # until the other ranks listen again
        ranks.order(Order.JOIN)
        ranks.send(
            {
                **document,
                "plugins": modules,
                "seed": step.seed,
                "batch_size": loader.batch_size,
                "shuffle": loader.shuffle,
                "rows": rows,
            }
        )
        deal(ranks, data)
        ranks.busy = False  # if they differ, the others wait for the next order
        ranks.agree(program(step, optimizer_state.optimizer))
        ranks.busy = True
        gradient, slots = optimizer_state.gradient, optimizer_state.slots
        self.member = joined(ranks, step, optimizer_state.optimizer, running, workers, document, slots, gradient)
        self._own, optimizer_state.slots = (gradient, slots), dict(self.member.slots)
        self._others = [running.views(counters) for counters in self.member.counters_of_others]
        self._renew()
        optimizer_state.run_with(self.member.update(optimizer_state.rate), self._collect)
        self._stack.enter_context(one_thread())
        ranks.busy = False

    def _renew(self) -> None:
        self.member.renew()
        self._seen, self._outdated = self._step.parameters.changes, False

    def _collect(self) -> None:
        """Bring the slots to this rank, unless it has them since the last step."""
        if self._outdated and not self._ranks.busy:
            self._ranks.order(Order.COLLECT)
            self.member.collect_slots()
            self._outdated = False

    def launch_step(self, epoch: int, batch: int) -> None:
        """Let the other ranks start their shard of a step; weights that a callback has written are sent before."""
        if self._step.parameters.changes != self._seen:
            self._collect()
            self._ranks.order(Order.RENEW)
            self._renew()
        self._ranks.order(Order.STEP, epoch, batch, self._state.clock.step, self._state.rate.value)
        self._ranks.busy = self._outdated = True
        self.member.launch(epoch, batch, self._state.rate)

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the other ranks have finished the step, and add their metric counters to ``running``."""
        self.member.gather_counters()
        self._ranks.busy = False
        if not self._ranks.requested:
            self._ranks.requested = int(self.member.gathered[1:, -1].max())
        if running is not None:
            for views in self._others:
                running.include(views)

    def check(self) -> None:
        """Raise GS604 (RunError) if a local worker has died; if a rank dies, the launcher ends the job."""
        self.member.check()

    def close(self) -> None:
        """End the training on the other ranks, unless they are in the middle of a step that has failed."""
        if not self._ranks.busy:
            self._collect()
            self._ranks.order(Order.LEAVE)
        self.member.close()
        self._state.move_back(*self._own)
        self._stack.close()


def located(array: Any) -> dict[str, Any] | None:
    """Describe a memory-mapped array, so that another rank finds the same file; None for an array in memory."""
    where = describe_map(array)
    return None if where is None else {**where, "fd": None, "fingerprint": fingerprint(where["file"])}


def fingerprint(file: str) -> str | None:
    """Return a hash of a file's size, modification time and some blocks of its content; None if there is none."""
    try:
        with Path(file).open("rb") as opened:
            stat = os.fstat(opened.fileno())
            found = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            for start in np.linspace(0, max(stat.st_size - _SAMPLE, 0), _SAMPLES).astype(np.int64):
                opened.seek(int(start))
                found.update(opened.read(_SAMPLE))
    except OSError:
        return None
    return found.hexdigest()


def deal(ranks: Ranks, data: Mapping[str, Any]) -> None:
    """Send the arrays that another rank cannot map itself to all ranks."""
    lacking = {name for answer in ranks.collect({"lacks": []}) for name in answer["lacks"]}
    for name, array in data.items():
        if name in lacking:
            ranks.share(np.ascontiguousarray(array))
