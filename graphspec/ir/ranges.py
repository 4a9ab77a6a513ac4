"""Between which numbers the elements of a tensor lie."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Range(NamedTuple):
    """The numbers from ``low`` to ``high``, both included. Where a bound is infinite, a float may also be NaN."""

    low: float
    high: float

    def __and__(self, other: Range) -> Range:
        return Range(max(self.low, other.low), min(self.high, other.high))

    def __or__(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))

    def __add__(self, other: Range) -> Range:  # type: ignore[override]
        return Range(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low)

    def times(self, other: Range) -> Range:
        """The range of products; all numbers where a factor may be infinite."""
        if not (self.finite and other.finite):
            return ANY
        products = [a * b for a in self for b in other]
        return Range(min(products), max(products))

    def within(self, other: Range) -> bool:
        return other.low <= self.low <= self.high <= other.high

    def overlaps(self, other: Range) -> bool:
        return self.low <= other.high and other.low <= self.high

    @property
    def finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def empty(self) -> bool:
        return self.low > self.high

    def outside(self) -> str:
        """What is said of a number that does not lie here: ``outside 0 … 4``, ``above 4`` or ``below 0``."""
        if self.finite:
            return f"outside {self.low} … {self.high}"
        return f"above {self.high}" if math.isfinite(self.high) else f"below {self.low}"


ANY = Range(-math.inf, math.inf)


def hull(ranges: Iterable[Range]) -> Range:
    """The smallest range with all of ``ranges``; all numbers if there are none."""
    found = list(ranges)
    return Range(min(r.low for r in found), max(r.high for r in found)) if found else ANY


def of_dtype(dtype: str) -> Range:
    """What an element type can hold."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return Range(0, 1)
    if kind.kind in "iu":
        return Range(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    return ANY


def may_wrap_into(result: Range, dtype: str, out: Range) -> bool:
    """Whether integers of ``result`` that ``dtype`` cannot hold may wrap round into ``out``."""
    kind = of_dtype(dtype)
    if not kind.finite or result.within(kind):
        return False
    count = kind.high - kind.low + 1
    return any((result + Range(by, by)).overlaps(out) for by in (-count, count)) or result.high - result.low >= count


def of_array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Range:
    """What a constant holds."""
    if not array.size or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        return ANY
    return Range(array.min().item() + 0, array.max().item() + 0)  # True becomes 1
