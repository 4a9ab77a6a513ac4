"""Runs that are interrupted and resumed, for tests that compare them with whole ones."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import check_resumable, start_run
from graphspec.engine.training.trainer import Trainer


class Stop(Silent):
    """Interrupts after a number of steps, as Ctrl-C does between two steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        return None


class KilledError(Exception):
    """The end of a process."""


class Kill(Stop):
    """Ends the run after a number of steps, without a checkpoint of that moment."""

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError


def whole(spec: dict[str, Any], directory: Path) -> Trainer:
    """The run of ``spec`` from beginning to end."""
    model = gs.compile(spec)
    start_run(model, directory)
    run = model.trainer(Silent(), directory)
    run.run()
    return run


def interrupt(spec: dict[str, Any], directory: Path, after: int) -> None:
    """The run of ``spec`` until Ctrl-C after a number of steps."""
    model = gs.compile(spec)
    start_run(model, directory)
    with pytest.raises(KeyboardInterrupt):
        model.trainer(Stop(after), directory).run()


def resume(spec: dict[str, Any], directory: Path, observer: Callable[[], Silent] = Silent) -> Trainer:
    """The rest of the run, from its checkpoint in ``directory``, by a new model."""
    model = gs.compile(spec)
    run = model.trainer(observer(), directory)
    run.resume(check_resumable(model, directory))
    run.run()
    return run


def assert_same_files(one: Path, other: Path) -> None:
    """The same bits in all that a run leaves behind."""
    for name in ("weights.safetensors", "history.csv", "checkpoint.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def assert_same_weights(one: Trainer, other: Trainer) -> None:
    """The same bits in the weights at the end."""
    weights = other.model.weights
    for name, array in one.model.weights.items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)
