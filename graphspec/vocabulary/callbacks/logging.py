"""Callbacks that write a table or stop a run: CSVLogger, TerminateOnNaN."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from pydantic import Field, field_validator

from graphspec.base.config import invalid
from graphspec.base.files import make_folder, write_at
from graphspec.vocabulary.callbacks.base import (
    CALLBACKS,
    Callback,
    CallbackState,
    FileName,
    Logs,
    NonNegativeInt,
    Run,
    Saved,
)
from graphspec.vocabulary.callbacks.outputs import Output


@CALLBACKS.add()
class CSVLogger(Callback):
    """Write the logs of every epoch to a CSV file: ``epoch`` (from 0), then the logged values, sorted by name."""

    filename: FileName = Field(description="The file.")
    separator: str = Field(",", min_length=1, max_length=1, description="The character between values.")
    append: bool = Field(False, description="Whether to append to an existing file.")

    @field_validator("separator")
    @classmethod
    def _separates(cls, separator: str) -> str:
        if separator == '"' or not (separator.isprintable() or separator == "\t"):
            hint = "use for example `;`"
            raise invalid("must be a visible character or a tab, and not a quotation mark", hint, show_value=True)
        return separator

    def start(self, run: Run) -> CallbackState:
        return _CSVLogger(self, run)

    def outputs(self) -> list[Output]:
        return [Output("filename", self.filename, is_own=self.is_table)]

    def is_table(self, path: Path) -> bool:
        """Return True if the first line of a file is the header of such a table, or the part that a killed run wrote."""
        with path.open("rb") as file:
            line = file.readline(1 << 20)
        start = f"epoch{self.separator}".encode()
        if not line.endswith(b"\n"):
            return line.startswith(start) or start.startswith(line)
        try:
            names = next(csv.reader([line.decode(errors="replace")], delimiter=self.separator), [])
        except csv.Error:
            return False
        return names[:1] == ["epoch"] and "loss" in names and any(name.startswith("val_") for name in names)


class _CSVLoggerSaved(Saved):
    keys: list[str] | None
    size: NonNegativeInt | None


class _CSVLogger(CallbackState):
    saved = _CSVLoggerSaved

    def __init__(self, config: CSVLogger, run: Run) -> None:
        self.config, self.run = config, run
        self.keys: list[str] | None = None
        self.size: int | None = None
        """The bytes written; later bytes in the file belong to epochs that a resumed run repeats."""

    def check_outputs(self) -> None:
        self._path()

    def _path(self) -> Path:
        resumed = self.size is not None
        return self.run.outputs.claim(self.config.filename, self, lambda path: resumed or self.config.is_table(path))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.config.separator)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        path = self._path()
        make_folder(path.parent)
        existing = path.stat().st_size if path.exists() else 0
        start = min(existing, self.size) if self.size is not None else existing if self.config.append else 0
        if start == 0:
            writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])
        self.size = write_at(path, start, text.getvalue().encode())


@CALLBACKS.add()
class TerminateOnNaN(Callback):
    """Stop when the loss is NaN or infinite. With ``raise_error`` the run fails with GS601, as without this callback."""

    raise_error: bool = Field(False, description="Whether the run fails instead of stopping.")

    def start(self, run: Run) -> CallbackState:
        return _TerminateOnNaN(self, run)


class _TerminateOnNaN(CallbackState):
    def __init__(self, config: TerminateOnNaN, run: Run) -> None:
        self.config, self.run = config, run

    def on_batch_end(self, step: int, loss: float) -> None:
        if not math.isfinite(loss) and not self.config.raise_error:
            self.run.say(f"Batch {step}: invalid loss {loss}, terminating training")
            self.run.stop(f"the loss is {loss}")
