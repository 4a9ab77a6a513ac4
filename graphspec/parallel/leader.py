"""Rank 0 of a group of processes: it starts the other workers, launches steps, and restores the model at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from graphspec.arrays.blas import one_thread
from graphspec.arrays.memory_maps import describe_map
from graphspec.arrays.split import shard_slice
from graphspec.arrays.system_memory import free
from graphspec.data.batches import Dataset
from graphspec.graph.memory_estimate import activations
from graphspec.language.explain import REGISTRIES
from graphspec.parallel.group import own_shards
from graphspec.parallel.member import Member, layout
from graphspec.parallel.processes import Processes
from graphspec.parallel.shared_memory import allocate
from graphspec.parallel.validation import PREFIX, VALIDATE, Batches, Sharing, nbytes

if TYPE_CHECKING:
    from graphspec.ir.graph import Array
    from graphspec.parallel.shared_memory import Memory
    from graphspec.parallel.step import Step
    from graphspec.runtime.evaluation import Evaluation
    from graphspec.runtime.optimizer_state import OptimizerState
    from graphspec.runtime.running_metrics import RunningMetrics

_SCATTER_RATIO = 32
# Bytes of activations per byte of batch rows. From this ratio on, rank 0 gathers the whole batch in less than 1 % of a
# step.


class Leader:
    """A group of ``size`` training processes: this one is rank 0 and starts the others, if any.

    Until :meth:`close`, the weights and the optimizer's slots are stored in shared memory.

    Args:
        document: ``document``, the spec with absolute paths of data files, and ``adapted``, what it has learnt, or None.
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
        self._step, self._optimizer_state, self._loader = step, optimizer_state, step.loader
        self.size, self.processes, self._stack = size, Processes(size), ExitStack()
        partition = step.divide(optimizer_state.optimizer, size)
        shards = len(partition.parts)
        self._last_own, self._shards = own_shards(shards, 0, size).stop - 1, shards
        arrays = layout(step, running, optimizer_state.slots, partition, size)
        data = self._loader.dataset.named() if size > 1 else {}
        maps = {name: where for name, a in data.items() if (where := describe_map(a)) is not None}
        rows = {name: a for name, a in data.items() if name not in maps}
        if scatters := bool(rows) and not maps and _scatters(step):
            rows.pop("chosen", None)
        lengths = {name: self._loader.rows(0) if scatters else len(a) for name, a in rows.items()}
        arrays |= {f"rows/{name}": ((lengths[name], *a.shape[1:]), a.dtype) for name, a in rows.items()}
        whole = {} if scatters else rows
        room = free() - nbytes(arrays)
        self._sharing = Sharing.of(validation, self._loader.batch_size, running, whole, room, size)
        maps |= {f"{PREFIX}rows/{name}": where for name, where in self._sharing.maps.items()}
        memory = allocate(arrays | self._sharing.layout())
        self._scattered: dict[str, Array] = {}
        try:
            shared = {name: memory.arrays[f"rows/{name}"] for name in rows}
            if scatters:
                self._scattered = Dataset.of(shared).feeds()
            else:
                for name, array in rows.items():
                    shared[name][...] = array
            self._sharing = self._sharing.copy(memory.arrays)
            lookups = partial(step.lookups, optimizer_state.optimizer)
            signals = self.processes.start(memory, self._message(document, maps))
            self.member = Member(memory.arrays, signals, 0, size, partition, step.network, lookups)
            self._others = [running.views(counters) for counters in self.member.counters[1:]]
            self._move_in(memory)
            self._stack.enter_context(one_thread())
        except BaseException:
            self.close()
            raise
        finally:
            memory.close()

    # Steps.

    def launch_step(self, epoch: int, batch: int) -> None:
        """Let the other workers start their shard of a step."""
        if self._scattered:
            first = shard_slice(self._loader.rows(batch), self._last_own, self._shards).stop
            self._loader.scatter(batch, first, self._scattered)
        order = self.member.order
        order[0], order[1], order[2] = epoch, batch, self._optimizer_state.clock.step
        self.member.rate[0] = self._optimizer_state.rate.value
        self.member.signals.notify()

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the other workers have finished the step, and add their metric counters to ``running``.

        Until the next step they neither read nor write shared memory.
        """
        self.member.signals.wait()
        if running is not None:
            for views in self._others:
                running.include(views)

    # Validation.

    @property
    def validates(self) -> bool:
        """Whether the workers validate together."""
        return self._sharing.batches > 0

    def validate(self, evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None]) -> RunningMetrics:
        """Evaluate the validation rows with all workers; return ``running`` with the bits of this process alone.

        Args:
            between: called before each batch of this process; what it raises ends the evaluation.
        """
        self.member.order[0] = VALIDATE
        batches = Batches(self.member.arrays, 0, self.size)
        return batches.launch(evaluation, running, self.member.signals, between)

    def check(self) -> None:
        """Raise GS604 (RunError) if a worker has died."""
        self.processes.check()

    # Start and end.

    def _message(self, document: Mapping[str, Any], maps: dict[str, Any]) -> dict[str, Any]:
        return {
            "document": document["document"],
            "adapted": document["adapted"],
            "plugins": plugins() if self.size > 1 else [],
            "size": self.size,
            "seed": self._step.seed,
            "batch_size": self._loader.batch_size,
            "shuffle": self._loader.shuffle and not self._scattered,
            "total": len(self._loader.dataset) if self._scattered else None,
            "maps": maps,
            "validation": list(self._sharing.same) if self.validates else None,
        }

    def _move_in(self, memory: Memory) -> None:
        """Move weights and slots into shared memory, and register how to move them back."""
        optimizer_state, parameters = self._optimizer_state, self._step.parameters
        own, gradient, slots = dict(parameters.vectors), optimizer_state.gradient, optimizer_state.slots

        def move_out() -> None:
            for name, vector in own.items():
                vector[...] = parameters.vectors[name]
            parameters.vectors = own
            optimizer_state.move_back(gradient, slots)

        for name, vector in own.items():
            memory.arrays[f"weights/{name}"][...] = vector
        parameters.vectors = {name: memory.arrays[f"weights/{name}"] for name in own}
        self._stack.callback(move_out)
        optimizer, clock, rate = optimizer_state.optimizer, optimizer_state.clock, optimizer_state.rate
        update = partial(self.member.update, optimizer, clock=clock, rate=rate)
        optimizer_state.move(self.member.gradients, self.member.slots, update)

    def close(self) -> None:
        """End the other workers, and move weights and slots back into this process's memory."""
        self.processes.close()
        self._stack.close()


def plugins() -> list[str]:
    """Return the modules that a worker imports before it reads the spec.

    Raises:
        OSError: one of them is the running script, which a worker would run again.
    """
    modules = list(dict.fromkeys(m for registry in REGISTRIES.values() for m in registry.plugins()))
    if "__main__" in modules:
        raise OSError("the script defines classes that the spec may use: move them to a module, and import it")
    return modules


def _scatters(step: Step) -> bool:
    """Return whether rank 0 gathers the rows of all workers, batch by batch, which saves a shared copy of all rows."""
    loader = step.loader
    shapes = loader.shapes(loader.rows(0))
    row_bytes = sum(a[:1].nbytes for a in loader.dataset.feeds().values())
    return activations(step.network.graph, shapes) >= _SCATTER_RATIO * loader.rows(0) * row_bytes
