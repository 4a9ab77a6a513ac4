"""Choose the number of workers of a run: from the spec, from the run to resume, or by timing a few steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graphspec.base.arrays.cores import usable_cores
from graphspec.base.codes import Code
from graphspec.base.errors import RunError, UsageError
from graphspec.base.text import count
from graphspec.engine.compiler.divided_batches import WHOLE, describe, mixing
from graphspec.engine.training.auto_workers import AutoWorkers

if TYPE_CHECKING:
    from graphspec.engine.training.steps import TrainingSteps


def refuse_too_few_cores(size: int, directory: Path) -> None:
    """Raise UsageError if a run to resume has more workers than there are cores: they would wait for each other."""
    if size > (cores := usable_cores()):
        text = f"the run in {directory} started with {size} workers and needs as many, but there are {cores} cores"
        raise UsageError(f"{text}: resume it on a machine with {size} cores, or start again with --overwrite")


def refuse_other_ranks(size: int, ranks: int, directory: Path, local: int = 1) -> None:
    """Raise UsageError if a run to resume was started with another number of ranks: the bits would differ.

    Args:
        size: the workers of all ranks at the start.
        local: the workers of each of the ``ranks`` that there are now.
    """
    if size == ranks * local:
        return
    if local > 1:
        text = f"the run in {directory} started with {size} workers, but there are {ranks} ranks of {local}"
        raise UsageError(f"{text}: start ranks of {size} workers together, or use --overwrite")
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

    Raises:
        UsageError: the ranks of an MPI job cannot divide the shards of the spec equally, or the rows of a batch.
        RunError: GS602, the memory is too small for the gradients of all shards.
    """
    if steps.ranks is not None:
        local = workers_per_rank(steps.model.spec.training.workers)
        if steps.ranks.size * local > 1 and (mixed := mixing(steps.model.spec, steps.model.full)) is not None:
            raise UsageError(f"ranks divide each batch, but {describe(mixed)}: {WHOLE}")
        refuse_indivisible(steps.shards, steps.ranks.size, local)
        if local > (cores := usable_cores()):
            remedy = f"`mpiexec --bind-to none`, `srun --cpus-per-task={local}`"
            report(f"rank 0 has {local} workers but may use {count(cores, 'core')}: see {remedy}")
        steps.join_ranks(steps.ranks, local)
        return steps.ranks.size * local, None
    auto = None
    if requested == "mpi":
        size = 1
    elif requested == "auto" and (mixed := mixing(steps.model.spec, steps.model.full)) is not None:
        report(f"one worker: {describe(mixed)}")
        size = 1
    elif requested == "auto":
        auto = AutoWorkers(
            steps,
            partial(_train_alone, steps),
            partial(_join, steps, report=report),
            min(_usable(steps), steps.loader.rows(0)),
        )
        size = auto.choose(epochs)
    elif exactly:
        size = requested
    else:
        size, cores = requested, _usable(steps)
        if size > cores:
            report(f"{cores} of {size} workers: there are no more cores")
            size = cores
    if size > 1 and steps.leader is None and not _join(steps, size, report):
        size = 1
    if steps.leader is None:
        _train_alone(steps)
    return size, auto


def workers_per_rank(workers: int | Literal["auto", "mpi"]) -> int:
    """Return how many processes each rank of an MPI job has, from the key ``workers`` of the spec."""
    return workers if isinstance(workers, int) else 1


def refuse_indivisible(shards: int | None, ranks: int, local: int) -> None:
    """Raise UsageError if the ranks of an MPI job, of ``local`` workers each, cannot divide the shards equally."""
    if shards is not None and shards % (ranks * local):
        each = f" of {local} workers" if local > 1 else ""
        text = f"{ranks} ranks{each} cannot divide `shards: {shards}` equally"
        if shards < local:
            raise UsageError(f"{text}: use at most {shards} workers")
        most = 1 << (min(ranks, shards // local).bit_length() - 1)
        raise UsageError(f"{text}: start a power of two up to {shards // local}, such as `mpiexec -n {most}`")


def _usable(steps: TrainingSteps) -> int:
    """Return how many workers can have a core each; with ``shards``, a number that divides them."""
    cores = usable_cores()
    return cores if steps.shards is None else min(1 << (cores.bit_length() - 1), steps.shards)


def _train_alone(steps: TrainingSteps) -> None:
    """Train in this process alone; with ``shards``, as a group of one."""
    if steps.shards is None:
        return
    try:
        steps.join(1)
    except OSError as error:
        hint = "fewer `shards` need fewer gradients, or use a machine with more memory"
        raise RunError(Code.NOT_ENOUGH_MEMORY, str(error), hint) from None


def _join(steps: TrainingSteps, size: int, report: Callable[[str], None]) -> bool:
    try:
        steps.join(size)
    except OSError as error:
        report(f"one worker instead of {size}: {error}")
        return False
    return True
