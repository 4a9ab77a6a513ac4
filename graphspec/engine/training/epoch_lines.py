"""The lines that show the losses and metrics of an epoch, in a layout that fits the terminal and stays the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from graphspec.base.text import display_width, number, shorten_middle

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
    size: int
    best: bool
    time: bool = False
    word: bool = True


_LAYOUTS = (
    *(_Layout(size, best, time) for best in (True, False) for size in (_WIDE, _COMPACT) for time in (True, False)),
    _Layout(_COMPACT, True, word=False),
    _Layout(_COMPACT, False, word=False),
)
"""The layouts of one line; the first that fits whatever the values will be is taken."""


class EpochLines:
    """Formats epoch after epoch of one training.

    With room, an epoch is one line with its time, and the best epoch so far::

        epoch   7/400    40 ms  loss 0.0721  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802  best 0.0631 at 5

    With less room the time goes first, then digits, then the best epoch; then the values of the validation have a line of
    their own, below those of the training rows, and long lines are wrapped between values::

        epoch  7/40  loss 0.0721  accuracy 0.9744
                val  loss 0.0640  accuracy 0.9802

    The first epoch decides. Later values take as many digits as have room, so lines below each other look alike.

    Args:
        epochs: the number of epochs of all.
        width: the columns of the terminal; None for one line, whatever its length.
    """

    def __init__(self, epochs: int, width: int | None) -> None:
        self._epochs, self._width = epochs, width
        self._widths: dict[str, int] = {}
        self._layout: _Layout | None = None
        self._decided = False

    def lines(self, epoch: int, logs: Mapping[str, float], time: str = "", best: Best | None = None) -> list[str]:
        """Return the lines of an epoch, which counts from 1."""
        if not self._decided:
            self._decided, self._layout = True, self._chosen(logs, has_time=bool(time), best=best)
        lines = self._one_line(epoch, logs, time, best) if self._layout else self._groups(epoch, logs, best)
        return [line.rstrip() for line in lines]

    def _chosen(self, logs: Mapping[str, float], *, has_time: bool, best: Best | None) -> _Layout | None:
        """Return the layout whose longest line fits; None for several lines."""
        for layout in _LAYOUTS:
            if (layout.time and not has_time) or (layout.best and best is None):
                continue
            columns = len(self._start(1, layout)) + sum(3 + display_width(key) + layout.size for key in logs)
            columns += 2 + _TIME if layout.time else 0
            if layout.best and best is not None:
                columns += 2 + display_width(best.name) + 1 + layout.size + 4 + len(str(self._epochs))
            if self._width is None or columns <= self._width:
                return layout
        return None

    def _start(self, epoch: int, layout: _Layout | None) -> str:
        start = f"{epoch:>{len(str(self._epochs))}}/{self._epochs}"
        return f"epoch {start}" if layout is None or layout.word else start

    def _best(self, best: Best, size: int) -> str:
        """Return the cell of the best epoch."""
        epochs = len(str(self._epochs))
        return f"{best.name} {short_number(best.value, size):<{_COMPACT}} at {best.epoch:<{epochs}}"

    def _one_line(self, epoch: int, logs: Mapping[str, float], time: str, best: Best | None) -> list[str]:
        layout = self._layout
        assert layout is not None
        start = self._start(epoch, layout)
        cells = [f"{start}  {time:>7}" if time and layout.time else start]
        values = {key: short_number(value, layout.size) for key, value in logs.items()}
        for key, value in values.items():
            name = key.removeprefix(_VAL)  # the same columns for training rows and validation rows
            self._widths[name] = max(self._widths.get(name, _COMPACT), len(value))
        cells += [f"{key} {value:<{self._widths[key.removeprefix(_VAL)]}}" for key, value in values.items()]
        if best is not None and layout.best:
            cells.append(self._best(best, layout.size))
        return ["  ".join(cells)]

    def _groups(self, epoch: int, logs: Mapping[str, float], best: Best | None) -> list[str]:
        start = self._start(epoch, None)
        training = [(key, value) for key, value in logs.items() if not key.startswith(_VAL)]
        validation = [(key.removeprefix(_VAL), value) for key, value in logs.items() if key.startswith(_VAL)]
        lines = list(self._wrapped(start, training))
        if validation:
            lines += self._wrapped(f"{'val':>{len(start)}}", validation)
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
