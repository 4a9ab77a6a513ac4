"""Validation by all local workers during a training, with the bits of rank 0 alone.

Each batch is computed by one worker, which stores its totals in shared memory; rank 0 adds them in the order of the batches.
A worker that has finished its own batches takes those that others have not begun, so none waits long for one on a busy core.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from graphspec.base.arrays.blas import openblas
from graphspec.base.arrays.memory import describe_map
from graphspec.data.batches import Dataset
from graphspec.engine.compiler.objective import objective_for
from graphspec.engine.parallel.machine import Place, Signals
from graphspec.engine.parallel.shards import Step
from graphspec.engine.runtime.program import ProgramCache
from graphspec.engine.runtime.running_metrics import Evaluation, RunningMetrics
from graphspec.graph.ir.graph import Array

PREFIX = "validation/"  # begins the names of what is shared for validation
VALIDATE = -1  # the epoch of an order that is no training step
MIN_BATCHES = 4  # batches per worker, from which on workers validate: each binds one more program
ALONE_SECONDS = 0.02  # rank 0 validates before it wakes the others: on a busy core one may keep it waiting
_COPIED_SHARE = 0.25  # of the free memory, which copies of rows may take
_COPIED_ROWS = 1024  # at a time
_TOTALS_BYTES = 1 << 25  # of the totals of all batches


@dataclass(frozen=True)
class Sharing:
    """How workers get the validation rows; empty if rank 0 validates alone."""

    copies: Mapping[str, Any] = field(default_factory=dict)  # the arrays to copy to shared memory, by name
    chosen: Array | None = None  # the indices of the rows to copy; None for all
    maps: Mapping[str, Any] = field(default_factory=dict)  # the rows that each worker maps from a file
    same: tuple[str, ...] = ()  # the names of rows that are also training rows, in shared memory
    batches: int = 0  # batches, totals: the number of batches, and of totals of each
    totals: int = 0

    @classmethod
    def of(
        cls,
        rows: Dataset | None,
        batch_size: int,
        running: RunningMetrics,
        shared: Mapping[str, Any],  # the training rows that are in shared memory as a whole, by name
        room: float,  # the bytes of free memory
        size: int,
    ) -> Sharing:
        """Decide how ``size`` workers get the rows, and whether they validate at all."""
        batches = 0 if rows is None else -(-len(rows) // batch_size)
        # Another BLAS may have several threads on rank 0 and one in the workers: their bits would differ.
        if rows is None or batches < MIN_BATCHES * size or size == 1 or openblas() is None or not running.sums_batches:
            return cls()
        named = rows.named()
        maps = {name: where for name, a in named.items() if (where := describe_map(a)) is not None}
        same = tuple(name for name, a in named.items() if name not in maps and shared.get(name) is a)
        chosen = None if maps or same else rows.chosen  # then only the rows of this part are copied
        copies = {name: a for name, a in named.items() if name not in maps and name not in same}
        if chosen is not None:
            del copies["chosen"]
        sharing = cls(copies, chosen, maps, same, batches, running.totals)
        copied = nbytes({name: sharing.copied(a) for name, a in copies.items()})
        fits = copied <= _COPIED_SHARE * room and 8 * batches * running.totals <= _TOTALS_BYTES
        return sharing if fits else cls()

    def copied(self, array: Array) -> tuple[tuple[int, ...], Any]:
        return (len(array) if self.chosen is None else len(self.chosen), *array.shape[1:]), array.dtype

    def layout(self) -> dict[str, tuple[Any, Any]]:
        if not self.batches:
            return {}
        return {
            f"{PREFIX}claims": ((self.batches,), np.uint8),
            f"{PREFIX}stop": ((1,), np.uint8),
            f"{PREFIX}totals": ((self.batches, self.totals), np.float64),
            **{f"{PREFIX}rows/{name}": self.copied(a) for name, a in self.copies.items()},
        }

    def copy(self, arrays: Mapping[str, Array]) -> Sharing:
        """Copy the rows to shared memory, and return the same without references to them."""
        for name, array in self.copies.items():
            copy = arrays[f"{PREFIX}rows/{name}"]
            for start in range(0, len(copy), _COPIED_ROWS):  # indexing makes another copy of what it indexes
                part = slice(start, start + _COPIED_ROWS)
                copy[part] = array[part] if self.chosen is None else array[self.chosen[part]]
        return replace(self, copies={}, chosen=None)


def nbytes(layout: Mapping[str, tuple[Any, Any]]) -> int:
    """Return the bytes of arrays with these shapes and dtypes."""
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in layout.values())


class Batches:
    """The batches that one worker computes, and their totals in shared memory."""

    def __init__(self, arrays: Mapping[str, Array], rank: int, size: int) -> None:
        self._claims, self._stop, self._totals = (arrays[PREFIX + n] for n in ("claims", "stop", "totals"))
        every = range(len(self._claims))
        others = [batch for batch in reversed(every) if batch % size != rank]
        self._order = [*every[rank::size], *others]

    def compute(
        self, evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None], seconds: float = math.inf
    ) -> None:
        """Compute the batches that nobody has begun, and store their totals; begin none after so many seconds.

        Two workers may begin the same batch at the same time: both then store the same bits.
        """
        begin = time.perf_counter()
        for batch in self._order:
            if self._stop[0] or time.perf_counter() - begin >= seconds:
                return
            if not self._claims[batch]:
                self._claims[batch] = 1
                between()
                running.reset()
                evaluation.compute(batch, running)
                running.store(self._totals[batch])

    def launch(
        self, evaluation: Evaluation, running: RunningMetrics, signals: Signals, between: Callable[[], None]
    ) -> RunningMetrics:
        """On rank 0: compute all batches, and return their totals. If it takes long, the others help: they have their order.

        ``between`` is called before each batch of this worker; what it raises ends the evaluation.
        """
        self._claims.fill(0)
        self._stop[0] = 0
        self.compute(evaluation, running, between, ALONE_SECONDS)
        if not self._claims.all():
            signals.notify()
            try:
                self.compute(evaluation, running, between)
            except BaseException:
                self._stop[0] = 1
                raise
            finally:
                signals.wait()
        running.reset()
        for batch, totals in enumerate(self._totals):
            running.add_stored(evaluation.loader.rows(batch), totals)
        return running


@dataclass
class Validator:
    """Validation on a worker other than rank 0: it builds what it needs at the first order."""

    step: Step
    place: Place
    arrays: Mapping[str, Array]  # shared arrays, and rows mapped from files, by name
    same: list[str]  # the names of rows that are also training rows
    inherited: Dataset | None = None  # the rows, if they are this process's own

    def run(self) -> None:
        batches, evaluation, running = self._parts
        batches.compute(evaluation, running, lambda: None)

    @cached_property
    def _parts(self) -> tuple[Batches, Evaluation, RunningMetrics]:
        start, data = f"{PREFIX}rows/", self.inherited
        if data is None:
            rows = {name.removeprefix(start): a for name, a in self.arrays.items() if name.startswith(start)}
            data = Dataset.of(rows | {name: self.arrays[f"rows/{name}"] for name in self.same})
        network, size = self.step.network, self.step.loader.batch_size
        objective = objective_for(network, data)
        evaluation = Evaluation(network, objective, self.step.parameters, data, size, ProgramCache())
        return Batches(self.arrays, self.place.worker, self.place.workers), evaluation, RunningMetrics(network)
