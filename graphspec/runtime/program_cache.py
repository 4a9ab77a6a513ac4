"""A cache of bound programs by mode and shapes; it evicts the least recently used beyond a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from graphspec.arrays.cores import usable_cores
from graphspec.runtime.access import reset_locks_in_children
from graphspec.runtime.program import Program

_MAX_IDLE_BYTES = 1 << 30


class ProgramCache:
    """A cache of programs, since binding takes milliseconds and an epoch has only one batch shape, or two.

    A program computes in its own buffers, so only one thread may use it at a time. Threads that need the same program at
    the same time each get their own, up to the number of cores: more would use memory without being faster.

    Args:
        max_bytes: the limit for idle programs; the most recent one is always kept.
    """

    def __init__(self, max_bytes: int = _MAX_IDLE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._idle: OrderedDict[Hashable, list[Program]] = OrderedDict()
        self.reset_locks()
        reset_locks_in_children(self)

    def reset_locks(self) -> None:
        """Create new locks, which no thread has acquired."""
        self._lock, self._turns = threading.Lock(), threading.Semaphore(usable_cores())

    @contextmanager
    def borrow(self, key: Hashable, make: Callable[[], Program]) -> Iterator[Program]:
        """Lend a program to one thread for the ``with`` block; ``make`` binds it if none is idle."""
        with self._turns:
            program = self.take(key) or make()
            yield program  # a program that failed is not kept
            self.put(key, program)

    def take(self, key: Hashable) -> Program | None:
        """Remove an idle program from the cache and return it; None if there is none."""
        with self._lock:
            programs = self._idle.get(key)
            if not programs:
                return None
            program = programs.pop()
            if not programs:
                del self._idle[key]
            return program

    def put(self, key: Hashable, program: Program) -> None:
        """Add an idle program, and evict the least recently used ones beyond the limit."""
        with self._lock:
            self._idle.setdefault(key, []).append(program)
            self._idle.move_to_end(key)
            while sum(map(len, self._idle.values())) > 1 and self._nbytes() > self._max_bytes:
                oldest, programs = next(iter(self._idle.items()))
                del programs[0]
                if not programs:
                    del self._idle[oldest]

    def nbytes(self) -> int:
        """Return the number of bytes of the idle programs."""
        with self._lock:
            return self._nbytes()

    def _nbytes(self) -> int:
        return sum(p.nbytes for programs in self._idle.values() for p in programs)
