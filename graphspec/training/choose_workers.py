"""Choose the number of workers of a run: from the spec, from the run to resume, or by timing a few steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graphspec.arrays.cores import usable_cores
from graphspec.errors import UsageError
from graphspec.text import count
from graphspec.training.auto_workers import AutoWorkers

if TYPE_CHECKING:
    from graphspec.training.steps import TrainingSteps


def refuse_too_few_cores(size: int, directory: Path) -> None:
    """Raise UsageError if a run to resume has more workers than there are cores: they would wait for each other."""
    if size > (cores := usable_cores()):
        text = f"the run in {directory} started with {size} workers and needs as many, but there are {cores} cores"
        raise UsageError(f"{text}: resume it on a machine with {size} cores, or start again with --overwrite")


def refuse_other_ranks(size: int, ranks: int, directory: Path) -> None:
    """Raise UsageError if a run to resume was started with another number of ranks: the bits would differ."""
    if size != ranks:
        now = "is 1" if ranks == 1 else f"are {ranks}"
        text = f"the run in {directory} started with {count(size, 'rank')}, but there {now}"
        raise UsageError(f"{text}: start as many, `mpiexec -n {size} graphspec train … --resume`, or use --overwrite")


def choose_workers(
    steps: TrainingSteps,
    requested: int | Literal["auto", "mpi"],
    epochs: range,
    report: Callable[[str], None],
    *,
    exactly: bool = False,
) -> tuple[int, AutoWorkers | None]:
    """Start the workers of ``steps``; return their number, and what may revise it. Report if it is not the requested one.

    Args:
        epochs: the remaining epochs.
        exactly: use the requested number even if there are fewer cores, since another number would give other bits.
    """
    if steps.ranks is not None:
        steps.join_ranks(steps.ranks)
        return steps.ranks.size, None
    if requested == "mpi":
        return 1, None
    if requested == "auto":
        auto = AutoWorkers(steps, partial(_join, steps, report=report), min(usable_cores(), steps.loader.rows(0)))
        return auto.choose(epochs), auto
    if exactly:
        size = requested
    else:
        size, cores = requested, usable_cores()
        if size > cores:
            report(f"{cores} of {size} workers: there are no more cores")
            size = cores
    if size > 1 and not _join(steps, size, report):
        size = 1
    return size, None


def _join(steps: TrainingSteps, size: int, report: Callable[[str], None]) -> bool:
    try:
        steps.join(size)
    except OSError as error:
        report(f"one worker instead of {size}: {error}")
        return False
    return True
