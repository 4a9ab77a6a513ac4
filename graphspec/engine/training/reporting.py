"""The lines that show the losses and metrics of an epoch, in a layout that fits the terminal and stays the same."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import ConfigDict, Field

from graphspec.base.arguments import bad_argument
from graphspec.base.arrays.blas import THREADS_SET
from graphspec.base.config import Natural
from graphspec.base.errors import RunError
from graphspec.base.files import write_atomic
from graphspec.base.text import display_width, number, percent, printable, shorten_middle, terminal_width
from graphspec.engine.runtime.records import Record, check, read_json
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.vocabulary.callbacks import Callback
from graphspec.vocabulary.callbacks.callback import TIMING
from graphspec.vocabulary.callbacks.monitors import EarlyStopping, ModelCheckpoint

_VAL = "val_"
_WIDE, _COMPACT = 9, 6  # characters of a value at most
_TIME = 10  # characters that are kept free for a time
_MOST_LINES = 3  # of the training values, and of the validation values


class Best(NamedTuple):
    """The best epoch so far, from 1: what is compared, and its value."""

    key: str
    epoch: int
    value: float

    @property
    def name(self) -> str:
        """What it is called in a line: nobody asks what is best if it is the validation loss."""
        return "best" if self.key == "val_loss" else f"best {self.key}"


class _Layout(NamedTuple):
    size: int  # characters of a value
    best: bool
    time: bool = False
    word: bool = True


_LAYOUTS = (
    *(_Layout(size, best, time) for best in (True, False) for size in (_WIDE, _COMPACT) for time in (True, False)),
    *(_Layout(_COMPACT, best, word=False) for best in (True, False)),
)  # of one line; the first that fits whatever the values will be is taken


class EpochLines:
    """Formats epoch after epoch of one training.

    With room, an epoch is one line with its time, and the best epoch so far::

        epoch   7/400    40 ms  loss 0.0721  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802  best 0.0631 at 5

    With less room the time goes first, then digits, then the best epoch; then the values of the validation have a line of
    their own, below those of the training rows, and long lines are wrapped between values::

        epoch  7/40  loss 0.0721  accuracy 0.9744
                val  loss 0.0640  accuracy 0.9802

    The first epoch decides. Later values take as many digits as have room, so lines below each other look alike. Without a
    ``width``, the columns of the terminal, there is one line, whatever its length.
    """

    def __init__(self, epochs: int, width: int | None) -> None:
        self._epochs, self._width = epochs, width
        self._widths: dict[str, int] = {}
        self._layout: tuple[_Layout | None] | None = None  # what was decided: a layout, or several lines

    def lines(self, epoch: int, logs: Mapping[str, float], time: str = "", best: Best | None = None) -> list[str]:
        (layout,) = self._layout = self._layout or (self._chosen(logs, has_time=bool(time), best=best),)
        lines = self._groups(epoch, logs, best) if layout is None else [self._one_line(epoch, logs, time, best, layout)]
        return [line.rstrip() for line in lines]

    def _chosen(self, logs: Mapping[str, float], *, has_time: bool, best: Best | None) -> _Layout | None:
        """Return the layout whose longest line fits; None for several lines."""
        for layout in _LAYOUTS:
            if (layout.time and not has_time) or (layout.best and best is None):
                continue
            columns = len(self._start(1, layout)) + sum(3 + display_width(key) + layout.size for key in logs)
            columns += (2 + _TIME) * layout.time
            if layout.best and best is not None:
                columns += 2 + display_width(best.name) + 1 + layout.size + 4 + len(str(self._epochs))
            if self._width is None or columns <= self._width:
                return layout
        return None

    def _start(self, epoch: int, layout: _Layout | None) -> str:
        start = f"{epoch:>{len(str(self._epochs))}}/{self._epochs}"
        return f"epoch {start}" if layout is None or layout.word else start

    def _best(self, best: Best, size: int) -> str:
        return f"{best.name} {short_number(best.value, size):<{_COMPACT}} at {best.epoch:<{len(str(self._epochs))}}"

    def _one_line(self, epoch: int, logs: Mapping[str, float], time: str, best: Best | None, layout: _Layout) -> str:
        start = self._start(epoch, layout)
        cells = [f"{start}  {time:>7}" if time and layout.time else start]
        values = {key: short_number(value, layout.size) for key, value in logs.items()}
        for key, value in values.items():
            name = key.removeprefix(_VAL)  # the same columns for training rows and validation rows
            self._widths[name] = max(self._widths.get(name, _COMPACT), len(value))
        cells += [f"{key} {value:<{self._widths[key.removeprefix(_VAL)]}}" for key, value in values.items()]
        if best is not None and layout.best:
            cells.append(self._best(best, layout.size))
        return "  ".join(cells)

    def _groups(self, epoch: int, logs: Mapping[str, float], best: Best | None) -> list[str]:
        start = self._start(epoch, None)
        training = [(key, value) for key, value in logs.items() if not key.startswith(_VAL)]
        validation = [(key.removeprefix(_VAL), value) for key, value in logs.items() if key.startswith(_VAL)]
        lines = list(self._wrapped(start, training))
        lines += self._wrapped(f"{'val':>{len(start)}}", validation) if validation else []
        if best is not None and self._fits(longer := f"{lines[-1]}  {self._best(best, _COMPACT)}"):
            lines[-1] = longer
        return lines

    def _wrapped(self, start: str, pairs: Sequence[tuple[str, float]]) -> Iterator[str]:
        """Yield lines that are broken between values, always at the same places."""
        line, indent, empty, made = start, " " * len(start), True, 1
        room = (self._width or 80) - len(start) - 3 - _COMPACT
        for number_of, (key, value) in enumerate(pairs):
            cell = f"{shorten_middle(key, room)} {short_number(value, _COMPACT):<{_COMPACT}}"
            if not empty and not self._fits(f"{line}  {cell}"):
                if made == _MOST_LINES:
                    yield line
                    yield f"{indent}  … and {len(pairs) - number_of} more"
                    return
                yield line
                line, made = indent, made + 1
            line, empty = f"{line}  {cell}", False
        yield line

    def _fits(self, line: str) -> bool:
        return self._width is None or display_width(line) <= self._width


def short_number(value: float, size: int) -> str:
    """Format a value with at most ``size`` characters, six or more, and as many digits as fit: ``0.0012``, ``1.2e-5``."""
    text = number(value)
    if len(text) <= size or not math.isfinite(value):
        return text
    forms = [f"{value:.{digits}f}" for digits in (4, 3, 2, 1, 0)] if 0.001 <= abs(value) < 10.0**size else []
    for digits in (3, 2, 1, 0):
        mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
        forms.append(f"{mantissa}e{int(exponent)}")
    return next((form for form in forms if len(form) <= size), forms[-1])


# Which epochs of a training get a line: all of a short one, about 25 of a long one, and those with an event.
_LINES = 20  # of a long training, besides its first epochs
_EVENTS = 20  # that are shown
# Names of values that decide which epoch is best, the first that is logged; True if larger values are better.
Monitored = Sequence[tuple[str, bool]]
BY_LOSS: Monitored = (("val_loss", False),)


class EpochLog:
    """The lines of the epochs of one training, as they end; ``first`` epochs were done before, in a resumed training.

    An epoch is shown if ``every`` divides its number; None for about 25 lines: epochs 1, 2, 5, 10, 20 and so on, then every
    epoch that a round step divides. The first and the last epoch have a line in any case.
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
        nth, best = epoch + 1, self._best
        key, larger = next((pair for pair in self._monitored if pair[0] in logs), ("", False))
        value = logs.get(key, math.nan)
        if math.isfinite(value) and (best is None or (value > best.value if larger else value < best.value)):
            self._best = Best(key, nth, value)
        lines, self._pending = self._lines.lines(nth, logs, time, self._best if self._step > 1 else None), []
        regular = nth % self._step == 0 or nth in (self._first + 1, self._epochs)
        dense = self._begins_dense and nth < self._step and str(nth).rstrip("0") in ("1", "2", "5")
        if not (self._events or regular or dense):
            lines, self._pending = [], lines
        lines += [f"  {text}" for text in self._events]
        self._events = []
        return lines

    def event(self, text: str) -> None:
        self._shown_events += 1
        if self._shown_events <= _EVENTS:
            self._events.append(text)

    def rest(self) -> list[str]:
        """Return the lines of the last epoch unless they have been shown, at the end of the training."""
        lines, self._pending = self._pending, []
        return lines


def step_for(epochs: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, … that divides ``epochs`` into at most 20 steps."""
    step = 1
    while step * _LINES < epochs:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step


def monitored(callbacks: Iterable[Callback]) -> Monitored:
    """Return what decides which epoch is best: what callbacks monitor to keep or stop at the best, else ``val_loss``."""
    monitors = [c for c in callbacks if isinstance(c, EarlyStopping | ModelCheckpoint)]
    keepers = [c for c in monitors if isinstance(c, EarlyStopping) or c.save_best_only]
    return [*((c.monitor, c.larger_is_better()) for c in keepers), *BY_LOSS]


class Observer:
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


Silent = Observer  # which shows nothing


class Lines(Observer):
    """An observer that prints lines of epochs (``every``, ``monitored``: see :class:`EpochLog`)."""

    def __init__(self, every: int | None = None, monitored: Monitored = BY_LOSS) -> None:
        self._every, self._monitored = every, monitored
        self._log = EpochLog(0, 0, None)

    def begin(self, epochs: int, first: int, steps: int) -> None:
        self._log = EpochLog(epochs, first, terminal_width(sys.stdout), self._every, self._monitored)

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        self._say_all(self._log.epoch(epoch, logs))

    def event(self, text: str) -> None:
        self._log.event(text)

    def say(self, text: str) -> None:
        print(printable(text), flush=True)

    def end(self) -> None:
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


class HistoryText:
    """The losses and metrics of every epoch as the text of a run's files, JSON and CSV.

    A run writes its whole history after every epoch, since its files are replaced, never extended. Each value is formatted
    once, so the thousandth epoch takes hardly longer than the first.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self._rows: list[str] = []

    def update(self, history: Mapping[str, Sequence[float]]) -> None:
        """Format the epochs since the last call: one value per loss and metric; epochs may be added, never changed."""
        done = len(self._rows)
        for key, values in history.items():
            self._values.setdefault(key, []).extend(json.dumps(value) for value in values[done:])
        new = zip(*(values[done:] for values in history.values()), strict=True)
        self._rows += [_row(k, *map(repr, row)) for k, row in enumerate(new, done + 1)]

    def json(self, before: str = "", after: str = "") -> str:
        """Return an object of lists of values, with whitespace before each entry, and after the last."""
        entries = [f"{before}{json.dumps(key)}: [{', '.join(values)}]" for key, values in self._values.items()]
        return "{" + ("," if before else ", ").join(entries) + (after if entries else "") + "}"

    def csv(self) -> str:
        return _row("epoch", *self._values) + "".join(self._rows)


def _row(*cells: object) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


# When a run was trained and how long its epochs took: ``timing.json``.
#
# Beside the report, which shows it, and the event files of TensorBoard, it is the only file of a run with values of a clock.
# Nothing depends on it, so a run without it, or with a damaged one, is a run like any other.
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
    """The time of one epoch; None where it is unknown. ``workers: auto`` may have changed their number before it."""

    seconds: Seconds | None = None  # of its steps and its validation
    steps: Seconds | None = None  # of its steps alone
    learning_rate: float | None = None  # the one of its last step
    workers: Annotated[int, Field(ge=1)] | None = None


class Times(Record):
    """The content of ``timing.json``; ``starts``: when the run began, and each time it was resumed."""

    model_config = ConfigDict(frozen=False)

    rows: Natural = 0  # rows, validation_rows: rows per epoch
    validation_rows: Natural = 0
    starts: list[Start] = Field(default_factory=list, max_length=_MAX_EPOCHS)
    epochs: list[EpochTime] = Field(default_factory=list, max_length=_MAX_EPOCHS)  # one entry per epoch
    partial: Seconds = 0.0  # the seconds of steps of an epoch that was interrupted
    restored_epoch: Natural | None = None  # the epoch, from 1, whose weights a callback has restored

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
    """Say that steps of one process, of so many ``seconds``, were mostly ``waiting`` for a core, if so."""
    if waiting < max(_WAITED_SECONDS, _WAITED * seconds):
        return None
    remedy = "stop other programs, or raise the CPU quota"
    if threads is not None and threads > 1:
        remedy = "set OPENBLAS_NUM_THREADS=1, stop other programs"
    return f"slow: no core for {percent(min(waiting / seconds, 1))} of the time: {remedy}"


class Timer:
    """Measures a training: ``alone``, the seconds of steps without other workers, and ``waiting``, those without a core."""

    def __init__(self, rows: int, validation_rows: int) -> None:
        self.times = Times(rows=rows, validation_rows=validation_rows)
        self._since: float | None = None
        self._steps = self._waited = self.alone = self.waiting = 0.0

    def resume(self, directory: Path) -> None:
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
        self._steps = self._passed()
        if alone:
            self.alone, self.waiting = self.alone + self._steps, self.waiting + waited() - self._waited

    def ended(self, rate: float, workers: int | None = None) -> None:
        """Note that the epoch has ended, with the learning rate of its last step."""
        known, self.times.partial = self.times.partial, 0.0
        seconds, steps = round(self._passed() + known, 6), round(self._steps + known, 6)
        self.times.epochs.append(EpochTime(seconds=seconds, steps=steps, learning_rate=rate, workers=workers))
        self._since, self._waited = time.monotonic(), waited()

    def interrupted(self) -> None:
        self.times.partial = round(self.times.partial + self._passed(), 6)

    def tell(self, say: Callable[[str], None]) -> None:
        if (text := slow(self.alone, self.waiting, THREADS_SET)) is not None:
            say(text)

    @property
    def due(self) -> bool:
        """Whether to write after this epoch: after each of the first, then ever more rarely, since a file takes time."""
        done = len(self.times.epochs)
        return done % max(done // _OFTEN, 1) == 0

    def write(self, directory: Path) -> None:
        write_atomic(directory / TIMING, self.times.model_dump_json(indent=1))

    def _passed(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since
