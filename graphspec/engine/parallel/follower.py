"""The steps of a worker other than rank 0, a local process or a rank of an MPI job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphspec.base.arrays.calls import runner
from graphspec.engine.compiler.fetches import TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.base.arrays.calls import Calls
    from graphspec.engine.parallel.shards import Step
    from graphspec.engine.runtime.program import Program


class Follower:
    """Computes a worker's part of the steps that rank 0 launches.

    Args:
        bind: binds the worker's program for batches of a given length.
        update: the calls that update the worker's part of the weights.
    """

    def __init__(self, step: Step, bind: Callable[[Step, int], Program], update: Calls) -> None:
        self._step, self._bind, self._update = step, bind, runner(update)
        self._programs: dict[int, Program] = {}
        self._epoch = -1

    def step(self, epoch: int, batch: int) -> None:
        """Compute this worker's part of a step; if the loss is not finite, nothing is updated, as on rank 0."""
        loader = self._step.loader
        if epoch != self._epoch:
            self._epoch = epoch
            loader.start(epoch)
        rows = loader.rows(batch)
        program = self._programs.get(rows)
        if program is None:
            program = self._programs[rows] = self._bind(self._step, rows)
        program.load(batch)
        program.run()
        if math.isfinite(program.fetches[TOTAL]):
            self._update()
