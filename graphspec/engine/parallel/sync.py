"""Synchronization of the workers of one machine: counters in shared memory, or pipes."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from graphspec.base.arrays.layout import CACHE_LINE

_STRIDE = CACHE_LINE // 8  # 64-bit words between two counters: each has a cache line of its own
_SPINS = 2000  # reads of a counter, of about 50 ns each, before a waiting worker yields its core


class Signals(Protocol):
    """One worker's side of the synchronization: rank 0 launches the others' steps and waits for them; barriers."""

    def notify(self) -> None:
        """On rank 0, let all others return from :meth:`wait`; on another rank, notify rank 0."""

    def wait(self) -> None:
        """On rank 0, wait until all others have called :meth:`notify`; on another rank, wait for rank 0."""

    def barrier(self) -> None:
        """Return when every worker has called this."""


def spins_safely() -> bool:
    """Return whether all processors see writes in program order, which counters without memory fences rely on."""
    return platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")


def counter_words(size: int) -> int:
    """Return the number of 64-bit words that :class:`Spin` needs for ``size`` workers."""
    return 2 * size * _STRIDE


class Spin:
    """Signals by polling counters in shared memory: 0.3 µs if both sides are ready.

    Args:
        counters: shared, int64, initially zeros, :func:`counter_words` long.
        check: called repeatedly in a long wait; raises if a worker has died.
    """

    def __init__(self, counters: np.ndarray[Any, Any], rank: int, size: int, check: Callable[[], None]) -> None:
        self._words, self._check = counters.view(np.uint8).data.cast("q"), check
        ranks = range(size)
        self._notify_index, self._barrier_index = rank * _STRIDE, (size + rank) * _STRIDE
        self._sources = [k * _STRIDE for k in ranks if (k > 0) == (rank == 0)]
        self._peers = [(size + k) * _STRIDE for k in ranks if k != rank]
        self._notified = self._waited = self._barriers = 0

    def notify(self) -> None:
        self._notified += 1
        self._words[self._notify_index] = self._notified

    def wait(self) -> None:
        self._waited += 1
        for index in self._sources:
            if self._words[index] < self._waited:
                self._wait(index, self._waited)

    def barrier(self) -> None:
        self._barriers = count = self._barriers + 1
        counters = self._words
        counters[self._barrier_index] = count
        for index in self._peers:
            if counters[index] < count:
                self._wait(index, count)

    def _wait(self, index: int, value: int) -> None:
        counters = self._words
        for _ in range(_SPINS):
            if counters[index] >= value:
                return
        start = time.perf_counter()
        while counters[index] < value:
            waited = time.perf_counter() - start
            if waited < 2e-3:
                yield_core()
            elif waited < 0.1:
                time.sleep(5e-5)
            else:
                time.sleep(1e-3)
                self._check()


yield_core: Callable[[], None] = getattr(os, "sched_yield", partial(time.sleep, 0))


class Pipes:
    """Signals by bytes in pipes, for processors that reorder writes: the system calls order all memory accesses.

    Args:
        reads, writes: on rank 0 the pipes from and to each other worker, on another rank those from and to rank 0.
        check: called if the other end of a pipe is closed; raises.
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
