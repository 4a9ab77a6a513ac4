"""The losses and metrics of a training over its epochs, a line each: a sparkline, the first and the last value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphspec.base.sparklines import Scale, scale_of, sparkline
from graphspec.base.text import display_width, number, shorten_middle
from graphspec.cli.console import columns, count

_FEWEST = 5  # epochs; their lines show fewer
_MOST = 6  # lines
_LONGEST, _SHORTEST = 20, 8  # columns of a sparkline
_NAME = 24  # columns of a key
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
    is_paired = any(key.startswith(_VAL) for key in history)
    label = min(max(map(display_width, shown)), _NAME)
    if is_paired:
        size = (room - label - 4) // 2 - _columns_of_ends(history, shown) - 2
        if size >= _SHORTEST:
            lines = _beside(history, shown, label, min(size, _LONGEST))
        else:
            shown = names[: _MOST // 2]
            lines = _below(history, [key for name in shown for key in (name, _VAL + name) if key in history], room)
    else:
        lines = _below(history, shown, room)
    if len(names) > len(shown):
        lines.append(f"… and {count(len(names) - len(shown), 'more value')} in history.csv")
    return lines


def _columns_of_ends(history: History, names: Sequence[str]) -> int:
    return max(len(_ends(history[key])) for name in names for key in (name, _VAL + name) if key in history)


def _ends(values: Sequence[float]) -> str:
    return f"{number(values[0])} → {number(values[-1])}"


def _scale(history: History, name: str) -> Scale:
    both = (*history.get(name, ()), *history.get(_VAL + name, ()))
    return scale_of(both, may_be_log=name == "loss" or name.endswith(("_loss", "learning_rate")))


def _beside(history: History, names: Sequence[str], label: int, size: int) -> list[str]:
    """Return lines with the training on the left and the validation on the right."""
    rows = [["", "training", "", "validation", ""]]
    for name in names:
        row, scale = [shorten_middle(name, label)], _scale(history, name)
        for key in (name, _VAL + name):
            values = history.get(key, ())
            row += [sparkline(values, size, scale), _ends(values)] if values else ["", ""]
        rows.append(row)
    return columns(rows)


def _below(history: History, keys: Sequence[str], room: int) -> list[str]:
    """Return a line for each key."""
    ends = max(len(_ends(history[key])) for key in keys)
    label = max(min(max(map(display_width, keys)), _NAME, room - ends - _SHORTEST - 4), 4)
    size = min(max(room - label - ends - 4, _SHORTEST), _LONGEST)
    return columns(
        [
            shorten_middle(key, label),
            sparkline(history[key], size, _scale(history, key.removeprefix(_VAL))),
            _ends(history[key]),
        ]
        for key in keys
    )
