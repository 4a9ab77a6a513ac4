"""The losses and metrics of a training over its epochs, a line each: a sparkline, the first and the last value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.base.document import Column, Spark, Table
from graphspec.base.sparklines import scale_of
from graphspec.base.terminal import does_fit, table_lines
from graphspec.base.text import count, number

_FEWEST = 5  # epochs; their lines show fewer
_MOST = 6  # lines
_PIPED = 100  # columns of a line in a file or a pipe
_VAL = "val_"

History = Mapping[str, Sequence[float]]


def curve_lines(history: History, width: int | None, *, has_blocks: bool) -> list[str]:
    """Return a line for each value with a header: training and validation beside each other, or below each other.

    Both have the same scale, a logarithmic one for losses and rates that span decades. At most six values are shown. There
    are no lines for a training of fewer than five epochs, nor for a terminal that has no blocks.

    Args:
        history: the values of every epoch, by key.
        width: the columns of the terminal; None for a file or a pipe.
    """
    epochs = max(map(len, history.values()), default=0)
    if not has_blocks or epochs < _FEWEST:
        return []
    room = width or _PIPED
    names = list(dict.fromkeys(key.removeprefix(_VAL) for key in history))
    shown = names[:_MOST]
    lines = []
    if any(key.startswith(_VAL) for key in history):
        label = Column(cut="middle", least=24, most=24)
        both = [Column("training"), Column(), Column("validation"), Column()]
        rows = [(name, *_cells(history, name, name), *_cells(history, name, _VAL + name)) for name in shown]
        lines = table_lines(Table([label, *both], rows), room)
        if not does_fit(lines, room):
            shown, lines = names[: _MOST // 2], []
    if not lines:
        keys = [(name, key) for name in shown for key in (name, _VAL + name) if key in history]
        below = [(key, *_cells(history, name, key)) for name, key in keys]
        lines = table_lines(Table([Column(cut="middle", least=4, most=24), Column(), Column()], below), room)
    if len(names) > len(shown):
        lines.append(f"… and {count(len(names) - len(shown), 'more value')} in history.csv")
    return lines


def _cells(history: History, name: str, key: str) -> tuple[Spark | str, str]:
    """Return a value over the epochs, on the scale of both parts, and its first and last value."""
    values = history.get(key, ())
    if not values:
        return "", ""
    both = (*history.get(name, ()), *history.get(_VAL + name, ()))
    low, high, log = scale_of(both, may_be_log=name == "loss" or name.endswith(("_loss", "learning_rate")))
    return Spark(values, (low, high), log), f"{number(values[0])} → {number(values[-1])}"
