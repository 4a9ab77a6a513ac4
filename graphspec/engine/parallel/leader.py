"""Rank 0 of a group of processes: it starts the other workers, launches steps, and restores the model at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.blas import one_thread
from graphspec.engine.parallel.group import Place
from graphspec.engine.parallel.team import Team
from graphspec.engine.parallel.validation import VALIDATE, Batches

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.engine.parallel.shards import Step
    from graphspec.engine.runtime.evaluation import Evaluation
    from graphspec.engine.runtime.optimizer_state import OptimizerState
    from graphspec.engine.runtime.running_metrics import RunningMetrics


class Leader:
    """A group of ``size`` training processes: this one is rank 0 and starts the others, if any.

    Until :meth:`close`, the weights and the optimizer's slots are stored in shared memory.

    Args:
        document: ``document``, the spec with absolute paths of data files, ``adapted``, what
            it has learnt, or None, and ``folder``, the folder of the spec.
        validation: the rows that the workers validate, if they are many.

    Raises:
        OSError: processes or shared memory are not available; nothing has changed then.
    """

    def __init__(
        self,
        step: Step,
        optimizer_state: OptimizerState,
        running: RunningMetrics,
        document: Mapping[str, Any],
        size: int,
        validation: Dataset | None = None,
    ) -> None:
        state = self._optimizer_state = optimizer_state
        gradient, slots = state.gradient, state.slots
        shapes = {name: (array.shape, array.dtype) for name, array in slots.items()}
        self._team = Team(step, state.optimizer, running, shapes, document, Place(workers=size), validation=validation)
        self.size, self.processes, self.member = size, self._team.processes, self._team.member
        self._others = [running.views(counters) for counters in self.member.counters[1:]]
        self._stack = ExitStack()
        self._stack.callback(lambda: state.move_back(gradient, slots))
        self._stack.callback(self._team.close)
        try:
            update = partial(self.member.update, state.optimizer, clock=state.clock, rate=state.rate)
            state.move(self.member.gradients, self.member.slots, update)
            self._stack.enter_context(one_thread())
        except BaseException:
            self.close()
            raise

    def launch_step(self, epoch: int, batch: int) -> None:
        """Let the other workers start their shard of a step."""
        self._team.launch(epoch, batch, self._optimizer_state.clock, self._optimizer_state.rate)

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the other workers have finished the step, and add their metric counters to ``running``.

        Until the next step they neither read nor write shared memory.
        """
        self._team.wait()
        if running is not None:
            for views in self._others:
                running.include(views)

    # Validation.

    @property
    def validates(self) -> bool:
        """Whether the workers validate together."""
        return self._team.sharing.batches > 0

    def validate(self, evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None]) -> RunningMetrics:
        """Evaluate the validation rows with all workers; return ``running`` with the bits of this process alone.

        Args:
            between: called before each batch of this process; what it raises ends the evaluation.
        """
        self._team.await_workers()
        self.member.order[0] = VALIDATE
        batches = Batches(self.member.arrays, 0, self.size)
        return batches.launch(evaluation, running, self.member.signals, between)

    def check(self) -> None:
        """Raise GS604 (RunError) if a worker has died."""
        self.processes.check()

    def close(self) -> None:
        """End the other workers, and move weights and slots back into this process's memory."""
        self._stack.close()
