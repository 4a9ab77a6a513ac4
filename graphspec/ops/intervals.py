"""Where the operands of a sum or a product must lie for it to lie within bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphspec.ir.ranges import ANY, Range, may_wrap_into


def _known(term: Range, out: Range) -> bool:
    """Whether a term is bounded well enough to count on."""
    return term.finite and term.high - term.low <= out.high - out.low


def _root(out: Range) -> int:
    return math.isqrt(int(out.high))


def terms(out: Range, ranges: Sequence[Range], dtype: str, exact: bool, *, differ: bool = False) -> dict[int, Range]:
    """Bounds for the terms of a sum that lies in ``out``.

    Args:
        exact: only what no values of the other terms can make good; else so little that every sum lies in ``out``.
        differ: the second of two terms is one that is subtracted; it is kept at 0 or below.
    """
    found: dict[int, Range] = {}
    if exact:
        if may_wrap_into(sum(ranges, Range(0, 0)), dtype, out):
            return found
        for i in range(len(ranges)):
            rest = sum((r for k, r in enumerate(ranges) if k != i), Range(0, 0))
            found[i] = Range(out.low - rest.high, out.high - rest.low)
        return {i: r for i, r in found.items() if r != ANY}
    free = [i for i, r in enumerate(ranges) if not _known(r, out)]
    rest = sum((r for i, r in enumerate(ranges) if i not in free), Range(0, 0))
    room = Range(out.low - rest.low, out.high - rest.high)
    if not free or not room.finite:
        return {}
    if differ and len(free) == 2:
        half = (room.high - room.low) // 2
        return {0: Range(room.low + half, room.high), 1: Range(-half, 0)}
    return dict.fromkeys(free, Range(math.ceil(room.low / len(free)), math.floor(room.high / len(free))))


def factors(out: Range, ranges: Sequence[Range], dtype: str, exact: bool) -> dict[int, Range]:
    """As :func:`terms`, for the two factors of a product."""
    if exact and may_wrap_into(ranges[0].times(ranges[1]), dtype, out):
        return {}
    if not out.low <= 0 <= out.high:
        least = math.isqrt(int(max(out.low, 1)) - 1) + 1
        return {} if exact or not out.finite or out.high < 0 else dict.fromkeys((0, 1), Range(least, _root(out)))
    found: dict[int, Range] = {}
    for i in (0, 1):
        other = ranges[1 - i]
        if exact:
            if other.finite and other.low > 0:
                found[i] = Range(-(-out.low // other.low), out.high // other.low)
        elif not _known(ranges[i], out):
            if _known(other, out) and other.low >= 0:
                if other.high > 0:
                    found[i] = Range(0, out.high // other.high)
            elif out.finite:
                found[i] = Range(0, _root(out))
    return found
