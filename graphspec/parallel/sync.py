"""How the workers of one machine wait for each other: by counters in shared memory, or by pipes."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from graphspec.arrays.layout import CACHE_LINE

_LINE = CACHE_LINE // 8  # words: every counter has a cache line of its own
_SPINS = 2000
"""Looks at a counter, of about 50 ns, before the core is given up."""


class Signals(Protocol):
    """Rank 0 tells the others to begin, and hears from each that it is done; at a barrier all meet."""

    def notify(self) -> None:
        """Let those go on who ``hear``: the others for rank 0, rank 0 for the others."""

    def wait(self) -> None:
        """Wait until rank 0 has told (the others), or all others have (rank 0)."""

    def barrier(self) -> None:
        """Return when every worker has come here."""


def spins_safely() -> bool:
    """Whether a processor shows its writes to others in their order, so that plain counters can guard plain data."""
    return platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")


def counter_words(size: int) -> int:
    """How many 64-bit words :class:`Spin` needs."""
    return 2 * size * _LINE


class Spin:
    """Counters that are looked at again and again: 0.3 µs where both sides are there.

    Args:
        counters: shared, int64, zeros at first, :func:`words` long.
        check: called now and then in a long wait; raises if a worker has died.
    """

    def __init__(self, counters: np.ndarray[Any, Any], rank: int, size: int, check: Callable[[], None]) -> None:
        self._words, self._check = counters.view(np.uint8).data.cast("q"), check
        ranks = range(size)
        self._told_at, self._met_at = rank * _LINE, (size + rank) * _LINE
        self._sources = [k * _LINE for k in ranks if (k > 0) == (rank == 0)]
        self._peers = [(size + k) * _LINE for k in ranks if k != rank]
        self._told = self._heard = self._met = 0

    def notify(self) -> None:
        self._told += 1
        self._words[self._told_at] = self._told

    def wait(self) -> None:
        self._heard += 1
        for place in self._sources:
            if self._words[place] < self._heard:
                self._wait(place, self._heard)

    def barrier(self) -> None:
        self._met = met = self._met + 1
        counters = self._words
        counters[self._met_at] = met
        for place in self._peers:
            if counters[place] < met:
                self._wait(place, met)

    def _wait(self, place: int, value: int) -> None:
        counters = self._words
        for _ in range(_SPINS):
            if counters[place] >= value:
                return
        began = time.perf_counter()
        while counters[place] < value:
            waited = time.perf_counter() - began
            if waited < 2e-3:
                _give_up_core()
            elif waited < 0.1:
                time.sleep(5e-5)
            else:
                time.sleep(1e-3)
                self._check()


_give_up_core: Callable[[], None] = getattr(os, "sched_yield", partial(time.sleep, 0))


class Pipes:
    """Bytes through pipes, for processors that reorder writes: the kernel orders what lies before and after.

    Args:
        reads, writes: for rank 0 the pipes from and to each other worker, for these those from and to rank 0.
        check: called where the other side has gone; raises.
    """

    def __init__(self, reads: Sequence[int], writes: Sequence[int], rank: int, check: Callable[[], None]) -> None:
        self._reads, self._writes, self._first, self._check = reads, writes, rank == 0, check

    def notify(self) -> None:
        for fd in self._writes:
            try:
                os.write(fd, b".")
            except BrokenPipeError:
                self._lost()

    def wait(self) -> None:
        for fd in self._reads:
            if not os.read(fd, 1):
                self._lost()

    def barrier(self) -> None:
        if self._first:
            self.wait()
            self.notify()
        else:
            self.notify()
            self.wait()

    def _lost(self) -> None:
        while True:  # the pipe is closed a moment before the process has ended
            self._check()
            time.sleep(1e-2)
