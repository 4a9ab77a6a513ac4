"""When a run was trained and how long its epochs took: ``timing.json``.

Beside the report, which shows it, and the event files of TensorBoard, it is the only file of a run with values of a clock.
Nothing depends on it, so a run without it, or with a damaged one, is a run like any other.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import ConfigDict, Field

from graphspec.base.arrays.blas import THREADS_SET
from graphspec.base.config import Natural
from graphspec.base.errors import RunError
from graphspec.base.files import write_atomic
from graphspec.base.text import percent
from graphspec.engine.runtime.records import Record, check, read_json
from graphspec.vocabulary.callbacks.base import TIMING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_EPOCHS = 1_000_000
_OFTEN = 50  # epochs, of which each is written
_WAITED, _WAITED_SECONDS = 0.5, 5.0  # of the time of steps, and at least: so much waiting for a core is worth a line
_QUEUE = Path("/proc/thread-self/schedstat")
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Start(Record):
    """A moment at which a training began or was resumed, with its position: the epochs and steps done before it."""

    at: Annotated[str, Field(max_length=40)]
    epoch: Natural
    batch: Natural


class EpochTime(Record):
    """The time of one epoch; None where it is unknown.

    Attributes:
        seconds: of its steps and its validation.
        steps: of its steps alone.
        learning_rate: the one of its last step.
        workers: the number of processes; ``workers: auto`` may have changed it before this epoch.
    """

    seconds: Seconds | None = None
    steps: Seconds | None = None
    learning_rate: float | None = None
    workers: Annotated[int, Field(ge=1)] | None = None


class Times(Record):
    """The content of ``timing.json``.

    Attributes:
        rows, validation_rows: rows per epoch.
        starts: when the run began, and each time it was resumed.
        epochs: one entry per epoch.
        partial: the seconds of steps of an epoch that was interrupted.
        restored_epoch: the epoch, from 1, whose weights a callback has restored.
    """

    model_config = ConfigDict(frozen=False)

    rows: Natural = 0
    validation_rows: Natural = 0
    starts: list[Start] = Field(default_factory=list, max_length=_MAX_EPOCHS)
    epochs: list[EpochTime] = Field(default_factory=list, max_length=_MAX_EPOCHS)
    partial: Seconds = 0.0
    restored_epoch: Natural | None = None

    @property
    def seconds(self) -> float | None:
        """The time of the epochs whose time is known; None if there is none."""
        known = [epoch.seconds for epoch in self.epochs if epoch.seconds is not None]
        return sum(known) + self.partial if known else None

    @property
    def complete(self) -> bool:
        """Whether the time of all epochs is known: a run that was killed may lack the last ones before that."""
        return all(epoch.seconds is not None for epoch in self.epochs)

    @property
    def rows_per_second(self) -> float | None:
        """Training rows per second of steps, over all epochs whose time is known; None if none is."""
        known = [epoch.steps for epoch in self.epochs if epoch.steps is not None]
        return self.rows * len(known) / sum(known) if self.rows and sum(known) > 0 else None


def read_times(directory: Path) -> Times | None:
    """Return the content of ``timing.json``; None if the run has none that can be read."""
    path = directory / TIMING
    try:
        return check(Times, read_json(path), path) if path.is_file() else None
    except RunError:
        return None


class Fitted(NamedTuple):
    """What a model knows of its last ``fit``."""

    history: Mapping[str, list[float]]
    times: Times | None
    stopped: str | None


def waited(queue: Path = _QUEUE) -> float:
    """Return the seconds that this thread has waited for a core so far; only differences have a meaning.

    Linux counts them, without waits for a disk. Elsewhere it is all time in which the thread did not compute.
    """
    try:
        return int(queue.read_text().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return time.monotonic() - time.thread_time()


def slow(seconds: float, waiting: float, threads: int | None) -> str | None:
    """Return a sentence if steps of one process, of so many ``seconds``, were mostly ``waiting`` for a core.

    Args:
        threads: the number of BLAS threads that the user has set.
    """
    if waiting < max(_WAITED_SECONDS, _WAITED * seconds):
        return None
    remedy = "stop other programs, or raise the CPU quota"
    if threads is not None and threads > 1:
        remedy = "set OPENBLAS_NUM_THREADS=1, stop other programs"
    return f"slow: no core for {percent(min(waiting / seconds, 1))} of the time: {remedy}"


class Timer:
    """Measures a training, and writes what it has measured.

    Args:
        rows, validation_rows: rows per epoch.

    Attributes:
        alone, waiting: the seconds of steps in one process, without other workers, and how long they waited for a core.
    """

    def __init__(self, rows: int, validation_rows: int) -> None:
        self.times = Times(rows=rows, validation_rows=validation_rows)
        self._since: float | None = None
        self._steps = self._waited = self.alone = self.waiting = 0.0

    def resume(self, directory: Path) -> None:
        """Continue the measurements of a run."""
        if (found := read_times(directory)) is not None:
            found.rows, found.validation_rows = self.times.rows, self.times.validation_rows
            self.times = found

    def begin(self, epoch: int, batch: int) -> None:
        """Note that training begins, or goes on, after ``epoch`` epochs and ``batch`` steps."""
        times = self.times
        times.epochs = (times.epochs + [EpochTime()] * epoch)[:epoch]  # a killed run may lack some
        times.starts = [start for start in times.starts if (start.epoch, start.batch) <= (epoch, batch)]
        times.starts.append(Start(at=datetime.now(UTC).isoformat(timespec="seconds"), epoch=epoch, batch=batch))
        times.partial = times.partial if batch else 0.0
        times.restored_epoch = None
        self._since, self._waited = time.monotonic(), waited()

    def stepped(self, alone: bool) -> None:
        """Note that the steps of the epoch have ended; ``alone`` is whether there are no other workers."""
        self._steps = self._passed()
        if alone:
            self.alone, self.waiting = self.alone + self._steps, self.waiting + waited() - self._waited

    def ended(self, rate: float, workers: int | None = None) -> None:
        """Note that the epoch has ended.

        Args:
            rate: the learning rate of its last step.
            workers: the number of processes.
        """
        known, self.times.partial = self.times.partial, 0.0
        seconds, steps = round(self._passed() + known, 6), round(self._steps + known, 6)
        self.times.epochs.append(EpochTime(seconds=seconds, steps=steps, learning_rate=rate, workers=workers))
        self._since, self._waited = time.monotonic(), waited()

    def interrupted(self) -> None:
        """Note that training ends within an epoch."""
        self.times.partial = round(self.times.partial + self._passed(), 6)

    def tell(self, say: Callable[[str], None]) -> None:
        """Say once that steps were slow, if they were."""
        if (text := slow(self.alone, self.waiting, THREADS_SET)) is not None:
            say(text)

    @property
    def due(self) -> bool:
        """Whether to write after this epoch: after each of the first, then ever more rarely, since a file takes time."""
        done = len(self.times.epochs)
        return done % max(done // _OFTEN, 1) == 0

    def write(self, directory: Path) -> None:
        """Write ``timing.json``."""
        write_atomic(directory / TIMING, self.times.model_dump_json(indent=1))

    def _passed(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since
