"""Rank 0 of a group of workers: it starts the others, launches steps, sums what they count, and stops them.

How the workers get their orders and add their arrays is the transport's: processes of one machine, which share memory
(:class:`LocalLeader`), or ranks of an MPI job (:class:`graphspec.engine.parallel.ranks.RankLeader`), each of which is a team
of such processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.blas import one_thread
from graphspec.engine.parallel.machine import Place
from graphspec.engine.parallel.processes import Team
from graphspec.engine.parallel.replica import message_of
from graphspec.engine.parallel.validation import VALIDATE, Batches

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.data.batches import Dataset
    from graphspec.engine.parallel.shards import Step
    from graphspec.engine.runtime.evaluation import Evaluation
    from graphspec.engine.runtime.parameters import OptimizerState
    from graphspec.engine.runtime.program import Program
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.graph.ir.graph import Array
    from graphspec.graph.optimizers import Rate


class Leader:
    """Rank 0 of a group of workers. Until :meth:`close`, the weights and the slots are in the team's memory.

    Args:
        others: where the metric counters of all other shards are after a step.
        update: returns the calls that update the weights.
        collect: fetches the slots that other machines have updated.
    """

    def __init__(
        self,
        team: Team,
        state: OptimizerState,
        running: RunningMetrics,
        others: Sequence[Array],
        update: Callable[[Rate], Calls],
        collect: Callable[[], None] | None = None,
    ) -> None:
        gradient, slots = state.gradient, state.slots
        self.team, self.state, self.processes, self.member = team, state, team.processes, team.member
        self._others = [running.views(counters) for counters in others]
        self._stack = ExitStack()
        self._stack.callback(lambda: state.move_back(gradient, slots))
        self._stack.callback(team.close)
        try:
            state.move(team.member.gradients[0], team.member.slots, lambda: update(state.rate), collect)
            self._stack.enter_context(one_thread())
        except BaseException:
            self._stack.close()
            raise

    def bind(self, rows: int) -> Program:
        """Bind this worker's program for batches of ``rows`` rows over all workers."""
        return self.member.bind(rows)

    def launch_step(self, epoch: int, batch: int) -> None:
        """Let the other workers start their shard of a step."""
        self.team.launch(epoch, batch, self.state.rate)

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the other workers have finished the step, and add their metric counters to ``running``."""
        self.wait()
        if running is not None:
            for views in self._others:
                running.include(views)

    def wait(self) -> None:
        """Wait for the other workers: until the next step they neither read nor write shared memory."""
        self.team.wait()

    # Validation.

    @property
    def validates(self) -> bool:
        """Whether the workers validate together."""
        return self.team.sharing.batches > 0

    def validate(self, evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None]) -> RunningMetrics:
        """Evaluate the validation rows with all workers; return ``running`` with the bits of this process alone.

        Args:
            between: called before each batch of this process; what it raises ends the evaluation.
        """
        self.team.await_workers()
        self.member.order[0] = VALIDATE
        batches = Batches(self.member.arrays, 0, self.processes.size)
        return batches.launch(evaluation, running, self.member.signals, between)

    def check(self) -> None:
        """Raise GS604 (RunError) if a worker of this machine has died; if a rank dies, the launcher ends the job."""
        self.processes.check()

    def close(self) -> None:
        """End the other workers, and move weights and slots back into this process's memory."""
        self._stack.close()


class LocalLeader(Leader):
    """Rank 0 of a group of ``size`` processes on this machine: this one, which starts the others, if any.

    Args:
        document: what :func:`message_of` takes.
        validation: the rows that the workers validate, if they are many.

    Raises:
        OSError: processes or shared memory are not available; nothing has changed then.
    """

    def __init__(
        self,
        step: Step,
        state: OptimizerState,
        running: RunningMetrics,
        document: Mapping[str, Any],
        size: int,
        validation: Dataset | None = None,
    ) -> None:
        slots = {name: (array.shape, array.dtype) for name, array in state.slots.items()}
        message = message_of(step, document) if size > 1 else {}
        team = Team(step, state.optimizer, running, slots, message, Place(workers=size), validation=validation)
        super().__init__(team, state, running, team.member.counters[1:], team.member.update)
