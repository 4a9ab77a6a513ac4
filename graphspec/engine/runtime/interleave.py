"""Interleave the calls of neighbouring operators block by block, to use each block while it is in the cache.

Elementwise operators on large arrays make one call per block. If each operator finished before the next began, every one
of them would stream its arrays through memory. So each call moves forward to just after the last earlier call that it
depends on: one that writes memory it uses, or uses memory it writes. Every call gets the same operands as without the
move, and results are the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Call, Calls

_LARGE = 1 << 15  # elements of an operand from which moving a call pays
_MAX_USES = 1 << 11  # each call is compared with at most this many earlier uses of memory
Label = tuple[str, str]
Position = tuple[int, ...]
Use = tuple[int, int, bool]
"""A range of memory that a call uses: its first address, its end, and whether the call writes to it."""


@dataclass(frozen=True)
class Part:
    """The calls of one node, labelled with phase and name. ``blockwise`` calls may move between those of earlier parts."""

    label: Label
    calls: Calls
    blockwise: bool


def interleave_blocks(parts: Sequence[Part]) -> Iterator[tuple[Label, Calls]]:
    """Yield all calls in the order in which to make them: runs of calls of one part, each with the part's label."""
    if not any(part.blockwise and any(map(_large, part.calls)) for part in parts):
        yield from ((part.label, part.calls) for part in parts)
        return
    ordered = sorted(_positions(parts), key=lambda entry: entry[0])
    for k, run in groupby(ordered, lambda entry: entry[1]):
        yield parts[k].label, [call for _, _, call in run]


def _positions(parts: Sequence[Part]) -> Iterator[tuple[Position, int, Call]]:
    """Yield the position of every call, the index of its part, and the call; positions sort calls into their final order.

    Positions are compared lexicographically. A call that follows a call of an earlier part extends that call's position,
    so it comes right after that call, before all calls that followed it until now. Calls of one part that follow the same
    call keep their order.
    """
    table, number = _Table(), 0
    for k, part in enumerate(parts):
        for call in part.calls:
            number += 1
            position: Position = (k, number)
            uses = _uses(call) if part.blockwise else None
            if part.blockwise:
                after = table.latest if uses is None else max(map(table.before, uses), default=table.floor)
                position = (*after[:-1], number) if after[-2:-1] == (k,) else (*after, *position)
            table.add(position, uses)
            yield position, k, call


class _Table:
    """The ranges of memory that the calls so far use, and the positions of these calls."""

    def __init__(self) -> None:
        self.floor: Position = (-1,)
        """The position of a call that all later calls must follow."""
        self.latest: Position = self.floor
        self._positions: list[Position] = []
        self._uses = np.zeros((3, _MAX_USES), np.int64)

    def add(self, position: Position, uses: list[Use] | None) -> None:
        """Add a call. Every later call must follow it if ``uses`` is None."""
        self.latest = max(self.latest, position)
        if uses is None or len(self._positions) + len(uses) > _MAX_USES:
            self.floor = self.latest
            self._positions.clear()
        for use in uses or ():
            self._uses[:, len(self._positions)] = use
            self._positions.append(position)

    def before(self, use: Use) -> Position:
        """Return the last position among the calls that a call with this use must follow."""
        first, last, writes = use
        start, stop, written = self._uses[:, : len(self._positions)]
        conflicts = (start < last) & (stop > first)
        if not writes:
            conflicts &= written != 0
        return max((self._positions[k] for k in np.flatnonzero(conflicts).tolist()), default=self.floor)


def _uses(call: Call) -> list[Use] | None:
    """Return the memory that a call uses; None if it is not known which operands the function reads and writes."""
    f, *operands = call
    if (uses := getattr(f, "uses", None)) is not None:  # a compiled kernel knows
        return list(uses())
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
    elif isinstance(owner, np.ufunc) and f.__name__ == "reduce":
        results += operands[3:]
    elif isinstance(owner, np.ndarray) and f.__name__ == "fill":
        results.append(owner)
    elif isinstance(owner, np.ndarray) and f.__name__ == "clip":
        results += operands[2:]
        operands.insert(0, owner)
    elif f is not np.einsum:
        return None
    if any(isinstance(x, tuple | list) for x in (*operands, *named.values())):
        return None
    written = {id(x) for x in results}
    arrays = {id(x): x for x in (*operands, *named.values(), *results) if isinstance(x, np.ndarray)}
    return [(*np.lib.array_utils.byte_bounds(x), key in written) for key, x in arrays.items()]


def _large(call: Call) -> bool:
    operands = getattr(call[0], "operands", call[1:])
    return any(isinstance(x, np.ndarray) and x.size >= _LARGE for x in operands)
