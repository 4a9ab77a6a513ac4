"""The display of training: a progress bar on a terminal, lines of epochs elsewhere."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from graphspec.base.arrays.memory import human, peak
from graphspec.base.text import (
    can_show,
    display_width,
    duration,
    number,
    printable,
    scale_of,
    sparkline,
    terminal_width,
    wrapped,
)
from graphspec.cli.console import flush, out_wrapped
from graphspec.engine.training.reporting import BY_LOSS, Lines, Monitored

if TYPE_CHECKING:
    from rich.progress import Progress

    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.engine.runtime.session import Session

# Seconds between redraws: each one computes the metrics, which must not slow down small networks.
_REDRAW_INTERVAL = 0.1
_BAR = 12  # columns
_BAR_COLUMNS = _BAR + 2  # with the space after it, and one that stays free
_SPARKLINE = 12  # columns
_FEWEST = 3  # epochs that make a sparkline


def observer_for_stdout(every: int | None = None, monitored: Monitored = BY_LOSS) -> Lines:
    """Return the observer that suits stdout; more: :class:`graphspec.engine.training.reporting.EpochLog`."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Bar(every, monitored)
    return PrintedLines(every, monitored)


class PrintedLines(Lines):
    """Lines of epochs, each flushed immediately."""

    def say(self, text: str) -> None:
        out_wrapped(text)
        flush()


class Bar(Lines):
    """One bar for all epochs with the remaining time, speed, losses and metrics; lines of epochs stay above it."""

    def __init__(self, every: int | None = None, monitored: Monitored = BY_LOSS) -> None:
        super().__init__(every, monitored)
        self._epochs = self._steps = 0
        self._drawn = self._began = 0.0
        self._width = terminal_width(sys.stdout)
        self._progress = _bar(stage=False)
        self._speed = Speed()
        self._losses: list[float] = []
        self._has_blocks = can_show(sys.stdout)

    def begin(self, epochs: int, first: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        super().begin(epochs, first, steps)
        for task in self._progress.task_ids:  # of another copy of the network
            self._progress.remove_task(task)
        self._task = self._progress.add_task("", total=epochs * steps, completed=first * steps, text="")
        self._progress.start()
        self._began = time.monotonic()
        self._speed.begin(self._began, first * steps, epochs * steps)
        self._is_first_step = True

    def step(self, epoch: int, step: int, running: RunningMetrics) -> None:
        if self._is_first_step:  # in a resumed run, it may be one within an epoch
            self._is_first_step = False
            self._speed.begin(self._began, epoch * self._steps + step - 1, self._epochs * self._steps)
        if self._due():
            self._speed.rows_per_step = running.rows / step
            self._draw(epoch, step, running.logs())

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        now = time.monotonic()
        self._say_all(self._log.epoch(epoch, logs, duration(now - self._began)))
        self._began = now
        self._losses.append(logs.get("loss", math.nan))
        if epoch + 1 < self._epochs and self._due():
            self._draw(epoch + 1, 0, logs)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._drawn < _REDRAW_INTERVAL:
            return False
        self._drawn = now
        return True

    def _draw(self, epoch: int, step: int, logs: Mapping[str, float]) -> None:
        done, now = epoch * self._steps + step, time.monotonic()
        shown = f"epoch {epoch + 1}/{self._epochs}  step {step:>{len(str(self._steps))}}/{self._steps}"
        for part in self._parts(now, done, logs):  # until one does not fit
            if _BAR_COLUMNS + display_width(f"{shown}  {part}") > (self._width or 80):
                break
            shown = f"{shown}  {part}"
        self._progress.update(self._task, completed=done, text=shown)
        self._progress.refresh()

    def _parts(self, now: float, done: int, logs: Mapping[str, float]) -> Iterator[str]:
        """Yield what is worth showing, the most important first."""
        values = [f"{printable(key)} {number(value)}" for key, value in logs.items()]
        if left := self._speed.left(now, done):
            yield left
        yield from values[:1]
        if rate := self._speed.rate(now, done):
            yield f"{rate:,.0f} rows/s"
        if self._has_blocks and len(self._losses) >= _FEWEST:
            yield sparkline(self._losses, _SPARKLINE, scale_of(self._losses, may_be_log=True))
        yield from values[1:]
        if (memory := peak()) is not None:
            yield f"{human(memory)} at most"

    def say(self, text: str) -> None:
        shown = "\n".join(wrapped(printable(text), self._width, indent=2))
        self._progress.console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()
        super().end()


class Speed:
    """Estimates the remaining time from the mean time of a step so far, and the rows per second."""

    rows_per_step: float = 0.0

    def begin(self, now: float, done: int, total: int) -> None:
        """Start at ``now`` seconds with ``done`` of ``total`` steps."""
        self._began, self._first, self._total = now, done, total

    def left(self, now: float, done: int) -> str:
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

    def rate(self, now: float, done: int) -> float | None:
        """Return the training rows per second, over validation and checkpoints, too; None if that is unknown."""
        steps, seconds = done - self._first, now - self._began
        return steps * self.rows_per_step / seconds if steps > 0 and seconds > 0 and self.rows_per_step else None


def _bar(*, stage: bool) -> Progress:
    """Return a bar that is redrawn only on request, without a thread: one of a ``stage`` has a name, and is on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    name, bar, text = TextColumn("{task.description}"), BarColumn(bar_width=_BAR), "{task.fields[text]}"
    line = TextColumn(text) if stage else TextColumn(text, table_column=Column(no_wrap=True, ratio=1), markup=False)
    return Progress(
        *([name, bar, line] if stage else [bar, line]),
        console=Console(stderr=stage),
        auto_refresh=False,
        transient=True,
        expand=not stage,
    )


# The display of work before training: learning from the training rows, and preparing rows.
_QUIET_SECONDS = 1.0  # shorter work shows nothing


def show_preparing(model: Session) -> None:
    """Show a bar with rows per second and the remaining time, if stderr is a terminal and the work takes a while."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        model.on_rows = PreparingBar().update


class PreparingBar:
    """One bar for one pass over rows."""

    def __init__(self) -> None:
        self._began = 0.0
        self._remaining = Speed()
        self._progress: Progress | None = None

    def update(self, stage: str, rows: int, total: int) -> None:
        """Show that ``rows`` of ``total`` rows are done; the bar is removed when all are."""
        now = time.monotonic()
        if self._began == 0.0:
            self._began = now
            self._remaining.begin(now, 0, total)
        if self._progress is None and rows < total and now - self._began >= _QUIET_SECONDS:
            self._progress = _bar(stage=True)
            self._task = self._progress.add_task(stage, total=total, text="")
            self._progress.start()
        if self._progress is not None:
            rate = f"{rows / max(now - self._began, 1e-9):,.0f} rows/s"
            left, done = self._remaining.left(now, rows), f"{rows}/{total}"
            room = (terminal_width(sys.stderr) or 80) - len(stage) - _BAR - 3
            texts = ("  ".join(filter(None, parts)) for parts in ([done, rate, left], [done, left], [left]))
            text = next((text for text in texts if len(text) <= room), "")
            self._progress.update(self._task, completed=rows, text=text)
            self._progress.refresh()
        if rows >= total:
            if self._progress is not None:
                self._progress.stop()
            self._began, self._progress = 0.0, None
