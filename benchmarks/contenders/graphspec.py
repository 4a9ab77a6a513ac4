"""graphspec's ordinary ``fit``."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING

import graphspec as gs
from benchmarks.contenders.base import Contender
from benchmarks.memory import of_children
from graphspec.vocabulary.callbacks.callback import Callback, CallbackState

if TYPE_CHECKING:
    from benchmarks.workload import Workload
    from graphspec.vocabulary.callbacks.callback import Run

COLD = 8
"""Steps after binding that do not count: they meet cold memory."""
EPOCHS = 1_000_000
"""As good as for ever, so that ``workers: auto`` decides as in a long run; a callback stops it."""


class Watch(Callback):
    """Notes when each step ends, and its loss; stops after ``count`` steps."""

    count: int

    def start(self, run: Run) -> Watching:
        self._state = Watching(run, self.count)
        return self._state

    @property
    def state(self) -> Watching:
        return self._state


class Watching(CallbackState):
    def __init__(self, run: Run, count: int) -> None:
        self._run, self._count = run, count
        self.ends: list[float] = []
        self.losses: list[float] = []
        self.others, self.processes = 0, 1

    def on_batch_end(self, step: int, loss: float) -> None:
        self.ends.append(time.perf_counter())
        self.losses.append(loss)
        if len(self.ends) == self._count:
            self.others, self.processes = of_children(), self._run.model.workers or 1
            self._run.stop("enough")


class Fit(Contender):
    """``fit`` over the batches in their order; a step lasts from the end of the one before to its own."""

    def __init__(self, workload: Workload, workers: str, kernels: str) -> None:
        self.version, self.workload = gs.__version__ + kernels, workload
        self.model = gs.compile(workload.spec, [f"training.workers={workers}"])

    def _fit(self, count: int) -> Watching:
        watch = Watch(count=count)
        self.model.fit(
            self.workload.inputs, self.workload.y, epochs=EPOCHS, shuffle=False, callbacks=[watch], verbose=0
        )
        self.processes, self.others = watch.state.processes, max(self.others, watch.state.others)
        return watch.state

    def trained(self, count: int) -> list[float]:
        return self._fit(count).losses

    def evaluated(self) -> float:
        w, rows = self.workload, self.workload.rows(0)
        given = {name: a[rows] for name, a in w.inputs.items()}
        return self.model.evaluate(given, w.y[rows], batch_size=w.batch, verbose=0)["loss"]

    def steps(self, warm: int, count: int) -> list[float]:
        cold = max(warm, COLD)
        ends = self._fit(cold + count).ends
        return [b - a for a, b in zip(ends[cold - 1 :], ends[cold:], strict=False)]

    def restore(self) -> None:
        self.model.set_weights(self.workload.weights)


def start(workload: Workload, workers: str, compiled: bool = False) -> Fit:
    """graphspec uses the compiled kernels wherever they can be imported; without ``compiled`` the parent hides them.

    Raises:
        ImportError: there are none.
    """
    if not compiled:
        return Fit(workload, workers, "")
    return Fit(workload, workers, f", kernels {import_module('graphspec_kernels').__version__}")
