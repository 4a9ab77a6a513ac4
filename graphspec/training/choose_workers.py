"""How many workers a run has: what the spec or the run that is resumed says, or what a few steps show to be quicker."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from graphspec.arrays.cores import usable_cores
from graphspec.compiler.fetches import TOTAL
from graphspec.errors import UsageError

if TYPE_CHECKING:
    from graphspec.data.batches import BatchLoader
    from graphspec.parallel.leader import Leader
    from graphspec.runtime.optimizer_state import OptimizerState
    from graphspec.runtime.program import Program
    from graphspec.runtime.session import Session

SHORTEST = 1e-4
"""Seconds of a step below which workers only wait for each other."""
WORTH_IT = 5.0
"""Seconds that a run must take for processes to be started, which takes about one."""
GAIN = 0.9
_STEPS = 5


class Trainer(Protocol):
    """The training whose workers are chosen."""

    model: Session
    optimizer_state: OptimizerState
    loader: BatchLoader
    leader: Leader | None
    directory: Path | None
    resumed: bool
    epoch: int
    total: int
    batch: int

    def say(self, text: str, /) -> None: ...
    def compute(self) -> tuple[int, Program]: ...
    def join(self, size: int, /) -> None: ...
    def leave(self) -> None: ...


def refuse_too_few_cores(size: int, directory: Path) -> None:
    """UsageError where a run to be resumed has more workers than there are cores: they would wait for each other."""
    if size > (cores := usable_cores()):
        text = (
            f"the run in {directory} was begun with {size} workers, and its bits need as many; there are {cores} cores"
        )
        raise UsageError(f"{text}: resume it where there are {size}, or start again with --overwrite")


def choose_workers(trainer: Trainer) -> None:
    """Let ``trainer`` go on with the right number of workers, and say so where it is not the one asked for."""
    model, asked = trainer.model, trainer.model.spec.training.workers
    if trainer.resumed and model.workers is not None:
        size = model.workers  # whatever cores there are now: another number would give other bits
    elif asked == "auto":
        size = _quicker(trainer)
    else:
        size, cores = asked, usable_cores()
        if size > cores:
            trainer.say(f"{cores} of {size} workers: there are no more cores")
            size = cores
    if size > 1 and trainer.leader is None and not _join(trainer, size):
        size = 1
    model.workers = size


def _join(trainer: Trainer, size: int) -> bool:
    try:
        trainer.join(size)
    except OSError as error:
        trainer.say(f"one worker instead of {size}: {error}")
        return False
    return True


def _quicker(trainer: Trainer) -> int:
    """One, or as many as there are cores, whichever takes less time for a few steps, which are then undone."""
    cores = min(usable_cores(), trainer.loader.rows(0))
    if cores == 1:
        return 1
    alone = _rehearse(trainer)
    left = (trainer.total - trainer.epoch) * trainer.loader.batches
    if alone < SHORTEST or alone * left < WORTH_IT or not _join(trainer, cores):
        return 1
    if _rehearse(trainer) < GAIN * alone:
        return cores
    trainer.leave()
    return 1


def _rehearse(trainer: Trainer) -> float:
    """Seconds of a step, the least of a few."""
    times = []
    with _undone(trainer):
        trainer.loader.start(trainer.epoch)
        for _ in range(2 + _STEPS):
            began = time.perf_counter()
            _, program = trainer.compute()
            if math.isfinite(program.fetches[TOTAL]):
                trainer.optimizer_state.run()
            if trainer.leader is not None:
                trainer.leader.finish_step(None)
            times.append(time.perf_counter() - began)
    return min(times[2:])


@contextmanager
def _undone(trainer: Trainer) -> Iterator[None]:
    """Take back what steps change: weights, statistics, slots, and the rate."""
    optimizer_state, batch = trainer.optimizer_state, trainer.batch
    changed = [*trainer.model.parameters.vectors.values(), *optimizer_state.slots.values()]
    before, rate = [array.copy() for array in changed], optimizer_state.rate.value
    trainer.batch = 0
    try:
        yield
    finally:
        for array, values in zip(changed, before, strict=True):
            array[...] = values
        optimizer_state.rate.value, trainer.batch = rate, batch
