"""Train trials in their run directories: in this process, or in several, which share nothing but the search's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from time import monotonic

from graphspec.api.model import Model
from graphspec.base.errors import Diagnostic, RunError, SpecError
from graphspec.base.files import remove_leftovers
from graphspec.data.check import refused
from graphspec.data.paths import moved
from graphspec.data.signature import load_all
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.training_checks import refuse_untrainable
from graphspec.engine.parallel.processes import run_apart
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import check_own, install_adapted, reached_checkpoint, start_run
from graphspec.engine.training.trainer import Trainer
from graphspec.search.study import MAX_STARTS, Plan, Study, Trial

# Train one trial in its run directory.
PRUNED = "the search pruned the trial"


@dataclass(frozen=True)
class Source:
    """The spec of a search, and what its command adds."""

    spec: str  # the file
    sets: Sequence[str] = ()  # the overrides of all trials
    data: Path | None = None  # where the data files lie now
    allow: Sequence[Path] = ()  # folders in which files of queries may be
    cache: Path | None = None  # the folder for prepared rows
    reports: bool = True  # whether runs that are trained to their end get a report

    def model(self, sets: Sequence[str]) -> Model:
        """Return a trial's untrained model with its rows. SpecError: it cannot be built, or the data do not fit."""
        checked = check(self.spec, [*self.sets, *sets], allow=self.allow)
        spec, lowered = checked.require()
        refuse_untrainable(checked.diagnostics)
        spec = spec if self.data is None else moved(spec, self.data)
        parts, found = load_all(spec, lowered.graph, self.cache)
        if any(d.is_error for d in found):
            raise refused(found)
        model = Model(spec, lowered, checked.diagnostics)
        model.parts, model.cache = parts, self.cache
        return model


class _Watch(Silent):
    def __init__(self, study: Study, trial: Trial) -> None:
        self.study, self.trial = study, trial
        self.trainer: Trainer | None = None

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        search, trainer = self.study.plan.search, self.trainer
        assert trainer is not None
        if self.study.prunes(self.trial, trainer.history.get(search.metric, ()), trainer.total):
            trainer.stop(f"{PRUNED} after epoch {epoch + 1}")


def train_trial(study: Study, trial: Trial, source: Source) -> Trial:
    """Train a trial, or go on with it, and return it with its result. Its run directory is locked.

    Raises KeyboardInterrupt: Ctrl-C was pressed; the trial can be resumed. UsageError: the data have changed since the
    trial began.
    """
    if trial.starts > MAX_STARTS:
        return replace(trial, state="failed", problem=f"{MAX_STARTS} processes died with it")
    try:
        model = source.model(trial.sets)
        directory = study.folder / trial.name
        if begun := reached_checkpoint(directory):
            install_adapted(model, directory)
        watch = _Watch(study, trial)
        trainer = watch.trainer = model.trainer(watch, directory)
        if begun:
            check_own(directory)
            trainer.resume_from(directory)
            remove_leftovers(directory)
            trainer.write_derived()
        else:
            trainer.check_outputs()
            start_run(model, directory)
        trainer.run()
        model.save_weights(directory)
    except SpecError as error:
        return replace(trial, state="infeasible", problem=_first(error.diagnostics))
    except RunError as error:
        return replace(trial, state="failed", problem=f"{error.code}: {error.message}")
    except MemoryError:
        return replace(trial, state="failed", problem="there is too little memory")
    done = _result(trial, trainer, study.plan.search.metric)
    if source.reports and done.state == "complete":
        from graphspec.show.report.comparison import write_report

        try:
            written = write_report(model, directory)
            if written.part == "validation" and study.plan.search.metric.startswith("val_"):
                done = replace(done, between=written.intervals.get(study.plan.search.metric.removeprefix("val_")))
        except Exception as error:  # the run is complete without its report: `graphspec report` says what goes wrong
            if isinstance(error, OSError):  # a full disk ends the search; the same command goes on with the report
                raise
    return done


def _result(trial: Trial, trainer: Trainer, metric: str) -> Trial:
    values = [float(v) for v in trainer.history.get(metric, ())]
    if trainer.model.spec.training.several and trainer.running.rows:  # the result of all copies, not of an epoch
        values = [v for k, v in trainer.running.logs("val_").items() if k == metric] or values
    trial = replace(trial, values=values)
    if trainer.stopped is not None and trainer.stopped.startswith(PRUNED):
        return replace(trial, state="pruned", value=values[-1] if values and isfinite(values[-1]) else None)
    if not values:
        return replace(trial, state="failed", problem=f"its history has no '{metric}'")
    restored = [s.restored_epoch for s in trainer.states if s.restored_epoch is not None]
    value = values[restored[-1]] if restored and restored[-1] < len(values) else values[-1]
    if not isfinite(value):
        return replace(trial, state="failed", problem=f"'{metric}' is not finite")
    return replace(trial, state="complete", value=value)


def _first(found: Sequence[Diagnostic]) -> str:
    errors = [d for d in found if d.is_error]
    d = errors[0] if errors else found[0]
    where = f" (line {d.line})" if d.line is not None else ""
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{d.code}: {d.message}{where}{more}"


# Run the trials of a search: in this process, or in several, which share nothing but the search's folder and database.
Show = Callable[[Trial], None]


@dataclass(frozen=True)
class Work:
    """What each process of a search needs."""

    plan: Plan
    source: Source
    url: str | None = None  # the database of a study, if any
    until: float | None = None  # the time of the monotonic clock after which no trial begins

    def study(self, note: Callable[[str], None] | None = None) -> Study:
        return Study(self.plan, self.url, note)


def run_here(work: Work, study: Study, show: Show) -> None:
    """Run trials until none is left. Raises KeyboardInterrupt: Ctrl-C; the current trial can be resumed."""
    while work.until is None or monotonic() < work.until:
        with study.claimed() as trial:
            if trial is None:
                return
            try:
                done = train_trial(study, trial, work.source)
            except KeyboardInterrupt:
                replace(trial, starts=0).write(study.folder)  # the process did not die
                raise
            study.finish(done)
        show(done)


def run_in_processes(work: Work, processes: int, show: Show) -> None:
    """Run trials in several processes; errors as for :func:`graphspec.engine.parallel.processes.run_apart`."""
    run_apart(_run, [work] * processes, show)


def _run(work: Work, send: Show) -> None:
    run_here(work, work.study(), send)
