"""Observers of training: one prints lines of epochs, one prints nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from graphspec.base.arguments import bad_argument
from graphspec.base.text import printable, terminal_width
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.training.epoch_log import BY_LOSS, EpochLog, Monitored

if TYPE_CHECKING:
    from graphspec.engine.runtime.running_metrics import RunningMetrics


class Silent:
    """An observer that prints nothing."""

    def begin(self, epochs: int, first: int, steps: int) -> None:
        return None

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        return None

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        return None

    def event(self, text: str) -> None:
        return None

    def say(self, text: str) -> None:
        return None

    def end(self) -> None:
        return None


class Lines(Silent):
    """An observer that prints lines of epochs.

    Args:
        every, monitored: see :class:`EpochLog`.
    """

    def __init__(self, every: int | None = None, monitored: Monitored = BY_LOSS) -> None:
        self._every, self._monitored = every, monitored
        self._log: EpochLog | None = None

    def begin(self, epochs: int, first: int, steps: int) -> None:
        self._log = EpochLog(epochs, first, terminal_width(sys.stdout), self._every, self._monitored)

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        if self._log is not None:
            self._say_all(self._log.epoch(epoch, logs))

    def event(self, text: str) -> None:
        if self._log is not None:
            self._log.event(text)

    def say(self, text: str) -> None:
        print(printable(text), flush=True)

    def end(self) -> None:
        if self._log is not None:
            self._say_all(self._log.rest())

    def _say_all(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.say(line)


def observer(verbose: int | str) -> Observer:
    """Return the observer for Keras's ``verbose``: 0 is silent, 1 and auto show about 25 epochs, 2 shows every epoch."""
    if not isinstance(verbose, int) and verbose != "auto":
        raise bad_argument("verbose", "a number or 'auto'", verbose)
    if verbose == 0:
        return Silent()
    return Lines(every=None if verbose in (1, "auto") else 1)


class Observer(Protocol):
    """Receives the progress of training: the command line's progress bar, :class:`Lines` or :class:`Silent`."""

    def begin(self, epochs: int, first: int, steps: int) -> None:
        """Start a training until epoch ``epochs``, from epoch ``first`` on, with ``steps`` steps per epoch."""

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        """Show the totals after ``step`` steps of an epoch."""

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the losses and metrics of an epoch."""

    def event(self, text: str) -> None:
        """Show, with the epoch that is about to end, what has happened in it."""

    def say(self, text: str) -> None:
        """Show a message."""

    def end(self) -> None:
        """End the training, even after an error."""
