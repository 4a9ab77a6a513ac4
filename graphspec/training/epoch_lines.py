"""The lines that show the losses and metrics of an epoch, in a layout that fits the terminal and stays the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphspec.text import display_width, number

_VAL = "val_"
_DIGITS = 6  # characters of a value at least, so that columns are steady

Pairs = Sequence[tuple[str, str]]


class EpochLines:
    """Formats epoch after epoch of one training.

    With room, an epoch is one line with its time::

        epoch  7/40  loss 0.0721  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802

    With less room the time goes first; then the values of the validation have a line of their own, below those of the
    training rows, and long lines are wrapped between values::

        epoch  7/40  loss 0.0721  accuracy 0.9744
                val  loss 0.0640  accuracy 0.9802

    Args:
        epochs: the number of epochs of all.
        width: the columns of the terminal; None for one line, whatever its length.
    """

    def __init__(self, epochs: int, width: int | None) -> None:
        self._epochs, self._width = epochs, width
        self._widths: dict[str, int] = {}
        self._layout = 0

    def lines(self, epoch: int, logs: Mapping[str, float], time: str = "") -> list[str]:
        """Return the lines of an epoch, which counts from 1."""
        start = f"epoch {epoch:>{len(str(self._epochs))}}/{self._epochs}"
        pairs = [(key, number(value)) for key, value in logs.items()]
        for key, value in pairs:
            name = key.removeprefix(_VAL)  # the same columns for training rows and validation rows
            self._widths[name] = max(self._widths.get(name, _DIGITS), len(value))
        while True:
            lines = self._laid_out(start, pairs, time)
            if self._width is None or self._layout == 2 or all(display_width(line) <= self._width for line in lines):
                return [line.rstrip() for line in lines]
            self._layout += 1  # and no wider one again: lines below each other look alike

    def _laid_out(self, start: str, pairs: Pairs, time: str) -> list[str]:
        if self._layout < 2:
            shown = f"{start}  {time:>7}" if time and self._layout == 0 else start
            return ["  ".join([shown, *self._cells(pairs)])]
        training = [(key, value) for key, value in pairs if not key.startswith(_VAL)]
        validation = [(key.removeprefix(_VAL), value) for key, value in pairs if key.startswith(_VAL)]
        lines = list(self._wrapped(start, training))
        return [*lines, *self._wrapped(f"{'val':>{len(start)}}", validation)] if validation else lines

    def _cells(self, pairs: Pairs) -> list[str]:
        return [f"{key} {value:<{self._widths[key.removeprefix(_VAL)]}}" for key, value in pairs]

    def _wrapped(self, start: str, pairs: Pairs) -> Iterator[str]:
        """Yield lines that are broken between values."""
        line, indent, empty = start, " " * len(start), True
        for cell in self._cells(pairs):
            if not empty and self._width is not None and display_width(f"{line}  {cell.rstrip()}") > self._width:
                yield line
                line = indent
            line, empty = f"{line}  {cell}", False
        yield line
