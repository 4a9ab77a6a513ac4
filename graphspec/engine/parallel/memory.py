"""Memory that the processes of one machine share, and the signals between them."""

from __future__ import annotations

import errno
import math
import mmap
import os
import platform
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from graphspec.base.arrays.layout import CACHE_LINE, Array
from graphspec.base.arrays.system_memory import free, human

# Shared memory: named arrays in one block that has no name in the file system and is freed with its last user.
Shape = Sequence[int]


@dataclass
class Memory:
    """A block of shared memory.

    Attributes:
        arrays: views of the block, by name; initially zeros.
        description: plain JSON with which a child process attaches to the block (:func:`attach`).
        inherited: file descriptors that the child process must inherit.
    """

    arrays: dict[str, Array]
    description: dict[str, Any]
    inherited: tuple[int, ...]

    def close(self) -> None:
        """Prevent further processes from attaching; the arrays live as long as they are used."""
        for fd in self.inherited:
            os.close(fd)
        self.inherited = ()


def allocate(arrays: Mapping[str, tuple[Shape, Any]]) -> Memory:
    """Allocate a block with an array of each given shape and dtype; every array starts on a cache line.

    Raises:
        OSError: there is not enough memory, or the system cannot share it.
    """
    layout: dict[str, tuple[int, str, list[int]]] = {}
    size = 0
    for name, (shape, dtype) in arrays.items():
        layout[name] = size, np.dtype(dtype).str, [int(n) for n in shape]
        size += math.prod(shape) * np.dtype(dtype).itemsize
        size += -size % CACHE_LINE
    size = max(size, CACHE_LINE)
    if size > free():  # the system allocates pages when they are first written to: an error would then be too late
        raise OSError(errno.ENOMEM, f"training needs {human(size)} of shared memory, but {human(free())} are free")
    block, handle, inherited = _create(size)
    return Memory(_views(block, layout), {"handle": handle, "size": size, "layout": layout}, inherited)


def attach(description: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of a block that the parent process has described."""
    handle, size = description["handle"], description["size"]
    if sys.platform == "win32":
        block = mmap.mmap(-1, size, tagname=handle)
    else:
        block = mmap.mmap(handle, size)
        os.close(handle)
    return _views(block, description["layout"])


def _create(size: int) -> tuple[mmap.mmap, int | str, tuple[int, ...]]:
    if sys.platform == "win32":
        name = f"graphspec-{uuid.uuid4()}"
        return mmap.mmap(-1, size, tagname=name), name, ()
    if hasattr(os, "memfd_create"):  # not /dev/shm, which is 64 MiB in a container
        fd = os.memfd_create("graphspec")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
        return mmap.mmap(fd, size), fd, (fd,)
    except BaseException:
        os.close(fd)
        raise


def _views(block: mmap.mmap, layout: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    raw = np.frombuffer(block, np.uint8)
    arrays = {}
    for name, (start, dtype, shape) in layout.items():
        stop = start + math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = raw[start:stop].view(dtype).reshape(shape)
    return arrays


# Synchronization of the workers of one machine: counters in shared memory, or pipes.
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
