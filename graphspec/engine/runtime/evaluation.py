"""Losses and metrics of the batches of some rows, in inference mode."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from graphspec.data.batches import BatchLoader
from graphspec.engine.compiler.fetches import fetches
from graphspec.engine.runtime.build import build_program
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.data.batches import Dataset
    from graphspec.engine.compiler.objective import Network, Objective
    from graphspec.engine.runtime.parameters import Parameters
    from graphspec.engine.runtime.program import Program
    from graphspec.engine.runtime.program_cache import Loan, ProgramCache
    from graphspec.engine.runtime.running_metrics import RunningMetrics


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

    def borrow(self, batch: int) -> Loan:
        """Lend the program for a batch of this size, for a ``with`` block."""
        shapes = self.loader.shapes(self.loader.rows(batch))
        bound = partial(build_program, self._graph, self._parameters, Target(shapes), seed=self._seed)
        return self._programs.borrow(("evaluate", self._counted, *sorted(shapes.items())), bound)

    def load(self, batch: int, program: Program) -> None:
        """Copy the rows of a batch into its program; one thread at a time may do this."""
        self.loader.copy(batch, program.feeds)

    def add(self, batch: int, program: Program, running: RunningMetrics) -> None:
        """Add a computed batch to ``running``."""
        running.add(self.loader.rows(batch), program.fetches, program.feeds)

    def compute(self, batch: int, running: RunningMetrics) -> None:
        """Compute a batch, and add it to ``running``."""
        with self.borrow(batch) as program:
            self.load(batch, program)
            program.run_apart()
            self.add(batch, program, running)
