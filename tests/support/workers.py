"""A batch shared by workers that are threads of this process: the scalar of a loss and gradients of inputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from graphs import feed

from graphspec.base.arrays.layout import shard_slice
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Graph, Value
from graphspec.graph.kernels.context import Shard

Array = np.ndarray[Any, Any]


class Threads:
    """A group of workers that are threads of this process."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, arrays: list[Any]) -> None:
        self.rank, self.size, self._barrier, self._arrays = rank, size, barrier, arrays
        self.writes_state = rank == 0

    def all_reduce(self, array: Array) -> None:
        self._arrays[self.rank] = array
        self.barrier()
        total = np.sum(self._arrays, axis=0)
        self.barrier()
        array[...] = total

    def barrier(self) -> None:
        self._barrier.wait(timeout=20)


def by_workers(graph: Graph, scalar: Value, arrays: Mapping[str, Array], size: int, wrt: str) -> tuple[float, Array]:
    """The sum of the workers' shares of ``scalar``, and its gradient by the input ``wrt``, in float64."""
    total = len(next(iter(arrays.values())))
    barrier, shared = threading.Barrier(size), [None] * size

    def work(rank: int) -> tuple[float, Array]:
        rows = shard_slice(total, rank, size)
        feeds = {n: a[rows] for n, a in arrays.items()}
        program = build_program(
            graph.with_outputs({"loss": scalar}, scalar),
            Parameters(graph, np.float64),
            Target(
                {n: a.shape for n, a in feeds.items()},
                input_grads=[wrt],
                shard=Shard(Threads(rank, size, barrier, shared), rows, total),
            ),
        )
        feed(graph, program, feeds)
        program.run()
        return float(program.fetches["loss"]), program.grads[wrt].copy()

    with ThreadPoolExecutor(size) as pool:
        parts = list(pool.map(work, range(size)))
    return sum(p[0] for p in parts), np.concatenate([p[1] for p in parts])
