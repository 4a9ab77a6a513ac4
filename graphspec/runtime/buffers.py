"""Memory of a program: 64-byte-aligned buffers, reused by lifetime, and scratch shared by all nodes."""

from __future__ import annotations

import math
import mmap
import sys
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from graphspec.arrays.layout import CACHE_LINE, Array, aligned, root, view_as

_MAPPED, _HUGE = 1 << 20, 1 << 22
"""Bytes from which memory is asked of the system itself, and in large pages: these take fewer look-ups of addresses."""
_STRETCH = 1 << 28
"""Bytes of address space asked for at once, unless a buffer is larger: a system may count what is never touched."""


def stretch(nbytes: int) -> Array:
    """``nbytes`` zeros in address space of their own: they take memory when they are written to, and give it all back.

    Small ones come from the heap, which keeps what it is given back, for arrays that may not fit where it lies.
    """
    if nbytes < _MAPPED:
        block = aligned(nbytes)
        block[:] = 0
        return block
    private = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    pages = mmap.mmap(-1, nbytes, **private)
    if hasattr(mmap, "MADV_HUGEPAGE") and nbytes >= _HUGE:
        with suppress(OSError):  # a kernel without
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


class _Chunks:
    """Stretches of address space: what is not written to takes no memory (where the system sees to that).

    Args:
        expected: bytes that are thought to be enough: one stretch has so many, if they are not too many to ask for.
    """

    def __init__(self, expected: int) -> None:
        self.arrays: list[Array] = []
        self.touched: list[int] = []
        self._expected = min(expected, _STRETCH)

    @property
    def nbytes(self) -> int:
        """Bytes that have been handed out at least once."""
        return sum(self.touched)

    def add(self, need: int) -> int:
        """The number of a new stretch of at least ``need`` bytes."""
        self.arrays.append(stretch(max(need, self._expected)))
        self.touched.append(0)
        return len(self.arrays) - 1

    def cut(self, chunk: int, start: int, stop: int) -> Array:
        """Some of its bytes, as an array that is a block of its own for :func:`root`."""
        self.touched[chunk] = max(self.touched[chunk], stop)
        return np.frombuffer(self.arrays[chunk].data[start:stop], np.uint8)


def _size(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    need = max(math.prod(shape) * dtype.itemsize, 1)
    return need + -need % CACHE_LINE


class Pool:
    """Hands out buffers, each from the smallest free place that it fits in; released neighbours become one place."""

    def __init__(self, expected: int) -> None:
        self._chunks = _Chunks(expected)
        self._free: list[tuple[int, int, int]] = []  # chunk, start, stop: in this order
        self._taken: dict[int, tuple[int, int, int]] = {}
        self._blocks: list[Array] = []  # so that no other gets a block's identity

    @property
    def nbytes(self) -> int:
        return self._chunks.nbytes

    def take(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Array:
        dtype = np.dtype(dtype)
        need = _size(shape, dtype)
        sizes = [stop - start for _, start, stop in self._free]
        fits = [k for k, size in enumerate(sizes) if size >= need]
        if not fits:
            chunk = self._chunks.add(need)
            self._free.append((chunk, 0, self._chunks.arrays[chunk].size))
            place = len(self._free) - 1
        else:
            place = min(fits, key=sizes.__getitem__)
        chunk, start, stop = self._free.pop(place)
        if stop - start > need:
            self._free.insert(place, (chunk, start + need, stop))
        block = self._chunks.cut(chunk, start, start + need)
        self._taken[root(block)] = chunk, start, start + need
        self._blocks.append(block)
        return view_as(block, shape, dtype, order)

    def release(self, key: int) -> None:
        """Take back the block with this identity (see :func:`root`); unknown ones are not the pool's and stay."""
        if key not in self._taken:
            return
        chunk, start, stop = self._taken.pop(key)
        place = bisect_left(self._free, (chunk, start, stop))
        if place < len(self._free) and self._free[place][:2] == (chunk, stop):
            stop = self._free.pop(place)[2]
        if place and self._free[place - 1][::2] == (chunk, start):
            place -= 1
            start = self._free.pop(place)[1]
        self._free.insert(place, (chunk, start, stop))


class Scratch:
    """Temporaries: every node starts again at the beginning."""

    def __init__(self, expected: int) -> None:
        self._chunks = _Chunks(expected)
        self._chunk = self._start = 0

    @property
    def nbytes(self) -> int:
        return self._chunks.nbytes

    def mark(self) -> tuple[int, int]:
        """Where the next buffer may begin."""
        return self._chunk, self._start

    def reset(self, mark: tuple[int, int] = (0, 0)) -> None:
        """Release the buffers taken since ``mark``, or all of them."""
        self._chunk, self._start = mark

    def take(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Array:
        dtype = np.dtype(dtype)
        need, chunks = _size(shape, dtype), self._chunks.arrays
        while self._chunk < len(chunks) and self._start + need > chunks[self._chunk].size:
            self._chunk, self._start = self._chunk + 1, 0
        if self._chunk == len(chunks):
            self._chunks.add(need)
        start = self._start
        self._start += need
        return view_as(self._chunks.cut(self._chunk, start, self._start), shape, dtype, order)
