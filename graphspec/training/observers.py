"""Observers of training: one prints one line per epoch, one prints nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from graphspec.arguments import bad_argument
from graphspec.runtime.running_metrics import RunningMetrics
from graphspec.text import number, printable, terminal_width
from graphspec.training.epoch_lines import EpochLines

if TYPE_CHECKING:
    from graphspec.runtime.running_metrics import RunningMetrics


class Silent:
    """An observer that prints nothing."""

    def begin(self, epochs: int, first: int, steps: int) -> None:
        return None

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        return None

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        return None

    def say(self, text: str) -> None:
        return None

    def end(self) -> None:
        return None


class Lines(Silent):
    """An observer that prints one line per epoch."""

    def begin(self, epochs: int, first: int, steps: int) -> None:
        self._lines = EpochLines(epochs, terminal_width(sys.stdout))

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        for line in self._lines.lines(epoch + 1, logs):
            self.say(line)

    def say(self, text: str) -> None:
        print(printable(text), flush=True)


def logs_text(logs: Mapping[str, float]) -> str:
    """Format losses and metrics, such as ``loss 0.1234  accuracy 0.9321``."""
    return "  ".join(f"{key} {number(value)}" for key, value in logs.items())


def observer(verbose: int | str) -> Observer:
    """Return the observer for Keras's ``verbose``: 0 is silent, all other values print lines."""
    if not isinstance(verbose, int) and verbose != "auto":
        raise bad_argument("verbose", "a number or 'auto'", verbose)
    return Silent() if verbose == 0 else Lines()


class Observer(Protocol):
    """Receives the progress of training: the command line's progress bar, :class:`Lines` or :class:`Silent`."""

    def begin(self, epochs: int, first: int, steps: int) -> None:
        """Start a training until epoch ``epochs``, from epoch ``first`` on, with ``steps`` steps per epoch."""

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        """Show the totals after ``step`` steps of an epoch."""

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the losses and metrics of an epoch."""

    def say(self, text: str) -> None:
        """Show a message."""

    def end(self) -> None:
        """End the training, even after an error."""
