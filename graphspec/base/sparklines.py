"""Sparklines: a series of values as one short word of blocks, such as ``█▅▃▂▁▁``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = "·"  # where no value is finite
_DECADE = 10.0  # between the smallest and the largest value: the scale is logarithmic


class Scale(NamedTuple):
    """What the lowest and the highest block stand for; ``log`` for a logarithmic scale between them."""

    low: float
    high: float
    log: bool = False


def scale_of(values: Iterable[float], *, may_be_log: bool = False) -> Scale:
    """Return the scale for some values: logarithmic if that is allowed, and positive values span a decade or more.

    Values that are not finite do not count.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Scale(0.0, 0.0)
    low, high = min(finite), max(finite)
    return Scale(low, high, may_be_log and low > 0 and high / low >= _DECADE)


def sparkline(values: Sequence[float], width: int, scale: Scale | None = None) -> str:
    """Return a series as at most ``width`` blocks; of a longer one, each block is the mean of a part.

    Parts without a finite value are ``·``. All blocks are ``▁`` if the values are equal.
    """
    scale = scale or scale_of(values)
    count = min(len(values), width)
    parts = (values[k * len(values) // count : (k + 1) * len(values) // count] for k in range(count))
    return "".join(_block([value for value in part if math.isfinite(value)], scale) for part in parts)


def _block(values: Sequence[float], scale: Scale) -> str:
    if not values:
        return _GAP
    value, low, high = math.fsum(value / len(values) for value in values), scale.low, scale.high
    if scale.log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    span = high / 2 - low / 2  # without an overflow
    share = (value / 2 - low / 2) / span if span > 0 else 0.0
    return BLOCKS[min(max(int(share * len(BLOCKS)), 0), len(BLOCKS) - 1)]


def can_show(stream: TextIO) -> bool:
    """Return whether the encoding of ``stream`` has all the blocks."""
    try:
        (BLOCKS + _GAP).encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
