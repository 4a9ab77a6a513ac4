"""graphspec's ordinary ``fit``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import graphspec as gs
from benchmarks.child import workers
from graphspec.callbacks import Callback, State

if TYPE_CHECKING:
    from benchmarks.workload import Workload

COLD = 8
"""Steps after binding that do not count: they meet cold memory."""


class Watch(Callback):
    """Notes when each step ends, and its loss."""

    def start(self, run: object) -> Watching:
        self._state = Watching()
        return self._state

    @property
    def state(self) -> Watching:
        return self._state


class Watching(State):
    def __init__(self) -> None:
        self.ends: list[float] = []
        self.losses: list[float] = []
        self.others = 0

    def on_batch_end(self, step: int, loss: float) -> None:
        self.ends.append(time.perf_counter())
        self.losses.append(loss)
        if len(self.ends) == COLD - 1:
            self.others = workers()


class Fit:
    """``fit`` over the batches in their order; a step lasts from the end of the one before to its own."""

    def __init__(self, workload: Workload, processes: str) -> None:
        self.version = gs.__version__
        self.workload, self.others = workload, 0
        self.model = gs.compile(workload.spec, [f"training.workers={processes}"])

    def _fit(self, batches: int, epochs: int) -> Watching:
        watch, rows = Watch(), batches * self.workload.batch
        x, y = self.workload.x[:rows], self.workload.y[:rows]
        self.model.fit(x, y, epochs=epochs, shuffle=False, callbacks=[watch], verbose=0)
        self.others = max(self.others, watch.state.others)
        return watch.state

    def losses(self, count: int) -> list[float]:
        return self._fit(count, 1).losses

    def steps(self, count: int) -> list[float]:
        ends = self._fit(self.workload.batches, -(-(count + COLD) // self.workload.batches)).ends
        return [b - a for a, b in zip(ends[COLD - 1 :], ends[COLD:], strict=False)]

    def restore(self) -> None:
        self.model.set_weights(self.workload.weights)


def start(workload: Workload, processes: str) -> Fit:
    return Fit(workload, processes)
