"""Axes with round numbers: ticks of a linear or logarithmic scale, and their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        low, high: the values at its ends.
        ticks: the values with a label, in rising order.
        log: whether equal distances are equal ratios.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def position(self, value: float) -> float:
        """Return the position of a value: 0 at the low end, 1 at the high end."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def labels(self) -> list[str]:
        """Return the labels of the ticks: all with the same number of decimals, or powers of ten."""
        return [f"{tick:g}" for tick in self.ticks] if self.log else _decimals(self.ticks)


def linear(values: Sequence[float], *, count: int = 5) -> Scale:
    """Return a linear scale around ``values``, which are finite, with about ``count`` ticks."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value: some room around it
        room = abs(high) * 0.1 or 1.0
        low, high = low - room, high + room
    step = _round_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(k * step for k in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def logarithmic(values: Sequence[float]) -> Scale:
    """Return a logarithmic scale around ``values``, which are positive and finite."""
    low, high = min(values), max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low <= 200 else (1,)
    every = -(-len(decades) // 8)
    ticks = [f * 10.0**k for k in decades for f in factors if (k - decades[0]) % every == 0]
    start = max((t for t in ticks if t <= low * (1 + 1e-9)), default=10.0 ** decades[0])
    end = min((t for t in ticks if t >= high * (1 - 1e-9)), default=10.0 ** decades[-1])
    return Scale(start, end, tuple(t for t in ticks if start <= t <= end), log=True)


def for_values(values: Sequence[float]) -> Scale:
    """Return a logarithmic scale for positive values that span more than a factor of 50, else a linear one."""
    if min(values) > 0 and max(values) / min(values) > 50:
        return logarithmic(values)
    return linear(values)


def epochs(count: int) -> Scale:
    """Return the scale of the epochs 1 to ``count``, with whole numbers."""
    if count == 1:
        return Scale(0.5, 1.5, (1.0,))
    step = max(1, round(_round_step(count / 6)))
    ticks = [float(k) for k in range(step, count + 1, step)]
    if ticks[0] != 1 and step >= 2:
        ticks = [1.0, *ticks]
    return Scale(1.0, float(count), tuple(ticks))


def _round_step(step: float) -> float:
    """Return the next step that is 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= step * (1 - 1e-9))


def _decimals(ticks: Sequence[float]) -> list[str]:
    largest = max(abs(t) for t in ticks)
    if largest >= 1e5 or 0 < largest < 1e-3:
        return [f"{tick:.3g}" for tick in ticks]
    decimals = next(d for d in range(9) if all(abs(round(t, d) - t) <= 1e-6 * largest for t in ticks) or d == 8)
    return [f"{tick:.{decimals}f}" for tick in ticks]
