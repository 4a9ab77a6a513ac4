"""Rank 0's side of a group of processes: it starts the others, gives the orders, and restores everything at the end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from graphspec.arrays.blas import one_thread
from graphspec.arrays.memory_maps import mapped
from graphspec.data.batches import Dataset
from graphspec.graph.memory_estimate import activations
from graphspec.kernels.group import LocalGroup
from graphspec.language.explain import REGISTRIES
from graphspec.parallel.member import Member, layout
from graphspec.parallel.processes import Processes
from graphspec.parallel.shared_memory import allocate
from graphspec.runtime.partition import Partition

if TYPE_CHECKING:
    from graphspec.ir.graph import Array
    from graphspec.parallel.member import Step
    from graphspec.parallel.shared_memory import Memory
    from graphspec.runtime.optimizer_state import OptimizerState
    from graphspec.runtime.running_metrics import RunningMetrics

_FEW = 32
"""How many times its rows a step writes where gathering all of them takes rank 0 less than a hundredth of the step."""


class Leader:
    """``size`` processes that train together: this one, rank 0, and others that it starts.

    While it lasts, the weights and the optimizer's slots lie in shared memory; :meth:`close` takes them back.

    Args:
        document: the spec, with data files by paths that hold anywhere.

    Raises:
        OSError: processes or shared memory are not to be had; nothing has changed then.
    """

    def __init__(
        self,
        step: Step,
        optimizer_state: OptimizerState,
        running: RunningMetrics,
        document: Mapping[str, Any],
        size: int,
    ) -> None:
        self._step, self._optimizer_state, self._loader = step, optimizer_state, step.loader
        self.size, self.processes, self._stack = size, Processes(size), ExitStack()
        partition = step.divide(optimizer_state.optimizer, size)
        wanted = layout(step, running, optimizer_state.slots, partition)
        given = self._loader.dataset.named()
        maps = {name: where for name, a in given.items() if (where := mapped(a)) is not None}
        rows = {name: a for name, a in given.items() if name not in maps}
        if scatters := not maps and _scatters(step):
            rows.pop("chosen", None)
        held = {name: self._loader.rows(0) if scatters else len(a) for name, a in rows.items()}
        wanted |= {f"rows/{name}": ((held[name], *a.shape[1:]), a.dtype) for name, a in rows.items()}
        memory = allocate(wanted)
        self._scattered: dict[str, Array] = {}
        try:
            shared = {name: memory.arrays[f"rows/{name}"] for name in rows}
            if scatters:
                self._scattered = Dataset.of(shared).feeds()
            else:
                for name, array in rows.items():
                    shared[name][...] = array
            signals = self.processes.start(memory, self._message(document, maps))
            self.member = Member(memory.arrays, signals, 0, partition)
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
        """Let the others take their part of a step."""
        if self._scattered:
            self._loader.scatter(batch, self._scattered)
        order = self.member.order
        order[0], order[1], order[2] = epoch, batch, self._optimizer_state.clock.step
        self.member.rate[0] = self._optimizer_state.rate.value
        self.member.signals.notify()

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the others have done their part; until the next step they touch nothing. Count what they counted."""
        self.member.signals.wait()
        if running is not None:
            for views in self._others:
                running.include(views)

    # Beginning and end.

    def _message(self, document: Mapping[str, Any], maps: dict[str, Any]) -> dict[str, Any]:
        return {
            "document": document,
            "plugins": _plugins(),
            "size": self.size,
            "seed": self._step.seed,
            "batch_size": self._loader.batch_size,
            "shuffle": self._loader.shuffle and not self._scattered,
            "total": len(self._loader.dataset) if self._scattered else None,
            "maps": maps,
        }

    def _move_in(self, memory: Memory) -> None:
        """Weights and slots into shared memory, and the way back."""
        optimizer_state, parameters = self._optimizer_state, self._step.parameters
        own, gradient, slots = dict(parameters.vectors), optimizer_state.gradient, optimizer_state.slots

        def move_out() -> None:
            for name, vector in own.items():
                vector[...] = parameters.vectors[name]
            parameters.vectors = own
            optimizer_state.move([gradient], slots, LocalGroup(), Partition([slice(0, gradient.size)]))
            self._loader.rank, self._loader.size = 0, 1

        for name, vector in own.items():
            memory.arrays[f"weights/{name}"][...] = vector
        parameters.vectors = {name: memory.arrays[f"weights/{name}"] for name in own}
        self._stack.callback(move_out)
        optimizer_state.move(self.member.gradients, self.member.slots, self.member.group, self.member.partition)
        self._loader.rank, self._loader.size = 0, self.size

    def close(self) -> None:
        """End the others, and take weights and slots back into this process's memory."""
        self.processes.close()
        self._stack.close()


def _plugins() -> list[str]:
    """The modules that a worker imports before it reads the spec.

    Raises:
        OSError: one is the script that runs; in a worker it would run again.
    """
    modules = list(dict.fromkeys(m for registry in REGISTRIES.values() for m in registry.plugins()))
    if "__main__" in modules:
        raise OSError("the script defines classes that the spec may name; put them into a module, and import it")
    return modules


def _scatters(step: Step) -> bool:
    """Whether rank 0 gathers the others' rows, too, so that not all rows need lie in shared memory once more."""
    loader = step.loader
    shapes = loader.shapes(loader.rows(0))
    row = sum(a[:1].nbytes for a in loader.dataset.feeds().values())
    return activations(step.network.graph, shapes) >= _FEW * loader.rows(0) * row
