"""Choose the number of workers of a run: from the spec, from the run to resume, or by timing a few steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal

from graphspec.base.arrays.blas import openblas
from graphspec.base.arrays.cores import usable_cores
from graphspec.base.arrays.memory import give_back
from graphspec.base.errors import Code, RunError, UsageError
from graphspec.base.text import count
from graphspec.engine.compiler.objective import TOTAL, Objective
from graphspec.engine.compiler.training_checks import WHOLE, describe, mixing
from graphspec.engine.parallel import agreement
from graphspec.engine.parallel.machine import Place
from graphspec.engine.parallel.processes import Leader, Team
from graphspec.engine.parallel.shards import Step, message_of
from graphspec.engine.runtime.program import Program, ProgramCache, no_rows
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.graph.kernels.context import LocalGroup

if TYPE_CHECKING:
    from graphspec.data.batches import BatchLoader, Dataset, Form
    from graphspec.engine.parallel.ranks import Ranks
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array
    from graphspec.vocabulary.callbacks import Callback


@dataclass(frozen=True)
class Plan:
    """The work of one call of ``fit``; ``total`` counts epochs over all trainings of the model: this one goes on."""

    objective: Objective  # the graph with the loss to minimise
    loader: BatchLoader  # the batches of an epoch
    validation: Dataset | None  # the data to evaluate after every epoch, if any
    callbacks: Sequence[Callback]
    total: int


class TrainingSteps:
    """Computes the gradient of each batch; the optimizer's state then updates the weights with it."""

    def __init__(self, model: Session, plan: Plan, running: RunningMetrics) -> None:
        self._validation, self._running, self.loader = plan.validation, running, plan.loader
        self.model, self.optimizer_state = model, model.optimizer_state
        self.own_cache: ProgramCache | None = None  # the model's programs for its own memory, while there are others
        clock = self.optimizer_state.clock
        self.common = Step(model, plan.objective, model.parameters, plan.loader, model.seed, clock)
        self.programs: dict[Form, Program] = {}  # those that are bound, by the form of the batch
        self.leader: Leader | None = None  # of the other worker processes, or ranks, if there are any
        self.shards = model.spec.training.shards  # parts of a batch that are computed separately; None: by worker
        self.ranks: Ranks | None = None  # the ranks of the MPI job, if the training is part of one

    def compute(self, epoch: int, batch: int) -> tuple[int, Program]:
        """Compute the losses and the gradient of a batch; return its length and the program with the losses.

        The other workers then also do their part of the update; :meth:`finish` waits for them.
        """
        program = self.programs.get(form := self.loader.form(batch)) or self._bind(form)
        if self.leader is not None:
            self.leader.launch_step(epoch, batch)
        program.load(batch)
        program.run()
        return form[0], program

    def finish(self, running: RunningMetrics | None = None) -> None:
        if self.leader is not None:
            self.leader.finish_step(running)

    def validate(self, rows: Dataset, between: Callable[[], None]) -> RunningMetrics:
        """Evaluate rows, with the other workers if they are many, which changes no bit; ``between`` precedes each batch."""
        size, leader = self.loader.batch_size, self.leader
        if leader is None or not leader.team.sharing.batches:
            return self.model.evaluate_prepared(rows, size, between=between)
        with self.model.access.reading():
            return leader.validate(self.model.evaluation(rows, size), RunningMetrics(self.model), between)

    def join(self, size: int) -> None:
        """Use so many processes until :meth:`leave`. OSError: they or shared memory cannot be had; nothing has changed."""
        self._cache_programs()
        state, running = self.optimizer_state, self._running
        slots = {name: (array.shape, array.dtype) for name, array in state.slots.items()}
        message = message_of(self.common, self.model) if size > 1 else {}

        def lighten() -> None:
            for array in (*self.model.parameters.vectors.values(), state.gradient, *state.slots.values()):
                give_back(array)
            self.model.programs = ProgramCache()

        place = Place(workers=size)
        team = Team(self.common, running, slots, message, place, validation=self._validation, lighten=lighten)
        self._follow(Leader(team, state, running, team.member.counters[1:], team.member.update))

    def join_ranks(self, ranks: Ranks, workers: int = 1) -> None:
        """Use the ranks of an MPI job, of ``workers`` processes each, from now on, until :meth:`leave`."""
        from graphspec.engine.parallel.ranks import RankLeader

        self._cache_programs()
        self._follow(RankLeader(self.common, self.model, self._running, ranks, workers))

    def _follow(self, leader: Leader) -> None:
        """Set the model's programs aside: they view this process's memory, not the shared one."""
        self.leader, self.own_cache, self.model.programs = leader, self.model.programs, ProgramCache()

    def leave(self) -> None:
        """Use only this process from now on, and drop the programs bound for several."""
        if self.leader is None:
            self._cache_programs()
            return
        self.programs.clear()  # they view shared memory, which is freed with the group
        self.leader.close()
        self.leader = None
        assert self.own_cache is not None
        self.model.programs, self.own_cache = self.own_cache, None

    @contextmanager
    def undone(self, before: Sequence[Array] | None = None) -> Iterator[None]:
        """Undo all steps inside the ``with`` block: weights, statistics, slots (copies, or ``before``), and the rate."""
        state = self.optimizer_state
        changed = [*self.model.parameters.vectors.values(), *state.slots.values()]
        before, rate = [array.copy() for array in changed] if before is None else before, state.rate.value
        try:
            yield
        finally:
            for array, values in zip(changed, before, strict=True):
                array[...] = values
            state.rate.value = rate

    def _bind(self, form: Form) -> Program:
        if self.leader is None:
            program = self.model.programs.take(self._key(form))
            if program is None:
                state = self.optimizer_state
                program = self.common.bind(form, state.gradient, LocalGroup(), lookups=state.lookups)
            program.load = self.loader.filler(program.feeds, slice(0, form[0]))
        else:
            program = self.leader.bind(form)
        self.programs[form] = program
        return program

    def _key(self, form: Form) -> Hashable:
        return ("train", *sorted(self.loader.shapes(*form).items()))

    def _cache_programs(self) -> None:
        """Put the programs into the model's cache for the next ``fit``, without references to the rows."""
        for form, program in self.programs.items():
            program.load = no_rows
            self.model.programs.put(self._key(form), program)
        self.programs.clear()


# ``workers: auto``: compare a step in one process with a step in one process per core, in turn, and choose.
#
# The steps are undone, so the choice changes no weight. It may be revised once, at the end of an epoch.
MIN_STEP_SECONDS = 1e-4  # in shorter steps, workers only wait for each other
MIN_RUN_SECONDS = 5.0  # in shorter runs, starting processes, which takes about a second, does not pay
MAX_TIME_RATIO = 0.9  # use several workers if their step takes at most this fraction of a step with one worker
CLEAR_RATIO = 0.75  # at most this fraction in the first comparison: there is nothing to repeat
REVISE_SECONDS = 20.0  # of training before the choice is looked at again, and at least three times as many to come
_ROUNDS = 5  # comparisons of a choice that is not clear
_BLOCK_SECONDS, _MAX_BLOCK_SECONDS = 0.05, 0.3  # of timed steps in a row
_BLOCK_STEPS, _MIN_BLOCK_STEPS = 5, 3
_WARM_UP_STEPS = 2
_SETTLE_SECONDS = 0.15  # until the threads of OpenBLAS, or the workers, of the other side sleep: they spin for 0.1 s
_TRIAL_SECONDS, _TRIAL_SHARE = 1.0, 0.02  # of the remaining run: after the longer of both, no further round begins
_KEPT_BYTES = 1 << 20  # programs of up to this size stay bound while the other side is timed
_OTHER_LOAD = 1.25  # steps of an epoch that take longer than in the trial by this factor: the machine has changed


@dataclass
class Measured:
    """What this process has measured of a program: seconds of a step alone, mean and least; of a choice, its outcome."""

    alone: float
    least: float
    ratio: float = math.nan  # of the steps of all workers to those of one process; NaN: not compared yet
    expected: float = math.nan  # seconds of a step of the faster side


MEASURED: dict[Hashable, Measured] = {}  # by program and shapes: fits, copies and folds of one program choose once


class AutoWorkers:
    """The number of workers of a training, of which ``join`` starts ``most``, if it can; ``alone`` prepares for one."""

    def __init__(self, steps: TrainingSteps, alone: Callable[[], None], join: Callable[[int], bool], most: int) -> None:
        self._steps, self._train_alone, self._join, self._most = steps, alone, join, most
        self._size, self._clear, self._since = 1, True, math.inf
        self._base: _Side | None = None
        self._measured = Measured(math.nan, math.nan)

    def choose(self, epochs: range) -> int:
        """Start the faster number of workers, and return it (``epochs``: the remaining epochs)."""
        steps, epoch, first = self._steps, epochs.start, list[float]()
        if self._most == 1:
            return 1
        self._base = _Side(steps)
        measured = MEASURED.get(key := self._program())
        if measured is None or math.isnan(measured.ratio):
            self._train_alone()
        if measured is None:
            first = _block(steps, epoch)
            measured = MEASURED.setdefault(key, Measured(fmean(first), min(first)))
        self._measured = measured
        remaining = measured.alone * len(epochs) * steps.loader.batches
        if measured.least < MIN_STEP_SECONDS or remaining < MIN_RUN_SECONDS:
            return 1
        if math.isnan(measured.ratio):
            self._compare(epoch, remaining, first)
            self._clear = not CLEAR_RATIO < measured.ratio < 1 / CLEAR_RATIO
        elif measured.ratio < MAX_TIME_RATIO:
            self._size = self._most if self._join(self._most) else 1
        self._since = time.monotonic()
        return self._size

    def _program(self) -> Hashable:
        """Return what the times of a step depend on, but for other work on the machine."""
        steps, loader = self._steps, self._steps.loader
        facts = agreement.program(steps.common), sorted(loader.shapes(loader.rows(0)).items()), steps.shards, self._most
        return blake2b(repr(facts).encode(errors="surrogatepass")).digest()

    def revise(self, epochs: range, seconds: float) -> int | None:
        """Choose again, once, if the first choice was not clear or steps take longer than then; None if nothing changes.

        ``epochs``: the remaining epochs. ``seconds``: the time of a step of the epoch that has ended.
        """
        remaining = seconds * len(epochs) * self._steps.loader.batches
        if time.monotonic() - self._since < REVISE_SECONDS or remaining < 3 * REVISE_SECONDS:
            return None
        if math.isnan(self._measured.ratio) or (self._clear and seconds < _OTHER_LOAD * self._measured.expected):
            return None
        self._since, before = math.inf, self._size
        self._compare(epochs.start, remaining)
        return None if self._size == before else self._size

    def _compare(self, epoch: int, remaining: float, first: Sequence[float] = ()) -> None:
        """Time both sides in turn, until the choice is clear; keep the faster. ``first``: times of one process."""
        steps, base, now = self._steps, self._base, _Side(self._steps)
        assert base is not None
        base.copy(now)
        base.install()
        if self._size == 1:
            now.forget()
            steps.programs = {}  # those of this side are not put into the model's cache
            if not self._join(self._most):
                now.install()
                return
        else:
            self._train_alone()
        alone, group = (now, _Side(steps)) if self._size == 1 else (_Side(steps), now)
        try:
            self._alternate(alone, group, epoch, remaining, first)
        finally:
            group.install()  # the one that has processes to end
        slower, faster = (alone, group) if self._measured.ratio < MAX_TIME_RATIO else (group, alone)
        self._size = self._most if faster is group else 1
        slower.install()
        steps.programs.clear()
        steps.leave()
        faster.install()

    def _alternate(self, alone: _Side, group: _Side, epoch: int, remaining: float, first: Sequence[float]) -> None:
        """Time both sides in turn; set the ratio of the steps of the group to those of one process."""
        begin, pairs = time.monotonic(), list[tuple[float, float]]()
        budget = max(_TRIAL_SECONDS, _TRIAL_SHARE * remaining)
        single: Sequence[float] = first or self._timed(alone, group, epoch)
        while True:
            several = self._timed(group, alone, epoch)
            pairs.append((fmean(single), fmean(several)))
            least = max(fmean(several) / fmean(single), min(several) / min(single))
            clear = len(pairs) == 1 and least < min(CLEAR_RATIO, MAX_TIME_RATIO)
            if clear or len(pairs) == _ROUNDS or time.monotonic() - begin > budget:
                break
            single = self._timed(alone, group, epoch)
        self._measured.ratio = ratio = median(b / a for a, b in pairs)
        self._measured.expected = median(pair[ratio < MAX_TIME_RATIO] for pair in pairs)

    def _timed(self, side: _Side, other: _Side, epoch: int) -> list[float]:
        side.install()
        time.sleep(_SETTLE_SECONDS)
        times = _block(self._steps, epoch, other.arrays)
        side.forget()
        return times


class _Side:
    """What training in one process, or in several, has for itself: memory, programs, the calls of an update.

    Both sides exist at the same time while they are compared; one of them is installed. Each is the copy from which the
    steps of the other are undone.
    """

    def __init__(self, steps: TrainingSteps) -> None:
        parameters, state, blas = steps.model.parameters, steps.optimizer_state, openblas()
        owners: dict[Any, Sequence[str]] = {
            steps: ("leader", "programs", "own_cache"),
            steps.model: ("programs",),
            parameters: ("vectors",),
            state: ("gradient", "slots", "calls", "run", "collect"),
        }
        self._values = [(owner, name, getattr(owner, name)) for owner, names in owners.items() for name in names]
        self._threads = None if blas is None else blas.get()
        self.programs = steps.programs  # those that are bound for this side
        self.arrays: list[Array] = [*parameters.vectors.values(), *state.slots.values()]  # all that a step changes

    def install(self) -> None:
        for owner, name, value in self._values:
            setattr(owner, name, value)
        if self._threads is not None and (blas := openblas()) is not None:
            blas.set(self._threads)

    def copy(self, other: _Side) -> None:
        for array, values in zip(self.arrays, other.arrays, strict=True):
            array[...] = values

    def forget(self) -> None:
        """Give back the memory of large programs: the other side needs as much."""
        if sum(program.nbytes for program in self.programs.values()) > _KEPT_BYTES:
            self.programs.clear()


def _block(steps: TrainingSteps, epoch: int, before: Sequence[Array] | None = None) -> list[float]:
    """Run some steps, undo them (as :meth:`TrainingSteps.undone`), and return the time of each after the first ones."""
    times: list[float] = []
    with steps.undone(before):
        steps.loader.start(epoch)
        while not _enough(times[_WARM_UP_STEPS:]):
            start = time.perf_counter()
            _, program = steps.compute(epoch, 0)
            if math.isfinite(program.fetches[TOTAL]):
                steps.optimizer_state.run()
            steps.finish()
            times.append(time.perf_counter() - start)
    return times[_WARM_UP_STEPS:]


def _enough(times: Sequence[float]) -> bool:
    done, spent = len(times), sum(times)
    many = done >= _BLOCK_STEPS and spent >= _BLOCK_SECONDS
    return many or (done >= _MIN_BLOCK_STEPS and spent >= _MAX_BLOCK_SECONDS)


def refuse_too_few_cores(size: int, directory: Path) -> None:
    """Raise UsageError if a run to resume has more workers than there are cores: they would wait for each other."""
    if size > (cores := usable_cores()):
        text = f"the run in {directory} started with {size} workers and needs as many, but there are {cores} cores"
        raise UsageError(f"{text}: resume it on a machine with {size} cores, or start again with --overwrite")


def refuse_other_ranks(size: int, ranks: int, directory: Path, local: int = 1) -> None:
    """Raise UsageError if a run of ``size`` workers is resumed by another number: the bits would differ."""
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
    epochs: range,  # the remaining epochs
    report: Callable[[str], None],
    *,
    exactly: bool = False,  # use the requested number even if there are fewer cores: another would give other bits
) -> tuple[int, AutoWorkers | None]:
    """Start the workers of ``steps``; return their number, and what may revise it. Report if it is not the requested one.

    Raises UsageError: the ranks of an MPI job cannot divide the shards of the spec equally, or the rows of a batch.
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
    auto, size = None, 1 if isinstance(requested, str) else requested
    if requested == "auto" and (mixed := mixing(steps.model.spec, steps.model.full)) is not None:
        report(f"one worker: {describe(mixed)}")
    elif requested == "auto":
        most = min(_usable(steps), steps.loader.rows(0))
        auto = AutoWorkers(steps, partial(_train_alone, steps), partial(_join, steps, report=report), most)
        size = auto.choose(epochs)
    elif not exactly and size > (cores := _usable(steps)):
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
