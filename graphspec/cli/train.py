"""``graphspec train``: a run of a spec on its own data, in a run directory that can be resumed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import INTERRUPTED, err, out, print_diagnostics
from graphspec.cli.options import AllowOutside, Sets, SpecFile, writable
from graphspec.codes import Code
from graphspec.errors import Diagnostic, SpecError, UsageError
from graphspec.files import LOCK, is_leftover, make_folder, remove_leftovers

if TYPE_CHECKING:
    from graphspec.api import Model
    from graphspec.data.check import Dataset
    from graphspec.ir.graph import Graph
    from graphspec.language.declarations import Spec
    from graphspec.training.trainer import Trainer


def train(
    spec: SpecFile,
    directory: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run directory, runs/<name> by default.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, or for more epochs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run directory if it exists.")] = False,
    onnx: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", callback=writable, help="Export to ONNX at the end.", show_default=False
        ),
    ] = None,
    allow_outside: AllowOutside = False,
    sets: Sets = None,
) -> int | None:
    """Train a spec on its data, with a checkpoint at every epoch's end, and evaluate it on its test data."""
    from graphspec.api import Model
    from graphspec.cli.progress import watch
    from graphspec.compiler.check import check
    from graphspec.compiler.trainable import refuse_untrainable
    from graphspec.training.interrupt import raised
    from graphspec.training.lock import locked
    from graphspec.training.run_directory import start_run

    if resume and overwrite:
        raise UsageError("give either --resume or --overwrite, not both")
    checked = check(str(spec), sets or (), allow_outside=allow_outside)
    declaration, lowered = checked.require()
    print_diagnostics(d for d in checked.diagnostics if d.code not in (Code.NOTHING_TO_TRAIN, Code.NOT_ENOUGH_MEMORY))
    refuse_untrainable(checked.diagnostics)
    if onnx is not None:
        _check_export(declaration, lowered.graph)
    directory = directory or Path("runs") / declaration.name
    _check_directory(directory, resume=resume, overwrite=overwrite)
    if directory.is_dir():
        with locked(directory):  # said before all data are read
            pass
    parts = _load_data(declaration, lowered.graph)
    model = Model(declaration, lowered, checked.diagnostics)
    model.parts, model.allow_outside = parts, allow_outside
    trainer = model.trainer(watch(), directory)
    make_folder(directory)
    with locked(directory, err):
        _check_directory(directory, resume=resume, overwrite=overwrite)  # it may have changed
        if resume:
            _resume(model, trainer, directory)
        trainer.check_outputs()
        if overwrite:
            _remove(directory, [spec, *(s.file for s in declaration.data.values() if s.file is not None)])
        start_run(model, directory)
        try:
            with raised():
                _run(trainer, directory)
        except KeyboardInterrupt:
            err(_interrupted(trainer, directory, _command(spec, directory, model, onnx, sets or ())))
            return INTERRUPTED
        _finish(model, trainer, directory, onnx)
    return None


def _check_export(spec: Spec, graph: Graph) -> None:
    """What cannot be exported is said before the training, not after it."""
    from graphspec.export.check import check_export
    from graphspec.export.targets import OPSET

    if found := check_export(spec, graph, OPSET):
        raise SpecError(found)


def _load_data(spec: Spec, graph: Graph) -> dict[str, Dataset]:
    """All data files, every problem of them at once; those of the test data would otherwise show after the training."""
    from graphspec.data.check import refused
    from graphspec.data.signature import load_all

    if "train" not in spec.data:
        text = "there is nothing to train on: the spec has no `data.train`"
        hint = "add `data: {train: {file: …}}`"
        raise SpecError([Diagnostic.at(spec.tree.mark, Code.MISSING_KEY, text, path="data.train", hint=hint)])
    parts, found = load_all(spec, graph)
    if any(d.is_error for d in found):
        raise refused(found)
    print_diagnostics(found)
    return parts


# The run directory.

_NAMED = 5
"""Files that a message names."""


def _check_directory(directory: Path, *, resume: bool, overwrite: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file, not a run directory")
    taken = directory.is_dir() and any(_content(directory))
    if taken and not (resume or overwrite):
        raise UsageError(
            f"{directory} exists: go on with --resume, replace it with --overwrite, or choose another --out"
        )
    if overwrite and taken and not _is_run(directory):
        raise UsageError(
            f"{directory} is no run directory (it lacks spec.json or run.json): --overwrite leaves it alone"
        )
    if resume and not taken:
        raise UsageError(f"there is no run in {directory} to resume")
    if resume and not _is_run(directory) and not _only_begun(directory):
        raise UsageError(f"{directory} is no run directory: it lacks spec.json or run.json")


def _content(directory: Path) -> Iterator[Path]:
    """What lies in a folder but the lock."""
    return (path for path in directory.iterdir() if path.name != LOCK)


def _is_run(directory: Path) -> bool:
    return (directory / "spec.json").is_file() and (directory / "run.json").is_file()


def _only_begun(directory: Path) -> bool:
    """Killed while the directory was being made: nothing but the first files, or their temporary names."""
    return all(p.name in ("spec.json", "run.json") or is_leftover(p) for p in _content(directory))


def _has_checkpoint(directory: Path) -> bool:
    """Whether the run got as far as its first checkpoint; one killed before that begins again from its seed."""
    written = ("checkpoint.safetensors", "checkpoint.json", "weights.safetensors", "history.csv")
    if any((directory / name).exists() for name in written):
        return True
    err(f"{directory} has no checkpoint yet: beginning again")
    return False


def _remove(directory: Path, used: Sequence[Path]) -> None:
    """Remove what a run has written, but nothing that is in use; say what else lies there."""
    from graphspec.training.owned import remove_run

    real = directory.resolve()
    inside = next((p for p in (Path.cwd(), *used) if p.resolve().is_relative_to(real)), None)
    if directory.is_symlink() or inside is not None:
        why = "it is a symbolic link" if inside is None else f"{inside} lies in it"
        raise UsageError(f"--overwrite does not remove {directory}: {why}")
    if kept := remove_run(directory):
        more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
        err(f"note: {directory} keeps what no run wrote: {', '.join(kept[:_NAMED])}{more}")


# The run.


def _resume(model: Model, trainer: Trainer, directory: Path) -> None:
    """Take up the last checkpoint, and bring the files of the run to its state: a kill may have left them behind it."""
    from graphspec.training.run_directory import check_own, check_resumable

    check_own(directory)
    checkpoint = check_resumable(model, directory) if _has_checkpoint(directory) else None
    if checkpoint is not None:
        trainer.resume(checkpoint)
    remove_leftovers(directory)
    if checkpoint is not None:
        trainer.write_derived()


def _run(trainer: Trainer, directory: Path) -> None:
    if trainer.finished:
        why = f": {trainer.stopped}" if trainer.stopped is not None else ""
        out(f"the run in {directory} is already finished after epoch {trainer.epoch}{why}")
    trainer.run()


def _finish(model: Model, trainer: Trainer, directory: Path, onnx: Path | None) -> None:
    from graphspec.cli.evaluate import print_table, print_test

    model.save_weights(directory)
    if "test" in model.spec.data:
        out("test data:")
        print_test(model)
    elif trainer.tables:
        out("validation data:")
        for table in trainer.tables:
            print_table(table)
    out(f"run: {directory}")
    if onnx is not None:
        out(f"{onnx}: {model.export(onnx)}")


def _interrupted(trainer: Trainer, directory: Path, command: str) -> str:
    """What Ctrl-C leaves behind, and the command that goes on."""
    if trainer.last_checkpoint is None:
        return f"interrupted before the first checkpoint; begin again with\n  {command}"
    epoch, batch = trainer.last_checkpoint
    done = f"epoch {epoch + 1}, step {batch}" if batch else f"the end of epoch {epoch}"
    return f"interrupted: {directory} has a checkpoint of {done}; go on with\n  {command}"


def _command(spec: Path, directory: Path, model: Model, onnx: Path | None, sets: Sequence[str]) -> str:
    words = ["graphspec", "train", str(spec), "--resume"]
    if directory != Path("runs") / model.spec.name:
        words += ["--out", str(directory)]
    if onnx is not None:
        words += ["--export", str(onnx)]
    if model.allow_outside:
        words.append("--allow-outside")
    for text in sets:
        words += ["--set", text]
    return shlex.join(words)
