"""The display of training: a progress bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphspec.cli.console import flush, out
from graphspec.text import printable
from graphspec.training.observers import Lines, figures

if TYPE_CHECKING:
    from rich.progress import Progress

    from graphspec.runtime.running_metrics import RunningMetrics
    from graphspec.training.observers import Observer

# Seconds between redraws: each one computes the metrics, which must not slow down small networks.
_REDRAW_INTERVAL = 0.1


def observer_for_stdout() -> Observer:
    """Return the observer that suits stdout."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Bar()
    return PrintedLines()


class PrintedLines(Lines):
    """One line per epoch, flushed immediately."""

    def say(self, text: str) -> None:
        out(text)
        flush()


class Bar:
    """One bar for all epochs with losses, metrics and the remaining time; each finished epoch adds a line above it."""

    def __init__(self) -> None:
        self._epochs = self._steps = 0
        self._drawn = self._began = 0.0
        self._progress = _bars()

    def begin(self, epochs: int, first: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._task = self._progress.add_task(
            "", total=epochs * steps, completed=first * steps, where="", step="", figures=""
        )
        self._progress.start()
        self._began = time.monotonic()

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        if self._due():
            self._draw(epoch, step, figures(running.logs()))

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        now = time.monotonic()
        self.say(f"epoch {epoch + 1}/{self._epochs}  {_duration(now - self._began)}  {figures(logs)}")
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
        text = printable(text)
        where = f"epoch {epoch + 1}/{self._epochs}"
        done = epoch * self._steps + step
        self._progress.update(self._task, completed=done, where=where, step=f"{step}/{self._steps}", figures=text)
        self._progress.refresh()

    def say(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()


def _bars() -> Progress:
    """Return a bar that is redrawn only on request: no thread runs beside the training."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.fields[where]}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[step]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, ratio=1), markup=False),
        console=Console(),
        auto_refresh=False,
        transient=True,
        expand=True,
    )


def _duration(seconds: float) -> str:
    """Return ``40 ms``, ``2.5 s`` or ``2:05``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
