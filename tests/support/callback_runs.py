"""A run that callbacks watch, with nothing behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.graph.optimizers import Rate
from graphspec.vocabulary.callbacks import CallbackState
from graphspec.vocabulary.callbacks.callback import Outputs


class Run:
    """A run whose only weight is the number of the epoch."""

    def __init__(self, directory: Path | None = None) -> None:
        self.rate, self.outputs, self.epoch = Rate(0.1), Outputs(directory), 0
        self.stopped: str | None = None
        self.said: list[str] = []
        self.events: list[str] = []
        self.saved: list[tuple[str, bool]] = []
        self.value = {"w": np.zeros(1)}
        self.reported: set[str] = set()

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def weights(self) -> dict[str, np.ndarray]:
        return {n: a.copy() for n, a in self.value.items()}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.value = dict(weights)

    def save(self, path: Path, weights_only: bool) -> None:
        self.saved.append((path.name, weights_only))

    def say(self, text: str) -> None:
        self.said.append(text)

    def event(self, text: str) -> None:
        self.events.append(text)


def drive(run: Run, state: CallbackState, figures: list[float], key: str = "val_loss", first: int = 0) -> int:
    """Run epochs until the callback stops it; how many were done."""
    for k, value in enumerate(figures):
        run.epoch = first + k
        run.value = {"w": np.full(1, float(run.epoch))}
        state.on_epoch_end(run.epoch, {"loss": 1.0, key: value})
        if run.stopped:
            return k + 1
    return len(figures)


def resumed(config: Any, run: Run, state: CallbackState) -> CallbackState:
    """A new state that takes up the old one, through JSON."""
    again: CallbackState = config.start(run)
    again.load_state_dict(json.loads(json.dumps(state.state_dict())), {n: a.copy() for n, a in state.arrays().items()})
    return again
