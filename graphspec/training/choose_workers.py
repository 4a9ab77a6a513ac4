"""How many workers a run has: what the spec or the run that is resumed says, or what a few steps show to be quicker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graphspec.arrays.cores import usable_cores
from graphspec.compiler.fetches import TOTAL
from graphspec.errors import UsageError

if TYPE_CHECKING:
    from graphspec.training.steps import TrainingSteps

SHORTEST = 1e-4
"""Seconds of a step below which workers only wait for each other."""
WORTH_IT = 5.0
"""Seconds that a run must take for processes to be started, which takes about one."""
GAIN = 0.9
_STEPS = 5


def refuse_too_few_cores(size: int, directory: Path) -> None:
    """UsageError where a run to be resumed has more workers than there are cores: they would wait for each other."""
    if size > (cores := usable_cores()):
        text = (
            f"the run in {directory} was begun with {size} workers, and its bits need as many; there are {cores} cores"
        )
        raise UsageError(f"{text}: resume it where there are {size}, or start again with --overwrite")


def choose_workers(
    steps: TrainingSteps,
    asked: int | Literal["auto"],
    epochs: range,
    say: Callable[[str], None],
    *,
    exactly: bool = False,
) -> int:
    """Let ``steps`` go on with the right number of workers; the number, which is said where it is not the one asked for.

    Args:
        epochs: those that are left.
        exactly: take the number asked for whatever cores there are: another number would give other bits.
    """
    if asked == "auto":
        size = _quicker(steps, epochs, say)
    elif exactly:
        size = asked
    else:
        size, cores = asked, usable_cores()
        if size > cores:
            say(f"{cores} of {size} workers: there are no more cores")
            size = cores
    if size > 1 and steps.leader is None and not _join(steps, size, say):
        size = 1
    return size


def _join(steps: TrainingSteps, size: int, say: Callable[[str], None]) -> bool:
    try:
        steps.join(size)
    except OSError as error:
        say(f"one worker instead of {size}: {error}")
        return False
    return True


def _quicker(steps: TrainingSteps, epochs: range, say: Callable[[str], None]) -> int:
    """One, or as many as there are cores, whichever takes less time for a few steps, which are then undone."""
    cores = min(usable_cores(), steps.loader.rows(0))
    if cores == 1:
        return 1
    alone = _rehearse(steps, epochs.start)
    left = len(epochs) * steps.loader.batches
    if alone < SHORTEST or alone * left < WORTH_IT or not _join(steps, cores, say):
        return 1
    if _rehearse(steps, epochs.start) < GAIN * alone:
        return cores
    steps.leave()
    return 1


def _rehearse(steps: TrainingSteps, epoch: int) -> float:
    """Seconds of a step, the least of a few."""
    times = []
    with steps.undone():
        steps.loader.start(epoch)
        for _ in range(2 + _STEPS):
            began = time.perf_counter()
            _, program = steps.compute(epoch, 0)
            if math.isfinite(program.fetches[TOTAL]):
                steps.optimizer_state.run()
            steps.finish()
            times.append(time.perf_counter() - began)
    return min(times[2:])
