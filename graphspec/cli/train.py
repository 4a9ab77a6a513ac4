"""``graphspec train``: train a spec on its data, in a run directory from which training can resume."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from graphspec.base.errors import Code, Diagnostic, GraphspecError, RunError, SpecError, UsageError
from graphspec.base.files import CACHE, DATA_SUFFIXES, LOCK, is_leftover, make_folder, remove_leftovers, suffix_of
from graphspec.base.libraries import has_folder
from graphspec.base.text import shell
from graphspec.cli import options
from graphspec.cli.console import complain, err, out, out_wrapped, print_diagnostics, reason_of
from graphspec.cli.options import flag, option, repeated, writes_onnx
from graphspec.cli.ranks import by_ranks, joined, launcher
from graphspec.cli.stopping import on_signal, signal_of, stopped_by
from graphspec.cli.targets import is_run, naming_data, naming_file
from graphspec.engine.parallel.launch import STOPS, handled, raised

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.data.batches import Dataset
    from graphspec.engine.compiler.check import Checked
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.engine.training.trainer import Trainer
    from graphspec.graph.ir.graph import Graph
    from graphspec.language.declarations import Spec


@handled(STOPS, on_signal)
@by_ranks
def train(  # noqa: PLR0913 (the options of the command)
    spec: options.SpecFile,
    directory: Annotated[Path | None, option("DIR", "The run directory, runs/<name> by default.", "--out")] = None,
    resume_mode: options.Resume = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace the run directory if it exists.")] = False,
    onnx: Annotated[Path | None, option("FILE", "Export to ONNX at the end.", "--export", callback=writes_onnx)] = None,
    signature: options.SignatureFile = None,
    log_every: options.LogEvery = "auto",
    no_report: Annotated[bool, flag("--no-report", "Do not write report.html at the end.")] = False,
    page: Annotated[bool, flag("--page", "Write page.html, too, to try it in a browser, online.")] = False,
    data: options.DataPlace = None,
    cache: options.Cache = None,
    mpi: Annotated[bool, flag("--mpi", "Share each batch among the processes that mpiexec or srun started.")] = False,
    allow_outside: options.AllowOutside = False,
    allow: options.Allow = None,
    sets: options.Sets = None,
) -> int | None:
    """Train a spec on its data, with a checkpoint after every epoch, and evaluate it on its test data."""
    from graphspec.api.model import Model
    from graphspec.cli.progress import observer_for_stdout, show_preparing
    from graphspec.data.paths import moved
    from graphspec.engine.compiler.training_checks import refuse_untrainable
    from graphspec.engine.training import run_directory as runs
    from graphspec.engine.training.reporting import Lines, monitored
    from graphspec.vocabulary.callbacks.monitors import Monitor

    resume = resume_mode is not None
    if resume and overwrite:
        raise UsageError("give either --resume or --overwrite, not both")
    if signature is not None and onnx is None:
        raise UsageError("--signature describes the exported file: give --export FILE, too")
    if is_run(spec) and resume and directory in (None, spec):
        spec, directory = spec / "spec.json", spec
    _refuse_other(spec)
    recheck = partial(_checked, spec, directory, resume, mpi, allow_outside=allow_outside, allow=allow or ())
    checked = recheck(sets=sets or ())
    if data is not None and (named := naming_file(checked.require()[0], spec, data)):
        data, sets = None, [*(sets or ()), *named]
        checked = recheck(sets=sets)
    declaration, lowered = checked.require()
    if data is not None:
        declaration = moved(declaration, data)
    print_diagnostics(d for d in checked.diagnostics if d.code not in (Code.NOTHING_TO_TRAIN, Code.NOT_ENOUGH_MEMORY))
    refuse_untrainable(checked.diagnostics)
    if onnx is not None or page:
        _check_export(declaration, lowered.graph)
    directory = directory or Path("runs") / declaration.name
    if resume_mode == "auto" and not _content(directory):
        resume = False  # there is nothing yet
    _check_directory(directory, resume=resume, overwrite=overwrite)
    if directory.is_dir():
        with runs.locked(directory):  # report a locked directory before reading all data
            pass
    cache = cache or directory.parent / CACHE
    with naming_data(data if resume else directory):
        parts = _load_data(declaration, lowered.graph, cache)
    model = Model(declaration, lowered, checked.diagnostics)
    model.parts, model.allow_outside, model.cache = parts, allow_outside, cache
    show_preparing(model)
    if resume and runs.reached_checkpoint(directory):  # else the run starts again, and learns again
        runs.refuse_other_spec(model, directory)
        runs.install_adapted(model, directory)
    every = None if log_every == "auto" else int(log_every)
    callbacks = declaration.training.callbacks
    followed = monitored(callbacks)
    # mpiexec passes output on from a terminal of its own: a bar would fill the log of the job
    observer = observer_for_stdout(every, followed) if joined() is None else Lines(every, followed)
    trainer = model.trainer(observer, directory)
    trainer.steps.ranks = joined()
    trainer.reported = {c.monitor for c in callbacks if isinstance(c, Monitor)}  # the check of the spec has warned
    make_folder(directory)
    with runs.locked(directory, err):
        _check_directory(directory, resume=resume, overwrite=overwrite)  # it may have changed in the meantime
        if resume:
            _resume(model, trainer, directory)
        trainer.check_outputs()
        if overwrite:
            _remove(directory, [spec, *(path for s in declaration.data.values() for path in s.paths)])
        runs.start_run(model, directory)
        try:
            with raised():
                _run(model, trainer, directory)
        except KeyboardInterrupt as stop:
            number = signal_of(stop)
            usual = directory == Path("runs") / declaration.name
            words: dict[str, object] = {"--out": None if usual else directory, "--export": onnx}
            words |= {"--signature": signature, "--data": data}
            words |= {"--log-every": None if log_every == "auto" else log_every, "--no-report": no_report}
            words |= {"--page": page, "--mpi": mpi, "--allow-outside": allow_outside}
            allowed = next((source.allow for source in declaration.data.values()), ())
            again = ("graphspec", "train", str(spec), "--resume", *repeated(words, allowed, sets or ()))
            command = shell(*launcher(), *again)
            err(f"{stopped_by(number)}{_interrupted(trainer, directory, command)}")
            return 128 + number
        known = _finish(model, trainer, directory, onnx, signature)
        if page:
            _write_page(model, directory, onnx, reports=not no_report)
        _judge(model, directory, known, reports=not no_report)
    return None


def _refuse_other(spec: Path) -> None:
    if is_run(spec):
        command = shell("graphspec", "train", str(spec), "--resume")
        raise UsageError(f"{spec} is a run, not a spec; `{command}` continues it")
    if suffix_of(spec) in DATA_SUFFIXES:
        command = shell("graphspec", "init", "net.yaml", "--from", str(spec), "--target", "COLUMN")
        raise UsageError(f"{spec} is a data file, not a spec; `{command}` writes one for a table")


def _checked(
    spec: Path, directory: Path | None, resume: bool, mpi: bool, *, sets: Sequence[str], **options: Any
) -> Checked:
    """Check the spec. A run that goes on has its weights: files of initial values are not opened then."""
    from graphspec.engine.compiler.check import check
    from graphspec.engine.training.run_directory import reached_checkpoint

    checked = check(str(spec), sets, draws=not resume, **options)
    declaration, _ = checked.require()
    draws = not resume or not reached_checkpoint(directory or Path("runs") / declaration.name)
    draws = draws or declaration.training.several  # of copies, some may not have begun
    if mpi and declaration.training.several:
        raise UsageError("--mpi trains no copies or forms: leave it out, and write `workers: auto`")
    if mpi and declaration.training.workers == "auto":
        text = "--mpi needs the number of workers of each rank, but the spec has `workers: auto`"
        raise UsageError(f"{text}: add `--set training.workers=mpi` for one, or `--set training.workers=4`")
    if mpi and declaration.training.workers == 1:  # n workers are n of each rank
        sets = [*sets, "training.workers=mpi"]
    elif draws == declaration.draws:
        return checked
    return check(str(spec), sets, draws=draws, **options)


def _check_export(spec: Spec, graph: Graph) -> None:
    """Report a network that cannot be exported before the training, not after it."""
    from graphspec.export.onnx import check_export
    from graphspec.graph.onnx_model import opset_for

    if found := check_export(spec, graph, opset_for(graph)):
        raise SpecError(found)


def _load_data(spec: Spec, graph: Graph, cache: Path) -> dict[str, Dataset]:
    """Load all data files, and report all problems together: test data would otherwise fail after the training."""
    from graphspec.data.check import refused
    from graphspec.data.signature import load_all

    if "train" not in spec.data:
        text = "the spec has no `data.train` to train on"
        hint = "add `data: {train: {file: …}}`, or give a table or an archive with `--data FILE`"
        raise SpecError([Diagnostic.at(spec.tree.mark, Code.MISSING_KEY, text, path="data.train", hint=hint)])
    parts, found = load_all(spec, graph, cache)
    if any(d.is_error for d in found):
        raise refused(found)
    print_diagnostics(found)
    return parts


# The run directory.
_MAX_LISTED = 5  # files that a message lists


def _check_directory(directory: Path, *, resume: bool, overwrite: bool) -> None:
    from graphspec.vocabulary.callbacks.callback import ADAPTED, ONNX_FILES

    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file, not a run directory")
    content = _content(directory)
    is_run = all((directory / name).is_file() for name in ("spec.json", "run.json"))
    lacks = "it lacks spec.json or run.json"
    if content and not (resume or overwrite):
        do = "continue with --resume, replace it with --overwrite, or choose another --out"
        raise UsageError(f"{directory} exists: {do}")
    if overwrite and content and not is_run:
        raise UsageError(f"{directory} is not a run directory ({lacks}): --overwrite does not remove it")
    if resume and not content:
        raise UsageError(f"there is no run in {directory} to resume")
    # a run that was killed while it created its directory has only the first files, or temporary ones
    first = ("spec.json", ADAPTED, "run.json", ONNX_FILES)
    is_started = all(path.name in first or is_leftover(path) for path in content)
    if resume and not is_run and not is_started:
        raise UsageError(f"{directory} is not a run directory: {lacks}")


def _content(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name != LOCK] if directory.is_dir() else []


def _remove(directory: Path, used: Sequence[Path]) -> None:
    """Remove the files of a run unless one is in use; report other files, which stay."""
    from graphspec.engine.training.run_directory import remove_run

    real = directory.resolve()
    inside = next((p for p in (Path.cwd(), *used) if p.resolve().is_relative_to(real)), None)
    if directory.is_symlink() or inside is not None:
        why = "it is a symbolic link" if inside is None else f"{inside} is in it"
        raise UsageError(f"--overwrite does not remove {directory}: {why}")
    if kept := remove_run(directory):
        more = f" and {len(kept) - _MAX_LISTED} more" if len(kept) > _MAX_LISTED else ""
        complain(f"note: {directory} keeps files that no run wrote: {', '.join(kept[:_MAX_LISTED])}{more}")


# The run.
def _resume(model: Model, trainer: Trainer, directory: Path) -> None:
    """Resume from the last checkpoint, and update the run's files to its state: after a kill they may be older."""
    from graphspec.engine.training.run_directory import check_own, reached_checkpoint

    check_own(directory)
    if is_reached := reached_checkpoint(directory):
        ranks = trainer.steps.ranks
        trainer.resume_from(directory, 1 if ranks is None else ranks.size)
    else:
        complain(f"{directory} has no checkpoint: starting again")
    remove_leftovers(directory)
    if is_reached:
        trainer.write_derived()


def _run(model: Model, trainer: Trainer, directory: Path) -> None:
    from graphspec.cli.results import print_given_away
    from graphspec.cli.training_report import announce, report

    if trainer.finished:
        why = f": {trainer.stopped}" if trainer.stopped is not None else ""
        out_wrapped(f"the run in {directory} is already finished after epoch {trainer.epoch}{why}")
    elif trainer.resumed and model.spec.training.several:
        out_wrapped("resuming: each copy goes on from its checkpoint")
    elif trainer.resumed:
        where = f"step {trainer.batch} of epoch {trainer.epoch + 1}" if trainer.batch else f"epoch {trainer.epoch}"
        out_wrapped(f"resuming after {where} of {trainer.total}")
    else:
        announce(model, trainer)
        if has_folder("show"):
            print_given_away(model, model.parts["train"])
    first, began = trainer.epoch, time.monotonic()
    try:
        trainer.run()
    except RunError as error:
        raise _explained(error, trainer) from None
    report(trainer, trainer.epoch - first, time.monotonic() - began)


def _explained(error: RunError, trainer: Trainer) -> RunError:
    """Return the error with what helps: the checkpoint, or the inputs that are not scaled if a loss is not finite."""
    from graphspec.engine.training.advice import unscaled_inputs

    if error.code == Code.WORKER_DIED and trainer.last_checkpoint is not None:
        return RunError(error.code, error.message, f"`--resume` continues from the last checkpoint; {error.hint}")
    if error.code != Code.NOT_FINITE or not (found := unscaled_inputs(trainer.model.spec, trainer.loader.dataset)):
        return error
    more = f" and {len(found) - 2} more inputs" if len(found) > 2 else ""
    text = f"scale the inputs, with a Normalization layer: {' and '.join(found[:2])}{more}"
    return RunError(error.code, error.message, f"{text}; else {error.hint}")


def _finish(
    model: Model, trainer: Trainer, directory: Path, onnx: Path | None, signature: Path | None
) -> dict[str, RunningMetrics]:
    """Print the results of a training and export it; return the evaluations, by part."""
    from graphspec.cli.results import print_few, print_part
    from graphspec.engine.training.run_directory import record_export

    known: dict[str, RunningMetrics] = {}
    model.save_weights(directory)
    if "test" in model.spec.data:
        out("test data:")
        known["test"] = print_part(model, directory, "test")
    elif model.spec.training.several and trainer.running.rows:
        out("out of fold:" if model.spec.training.folds else "validation data:")
        known["validation"] = print_part(model, directory, "validation", trainer.running)
    elif trainer.tables:
        out("validation data:")
        print_few(trainer.tables, shell("graphspec", "evaluate", str(directory), "--part", "validation"))
    out(f"run: {directory}")
    if onnx is not None:
        model.sample_rows = None  # the proof takes the rows that a later `export` of the run takes
        proof = f"{model.export(onnx, signature=signature)}"
        record_export(directory, onnx, proof)
        out_wrapped(f"{onnx}: {proof}")
    return known


def _write_page(model: Model, directory: Path, onnx: Path | None, *, reports: bool) -> None:
    """Write the page of a run, of the file that was exported or of one that is removed."""
    from tempfile import TemporaryDirectory

    from graphspec.show.page.build import page_of, write_page
    from graphspec.show.report.comparison import PAGE, REPORT

    try:
        with TemporaryDirectory(prefix="graphspec-") as temporary:
            if onnx is None:
                model.export(onnx := Path(temporary) / "model.onnx")
            html = page_of(onnx, links={"What came of the training": REPORT} if reports else {})
        out_wrapped(f"page: {write_page(directory / PAGE, html)}")
    except (GraphspecError, OSError) as error:
        complain(f"warning: the run is complete, but has no page: {reason_of(error)}")


def _judge(model: Model, directory: Path, known: Mapping[str, RunningMetrics], *, reports: bool) -> None:
    """Print whether the network beats simple rules, and write the report. The run is complete without it."""
    if not has_folder("show"):
        return
    try:
        from graphspec.cli.report import say
        from graphspec.cli.results import print_verdicts
        from graphspec.show.report.comparison import REPORT, write_found
        from graphspec.show.report.findings import find

        found = find(model, directory, known=known)
        print_verdicts(found, measures=reports)
        if reports:
            say(write_found(found, directory / REPORT))
    except Exception as error:  # whatever goes wrong is a warning
        command = shell("graphspec", "report", str(directory))
        said = f"its report could not be written: {reason_of(error)}"
        complain(f"warning: the run is complete, but {said}", f"try `{command}`")


def _interrupted(trainer: Trainer, directory: Path, command: str) -> str:
    """Return the rest of the message after Ctrl-C or another signal, with the command that continues the run."""
    if trainer.model.spec.training.several:
        return f": {directory} has the checkpoints of its copies; continue with\n  {command}"
    if trainer.last_checkpoint is None:
        return f" before the first checkpoint; start again with\n  {command}"
    epoch, batch = trainer.last_checkpoint
    done = f"epoch {epoch + 1}, step {batch}" if batch else f"the end of epoch {epoch}"
    return f": {directory} has a checkpoint of {done}; continue with\n  {command}"
