"""A cache of bound programs by mode and shapes; it evicts the least recently used beyond a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from graphspec.base.arrays.cores import usable_cores
from graphspec.engine.runtime.access import reset_locks_in_children
from graphspec.engine.runtime.program import Program

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
        self._nbytes = 0
        self.reset_locks()
        reset_locks_in_children(self)

    def reset_locks(self) -> None:
        """Create new locks, which no thread has acquired."""
        self._lock = threading.Lock()
        self._freed, self._turns, self._waiting = threading.Condition(self._lock), usable_cores(), 0

    def borrow(self, key: Hashable, make: Callable[[], Program]) -> Loan:
        """Lend a program to one thread for a ``with`` block; ``make`` binds it if none is idle."""
        return Loan(self, key, make)

    def lend(self, key: Hashable) -> Program | None:
        """Wait for a turn, and do as :meth:`take`; :meth:`give_back` ends the turn."""
        with self._lock:
            if not self._turns:
                self._waiting += 1
                try:
                    while not self._turns:
                        self._freed.wait()
                finally:
                    self._waiting -= 1
            self._turns -= 1
            return self._take(key)

    def give_back(self, key: Hashable, program: Program | None) -> None:
        """End a turn; keep the program, if any, as :meth:`put` does."""
        with self._lock:
            self._turns += 1
            if program is not None:
                self._put(key, program)
            if self._waiting:
                self._freed.notify()

    def take(self, key: Hashable) -> Program | None:
        """Remove an idle program from the cache and return it; None if there is none."""
        with self._lock:
            return self._take(key)

    def put(self, key: Hashable, program: Program) -> None:
        """Add an idle program, and evict the least recently used ones beyond the limit."""
        with self._lock:
            self._put(key, program)

    def _take(self, key: Hashable) -> Program | None:
        programs = self._idle.get(key)
        if not programs:
            return None
        program = programs.pop()  # an empty list is kept until the next eviction: the key is about to come back
        self._nbytes -= program.nbytes
        return program

    def _put(self, key: Hashable, program: Program) -> None:
        self._idle.setdefault(key, []).append(program)
        self._idle.move_to_end(key)
        self._nbytes += program.nbytes
        while self._nbytes > self._max_bytes and sum(map(len, self._idle.values())) > 1:
            oldest, programs = next(iter(self._idle.items()))
            if programs:
                self._nbytes -= programs.pop(0).nbytes
            if not programs:
                del self._idle[oldest]

    def nbytes(self) -> int:
        """Return the number of bytes of the idle programs."""
        return self._nbytes


class Loan:
    """The ``with`` block of :meth:`ProgramCache.borrow`; a class, since every prediction enters one."""

    __slots__ = ("_cache", "_key", "_make", "_program")

    def __init__(self, cache: ProgramCache, key: Hashable, make: Callable[[], Program]) -> None:
        self._cache, self._key, self._make = cache, key, make

    def __enter__(self) -> Program:
        program = self._cache.lend(self._key)
        if program is None:
            try:
                program = self._make()
            except BaseException:
                self._cache.give_back(self._key, None)
                raise
        self._program = program
        return program

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._cache.give_back(self._key, None if kind else self._program)  # a program that failed is not kept
