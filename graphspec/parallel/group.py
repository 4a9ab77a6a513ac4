"""The group of worker processes that share a batch. See :class:`graphspec.kernels.group.LocalGroup` for one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphspec.parallel.sync import Signals

SCRATCH = 1 << 18
"""Bytes: larger arrays are summed in pieces of this size."""


class ProcessGroup:
    """Worker processes on one machine.

    Sums use the two halves of ``scratch`` alternately. So one barrier per sum is enough: before a worker writes to a half
    again, all workers have passed the barrier of the other half, and have finished reading this one.

    Args:
        scratch: shared, uint8, ``(2, size, SCRATCH)``.
    """

    def __init__(self, signals: Signals, scratch: np.ndarray[Any, Any], rank: int, size: int) -> None:
        self.rank, self.size, self.barrier = rank, size, signals.barrier
        self.writes_state = rank == 0
        self._scratch, self._turn = scratch, 0
        self._views: dict[Any, list[list[np.ndarray[Any, Any]]]] = {}

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        """Replace ``array`` by its sum over all workers, in the order of ranks, in place."""
        if array.nbytes > SCRATCH:
            self._in_pieces(array)
            return
        views = self._views.get((array.shape, array.dtype))
        if views is None:
            views = self._views[array.shape, array.dtype] = self._scratch_views(array)
        parts = views[self._turn]
        self._turn ^= 1
        np.copyto(parts[self.rank], array)
        self.barrier()
        np.add(parts[0], parts[1], array)
        for part in parts[2:]:
            np.add(array, part, array)

    def _scratch_views(self, array: np.ndarray[Any, Any]) -> list[list[np.ndarray[Any, Any]]]:
        """Return views of the scratch memory like ``array``, by half and rank."""
        halves = self._scratch[:, :, : array.nbytes]
        return [[part.view(array.dtype).reshape(array.shape) for part in half] for half in halves]

    def _in_pieces(self, array: np.ndarray[Any, Any]) -> None:
        flat = array.reshape(-1)  # a copy if the array is not contiguous
        step = SCRATCH // array.itemsize
        for start in range(0, flat.size, step):
            self.all_reduce(flat[start : start + step])
        if not np.may_share_memory(flat, array):
            array[...] = flat.reshape(array.shape)
