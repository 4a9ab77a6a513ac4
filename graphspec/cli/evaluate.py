"""``graphspec evaluate``: losses and metrics of a run or an ONNX file on its test data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.base.errors import NOWHERE, SpecError, UsageError
from graphspec.base.files import DATA_SUFFIXES, suffix_of
from graphspec.base.libraries import has_folder
from graphspec.base.text import shell
from graphspec.cli.console import out
from graphspec.cli.options import Allow, Answering, DataPart, option
from graphspec.cli.targets import is_spec, naming_data, open_model, refuse_other

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.language.declarations import Spec

_WANTED = "name a run directory or an ONNX file"


def evaluate(
    run: Answering,
    data: Annotated[
        Path | None,
        option("FILE|DIR", "Other rows with the same columns; or the folder in which the spec's data files lie now."),
    ] = None,
    part: Annotated[DataPart, typer.Option("--part", help="The rows to evaluate.")] = DataPart.test,
    allow: Allow = None,
) -> None:
    """Print the losses and metrics of a run or an ONNX file on its test data."""
    refuse_other(run, _WANTED)
    if run.is_dir() or is_spec(run):
        _evaluate_run(run, data, part, allow or ())
    else:
        _evaluate_file(run, data, part, allow or ())


def _evaluate_run(run: Path, data: Path | None, part: DataPart, allow: Sequence[Path]) -> None:
    from graphspec.cli.results import print_results, print_verdicts
    from graphspec.engine.runtime.running_metrics import HeadCounts
    from graphspec.engine.training.copies import evaluate_part
    from graphspec.engine.training.prepare import part_rows

    model = open_model(run, "evaluate", allow)
    if data is None:
        _refuse_missing(model.spec, run, part)
    else:
        model.spec = _with_data(model.spec, run, data, part)
    with naming_data(data):
        rows = part_rows(model, part)
        if part != DataPart.test and _read(model.spec, DataPart.validation) == "train" and run.is_dir():
            _refuse_other_rows(model, run)
        running = evaluate_part(model, rows, part, HeadCounts(model, model.cutoffs))
        print_results(running)
        if len(rows) and has_folder("show"):
            from graphspec.show.report.findings import Findings, judge

            out("")
            train = None
            if rows.times is not None and part != DataPart.train and "train" in model.spec.data:
                with suppress(SpecError):  # only MASE compares with them
                    train = part_rows(model, "train")
            print_verdicts(judge(Findings(model, run, {}, train=train), rows, part.value, running))


def _evaluate_file(file: Path, data: Path | None, part: DataPart, allow: Sequence[Path]) -> None:
    from graphspec.cli.results import print_results, print_verdicts
    from graphspec.engine.runtime.session import Session
    from graphspec.engine.training.prepare import part_rows
    from graphspec.export.read import evaluate_exported, read_exported

    if not file.exists():
        raise UsageError(f"{file} does not exist; {_WANTED}")
    found = read_exported(file)
    if data is None:
        do = "add `--data DIR` or `--data FILE`"
        raise UsageError(f"{file} contains no data, only the names of its data files; {do}")
    spec = _with_data(found.spec.allowing(allow), file, data, part)
    if part == DataPart.validation and spec.training.folds is not None:
        raise UsageError(f"{file} has only the mean of its copies, which have learnt from all rows: evaluate its run")
    try:
        rows = part_rows(Session(spec, found.checked.require()[1]), part)
        running, judging, answered = evaluate_exported(found, spec, rows)
    except SpecError as error:  # the file has no lines to point at
        found_in = (replace(d, file=str(file)) if d.file == NOWHERE.file else d for d in error.diagnostics)
        raise SpecError(found_in) from None
    print_results(running)
    if rows.times is not None and len(rows) and has_folder("show"):  # of a series, the rows have the simple forecasts
        from graphspec.show.report.findings import Findings, judge

        out("")
        print_verdicts(judge(Findings(judging, None, {}), answered, part.value, running))


def _read(spec: Spec, part: DataPart) -> str:
    """Return the part whose source has the rows: those of a split are in the training data."""
    source = spec.data.get(part)
    return "train" if part == DataPart.validation and source is not None and not source.has_rows else part.value


def _refuse_missing(spec: Spec, run: Path, part: DataPart) -> None:
    """Raise UsageError if the spec has no such data, with the command that evaluates other rows."""
    if part in spec.data:
        return
    other = next((p for p in (DataPart.test, DataPart.validation, DataPart.train) if p in spec.data), None)
    do = "name a file with --data"
    if other is not None:
        command = shell("graphspec", "evaluate", str(run), "--part", other.value)
        do = f"evaluate the {other.value} rows with `{command}`, or {do}"
    raise UsageError(f"the spec of {run} has no {part.value} data; {do}")


def _with_data(spec: Spec, target: Path, place: Path, part: DataPart) -> Spec:
    """Return the spec with the rows of a part in another file or folder.

    A file has the rows: its columns are mapped like those of the part, or else of the training data. A folder with the
    part's data file is where the data lie now. A folder of pictures or texts has the rows, too.
    """
    from graphspec.data.paths import moved, unmapped

    name = _read(spec, part)
    own = spec.data.get(name)
    if not place.exists() and suffix_of(place) not in DATA_SUFFIXES:
        return moved(spec, place)  # it says that there is no such folder
    if place.is_dir() and own is not None:
        try:
            return moved(spec, place, only=name)
        except UsageError:
            if own.images is None and own.texts is None:
                raise
    like = own or spec.data.get("test") or spec.data.get("train") or spec.data.get("validation")
    if own is None and like is not None and place.is_dir() and like.images is None and like.texts is None:
        _refuse_missing(spec, target, part)
    return replace(spec, data={**spec.data, name: unmapped(place) if like is None else like.at(place)})


def _refuse_other_rows(model: Model, run: Path) -> None:
    """Raise UsageError if the training data are not those of the run: a split would choose other rows."""
    from graphspec.data.files import files_of
    from graphspec.data.stored import hash_of
    from graphspec.engine.runtime.records import Provenance, check, read_json

    path = run / "run.json"
    if not path.is_file():
        return
    known = check(Provenance, read_json(path), path).data_sha256.get("train")
    files = files_of(model.spec.data["train"])
    if known is not None and files and hash_of(files) != known:
        raise UsageError(f"the training data are not those of {run}: its rows for training and validation are unknown")
