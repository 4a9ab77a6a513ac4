"""The display of training: a progress bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphspec.cli.console import flush, out_wrapped
from graphspec.text import display_width, duration, printable, terminal_width, wrapped
from graphspec.training.epoch_lines import EpochLines
from graphspec.training.observers import Lines, logs_text

if TYPE_CHECKING:
    from rich.progress import Progress

    from graphspec.runtime.running_metrics import RunningMetrics
    from graphspec.training.observers import Observer

# Seconds between redraws: each one computes the metrics, which must not slow down small networks.
_REDRAW_INTERVAL = 0.1
_BAR = 12  # columns
_BAR_COLUMNS = _BAR + 2  # with the space after it, and one that stays free


def observer_for_stdout() -> Observer:
    """Return the observer that suits stdout."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Bar()
    return PrintedLines()


class PrintedLines(Lines):
    """One line per epoch, flushed immediately."""

    def say(self, text: str) -> None:
        out_wrapped(text)
        flush()


class Bar:
    """One bar for all epochs with losses, metrics and the remaining time; each finished epoch adds a line above it."""

    def __init__(self) -> None:
        self._epochs = self._steps = 0
        self._drawn = self._began = 0.0
        self._width = terminal_width(sys.stdout)
        self._progress = _bars()
        self._remaining = Remaining()

    def begin(self, epochs: int, first: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._lines = EpochLines(epochs, self._width)
        self._task = self._progress.add_task("", total=epochs * steps, completed=first * steps, text="")
        self._progress.start()
        self._began = time.monotonic()
        self._remaining.begin(self._began, first * steps, epochs * steps)

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        if self._due():
            self._draw(epoch, step, logs_text(running.logs()))

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        now = time.monotonic()
        for line in self._lines.lines(epoch + 1, logs, duration(now - self._began)):
            self.say(line)
        self._began = now
        if epoch + 1 < self._epochs and self._due():
            self._draw(epoch + 1, 0, "")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._drawn < _REDRAW_INTERVAL:
            return False
        self._drawn = now
        return True

    def _draw(self, epoch: int, step: int, text: str) -> None:
        done = epoch * self._steps + step
        left = self._remaining.text(time.monotonic(), done)
        where = f"epoch {epoch + 1}/{self._epochs}  step {step:>{len(str(self._steps))}}/{self._steps}"
        shown = "  ".join(filter(None, [where, left]))
        for pair in printable(text).split("  "):  # as many values as fit
            if pair and _BAR_COLUMNS + display_width(f"{shown}  {pair}") <= (self._width or 80):
                shown = f"{shown}  {pair}"
        self._progress.update(self._task, completed=done, text=shown)
        self._progress.refresh()

    def say(self, text: str) -> None:
        shown = "\n".join(wrapped(printable(text), self._width, indent=2))
        self._progress.console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()


class Remaining:
    """Estimates the remaining time from the mean time of a step so far."""

    def begin(self, now: float, done: int, total: int) -> None:
        """Start at ``now`` seconds with ``done`` of ``total`` steps."""
        self._began, self._first, self._total = now, done, total

    def text(self, now: float, done: int) -> str:
        """Return ``2 min left``, in steps that do not flicker; nothing before there is anything to estimate from."""
        if done <= self._first or done >= self._total:
            return ""
        left = (now - self._began) / (done - self._first) * (self._total - done)
        if left < 60:
            return f"{max(math.ceil(left), 1)} s left"
        minutes = round(left / 60)
        if minutes < 120:
            return f"{minutes} min left"
        return f"{left / 3600:.1f} h left" if left < 10 * 3600 else f"{left / 3600:,.0f} h left"


def _bars() -> Progress:
    """Return a bar that is redrawn only on request: no thread runs beside the training."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    return Progress(
        BarColumn(bar_width=_BAR),
        TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, ratio=1), markup=False),
        console=Console(),
        auto_refresh=False,
        transient=True,
        expand=True,
    )
