"""The steps of a run, in one process or in several: their programs and workers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.engine.parallel.leader import Leader
from graphspec.engine.parallel.step import Step
from graphspec.engine.runtime.program import Program, no_rows
from graphspec.engine.runtime.program_cache import ProgramCache
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.graph.kernels.context import LocalGroup

if TYPE_CHECKING:
    from graphspec.data.batches import BatchLoader, Dataset
    from graphspec.engine.compiler.objective import Objective
    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.engine.parallel.rank_leader import RankLeader
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array


class TrainingSteps:
    """Computes the gradient of each batch; the optimizer's state then updates the weights with it.

    Attributes:
        common: the parts of a step that are the same for all workers.
        programs: the programs bound so far, by the length of the batch.
        leader: of the other worker processes, or ranks; None if there are none.
        ranks: the other ranks of the MPI job; None if the training is not part of one.
        own_cache: the model's programs for one process, which view its own memory, while there are others.
    """

    def __init__(
        self,
        model: Session,
        objective: Objective,
        loader: BatchLoader,
        running: RunningMetrics,
        validation: Dataset | None = None,
    ) -> None:
        self._validation = validation
        self.model, self._running, self.loader, self.optimizer_state = model, running, loader, model.optimizer_state
        self.own_cache: ProgramCache | None = None
        self.common = Step(model, objective, model.parameters, loader, model.seed, self.optimizer_state.clock)
        self.programs: dict[int, Program] = {}
        self.leader: Leader | RankLeader | None = None
        self.ranks: Ranks | None = None

    def compute(self, epoch: int, batch: int) -> tuple[int, Program]:
        """Compute the losses and the gradient of a batch; return its length and the program with the losses.

        The other workers then also do their part of the update; :meth:`finish` waits for them.
        """
        rows = self.loader.rows(batch)
        program = self.programs.get(rows) or self._bind(rows)
        if self.leader is not None:
            self.leader.launch_step(epoch, batch)
        program.load(batch)
        program.run()
        return rows, program

    def finish(self, running: RunningMetrics | None = None) -> None:
        """End the step that :meth:`compute` started, and add the other workers' metric counters to ``running``."""
        if self.leader is not None:
            self.leader.finish_step(running)

    def validate(self, rows: Dataset, between: Callable[[], None]) -> RunningMetrics:
        """Evaluate the validation rows: with the other workers if they are many, which changes no bit.

        Args:
            between: called before each batch of this process; what it raises ends the evaluation.
        """
        size, leader = self.loader.batch_size, self.leader
        if not isinstance(leader, Leader) or not leader.validates:
            return self.model.evaluate_prepared(rows, size, between=between)
        with self.model.access.reading():
            return leader.validate(self.model.evaluation(rows, size), RunningMetrics(self.model), between)

    def check(self) -> None:
        """Raise GS604 (RunError) if a worker has died."""
        if self.leader is not None:
            self.leader.check()

    # One process or several.

    @property
    def shards(self) -> int | None:
        """The number of parts of a batch that are computed separately; None for one per worker."""
        return self.model.spec.training.shards

    def join(self, size: int) -> None:
        """Use ``size`` processes from now on, until :meth:`leave`; with ``shards``, also for one process.

        Raises:
            OSError: processes or shared memory are not available; nothing has changed then.
        """
        self._cache_programs()
        self.leader = Leader(self.common, self.optimizer_state, self._running, self._document(), size, self._validation)
        # The cached programs view this process's memory, not the shared one.
        self.own_cache, self.model.programs = self.model.programs, ProgramCache()

    def join_ranks(self, ranks: Ranks, workers: int = 1) -> None:
        """Use the ranks of an MPI job, of ``workers`` processes each, from now on, until :meth:`leave`."""
        from graphspec.engine.parallel.rank_leader import RankLeader

        self._cache_programs()
        self.leader = RankLeader(self.common, self.optimizer_state, self._running, self._document(), ranks, workers)
        # With several workers, the cached programs view this process's memory, not the shared one.
        self.own_cache = self.model.programs
        if workers > 1:
            self.model.programs = ProgramCache()

    def _document(self) -> dict[str, Any]:
        """Return what another worker must know to build the network."""
        adapted = self.model.adapted
        folder = str((self.model.spec.base or Path()).resolve())
        learnt = None if adapted is None else adapted.to_json()
        return {"document": self.model.document(), "adapted": learnt, "folder": folder}

    @property
    def stop_signal(self) -> int:
        """The signal by which another rank was asked to stop; 0 if none was."""
        return 0 if self.ranks is None else self.ranks.requested

    def leave(self) -> None:
        """Use only this process from now on, and drop the programs bound for several."""
        if self.leader is None:
            self._cache_programs()
            return
        self.programs.clear()  # they view shared memory, which is freed with the group
        self.leader.close()
        self.leader = None
        assert self.own_cache is not None
        self.model.programs, self.own_cache = self.own_cache, None

    @contextmanager
    def undone(self, before: Sequence[Array] | None = None) -> Iterator[None]:
        """Undo the changes of all steps inside the ``with`` block: weights, statistics, slots, and the learning rate.

        Args:
            before: arrays with the values to restore, in the same order; copies by default.
        """
        state = self.optimizer_state
        changed = [*self.model.parameters.vectors.values(), *state.slots.values()]
        before, rate = [array.copy() for array in changed] if before is None else before, state.rate.value
        try:
            yield
        finally:
            for array, values in zip(changed, before, strict=True):
                array[...] = values
            state.rate.value = rate

    # Programs.

    def _bind(self, rows: int) -> Program:
        if self.leader is None:
            program = self.model.programs.take(self._key(rows))
            if program is None:
                program = self.common.bind(
                    rows, self.optimizer_state.gradient, LocalGroup(), lookups=self.optimizer_state.lookups
                )
            program.load = self.loader.filler(program.feeds, slice(0, rows))
        else:
            program = self.leader.member.bind(self.common, rows)
        self.programs[rows] = program
        return program

    def _key(self, rows: int) -> Hashable:
        return ("train", *sorted(self.loader.shapes(rows).items()))

    def _cache_programs(self) -> None:
        """Put the programs into the model's cache for the next ``fit``, without references to the rows."""
        for rows, program in self.programs.items():
            program.load = no_rows
            self.model.programs.put(self._key(rows), program)
        self.programs.clear()
