"""The display of work before training: learning from the training rows, and preparing rows."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from graphspec.base.text import terminal_width
from graphspec.cli.progress import Remaining

if TYPE_CHECKING:
    from rich.progress import Progress

    from graphspec.engine.runtime.session import Session

_QUIET_SECONDS = 1.0  # shorter work shows nothing
_BAR = 12  # columns


def show_preparing(model: Session) -> None:
    """Show a bar with rows per second and the remaining time, if stderr is a terminal and the work takes a while."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        model.on_rows = PreparingBar().update


class PreparingBar:
    """One bar for one pass over rows."""

    def __init__(self) -> None:
        self._began = 0.0
        self._remaining = Remaining()
        self._progress: Progress | None = None

    def update(self, stage: str, rows: int, total: int) -> None:
        """Show that ``rows`` of ``total`` rows are done; the bar is removed when all are."""
        now = time.monotonic()
        if self._began == 0.0:
            self._began = now
            self._remaining.begin(now, 0, total)
        if self._progress is None and rows < total and now - self._began >= _QUIET_SECONDS:
            self._progress = _bar()
            self._task = self._progress.add_task(stage, total=total, text="")
            self._progress.start()
        if self._progress is not None:
            rate = f"{rows / max(now - self._began, 1e-9):,.0f} rows/s"
            left, done = self._remaining.text(now, rows), f"{rows}/{total}"
            room = (terminal_width(sys.stderr) or 80) - len(stage) - _BAR - 3
            texts = ("  ".join(filter(None, parts)) for parts in ([done, rate, left], [done, left], [left]))
            text = next((text for text in texts if len(text) <= room), "")
            self._progress.update(self._task, completed=rows, text=text)
            self._progress.refresh()
        if rows >= total:
            if self._progress is not None:
                self._progress.stop()
            self._began, self._progress = 0.0, None


def _bar() -> Progress:
    """Return a bar that is redrawn only on request."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=_BAR),
        TextColumn("{task.fields[text]}"),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
