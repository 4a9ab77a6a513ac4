"""Callbacks that write down or end a run: CSVLogger, TerminateOnNaN."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from pydantic import Field

from graphspec.callbacks.base import CALLBACKS, Callback, Logs, Run, State, located


@CALLBACKS.add()
class CSVLogger(Callback):
    """Write the figures of every epoch to a table: ``epoch`` (from 0), then the figures by name."""

    filename: str = Field(min_length=1, description="The table that is written.")
    separator: str = Field(",", min_length=1, max_length=1, description="The character between values.")
    append: bool = Field(False, description="Whether an existing table goes on.")

    def start(self, run: Run) -> State:
        return _CSVLogger(self, located(run, self.filename))


class _CSVLogger(State):
    saved = ("keys", "size")

    def __init__(self, config: CSVLogger, path: Path) -> None:
        self.config, self.path = config, path
        self.keys: list[str] | None = None
        self.size: int | None = None
        """Bytes written; what stands behind them is of epochs that a resumed run does again."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.config.separator)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        there = self.path.stat().st_size if self.path.exists() else 0
        start = min(there, self.size) if self.size is not None else there if self.config.append else 0
        if start == 0:
            writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])
        with self.path.open("r+b" if there else "wb") as file:
            file.truncate(start)
            file.seek(start)
            self.size = start + file.write(text.getvalue().encode())


@CALLBACKS.add()
class TerminateOnNaN(Callback):
    """Stop when the loss is NaN or infinite; with ``raise_error`` the run fails with GS601, as it does without this."""

    raise_error: bool = Field(False, description="Whether the run fails instead of stopping.")

    def start(self, run: Run) -> State:
        return _TerminateOnNaN(self, run)


class _TerminateOnNaN(State):
    def __init__(self, config: TerminateOnNaN, run: Run) -> None:
        self.config, self.run = config, run

    def on_batch_end(self, step: int, loss: float) -> None:
        if not math.isfinite(loss) and not self.config.raise_error:
            self.run.say(f"Batch {step}: invalid loss {loss}, terminating training")
            self.run.stop(f"the loss is {loss}")
