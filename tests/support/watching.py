"""Runs whose observer looks on."""

from __future__ import annotations

import subprocess
from typing import Any

import graphspec as gs
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.trainer import Trainer
from specs import blobs


class Recorder(Silent):
    """Keeps what is said, and the processes of the team; kills one of them after some steps."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.said: list[str] = []
        self.trainer: Trainer | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.left = kill_after

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        assert self.trainer is not None
        if self.trainer.steps.leader is not None:
            self.processes = self.trainer.steps.leader.processes.started
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.processes[0].kill()


def watched(spec: dict[str, Any], watcher: Recorder, workers: Any = 2) -> Trainer:
    model = gs.compile(spec, [f"training.workers={workers}"])
    watcher.trainer = prepare_fit(model, FitData(*blobs()), observer=watcher)
    return watcher.trainer
