"""Which epochs of a training get a line: all of a short one, about 25 of a long one, and those with an event."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from graphspec.engine.training.epoch_lines import Best, EpochLines

if TYPE_CHECKING:
    from graphspec.vocabulary.callbacks import Callback

_LINES = 20  # of a long training, besides its first epochs
_EVENTS = 20  # that are shown

Monitored = Sequence[tuple[str, bool]]
"""Names of values that decide which epoch is best, the first that is logged; True if larger values are better."""
BY_LOSS: Monitored = (("val_loss", False),)


class EpochLog:
    """The lines of the epochs of one training, as they end.

    Args:
        epochs: the number of epochs of all.
        first: the epochs that were done before, in a resumed training.
        width: the columns of the terminal; None for one line per epoch, whatever its length.
        every: an epoch is shown if this divides its number; None for about 25 lines: epochs 1, 2, 5, 10, 20 and so on, then
            every epoch that a round step divides. The first and the last epoch have a line in any case.
        monitored: what decides which epoch is the best.
    """

    def __init__(
        self, epochs: int, first: int, width: int | None, every: int | None = None, monitored: Monitored = BY_LOSS
    ) -> None:
        self._lines = EpochLines(epochs, width)
        self._epochs, self._first, self._monitored = epochs, first, monitored
        self._step, self._begins_dense = (step_for(epochs), True) if every is None else (every, False)
        self._best: Best | None = None
        self._pending: list[str] = []
        self._events: list[str] = []
        self._shown_events = 0

    def epoch(self, epoch: int, logs: Mapping[str, float], time: str = "") -> list[str]:
        """Return the lines to show at the end of an epoch, which counts from 0."""
        self._compare(epoch, logs)
        best = self._best if self._step > 1 else None
        lines, self._pending = self._lines.lines(epoch + 1, logs, time, best), []
        if self._events or self._is_shown(epoch + 1):
            lines += [f"  {text}" for text in self._events]
            self._events = []
            return lines
        self._pending = lines
        return []

    def event(self, text: str) -> None:
        """Show the current epoch, with what has happened in it."""
        self._shown_events += 1
        if self._shown_events <= _EVENTS:
            self._events.append(text)

    def rest(self) -> list[str]:
        """Return the lines of the last epoch unless they have been shown, at the end of the training."""
        lines, self._pending = self._pending, []
        return lines

    def _is_shown(self, epoch: int) -> bool:
        if epoch % self._step == 0 or epoch in (self._first + 1, self._epochs):
            return True
        return self._begins_dense and epoch < self._step and is_round(epoch)

    def _compare(self, epoch: int, logs: Mapping[str, float]) -> None:
        key, larger = next((pair for pair in self._monitored if pair[0] in logs), ("", False))
        if key and math.isfinite(value := logs[key]):
            best = self._best
            if best is None or (value > best.value if larger else value < best.value):
                self._best = Best(key, epoch + 1, value)


def step_for(epochs: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, … that divides ``epochs`` into at most 20 steps."""
    step = 1
    while step * _LINES < epochs:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step


def is_round(number: int) -> bool:
    """Return whether a number is one of 1, 2, 5, 10, 20, 50 and so on."""
    return str(number).rstrip("0") in ("1", "2", "5")


def monitored(callbacks: Iterable[Callback]) -> Monitored:
    """Return what decides which epoch is best: what callbacks monitor to keep or stop at the best, else ``val_loss``."""
    from graphspec.vocabulary.callbacks.monitors import EarlyStopping, ModelCheckpoint

    found = [
        (callback.monitor, callback.larger_is_better())
        for callback in callbacks
        if isinstance(callback, EarlyStopping) or (isinstance(callback, ModelCheckpoint) and callback.save_best_only)
    ]
    return [*found, *BY_LOSS]
