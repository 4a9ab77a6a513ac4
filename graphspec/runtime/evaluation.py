"""Losses and metrics of the batches of some rows, in inference mode."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from graphspec.arrays.calls import settings
from graphspec.compiler.fetches import fetches
from graphspec.data.batches import BatchLoader
from graphspec.graph.target import Target
from graphspec.runtime.build import build_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.compiler.objective import Network, Objective
    from graphspec.data.batches import Dataset
    from graphspec.runtime.parameters import Parameters
    from graphspec.runtime.program_cache import ProgramCache
    from graphspec.runtime.running_metrics import RunningMetrics


class Evaluation:
    """The batches of prepared rows, in their order.

    A batch has the same bits in every process with one BLAS thread.

    Args:
        objective: the graph with losses, for the sample weights and lengths of the rows.
        counted: the heads that are counted besides the spec's metrics.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        parameters: Parameters,
        rows: Dataset,
        batch_size: int,
        programs: ProgramCache,
        counted: Sequence[str] = (),
    ) -> None:
        self._graph = objective.graph.with_outputs(fetches(network, objective, counted))
        self._parameters, self._programs, self._counted = parameters, programs, counted
        self._seed = network.spec.training.seed
        self.loader = BatchLoader(rows, batch_size, shuffle=False, seed=self._seed)
        self.loader.start(0)

    def add(self, batch: int, running: RunningMetrics) -> None:
        """Compute a batch, and add it to ``running``."""
        rows = self.loader.rows(batch)
        shapes = self.loader.shapes(rows)
        bound = partial(build_program, self._graph, self._parameters, Target(shapes), seed=self._seed)
        with self._programs.borrow(("evaluate", self._counted, *sorted(shapes.items())), bound) as program:
            self.loader.copy(batch, program.feeds)
            with settings():
                program.run()
            running.add(rows, program.fetches, program.feeds)
