"""The worker processes of one machine, or of one rank of an MPI job, and the memory that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.memory import describe_map, free
from graphspec.base.files import open_closed_streams
from graphspec.data.batches import Dataset
from graphspec.engine.parallel.agreement import installation, program
from graphspec.engine.parallel.group import Place
from graphspec.engine.parallel.member import Member, layout
from graphspec.engine.parallel.processes import Processes
from graphspec.engine.parallel.shared_memory import allocate
from graphspec.engine.parallel.validation import PREFIX, Sharing, nbytes
from graphspec.graph.analysis import activations
from graphspec.language.explain import REGISTRIES

if TYPE_CHECKING:
    from graphspec.base.arrays.random import Clock
    from graphspec.engine.parallel.mpi_group import MpiGroup
    from graphspec.engine.parallel.step import Step
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.graph.ir.graph import Array
    from graphspec.graph.optimizers import Optimizer, Rate

_SCATTER_RATIO = 32
# Bytes of activations per byte of batch rows. From this ratio on, rank 0 gathers the whole batch in less than 1 % of a
# step.


class Team:
    """The worker processes of a machine: this one is the first, and starts the others, if any.

    The weights are in shared memory from the start to :meth:`close`.

    Args:
        slots: the optimizer's slots to share, by name, with the shape and dtype of each.
        document: ``document``, the spec with absolute paths of data files, ``adapted``, what
            it has learnt, or None, and ``folder``, the folder of the spec.
        place: of this process.
        between: the group of the ranks.
        validation: the rows that the processes validate, if they are many.

    Attributes:
        member: computes this process's shards.
        sharing: how the processes get the validation rows, if they share them.

    Raises:
        OSError: processes or shared memory are not available; nothing has changed then.
    """

    def __init__(
        self,
        step: Step,
        optimizer: Optimizer,
        running: RunningMetrics,
        slots: Mapping[str, tuple[Sequence[int], Any]],
        document: Mapping[str, Any],
        place: Place,
        between: MpiGroup | None = None,
        validation: Dataset | None = None,
    ) -> None:
        open_closed_streams()  # the children's pipes replace theirs
        self._step, self._loader, self._compared = step, step.loader, place.workers == 1
        self.processes, self._place, alone = Processes(place.workers), place, place.ranks == 1
        partition = step.divide(optimizer, place.total, shard_kernels=alone)
        self._shards = len(partition.parts)
        arrays = layout(step, running, slots, partition, place)
        data = self._loader.dataset.named() if place.workers > 1 else {}
        maps = {name: where for name, a in data.items() if (where := describe_map(a)) is not None}
        rows = {name: a for name, a in data.items() if name not in maps}
        if scatters := bool(rows) and not maps and alone and _scatters(step):
            rows.pop("chosen", None)
        lengths = {name: self._loader.rows(0) if scatters else len(a) for name, a in rows.items()}
        arrays |= {f"rows/{name}": ((lengths[name], *a.shape[1:]), a.dtype) for name, a in rows.items()}
        whole, room = {} if scatters else rows, free() - nbytes(arrays)
        self.sharing = Sharing.of(validation, self._loader.batch_size, running, whole, room, place.workers)
        maps |= {f"{PREFIX}rows/{name}": where for name, where in self.sharing.maps.items()}
        memory = allocate(arrays | self.sharing.layout())
        self._scattered: dict[str, Array] = {}
        try:
            shared = {name: memory.arrays[f"rows/{name}"] for name in rows}
            if scatters:
                self._scattered = Dataset.of(shared).feeds()
            else:
                for name, array in rows.items():
                    shared[name][...] = array
            self.sharing = self.sharing.copy(memory.arrays)
            signals = self.processes.start(memory, self._message(document, maps, optimizer))
            lookups = partial(step.lookups, optimizer)
            self.member = Member(memory.arrays, signals, place, partition, step.network, lookups, between)
            self._own = dict(step.parameters.vectors)
            for name, vector in self._own.items():
                memory.arrays[f"weights/{name}"][...] = vector
            step.parameters.vectors = {name: memory.arrays[f"weights/{name}"] for name in self._own}
        except BaseException:
            self.processes.close()
            raise
        finally:
            memory.close()

    def await_workers(self) -> None:
        """Wait until the other workers have compared their programs with this process's; the first time alone.

        Raises:
            RunError: GS606, they differ; GS604, a worker has died.
        """
        if not self._compared:
            self.member.signals.wait()
            self._compared = True

    def launch(self, epoch: int, batch: int, clock: Clock, rate: Rate) -> None:
        """Let the other workers start their shards of a step."""
        self.await_workers()
        if self._scattered:
            last = self._place.own(self._shards).stop - 1
            first = shard_slice(self._loader.rows(batch), last, self._shards).stop
            self._loader.scatter(batch, first, self._scattered)
        order = self.member.order
        order[0], order[1], order[2] = epoch, batch, clock.step
        self.member.rate[0] = rate.value
        self.member.signals.notify()

    def wait(self) -> None:
        """Wait until the other workers have finished the step: until the next one they do not use shared memory."""
        self.member.signals.wait()

    def _message(self, document: Mapping[str, Any], maps: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
        return {
            "document": document["document"],
            "adapted": document["adapted"],
            "folder": document["folder"],
            "facts": {**installation(), **program(self._step, optimizer)} if self._place.workers > 1 else {},
            "plugins": plugins() if self._place.workers > 1 else [],
            "place": asdict(self._place),
            "seed": self._step.seed,
            "batch_size": self._loader.batch_size,
            "shuffle": self._loader.shuffle and not self._scattered,
            "total": len(self._loader.dataset) if self._scattered else None,
            "maps": maps,
            "validation": self.sharing.same,
        }

    def close(self) -> None:
        """End the other workers, and move the weights back into this process's memory."""
        self.processes.close()
        parameters = self._step.parameters
        for name, vector in self._own.items():
            vector[...] = parameters.vectors[name]
        parameters.vectors = self._own


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
