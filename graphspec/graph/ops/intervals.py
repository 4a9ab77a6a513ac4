"""Ranges of the operands of a sum or a product that keep the result in a range."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphspec.graph.ir.ranges import ANY, Range, may_wrap_into


def _is_bounded(term: Range, out: Range) -> bool:
    """Whether an operand's range is finite and not wider than ``out``: such an operand needs no bound of its own."""
    return term.finite and term.high - term.low <= out.high - out.low


def _root(out: Range) -> int:
    """The largest integer whose square does not exceed ``out.high``."""
    return math.isqrt(int(out.high))


def term_ranges(
    out: Range, ranges: Sequence[Range], dtype: str, exact: bool, *, difference: bool = False
) -> dict[int, Range]:
    """Bounds for the terms of a sum that keep it in ``out``, by index; unconstrained terms are absent.

    Args:
        out: the range of the sum.
        ranges: the known ranges of the terms.
        dtype: the sum's dtype, which may wrap around.
        exact: return the bounds that every sum in ``out`` implies; else bounds that keep every sum in ``out``.
        difference: the second of two terms is a negated subtrahend; its bounds keep the subtrahend at 0 or above.
    """
    bounds: dict[int, Range] = {}
    if exact:
        if may_wrap_into(sum(ranges, Range(0, 0)), dtype, out):
            return bounds
        for i in range(len(ranges)):
            others = sum((r for k, r in enumerate(ranges) if k != i), Range(0, 0))
            bounds[i] = Range(out.low - others.high, out.high - others.low)
        return {i: r for i, r in bounds.items() if r != ANY}
    free = [i for i, r in enumerate(ranges) if not _is_bounded(r, out)]
    bounded = sum((r for i, r in enumerate(ranges) if i not in free), Range(0, 0))
    room = Range(out.low - bounded.low, out.high - bounded.high)
    if not free or not room.finite:
        return {}
    if difference and len(free) == 2:
        half = (room.high - room.low) // 2
        return {0: Range(room.low + half, room.high), 1: Range(-half, 0)}
    return dict.fromkeys(free, Range(math.ceil(room.low / len(free)), math.floor(room.high / len(free))))


def factor_ranges(out: Range, ranges: Sequence[Range], dtype: str, exact: bool) -> dict[int, Range]:
    """Bounds for the two factors of a product that keep it in ``out``; see :func:`term_ranges`."""
    if exact and may_wrap_into(ranges[0].times(ranges[1]), dtype, out):
        return {}
    if not out.low <= 0 <= out.high:
        smallest = math.isqrt(int(max(out.low, 1)) - 1) + 1
        return {} if exact or not out.finite or out.high < 0 else dict.fromkeys((0, 1), Range(smallest, _root(out)))
    bounds: dict[int, Range] = {}
    for i in (0, 1):
        other = ranges[1 - i]
        if exact:
            if other.finite and other.low > 0:
                bounds[i] = Range(-(-out.low // other.low), out.high // other.low)
        elif not _is_bounded(ranges[i], out):
            if _is_bounded(other, out) and other.low >= 0:
                if other.high > 0:
                    bounds[i] = Range(0, out.high // other.high)
            elif out.finite:
                bounds[i] = Range(0, _root(out))
    return bounds
