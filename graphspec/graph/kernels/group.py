"""The interface of a group of workers for operators and optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


class Group(Protocol):
    """Workers that run the same program, each on its rows of the batch.

    ``all_reduce`` sums in rank order, so the result is bit for bit the same for the same number of workers.

    Attributes:
        writes_state: whether this worker writes moving statistics. If the workers share memory, only rank 0 does; otherwise
            each has a copy, and writes the same values.
    """

    rank: int
    size: int
    writes_state: bool

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        """Replace ``array`` by its sum over all workers, in place."""

    def barrier(self) -> None:
        """Return when every worker has called this."""


class LocalGroup:
    """A group of one worker: this process."""

    rank = 0
    size = 1
    writes_state = True

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        return None

    def barrier(self) -> None:
        return None


@dataclass(frozen=True)
class ShardedKernel:
    """The shared memory of a sharded kernel (k, n), for the batch of all workers.

    Attributes:
        inputs, input_gradients: (batch, k).
        outputs, output_gradients: (batch, n).
        gradient: (k, n), the gradient of the kernel.
        own: the rows of ``gradient`` that this worker writes; it updates the same rows of the kernel.
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
        group: the workers.
        rows: the worker's slice of the batch.
        total: the length of the batch over all workers.
        matrices: the sharded kernels by parameter name, with their shared memory.
    """

    group: Group
    rows: slice
    total: int
    matrices: Mapping[str, ShardedKernel] = field(default_factory=dict)

    @classmethod
    def whole(cls, total: int) -> Shard:
        """Return the shard of a process that runs the batch without other workers."""
        return cls(LocalGroup(), slice(0, total), total)
