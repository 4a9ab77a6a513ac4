"""A group of workers, as operators and optimizers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from graphspec.ir.graph import Array


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


class LocalGroup:
    """A group of one: this process alone."""

    rank = 0
    size = 1

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        return None

    def barrier(self) -> None:
        return None


@dataclass(frozen=True)
class ShardedKernel:
    """What a worker sees of a divided kernel (k, n): memory that all share, for whole batches.

    Attributes:
        inputs, input_gradients: (batch, k).
        outputs, output_gradients: (batch, n).
        gradient: (k, n), of the kernel.
        own: the rows of it that this worker updates, and so writes.
    """

    inputs: Array
    outputs: Array
    output_gradients: Array
    input_gradients: Array
    gradient: Array
    own: slice


@dataclass(frozen=True)
class Shard:
    """One worker's part of a program.

    Attributes:
        rows: its slice of the batch.
        total: the whole batch's length.
        matrices: kernels whose products the group divides, with what is shared of them.
    """

    group: Group
    rows: slice
    total: int
    matrices: Mapping[str, ShardedKernel] = field(default_factory=dict)

    @classmethod
    def whole(cls, total: int) -> Shard:
        """That of a process which has the batch to itself."""
        return cls(LocalGroup(), slice(0, total), total)
