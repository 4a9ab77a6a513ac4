"""A search whose values Optuna chooses, by its tree-structured Parzen estimator. Only this file imports Optuna.

Optuna's record of a trial is a journal in the search's folder, or a database that machines without a common folder share.
The record in the run directory is kept, too: from it, dead trials are resumed.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, write_atomic
from graphspec.base.libraries import missing_library
from graphspec.engine.training.lock import locked
from graphspec.language.search_space import Choice, Chooser, Space
from graphspec.search.records import Trial
from graphspec.search.sampling import Params, sampled, seed_of, sets_of
from graphspec.search.study import Plan, Study

JOURNAL = "optuna.journal"
_TRIES = 5
_OWNER = ".owner"  # a file with a random word by which a folder knows its trials in a database


def optuna() -> Any:
    """Return Optuna, silent.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import optuna as module
    except ImportError:
        text = f"`sampler: tpe` needs Optuna: {missing_library('optuna')}; `--sampler random` needs nothing"
        raise UsageError(text) from None
    module.logging.set_verbosity(module.logging.ERROR)
    return module


class OptunaStudy(Study):
    """The trials of a search, with values from Optuna.

    Args:
        url: the database of the study; None for a journal in the search's folder.

    Raises:
        UsageError: Optuna is missing, or the database cannot be used.
    """

    def __init__(self, plan: Plan, url: str | None = None) -> None:
        self.optuna, self.url = optuna(), url
        with _quiet():
            database = None if url is None else self._database(url)
        super().__init__(plan)
        self.owner = self._owner()
        with _quiet(), locked(self.folder, wait=True):
            self.storage = self._journal() if database is None else database
            direction = "maximize" if plan.goal == "max" else "minimize"
            create = self.optuna.create_study
            self.study = create(
                study_name=f"{plan.name}-{plan.identity[:12]}",
                storage=self.storage,
                direction=direction,
                load_if_exists=True,
                sampler=self._sampler(0),
                pruner=self.optuna.pruners.NopPruner(),
            )

    def _owner(self) -> str:
        with locked(self.folder, wait=True):
            path = self.folder / _OWNER
            if not path.exists():
                write_atomic(path, secrets.token_hex(8))
            return path.read_text(encoding="utf-8")

    def _journal(self) -> Any:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = self.folder / JOURNAL
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_lock_of(path)))

    def _database(self, url: str) -> Any:
        conflict = _database_error()
        try:
            for _ in range(_TRIES - 1):  # two processes that create the tables at once: the later one finds them
                with suppress(conflict):
                    return self.optuna.storages.RDBStorage(url)
            return self.optuna.storages.RDBStorage(url)
        except ImportError as error:
            module = getattr(error.__cause__ or error.__context__, "name", None) or "its driver"
            text = f"--storage: Python has no {module}: install the driver of the database"
            raise UsageError(
                f"{text}, such as psycopg for postgresql+psycopg://…, PyMySQL for mysql+pymysql://…"
            ) from None
        except Exception as error:
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise UsageError(f"--storage: the database cannot be used: {reason}") from None

    def _sampler(self, number: int) -> Any:
        """Return the sampler of a trial: its random numbers depend on nothing but the seed and the number."""
        seed = seed_of(self.plan.seed, number)
        return self.optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)

    # Trials.

    def trials(self) -> list[Trial]:
        """Return all trials by number, also those of other folders that share the database."""
        own = {trial.number: trial for trial in self._own()}
        if self.url is not None:
            with _quiet():
                for frozen in self.study.get_trials(deepcopy=False):
                    if frozen.number + 1 not in own:
                        own[frozen.number + 1] = self._foreign(frozen)
        return [own[number] for number in sorted(own)]

    def _foreign(self, frozen: Any) -> Trial:
        params: Params = dict(frozen.params)
        try:
            sets = sets_of(self.plan.search, params)
        except KeyError:  # another process is choosing its values
            sets = []
        return Trial(
            number=frozen.number + 1,
            params=params,
            sets=sets,
            state=frozen.user_attrs.get("state", "running" if not frozen.state.is_finished() else "failed"),
            value=frozen.value if frozen.state.name == "COMPLETE" else None,
            values=[frozen.intermediate_values[k] for k in sorted(frozen.intermediate_values)],
            problem=str(frozen.user_attrs.get("problem", "")),
        )

    def _next(self, stack: Any) -> Trial | None:
        with _quiet():
            known = self.study.get_trials(deepcopy=False)
            numbers = {*self._numbers()}
            for frozen in known:  # a process died between asking and creating the directory
                mine = self.url is None or frozen.user_attrs.get("owner") == self.owner
                if not frozen.state.is_finished() and mine and frozen.number + 1 not in numbers:
                    return self._create(frozen.number + 1, stack)
            if len(known) >= self.plan.trials:
                return None
            self.study.sampler = self._sampler(len(known) + 1)
            asked = self.study.ask()
            asked.set_user_attr("owner", self.owner)
        return self._create(asked.number + 1, stack, asked)

    def _create(self, number: int, stack: Any, asked: Any = None) -> Trial | None:
        make_folder(self.folder / f"{number:04d}")
        if not self._lock(Trial(number), stack):
            return None
        return self._begin(number, asked)

    def _begin(self, number: int, asked: Any = None) -> Trial:
        if asked is None:
            with _quiet():
                self.study.sampler = self._sampler(number)
                asked = self._handle(number)
        with _quiet():
            params = sampled(self.plan.search, _chooser(asked))
        trial = Trial(number, params, sets_of(self.plan.search, params))
        trial.write(self.folder)
        return trial

    def _id(self, number: int) -> int:
        return int(self.storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number - 1))

    def _handle(self, number: int) -> Any:
        return self.optuna.trial.Trial(self.study, self._id(number))

    def report(self, trial: Trial, values: Sequence[float]) -> None:
        if not isfinite(values[-1]):
            return
        with _quiet():
            if not self.storage.get_trial(
                self._id(trial.number)
            ).state.is_finished():  # else its process died after that
                self.storage.set_trial_intermediate_value(self._id(trial.number), len(values), values[-1])

    def finish(self, trial: Trial) -> None:
        """Tell Optuna, and record, that a trial has ended. A trial that could not be built violates a constraint."""
        states = self.optuna.trial.TrialState
        number = self._id(trial.number)
        with _quiet():
            if not self.storage.get_trial(number).state.is_finished():
                self.storage.set_trial_user_attr(number, "state", trial.state)
                if trial.problem:
                    self.storage.set_trial_user_attr(number, "problem", trial.problem[:500])
                if trial.state == "infeasible":
                    self._handle(trial.number).set_constraint("can be built", 1.0)
                    self.study.tell(trial.number - 1, state=states.PRUNED)
                elif trial.state == "pruned":
                    if not self.storage.get_trial(number).intermediate_values:
                        self.report(trial, trial.values)
                    self.study.tell(trial.number - 1, state=states.PRUNED)
                elif trial.state == "complete":
                    self.study.tell(trial.number - 1, trial.value)
                else:
                    self.study.tell(trial.number - 1, state=states.FAIL)
        super().finish(trial)


def _database_error() -> type[Exception]:
    from sqlalchemy.exc import DBAPIError

    error: type[Exception] = DBAPIError
    return error


def _chooser(asked: Any) -> Chooser:
    def choose(space: Space) -> float:
        if isinstance(space, Choice):
            return int(asked.suggest_categorical(space.name, list(range(len(space.items)))))
        if space.integer:
            step = int(space.step or 1)
            return int(asked.suggest_int(space.name, int(space.low), int(space.high), log=space.log, step=step))
        if space.step is not None:
            value = asked.suggest_float(space.name, space.low, space.high, step=space.step)
            return space.value(round((value - space.low) / space.step))
        return float(asked.suggest_float(space.name, space.low, space.high, log=space.log))

    return choose


def _lock_of(path: Path) -> Any:
    """Return a lock of the journal that the operating system releases when a process dies; Optuna's own stays behind."""
    from filelock import FileLock
    from optuna.storages.journal import JournalFileOpenLock

    lock = FileLock(f"{path}.lock", thread_local=False, fallback_to_soft=False)

    class Lock:
        def __init__(self) -> None:
            self.other = JournalFileOpenLock(str(path))
            self.is_other = False

        def acquire(self) -> bool:
            try:
                lock.acquire()
            except OSError:  # a network drive without locks
                self.is_other = True
                return bool(self.other.acquire())
            return True

        def release(self) -> None:
            if self.is_other:
                self.other.release()
            else:
                lock.release()

    return Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Optuna's warnings about experimental arguments, which are no concern of a search's user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
