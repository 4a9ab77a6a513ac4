"""The steps of a run, in one process or in several: their programs, and who takes part."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphspec.kernels.group import LocalGroup
from graphspec.parallel.leader import Leader
from graphspec.parallel.member import Step
from graphspec.runtime.program import Program, no_rows
from graphspec.runtime.program_cache import ProgramCache

if TYPE_CHECKING:
    from graphspec.compiler.objective import Objective
    from graphspec.data.batches import BatchLoader
    from graphspec.runtime.running_metrics import RunningMetrics
    from graphspec.runtime.session import Session


class TrainingSteps:
    """Computes the gradient of one batch after the other; the optimizer's state turns it into an update.

    Attributes:
        common: what every worker binds alike.
        programs: those bound so far, by the length of the batch.
        leader: of the other processes; None while this one is alone.
    """

    def __init__(self, model: Session, objective: Objective, loader: BatchLoader, running: RunningMetrics) -> None:
        self._model, self._running, self.loader, self.optimizer_state = model, running, loader, model.optimizer_state
        self.common = Step(model, objective, model.parameters, loader, model.seed, self.optimizer_state.clock)
        self.programs: dict[int, Program] = {}
        self.leader: Leader | None = None

    def compute(self, epoch: int, batch: int) -> tuple[int, Program]:
        """The losses and the gradient of a batch: its length, and the program that has them.

        Until :meth:`finish` the others do their part of the update, too.
        """
        rows = self.loader.rows(batch)
        program = self.programs.get(rows) or self._bind(rows)
        if self.leader is not None:
            self.leader.launch_step(epoch, batch)
        program.load(batch)
        program.run()
        return rows, program

    def finish(self, running: RunningMetrics | None = None) -> None:
        """The end of a step that :meth:`compute` began; what the others have counted is added to ``running``."""
        if self.leader is not None:
            self.leader.finish_step(running)

    # Alone or together.

    def join(self, size: int) -> None:
        """Go on with ``size`` processes, until :meth:`leave`.

        Raises:
            OSError: processes or shared memory are not to be had; nothing has changed then.
        """
        self._put_back()
        document = self._model.document()
        self.leader = Leader(self.common, self.optimizer_state, self._running, document, size)
        self._alone, self._model.programs = self._model.programs, ProgramCache()  # those view memory of one process

    def leave(self) -> None:
        """Go on alone, without the programs bound so far."""
        if self.leader is None:
            self._put_back()
            return
        self.programs.clear()  # they view memory that ends with the group
        self.leader.close()
        self.leader = None
        self._model.programs = self._alone

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back what steps within change: weights, statistics, slots, and the rate."""
        state = self.optimizer_state
        changed = [*self._model.parameters.vectors.values(), *state.slots.values()]
        before, rate = [array.copy() for array in changed], state.rate.value
        try:
            yield
        finally:
            for array, values in zip(changed, before, strict=True):
                array[...] = values
            state.rate.value = rate

    # Programs.

    def _bind(self, rows: int) -> Program:
        if self.leader is None:
            program = self._model.programs.take(self._key(rows))
            if program is None:
                program = self.common.bind(rows, self.optimizer_state.gradient, LocalGroup())
            program.load = self.loader.filler(program.feeds, rows)
        else:
            program = self.leader.member.bind(self.common, rows)
        self.programs[rows] = program
        return program

    def _key(self, rows: int) -> Hashable:
        return ("train", *sorted(self.loader.shapes(rows).items()))

    def _put_back(self) -> None:
        """Let the next ``fit`` have the programs of this one, without the rows."""
        for rows, program in self.programs.items():
            program.load = no_rows
            self._model.programs.put(self._key(rows), program)
        self.programs.clear()
