"""A search on a disk: a folder with one run directory per trial, which any number of processes share.

A process that takes a trial holds the lock of its run directory until the trial has ended. The operating system releases
the lock of a process that dies: the next process that looks for work resumes such a trial.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, write_atomic
from graphspec.engine.training.lock import locked
from graphspec.language.search_space import Search
from graphspec.search.records import TRIAL, Trial, read_trial
from graphspec.search.sampling import Params, grid_point, random_chooser, sampled, sets_of

STUDY = "study.json"
MAX_STARTS = 3
"""A trial is given up when so many processes in a row have died with it before an epoch ended."""


@dataclass(frozen=True)
class Plan:
    """What a search does.

    Attributes:
        name: the spec's.
        folder: the folder of the search.
        search: the section of the spec, with the command's options.
        goal: ``max`` or ``min``.
        trials: the number of trials.
        seed: determines the values of all trials.
        identity: a hash of everything on which the trials depend.
    """

    name: str
    folder: Path
    search: Search = field(repr=False)
    goal: str
    trials: int
    seed: int
    identity: str


def identity(*parts: object) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Study:
    """The trials of a search, with values from ``random`` or ``grid``.

    Raises:
        UsageError: the folder contains something else than this search.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.folder = plan, plan.folder
        make_folder(self.folder)
        with locked(self.folder, wait=True):
            self._check_folder()

    def _check_folder(self) -> None:
        path = self.folder / STUDY
        if path.exists():
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                known = None
            if not isinstance(known, dict) or known.get("identity") != self.plan.identity:
                text = f"{self.folder} contains a search of another spec, or with another sampler, objective or seed"
                raise UsageError(f"{text}: choose another --out, or remove the folder")
            return
        if foreign := [p.name for p in self.folder.iterdir() if not p.name.startswith(".")]:
            raise UsageError(f"{self.folder} contains {foreign[0]}, but no search: choose another --out")
        plan = self.plan
        record = {"identity": plan.identity, "metric": plan.search.metric, "goal": plan.goal, "seed": plan.seed}
        write_atomic(path, json.dumps(record | {"sampler": plan.search.sampler, "prune": plan.search.prune}, indent=1))

    # Trials.

    def trials(self) -> list[Trial]:
        """Return all trials by number."""
        return self._own()

    def _own(self) -> list[Trial]:
        """Return the trials of this folder; those whose record is missing, too, as running ones."""
        metric = self.plan.search.metric
        return [read_trial(self.folder / f"{k:04d}", metric) or Trial(k) for k in self._numbers()]

    def _numbers(self) -> list[int]:
        return sorted(
            int(p.name) for p in self.folder.iterdir() if p.name.isascii() and p.name.isdecimal() and p.is_dir()
        )

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
                if trial.state == "running":
                    fresh = not (self.folder / trial.name / TRIAL).exists()
                    return self._begin(trial.number) if fresh else self._again(trial)
                stack.close()
        return None

    def _again(self, trial: Trial) -> Trial:
        reached = len(trial.values)
        trial = replace(trial, starts=trial.starts + 1 if reached <= trial.reached else 1, reached=reached)
        trial.write(self.folder)
        return trial

    def _next(self, stack: ExitStack) -> Trial | None:
        number = max(self._numbers(), default=0) + 1
        if number > self.plan.trials:
            return None
        make_folder(self.folder / f"{number:04d}")
        if not self._lock(Trial(number), stack):
            return None
        return self._begin(number)

    def _lock(self, trial: Trial, stack: ExitStack) -> bool:
        try:
            stack.enter_context(locked(self.folder / trial.name))
        except (UsageError, FileNotFoundError):
            return False
        return True

    def _begin(self, number: int) -> Trial:
        params = self._params(number)
        trial = Trial(number, params, sets_of(self.plan.search, params))
        trial.write(self.folder)
        return trial

    def _params(self, number: int) -> Params:
        """Return the values of a new trial."""
        if self.plan.search.sampler == "grid":
            return grid_point(self.plan.search, number - 1)
        return sampled(self.plan.search, random_chooser(self.plan.seed, number))

    def report(self, trial: Trial, values: Sequence[float]) -> None:
        """Tell others the objective after an epoch, of which ``values`` has one each: here they read the history."""

    def finish(self, trial: Trial) -> None:
        """Record that a trial has ended."""
        trial.write(self.folder)
