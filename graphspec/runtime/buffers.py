"""Memory of a program: 64-byte-aligned buffers, reused by lifetime, and scratch shared by all nodes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_ALIGN = 64


def aligned(nbytes: int) -> Array:
    """``nbytes`` uninitialised bytes that start at a multiple of 64."""
    raw = np.empty(nbytes + _ALIGN, np.uint8)
    start = -raw.ctypes.data % _ALIGN
    return raw[start : start + nbytes]


def root(array: Array) -> int:
    """The identity of the memory block that ``array`` views."""
    owner: Any = array
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return id(owner)


def axis_order(array: Array) -> tuple[int, ...]:
    """The axes of ``array``, slowest in memory first; axes of size 1 stay where they are."""
    order = sorted((k for k in range(array.ndim) if array.shape[k] > 1), key=lambda k: -abs(array.strides[k]))
    places = [k for k in range(array.ndim) if array.shape[k] > 1]
    result = list(range(array.ndim))
    for place, axis in zip(places, order, strict=True):
        result[place] = axis
    return tuple(result)


def view_as(block: Array, shape: Sequence[int], dtype: np.dtype[Any], order: Sequence[int] | None) -> Array:
    """The first bytes of ``block`` as an array whose axes lie in ``order``, slowest first."""
    count = int(np.prod(shape, dtype=np.int64))
    flat = block[: count * dtype.itemsize].view(dtype)
    if order is None:
        return flat.reshape(tuple(shape))
    return flat.reshape([shape[k] for k in order]).transpose(np.argsort(order))


class Pool:
    """Hands out buffers; a released one is given again to a request of about its size."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._free: list[tuple[int, int]] = []
        self._blocks: dict[int, Array] = {}
        self._sizes: dict[int, int] = {}

    def take(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Array:
        dtype = np.dtype(dtype)
        need = max(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, 1)
        need += -need % _ALIGN
        place = bisect_left(self._free, (need, 0))
        if place < len(self._free) and self._free[place][0] <= 2 * need:
            _, key = self._free.pop(place)
            block = self._blocks[key]
        else:
            block = aligned(need)
            key = root(block)
            self._blocks[key], self._sizes[key] = block, need
            self.nbytes += need
        return view_as(block, shape, dtype, order)

    def release(self, key: int) -> None:
        """Take back the block with this identity (see :func:`root`); unknown ones are not the pool's and stay."""
        if key in self._sizes:
            entry = (self._sizes[key], key)
            if entry not in self._free:
                insort(self._free, entry)


class Scratch:
    """Temporaries: every node starts again at the first block."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._blocks: list[Array] = []
        self._used: list[bool] = []

    def reset(self) -> None:
        self._used = [False] * len(self._blocks)

    def take(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Array:
        dtype = np.dtype(dtype)
        need = max(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, 1)
        fits = [k for k, block in enumerate(self._blocks) if not self._used[k] and block.size >= need]
        if fits:
            best = min(fits, key=lambda k: self._blocks[k].size)
        else:
            self._blocks.append(aligned(need + need // 4))
            self._used.append(False)
            self.nbytes += self._blocks[-1].size
            best = len(self._blocks) - 1
        self._used[best] = True
        return view_as(self._blocks[best], shape, dtype, order)
