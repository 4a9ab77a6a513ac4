"""A search on a disk: a folder with one run directory per trial, which any number of processes share.

Optuna chooses the values of trials, prunes them and stores what it knows: in a journal in the search's folder, or in a
database that machines without a common folder share. Only this file imports Optuna, when there is a study.

A process that takes a trial holds the lock of its run directory until the trial has ended. The operating system releases
the lock of a process that dies: the next process that looks for work resumes such a trial, from the record in its directory.
"""

from __future__ import annotations

import csv
import hashlib
import json
import secrets
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from math import ceil, isfinite, prod
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, write_atomic
from graphspec.base.libraries import missing_library
from graphspec.engine.training.run_directory import NO_LOCKS, locked
from graphspec.language.search_space import Choice, Chooser, Range, Search, Space, drawn
from graphspec.language.write import flow

# What is known of a trial: its values as ``--set`` takes them, and ``trial.json`` in its run directory.
Params = dict[str, int | float]
TRIAL = "trial.json"
State = Literal["complete", "pruned", "infeasible", "failed", "running"]


@dataclass(frozen=True)
class Trial:
    """A trial; ``params`` are the sampled number of each range, and the index of each choice, by the names of spaces."""

    __pydantic_config__ = ConfigDict(extra="ignore")

    number: int  # from 1
    params: Params = field(default_factory=dict)
    sets: list[str] = field(default_factory=list)  # what it changes in the spec, as ``--set`` takes it
    state: State = "running"  # ``infeasible`` if it could not be built, ``failed`` if its training went wrong
    value: float | None = None  # the objective, of the weights that the run keeps; None without one
    values: list[float] = field(default_factory=list)  # the objective after each epoch
    between: tuple[float, float] | None = None  # the 95 % interval of the objective over other rows, if it is known
    problem: str = ""  # why it is infeasible or failed
    starts: int = 1  # how many processes have begun it since an epoch ended
    reached: int = 0  # how many epochs had ended before

    @property
    def name(self) -> str:
        return f"{self.number:04d}"

    @property
    def judged(self) -> bool:
        return self.state == "complete" and self.value is not None

    def write(self, folder: Path) -> None:
        """Write the record into its run directory, which is in ``folder``."""
        record = asdict(self) | {"values": [v if isfinite(v) else None for v in self.values]}  # JSON has no nan
        write_atomic(folder / self.name / TRIAL, json.dumps(record, indent=1, ensure_ascii=False))


_ADAPTER = TypeAdapter(Trial)


def read_trial(directory: Path, metric: str) -> Trial | None:
    """Return a run directory's trial, with its values of ``metric`` while it runs; None if it has no record yet."""
    try:
        record: dict[str, Any] = json.loads((directory / TRIAL).read_text(encoding="utf-8"))
        record["values"] = [float("nan") if v is None else v for v in record.get("values", [])]
        trial = _ADAPTER.validate_python(record)
    except (OSError, ValueError, TypeError, AttributeError, ValidationError):
        return None
    if trial.state != "running":
        return trial
    return Trial(**asdict(trial) | {"values": _column(directory / "history.csv", metric)})


def _column(path: Path, metric: str) -> list[float]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [float(row[metric]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def ranked(trials: Iterable[Trial], goal: str) -> list[Trial]:
    """Return the trials that were trained to their end, the best first; of equal ones, the earlier first."""
    sign = -1 if goal == "max" else 1
    return sorted((t for t in trials if t.judged), key=lambda t: (sign * (t.value or 0.0), t.number))


def states_of(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    """Return how many trials are in each state in which there are any."""
    found = Counter(trial.state for trial in trials)
    return [(state, found[state]) for state in get_args(State) if found[state]]


def sampled(search: Search, choose: Chooser) -> Params:
    """Return the values of a trial. Spaces inside choices that were not taken have none."""
    params: Params = {}

    def remember(space: Space) -> float:
        params[space.name] = value = choose(space)
        return value

    for setting in search.settings:
        drawn(setting.space, remember)
    return params


def grid_size(search: Search) -> int:
    """Return the number of combinations of a space without endless ranges."""
    return prod(_size(setting.space) for setting in search.settings)


def _size(space: Space) -> int:
    if isinstance(space, Range):
        assert space.count is not None
        return space.count
    return sum(prod(_size(inner) for _, inner in item.inner) for item in space.items)


def sets_of(search: Search, params: Mapping[str, int | float]) -> list[str]:
    """Return the values of a trial as ``--set`` takes them, in the order of the spec."""
    return [f"{s.path}={flow(drawn(s.space, lambda space: params[space.name]).plain())}" for s in search.settings]


STUDY = "study.json"
MAX_STARTS = 3  # a trial is given up when so many processes in a row have died with it before an epoch ended
JOURNAL = "optuna.journal"
_TRIES = 5
_OWNER = ".owner"  # a file with a random word by which a folder knows its trials in a database
_STARTUP, _WARM_UP, _FACTOR = 5, 0.1, 3
"""``median`` prunes nothing before so many trials are complete, nor in this share of the epochs. Of the trials that reach a
rung of ``hyperband``, one of so many goes on."""


@dataclass(frozen=True)
class Plan:
    """What a search does."""

    name: str  # the spec's
    folder: Path  # the folder of the search
    search: Search = field(repr=False)  # the section of the spec, with the command's options
    goal: str  # ``max`` or ``min``
    trials: int  # the number of trials
    seed: int  # determines the values of all trials
    identity: str  # a hash of everything on which the trials depend


def identity(*parts: object) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def optuna() -> Any:
    """Return Optuna, silent. Raises UsageError: it is not installed."""
    try:
        import optuna as module
    except ImportError:
        raise UsageError(f"`graphspec search` needs Optuna: {missing_library('optuna')}") from None
    module.logging.set_verbosity(module.logging.ERROR)
    return module


def seed_of(seed: int, number: int) -> int:
    """Return the seed of the sampler for a trial: it depends on nothing but the spec's seed and the trial's number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Optuna's warnings about experimental arguments, which are no concern of a search's user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Study:
    """The trials of a search, with values from Optuna, kept in the database ``url``, or in a journal in the folder.

    ``note`` gets a line if the file system has no locks, with which processes share the folder.
    Raises UsageError: Optuna or the database cannot be used, or the folder contains something else than this search.
    """

    def __init__(self, plan: Plan, url: str | None = None, note: Callable[[str], None] | None = None) -> None:
        self.plan, self.folder, self.url, self.optuna = plan, plan.folder, url, optuna()
        with _quiet():
            database = None if url is None else self._database(url)
        make_folder(self.folder)
        with _quiet(), locked(self.folder, note, wait=True):
            self._check_folder()
            if not (path := self.folder / _OWNER).exists():
                write_atomic(path, secrets.token_hex(8))
            self.owner = path.read_text(encoding="utf-8")
            self.storage = self._journal() if database is None else database
            self.study = self.optuna.create_study(
                study_name=f"{plan.name}-{plan.identity[:12]}",
                storage=self.storage,
                direction="maximize" if plan.goal == "max" else "minimize",
                load_if_exists=True,
                sampler=self._sampler(0),
                pruner=self.optuna.pruners.NopPruner(),
            )

    def _check_folder(self) -> None:
        path, known = self.folder / STUDY, None
        if path.exists():
            with suppress(ValueError):
                known = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(known, dict) or known.get("identity") != self.plan.identity:
                text = f"{self.folder} contains a search of another spec, or with another sampler, objective or seed"
                raise UsageError(f"{text}: choose another --out, or remove the folder")
            return
        if foreign := [p.name for p in self.folder.iterdir() if not p.name.startswith(".")]:
            raise UsageError(f"{self.folder} contains {foreign[0]}, but no search: choose another --out")
        plan = self.plan
        record = {"identity": plan.identity, "metric": plan.search.metric, "goal": plan.goal, "seed": plan.seed}
        write_atomic(path, json.dumps(record | {"sampler": plan.search.sampler, "prune": plan.search.prune}, indent=1))

    def _journal(self) -> Any:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = self.folder / JOURNAL
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_lock_of(path)))

    def _database(self, url: str) -> Any:
        from sqlalchemy.exc import DBAPIError

        try:
            for _ in range(_TRIES - 1):  # two processes that create the tables at once: the later one finds them
                with suppress(DBAPIError):
                    return self.optuna.storages.RDBStorage(url)
            return self.optuna.storages.RDBStorage(url)
        except ImportError as error:
            module = getattr(error.__cause__ or error.__context__, "name", None) or "its driver"
            text = f"--storage: Python has no {module}: install the driver of the database, such as"
            raise UsageError(f"{text} psycopg for postgresql+psycopg://…, PyMySQL for mysql+pymysql://…") from None
        except Exception as error:
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise UsageError(f"--storage: the database cannot be used: {reason}") from None

    def _sampler(self, number: int) -> Any:
        """Return the sampler of a trial: its random numbers depend on nothing but the seed and the number."""
        seed, samplers = seed_of(self.plan.seed, number), self.optuna.samplers
        if self.plan.search.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        if self.plan.search.sampler == "grid":
            return samplers.BruteForceSampler(seed=seed)
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)

    @_quiet()
    def trials(self) -> list[Trial]:
        """Return all trials by number, also those of other folders that share the database."""
        found = {trial.number: trial for trial in self._own()}
        for frozen in () if self.url is None else self.study.get_trials(deepcopy=False):
            if frozen.number + 1 not in found:
                found[frozen.number + 1] = self._foreign(frozen)
        return [found[number] for number in sorted(found)]

    def _foreign(self, frozen: Any) -> Trial:
        params, sets = dict(frozen.params), list[str]()
        with suppress(KeyError):  # another process is choosing its values
            sets = sets_of(self.plan.search, params)
        return Trial(
            number=frozen.number + 1,
            params=params,
            sets=sets,
            state=frozen.user_attrs.get("state", "running" if not frozen.state.is_finished() else "failed"),
            value=frozen.value if frozen.state.name == "COMPLETE" else None,
            values=[frozen.intermediate_values[k] for k in sorted(frozen.intermediate_values)],
            problem=str(frozen.user_attrs.get("problem", "")),
        )

    @contextmanager
    def ended(self) -> Iterator[tuple[list[Trial], list[Trial]]]:
        """Give all trials, and those on which other processes work; meanwhile none of them begins a trial or reports."""
        with locked(self.folder, wait=True):
            trials = self.trials()
            yield trials, [t for t in trials if t.state == "running" and self._is_taken(t)]

    def _is_taken(self, trial: Trial) -> bool:
        """Return whether a process is working on a trial; of one in another folder, nothing else is known."""
        with ExitStack() as stack:
            return not ((self.folder / trial.name).is_dir() and self._lock(trial, stack))

    def _own(self) -> list[Trial]:
        """Return the trials of this folder; those whose record is missing, too, as running ones."""
        metric = self.plan.search.metric
        return [read_trial(self.folder / f"{k:04d}", metric) or Trial(k) for k in self._numbers()]

    def _numbers(self) -> list[int]:
        names = [p.name for p in self.folder.iterdir() if p.is_dir()]
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    @contextmanager
    def claimed(self) -> Iterator[Trial | None]:
        """Take a trial inside the ``with`` block, and lock its run directory; None if there is nothing left to take."""
        with ExitStack() as stack:
            with locked(self.folder, wait=True):
                trial = self._abandoned(stack) or self._next(stack)
            yield trial

    def _abandoned(self, stack: ExitStack) -> Trial | None:
        """Return a trial whose process has died, locked."""
        for trial in self._own():
            if trial.state == "running" and self._lock(trial, stack):
                trial = read_trial(self.folder / trial.name, self.plan.search.metric) or trial
                if trial.state == "running" and not (self.folder / trial.name / TRIAL).exists():
                    return self._begin(trial.number)
                if trial.state == "running":
                    reached = len(trial.values)
                    trial = replace(trial, starts=trial.starts + 1 if reached <= trial.reached else 1, reached=reached)
                    trial.write(self.folder)
                    return trial
                stack.close()
        return None

    @_quiet()
    def _next(self, stack: Any) -> Trial | None:
        known, numbers = self.study.get_trials(deepcopy=False), {*self._numbers()}
        for frozen in known:  # a process died between asking and creating the directory
            mine = self.url is None or frozen.user_attrs.get("owner") == self.owner
            is_lost = not frozen.state.is_finished() and mine and frozen.number + 1 not in numbers
            if is_lost and (trial := self._create(frozen.number + 1, stack)):
                return trial  # else a network drive has listed the folder as it was: another process has the trial
        if len(known) >= self.plan.trials:
            return None
        self.study.sampler = self._sampler(len(known) + 1)
        asked = self.study.ask()
        asked.set_user_attr("owner", self.owner)
        return self._create(asked.number + 1, stack, asked)

    def _create(self, number: int, stack: Any, asked: Any = None) -> Trial | None:
        make_folder(self.folder / f"{number:04d}")
        return self._begin(number, asked) if self._lock(Trial(number), stack) else None

    @_quiet()
    def _begin(self, number: int, asked: Any = None) -> Trial:
        if asked is None:
            self.study.sampler = self._sampler(number)
            asked = self._handle(number)
        params = sampled(self.plan.search, self._chooser(asked))
        trial = Trial(number, params, sets_of(self.plan.search, params))
        trial.write(self.folder)
        return trial

    def _chooser(self, asked: Any) -> Chooser:
        """Choose the values of a trial. What a process that died has chosen is drawn again, for the same values after it."""
        frozen = self.storage.get_trial(self._id(asked.number + 1))
        chosen, frozen.params = frozen.params, {}

        def choose(space: Space) -> float:
            if space.name in chosen:
                kind = distribution(space)
                if space.name not in asked.relative_params and not kind.single():
                    self.study.sampler.sample_independent(self.study, frozen, space.name, kind)
                frozen.params = {**frozen.params, space.name: chosen[space.name]}
            if isinstance(space, Choice):
                return int(asked.suggest_categorical(space.name, list(range(len(space.items)))))
            if space.integer:
                step = int(space.step or 1)
                return int(asked.suggest_int(space.name, int(space.low), int(space.high), log=space.log, step=step))
            value = asked.suggest_float(space.name, space.low, space.high, log=space.log, step=space.step)
            return float(value) if space.step is None else space.value(round((value - space.low) / space.step))

        return choose

    def _lock(self, trial: Trial, stack: ExitStack) -> bool:
        try:
            stack.enter_context(locked(self.folder / trial.name))
        except (UsageError, FileNotFoundError):
            return False
        return True

    def _id(self, number: int) -> int:
        return int(self.storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number - 1))

    def _handle(self, number: int) -> Any:
        return self.optuna.trial.Trial(self.study, self._id(number))

    @_quiet()
    def report(self, trial: Trial, values: Sequence[float]) -> None:
        """Tell Optuna the objective after each epoch, so far as it does not know it."""
        identity = self._id(trial.number)
        frozen = self.storage.get_trial(identity)
        if frozen.state.is_finished():  # its process died after that
            return
        for epoch, value in enumerate(values, 1):
            if epoch not in frozen.intermediate_values:
                self.storage.set_trial_intermediate_value(identity, epoch, value)

    @_quiet()
    def prunes(self, trial: Trial, values: Sequence[float], epochs: int) -> bool:
        """Return whether a trial ends after the epoch of its last value, of which there are ``epochs``; none by itself."""
        rule, pruners = self.plan.search.prune, self.optuna.pruners
        if rule == "none" or not values:
            return False
        self.report(trial, values)
        if len(values) >= epochs:
            return False
        if rule == "median":
            pruner = pruners.MedianPruner(_STARTUP, ceil(epochs * _WARM_UP) + 1)
        else:
            pruner = pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=_FACTOR)
        return bool(pruner.prune(self.study, self.storage.get_trial(self._id(trial.number))))

    @_quiet()
    def finish(self, trial: Trial) -> None:
        """Tell Optuna, and record, that a trial has ended. A trial that could not be built violates a constraint."""
        states, identity = self.optuna.trial.TrialState, self._id(trial.number)
        if self.plan.search.prune != "none":
            self.report(trial, trial.values)
        if not self.storage.get_trial(identity).state.is_finished():
            self.storage.set_trial_user_attr(identity, "state", trial.state)
            if trial.problem:
                self.storage.set_trial_user_attr(identity, "problem", trial.problem[:500])
            if trial.state == "infeasible":
                self._handle(trial.number).set_constraint("can be built", 1.0)
            if self.plan.search.sampler == "grid":  # at the last combination it would stop a loop of Optuna's
                self.study.sampler = self.optuna.samplers.RandomSampler()
            told = {"infeasible": states.PRUNED, "pruned": states.PRUNED, "complete": None}
            value = trial.value if trial.state == "complete" else None
            self.study.tell(trial.number - 1, value, state=told.get(trial.state, states.FAIL))
        trial.write(self.folder)


def distribution(space: Space) -> Any:
    """Return a space as Optuna knows it: a choice is the index of an item."""
    made = optuna().distributions
    if isinstance(space, Choice):
        return made.CategoricalDistribution(range(len(space.items)))
    if space.integer:
        return made.IntDistribution(int(space.low), int(space.high), log=space.log, step=int(space.step or 1))
    return made.FloatDistribution(space.low, space.high, log=space.log, step=space.step)


def _lock_of(path: Path) -> Any:
    """Return a lock of the journal that the operating system releases when a process dies; Optuna's own stays behind."""
    from filelock import FileLock
    from optuna.storages.journal import JournalFileOpenLock

    class Lock:
        held: Any = FileLock(f"{path}.lock", thread_local=False, fallback_to_soft=False)

        def acquire(self) -> bool:
            try:
                self.held.acquire()
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                self.held = JournalFileOpenLock(f"{path}.open")  # not the file that FileLock has left
                return bool(self.held.acquire())
            return True

        def release(self) -> None:
            self.held.release()

    return Lock()


# How much each setting matters: how far the values of the best trials differ from those of all.

FEWEST = 10  # trials below which nothing is said about a setting
METHOD = (
    "By PED-ANOVA of Optuna (Watanabe and others, 2023): how far the values of a setting among the best tenth of the trials "
    "differ from its values in all. All settings together are 100 %. It sees each setting alone, not what two do together."
)


@dataclass(frozen=True)
class Importance:
    """The importance of a space: from 0 to 1, over a number of trials."""

    name: str
    share: float
    trials: int


def importances(search: Search, trials: Sequence[Trial]) -> list[Importance]:
    """Return the importance of each space that enough trials have, the largest first."""
    judged = [t for t in trials if t.judged]
    having = {s.name: sum(s.name in t.params for t in judged) for s in search.spaces()}
    varying = {name for name in having if len({t.params[name] for t in judged if name in t.params}) > 1}
    names = [name for name, count in having.items() if count >= FEWEST and name in varying]
    if not names or len({t.value for t in judged}) < 2:
        return []
    module, spaces = optuna(), {s.name: distribution(s) for s in search.spaces()}
    study = module.create_study()
    for trial in judged:
        known = {name: spaces[name] for name in trial.params}
        study.add_trial(module.trial.create_trial(params=trial.params, distributions=known, value=trial.value))
    shares = module.importance.get_param_importances(study, params=names)
    return sorted((Importance(n, share, having[n]) for n, share in shares.items()), key=lambda each: -each.share)
