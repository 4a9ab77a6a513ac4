"""Bound programs by mode and shapes, kept up to a number of bytes, oldest out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from graphspec.runtime.program import Program

KEEP = 1 << 30


class Programs:
    """A cache: binding takes milliseconds, and an epoch has one batch shape, or two with a short last batch."""

    def __init__(self, keep: int = KEEP) -> None:
        self._keep = keep
        self._programs: OrderedDict[Hashable, Program] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Program]) -> Program:
        if key in self._programs:
            self._programs.move_to_end(key)
            return self._programs[key]
        program = self._programs[key] = make()
        while len(self._programs) > 1 and sum(p.nbytes for p in self._programs.values()) > self._keep:
            self._programs.popitem(last=False)
        return program

    def clear(self) -> None:
        self._programs.clear()
