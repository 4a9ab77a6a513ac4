"""Bound programs by mode and shapes, kept up to a number of bytes, oldest out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from graphspec.arrays.cores import usable_cores
from graphspec.runtime.access import renew_in_children
from graphspec.runtime.program import Program

KEEP = 1 << 30


class ProgramCache:
    """A cache: binding takes milliseconds, and an epoch has one batch shape, or two with a short last batch.

    A program computes in buffers of its own, so one thread alone may have it at a time. Threads that want the same one at
    the same time each get one, as many as there are cores: more would take memory and gain nothing.
    """

    def __init__(self, keep: int = KEEP) -> None:
        self._keep = keep
        self._idle: OrderedDict[Hashable, list[Program]] = OrderedDict()
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Locks that nobody holds."""
        self._lock, self._turns = threading.Lock(), threading.Semaphore(usable_cores())

    @contextmanager
    def borrow(self, key: Hashable, make: Callable[[], Program]) -> Iterator[Program]:
        """A program that nobody else uses until the end; bound by ``make`` where none is idle."""
        with self._turns:
            program = self.take(key) or make()
            yield program  # one that failed in the middle is not kept
            self.put(key, program)

    def take(self, key: Hashable) -> Program | None:
        """An idle program, which is the caller's until it is :meth:`put` back."""
        with self._lock:
            found = self._idle.get(key)
            if not found:
                return None
            program = found.pop()
            if not found:
                del self._idle[key]
            return program

    def put(self, key: Hashable, program: Program) -> None:
        """Keep a program for later; the one that was used longest ago goes where they are too large together."""
        with self._lock:
            self._idle.setdefault(key, []).append(program)
            self._idle.move_to_end(key)
            while sum(map(len, self._idle.values())) > 1 and self._nbytes() > self._keep:
                oldest, programs = next(iter(self._idle.items()))
                del programs[0]
                if not programs:
                    del self._idle[oldest]

    def held(self) -> int:
        """Bytes of the idle programs."""
        with self._lock:
            return self._nbytes()

    def _nbytes(self) -> int:
        return sum(p.nbytes for programs in self._idle.values() for p in programs)
