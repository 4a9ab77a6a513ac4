"""``graphspec search``: train one run for each trial of a spec's search, and report the best settings."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.base.errors import Code, Diagnostic, SpecError, UsageError
from graphspec.base.files import CACHE
from graphspec.base.text import count, number, printable, shell, shorten_end, terminal_width
from graphspec.cli.console import complain, err, out, out_wrapped, print_diagnostics
from graphspec.cli.options import Allow, Cache, DataPlace, Sets, SpecFile, flag, matching, option, repeated, writes_onnx
from graphspec.cli.stopping import signal_of, stopped_by
from graphspec.cli.targets import naming_data, open_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.engine.compiler.check import Checked
    from graphspec.search.study import Plan, Study, Trial
    from graphspec.search.trials import Work

_TRIALS = 20
_BEST = 10
_LONG = re.compile(r"(?<![\w.])-?\d+\.\d{4,}(e-?\d+)?(?![\w.])")  # numbers to round
_UNITS = {"m": 60, "h": 3600}  # in seconds
Sampler = StrEnum("Sampler", ["tpe", "random", "grid"])  # how the values of trials are chosen


_TIME = matching(r"\d+(\.\d+)?[smh]?", "a time such as 90s, 30m or 2h")  # what ``--timeout`` takes


def search(  # noqa: PLR0913 (the options of the command)
    spec: SpecFile,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Trials at once, in processes of one thread each.")
    ] = 1,
    trials: Annotated[int | None, option("N", "The number of trials, with those there are.", "--trials", min=1)] = None,
    directory: Annotated[
        Path | None, option("DIR", "The folder of the trials, runs/<name>-search by default.", "--out")
    ] = None,
    sampler: Annotated[Sampler | None, option(None, "Instead of the spec's sampler.", "--sampler")] = None,
    storage: Annotated[
        str | None,
        option("URL", "A database that machines without a common folder share, such as postgresql://….", "--storage"),
    ] = None,
    timeout: Annotated[
        str | None,
        option("TIME", "Begin no trial after this time, such as 90s, 30m or 2h.", "--timeout", callback=_TIME),
    ] = None,
    no_report: Annotated[bool, flag("--no-report", "Do not write report.html into the runs.")] = False,
    onnx: Annotated[
        Path | None, option("FILE", "Export the best trial to ONNX.", "--export", callback=writes_onnx)
    ] = None,
    data: DataPlace = None,
    cache: Cache = None,
    allow: Allow = None,
    sets: Sets = None,
) -> int | None:
    """Search the settings that a spec's `search` names: each trial is a run directory. The same command goes on."""
    from graphspec.api.validation import check_further
    from graphspec.engine.compiler.check import check
    from graphspec.search.trials import Source, Work

    checked = check(str(spec), sets or (), allow=allow or ())
    found = check_further(checked)
    of_training = (Code.NOTHING_TO_TRAIN, Code.NOT_ENOUGH_MEMORY)
    print_diagnostics(d for d in found if d.code not in of_training and not d.is_error)
    if any(d.is_error for d in found):
        raise SpecError(found)
    plan = _plan(spec, checked, directory, trials, sampler)
    _refuse_storage(storage, jobs)
    words: dict[str, object] = {"-j": None if jobs == 1 else jobs, "--trials": trials, "--out": directory}
    words |= {"--sampler": sampler, "--storage": storage, "--timeout": timeout}
    words |= {"--export": onnx, "--data": data, "--cache": cache, "--no-report": no_report}
    again = ("graphspec", "search", str(spec), *repeated(words, allow or (), sets or ()))
    # a trial is one process: `workers: auto` would start more in each
    single = [] if checked.require()[0].training.workers == 1 else ["training.workers=1"]
    places = (data, list(allow or ()), cache or plan.folder / CACHE)
    source = Source(str(spec), [*(sets or ()), *single], *places, reports=not no_report)
    until = None
    if timeout is not None:
        until = monotonic() + float(timeout.rstrip("smh")) * _UNITS.get(timeout[-1], 1)
    work = Work(plan, source, storage, until)
    with naming_data(data):  # what is wrong with the data is said once, before each trial fails with it
        source.model([])
    study = work.study(err)
    s = plan.search
    goal = "largest" if plan.goal == "max" else "smallest"
    out_wrapped(f"search: {count(plan.trials, 'trial')} of {s.sampler} for the {goal} {s.metric}, in {plan.folder}")
    if (ended := sum(t.state != "running" for t in study.trials())) > 0:
        out_wrapped(f"{count(ended, 'trial')} of it {'has' if ended == 1 else 'have'} ended before")
    if signum := _run(work, study, jobs):
        err(f"{stopped_by(signum)}: all trials can be resumed; go on with\n  {shell(*again)}")
        return 128 + signum
    return _finish(work, study, spec, onnx, sets or ())


def _plan(spec: Path, checked: Checked, directory: Path | None, trials: int | None, sampler: Sampler | None) -> Plan:
    from graphspec.engine.compiler.search_check import goal_of
    from graphspec.language.search_space import endless
    from graphspec.search.study import Plan, grid_size, identity

    declared, _ = checked.require()
    search = declared.search
    if search is None:
        text = "the spec has no `search`: there is nothing to try"
        hint = "add `search: {space: {training.optimizer.learning_rate: {float: [0.0001, 0.1], log: true}}}`"
        raise SpecError([Diagnostic.at(declared.tree.mark, Code.MISSING_KEY, text, path="search", hint=hint)])
    if sampler is not None:
        search = replace(search, sampler=sampler.value)
    wanted = trials or search.trials
    if search.sampler == "grid":
        if found := endless(search):
            _, message, hint = found[0]
            raise UsageError(f"--sampler grid: {message}; {hint}")
        wanted = min(wanted or grid_size(search), grid_size(search))
    goal, section = goal_of(search), search.tree.plain()
    given = [section["space"], search.metric, goal, search.sampler, search.prune]
    return Plan(
        name=declared.name,
        folder=directory or Path("runs") / f"{declared.name}-search",
        search=search,
        goal=goal,
        trials=wanted or _TRIALS,
        seed=declared.training.seed,
        identity=identity(declared.document, *given),
    )


def _refuse_storage(storage: str | None, jobs: int) -> None:
    if storage is None:
        return
    if "://" not in storage:
        raise UsageError(f"--storage takes the URL of a database, such as postgresql://user@host/name, not '{storage}'")
    if storage.startswith("sqlite") and jobs > 1:
        text = "--storage: SQLite does not let several processes write at once"
        raise UsageError(f"{text}: leave out -j, or leave out --storage, since a journal in the folder does")


def _run(work: Work, study: Study, jobs: int) -> int:
    """Run the trials; return the number of the signal that has ended them, or 0."""
    from graphspec.engine.parallel.launch import raised
    from graphspec.search.trials import run_here, run_in_processes

    begun: list[int] = []

    def show(trial: Trial) -> None:
        if not begun:
            name = shorten_end(work.plan.search.metric, 10)  # above the values of `line`
            out(f"{'':>{len(str(work.plan.trials))}}  {name:>10}  settings")
        begun.append(trial.number)
        out(line(trial, work.plan, terminal_width(sys.stdout)))
        sys.stdout.flush()

    try:
        with raised():
            if jobs == 1:
                run_here(work, study, show)
            else:
                run_in_processes(work, jobs, show)
    except KeyboardInterrupt as error:
        return signal_of(error)
    return 0


def line(trial: Trial, plan: Plan, width: int | None) -> str:
    """Return a line about a trial that has ended: its number, objective and state, and what it changes."""
    value = "-" if trial.value is None else number(trial.value)
    state: str = "" if trial.state == "complete" else trial.state
    state += f" after {count(len(trial.values), 'epoch')}" if state == "pruned" else ""
    about = trial.problem or ", ".join(short(text) for text in trial.sets)
    start = f"{trial.number:>{len(str(plan.trials))}}  {value:>10}  " + (f"{state}: " if state else "")
    text = printable(start + about)
    return text if width is None else shorten_end(text, width)


def short(text: str) -> str:
    """Return an override with the last keys of its path and rounded numbers, for people."""
    path, _, value = text.partition("=")
    value = _LONG.sub(lambda found: f"{float(found[0]):.4g}", value)
    return f"{'.'.join(path.split('.')[-2 if path.startswith('layers.') else -1 :])}={value}"


def _finish(work: Work, study: Study, spec: Path, onnx: Path | None, sets: Sequence[str]) -> int | None:
    from graphspec.search.page import write_page
    from graphspec.search.study import ranked, states_of

    plan, width = work.plan, terminal_width(sys.stdout)
    with study.ended() as (trials, others):  # of processes that end at once, the last one writes what is true of all
        best = ranked(trials, plan.goal)
        states = ", ".join(f"{n} {state}" for state, n in states_of(trials))
        out_wrapped(f"{count(len(trials), 'trial')}: {states}")
        if others:
            writes = "the best so far are shown" if onnx is None else f"the last of them to end writes {onnx}"
            out_wrapped(f"other processes are working on {count(len(others), 'trial')}: {writes}")
        if not best:
            if others:
                return None
            in_time = bool(trials) or work.until is None
            gone = "the folders of its trials are gone: begin another search with --out DIR"
            hint = "raise --timeout" if not in_time else "the lines above say why" if trials else gone
            complain("no trial was trained to its end", hint)
            return 3 if in_time else None
        out("best so far:" if others else "best:")
        for trial in best[:_BEST]:
            out(line(trial, plan, width))
        top = best[0]
        command = ["graphspec", "train", str(spec), *repeated({}, (), (*sets, *top.sets))]
        out(f"page: {write_page(plan, trials, command)}")
        run = plan.folder / top.name
        out(f"best run: {run}" if run.is_dir() else f"best run: {top.name}, in another folder that shares the database")
        out(f"train it again:\n  {shell(*command)}")
        if onnx is not None and not others:
            _export(work, run, onnx)
    return None


def _export(work: Work, run: Path, onnx: Path) -> None:
    """Export the run of the best trial, as `graphspec export` does."""
    from graphspec.engine.training.run_directory import record_export

    if not run.is_dir():
        raise UsageError(f"the best trial was trained in another folder: export {run.name} there")
    with naming_data(work.source.data):
        proof = f"{open_model(run, 'search', work.source.allow, work.source.data).export(onnx)}"
    record_export(run, onnx, proof)
    out_wrapped(f"{onnx}: {proof}")
