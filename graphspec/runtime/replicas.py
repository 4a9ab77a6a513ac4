"""The group of workers that share a batch. One process is a group of one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Group(Protocol):
    """Workers that run the same program, each on its share of the batch.

    ``all_reduce`` sums in the order of ranks, so that the same number of workers gives the same bits.
    """

    rank: int
    size: int

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        """Replace ``array`` by its sum over all workers, in place."""

    def barrier(self) -> None:
        """Return when every worker has come here."""


class Single:
    """A group of one: this process alone."""

    rank = 0
    size = 1

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        return None

    def barrier(self) -> None:
        return None


def share(total: int, rank: int, size: int) -> slice:
    """The rows of a batch of ``total`` that worker ``rank`` of ``size`` takes; earlier ranks take the remainder."""
    base, more = divmod(total, size)
    start = rank * base + min(rank, more)
    return slice(start, start + base + (rank < more))
