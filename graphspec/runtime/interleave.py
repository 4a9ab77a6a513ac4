"""The order of calls: work on a block follows what wrote the block, while it is in the cache.

Elementwise operators over large arrays make their calls block by block. One node after the other, each would go through
memory for itself. So their calls are woven: every one moves forward to the last call before it that writes what it uses, or
uses what it writes. It sees the operands that it would have seen, and results are the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphspec.arrays.calls import Call, Calls

_LARGE = 1 << 15  # numbers from which an operand is worth moving for
_MOST = 1 << 11  # uses of memory that a call is compared with
Label = tuple[str, str]
Place = tuple[int, ...]
Use = tuple[int, int, bool]
"""Where memory that a call uses begins and ends, and whether the call writes there."""


@dataclass(frozen=True)
class Part:
    """The calls of one node, labelled with phase and name; ``loose`` ones may move between loose ones of earlier parts."""

    label: Label
    calls: Calls
    loose: bool


def weave(parts: Sequence[Part]) -> Iterator[tuple[Label, Calls]]:
    """The calls of the parts in the order in which they are to be made, each run of calls with its part's label."""
    if not any(part.loose and any(map(_large, part.calls)) for part in parts):
        yield from ((part.label, part.calls) for part in parts)
        return
    woven = sorted(_places(parts), key=lambda entry: entry[0])
    for k, run in groupby(woven, lambda entry: entry[1]):
        yield parts[k].label, [call for _, _, call in run]


def _places(parts: Sequence[Part]) -> Iterator[tuple[Place, int, Call]]:
    """Every call with its part and a place, in whose order it is to be made.

    Places are compared like words in a dictionary: what follows a call of an earlier part lies behind it and in front of
    whatever followed that until now, and calls of one part that follow the same call stay in their order.
    """
    table, number = _Table(), 0
    for k, part in enumerate(parts):
        for call in part.calls:
            number += 1
            place: Place = (k, number)
            uses = _uses(call) if part.loose else None
            if part.loose:
                after = table.latest if uses is None else max(map(table.before, uses), default=table.floor)
                place = (*after[:-1], number) if after[-2:-1] == (k,) else (*after, *place)
            table.add(place, uses)
            yield place, k, call


class _Table:
    """What the calls so far use, and their places."""

    def __init__(self) -> None:
        self.floor: Place = (-1,)
        """The place of a call that all later ones follow."""
        self.latest: Place = self.floor
        self._places: list[Place] = []
        self._uses = np.zeros((3, _MOST), np.int64)

    def add(self, place: Place, uses: list[Use] | None) -> None:
        """Take in a call, which every later one follows if ``uses`` is None."""
        self.latest = max(self.latest, place)
        if uses is None or len(self._places) + len(uses) > _MOST:
            self.floor = self.latest
            self._places.clear()
        for use in uses or ():
            self._uses[:, len(self._places)] = use
            self._places.append(place)

    def before(self, use: Use) -> Place:
        """The last place of a call that one with this use must follow."""
        first, last, writes = use
        start, stop, written = self._uses[:, : len(self._places)]
        meets = (start < last) & (stop > first)
        if not writes:
            meets &= written != 0
        return max((self._places[k] for k in np.flatnonzero(meets).tolist()), default=self.floor)


def _uses(call: Call) -> list[Use] | None:
    """The memory that a call uses; None of a function that is not known."""
    f, *operands = call
    named: dict[str, Any] = {}
    if isinstance(f, partial):
        operands, named = [*f.args, *operands], f.keywords
        f = f.func
    results = [named["out"]] if "out" in named else []
    owner = getattr(f, "__self__", None)
    if isinstance(f, np.ufunc):
        results += operands[f.nin :]
    elif f is np.copyto:
        results += operands[:1]
    elif f is np.dot:
        results += operands[2:]
    elif isinstance(owner, np.ndarray) and f.__name__ == "fill":
        results.append(owner)
    elif f is not np.einsum:
        return None
    if any(isinstance(x, tuple | list) for x in (*operands, *named.values())):
        return None
    written = {id(x) for x in results}
    arrays = {id(x): x for x in (*operands, *named.values(), *results) if isinstance(x, np.ndarray)}
    return [(*np.lib.array_utils.byte_bounds(x), key in written) for key, x in arrays.items()]


def _large(call: Call) -> bool:
    return any(isinstance(x, np.ndarray) and x.size >= _LARGE for x in call[1:])
