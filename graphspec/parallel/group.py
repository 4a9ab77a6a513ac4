"""The group of workers that share a batch. One process is a group of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphspec.parallel.sync import Signals

SCRATCH = 1 << 18
"""Bytes of an array that several processes sum at a time."""


class ProcessGroup:
    """Workers that are processes of one machine.

    Sums go through two halves of ``scratch``, in turn: who writes into one half has met the others in the other half
    since, so they have read what was in it.

    Args:
        scratch: shared, uint8, ``(2, size, SCRATCH)``.
    """

    def __init__(self, signals: Signals, scratch: np.ndarray[Any, Any], rank: int, size: int) -> None:
        self.rank, self.size, self.barrier = rank, size, signals.barrier
        self._scratch, self._turn = scratch, 0
        self._views: dict[Any, list[list[np.ndarray[Any, Any]]]] = {}

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        if array.nbytes > SCRATCH:
            self._in_pieces(array)
            return
        views = self._views.get((array.shape, array.dtype))
        if views is None:
            views = self._views[array.shape, array.dtype] = self._cut(array)
        parts = views[self._turn]
        self._turn ^= 1
        np.copyto(parts[self.rank], array)
        self.barrier()
        np.add(parts[0], parts[1], array)
        for part in parts[2:]:
            np.add(array, part, array)

    def _cut(self, array: np.ndarray[Any, Any]) -> list[list[np.ndarray[Any, Any]]]:
        halves = self._scratch[:, :, : array.nbytes]
        return [[part.view(array.dtype).reshape(array.shape) for part in half] for half in halves]

    def _in_pieces(self, array: np.ndarray[Any, Any]) -> None:
        flat = array.reshape(-1)  # a copy where the array does not lie in one piece
        step = SCRATCH // array.itemsize
        for start in range(0, flat.size, step):
            self.all_reduce(flat[start : start + step])
        if not np.may_share_memory(flat, array):
            array[...] = flat.reshape(array.shape)
