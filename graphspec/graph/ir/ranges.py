"""Intervals of the elements of a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Range(NamedTuple):
    """The interval from ``low`` to ``high``, both included. If a bound is infinite, a float may also be NaN."""

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
        """Return the range of the products; all numbers if a factor may be infinite."""
        if not (self.finite and other.finite):
            return ANY
        products = [a * b for a in self for b in other]
        return Range(min(products), max(products))

    def within(self, other: Range) -> bool:
        """Return whether this range is a non-empty part of ``other``."""
        return other.low <= self.low <= self.high <= other.high

    def overlaps(self, other: Range) -> bool:
        """Return whether the ranges have a number in common."""
        return self.low <= other.high and other.low <= self.high

    @property
    def finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def empty(self) -> bool:
        return self.low > self.high

    def outside(self) -> str:
        """Describe a number outside this range for a message: ``outside 0 … 4``, ``above 4`` or ``below 0``."""
        if self.finite:
            return f"outside {self.low} … {self.high}"
        return f"above {self.high}" if math.isfinite(self.high) else f"below {self.low}"


ANY = Range(-math.inf, math.inf)


def hull(ranges: Iterable[Range]) -> Range:
    """Return the smallest range that contains all ``ranges``; all numbers if there are none."""
    every = list(ranges)
    return Range(min(r.low for r in every), max(r.high for r in every)) if every else ANY


def of_dtype(dtype: str) -> Range:
    """Return the range of all values of a dtype."""
    if "int" in dtype:
        return Range(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return Range(0, 1) if dtype == "bool" else ANY


def may_wrap_into(result: Range, dtype: str, out: Range) -> bool:
    """Return whether integers in ``result`` that overflow ``dtype`` may wrap round into ``out``."""
    representable = of_dtype(dtype)
    if not representable.finite or result.within(representable):
        return False
    count = representable.high - representable.low + 1
    return any((result + Range(by, by)).overlaps(out) for by in (-count, count)) or result.high - result.low >= count


def of_array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Range:
    """Return the range of an array's elements."""
    if not array.size or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        return ANY
    return Range(array.min().item() + 0, array.max().item() + 0)  # True becomes 1
