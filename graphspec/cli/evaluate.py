"""``graphspec evaluate``: losses and metrics of a run or an ONNX file on its test data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.base.errors import NOWHERE, SpecError, UsageError
from graphspec.base.libraries import has_folder
from graphspec.base.text import shell, terminal_width
from graphspec.cli.console import complain, out, out_blocks, out_wrapped
from graphspec.cli.options import Allow, Answering, Part, option
from graphspec.cli.targets import is_spec, model_of, naming_data, refuse_other

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.engine.runtime.running_metrics import ResultTable, RunningMetrics
    from graphspec.language.declarations import Spec

_WANTED = "name a run directory or an ONNX file"


def evaluate(
    run: Answering,
    data: Annotated[
        Path | None,
        option("FILE|DIR", "Other rows with the same columns; or the folder in which the spec's data files lie now."),
    ] = None,
    part: Annotated[Part, typer.Option("--part", help="The rows to evaluate.")] = Part.test,
    allow: Allow = None,
) -> None:
    """Print the losses and metrics of a run or an ONNX file on its test data."""
    refuse_other(run, _WANTED)
    if run.is_dir() or is_spec(run):
        _evaluate_run(run, data, part, allow or ())
    else:
        _evaluate_file(run, data, part, allow or ())


def _evaluate_run(run: Path, data: Path | None, part: Part, allow: Sequence[Path]) -> None:
    from graphspec.cli.results import print_verdicts
    from graphspec.engine.runtime.running_metrics import HeadCounts
    from graphspec.engine.training.prepare import part_rows

    model = model_of(run, "evaluate", allow)
    if data is None:
        _refuse_missing(model.spec, run, part)
    else:
        model.spec = _with_data(model.spec, run, data, part)
    with naming_data(data):
        rows = part_rows(model, part)
        if part != Part.test and _read(model.spec, Part.validation) == "train" and run.is_dir():
            _refuse_other_rows(model, run)
        running = model.evaluate_arrays(rows, model.spec.training.batch_size, HeadCounts(model))
        _print_results(running)
        if len(rows) and has_folder("show"):
            from graphspec.show.report.findings import Findings, judge

            out("")
            print_verdicts(judge(Findings(model, run, {}), rows, part.value, running))


def _evaluate_file(file: Path, data: Path | None, part: Part, allow: Sequence[Path]) -> None:
    from graphspec.engine.runtime.session import Session
    from graphspec.engine.training.prepare import part_rows
    from graphspec.export.read import evaluate_exported, has_penalties, read_exported

    if not file.exists():
        raise UsageError(f"{file} does not exist; {_WANTED}")
    found = read_exported(file)
    if data is None:
        do = "add `--data DIR` or `--data FILE`"
        raise UsageError(f"{file} contains no data, only the names of its data files; {do}")
    spec = _with_data(found.spec.allowing(allow), file, data, part)
    try:
        rows = part_rows(Session(spec, found.checked.require()[1]), part)
        running = evaluate_exported(found, spec, rows)
    except SpecError as error:  # the file has no lines to point at
        found_in = (replace(d, file=str(file)) if d.file == NOWHERE.file else d for d in error.diagnostics)
        raise SpecError(found_in) from None
    _print_results(running)
    if has_penalties(found.graph):
        complain("note: the loss lacks the penalties of regularizers, which an ONNX file does not contain")


def _read(spec: Spec, part: Part) -> str:
    """Return the part whose source has the rows: those of a split are in the training data."""
    source = spec.data.get(part)
    return "train" if part == Part.validation and source is not None and not source.has_rows else part.value


def _refuse_missing(spec: Spec, run: Path, part: Part) -> None:
    """Raise UsageError if the spec has no such data, with the command that evaluates other rows."""
    if part in spec.data:
        return
    other = next((p for p in (Part.test, Part.validation, Part.train) if p in spec.data), None)
    do = "name a file with --data"
    if other is not None:
        command = shell("graphspec", "evaluate", str(run), "--part", other.value)
        do = f"evaluate the {other.value} rows with `{command}`, or {do}"
    raise UsageError(f"the spec of {run} has no {part.value} data; {do}")


def _with_data(spec: Spec, target: Path, place: Path, part: Part) -> Spec:
    """Return the spec with the rows of a part in another file or folder.

    A file has the rows: its columns are mapped like those of the part, or else of the training data. A folder with the
    part's data file is where the data lie now. A folder of pictures or texts has the rows, too.
    """
    from graphspec.data.paths import moved, unmapped

    name = _read(spec, part)
    own = spec.data.get(name)
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


_FEW = 5  # classes, and values of a metric, that the end of a training shows


def print_test(model: Model, run: Path) -> RunningMetrics:
    """Print the losses and metrics on the test data, shortened for the end of a training in ``run``; return them."""
    running = model.evaluate_arrays(model.part("test"), model.spec.training.batch_size)
    _print_values(running, most=_FEW)
    print_few(running.tables(), shell("graphspec", "evaluate", str(run)))
    return running


def print_few(tables: Sequence[ResultTable], command: str) -> None:
    """Print confusion matrices of a few classes; for others, name the command that prints them."""
    from graphspec.cli.results import matrix_lines

    width = terminal_width(sys.stdout)
    for table in tables:
        if len(table.counts) <= _FEW:
            out("", *matrix_lines(table, width))
        else:
            out_wrapped(f"{table.key}: {len(table.counts):,} classes; `{command}` shows them")


def _print_results(running: RunningMetrics) -> None:
    """Print the values, then confusion matrices, then what is known of each head."""
    import numpy as np

    from graphspec.base.document import Text
    from graphspec.cli.results import head_tables, matrix_lines
    from graphspec.engine.runtime.running_metrics import ClassCounts

    _print_values(running)
    width = terminal_width(sys.stdout)
    found = [] if running.heads is None else running.heads.found()
    pairs = [each.pairs for each in found if isinstance(each, ClassCounts) and each.pairs is not None]
    for table in running.tables():
        has_table = any(np.array_equal(table.counts, counts) for counts in pairs)  # of its classes, below
        lines = matrix_lines(table, width, has_ratios=not has_table, may_be_list=not has_table)
        out("", *lines)
        if not lines:
            out_wrapped(f"{table.key}: too wide for {len(table.counts):,} classes; a file or a pipe gets it")
    for blocks in head_tables(found, width):
        out_blocks([Text(""), *blocks])


def _print_values(running: RunningMetrics, most: int | None = None) -> None:
    """Print one line per value, with its meaning if a metric has several; of one with more than ``most``, their range."""
    from graphspec.base.document import Column, Table

    meanings, values = running.meanings(), running.logs()
    rows: dict[str, tuple[str, str, str]] = {}
    several: dict[str, list[float]] = {}
    for key in meanings:
        several.setdefault(key.rpartition("_")[0], []).append(values[key])
    for key, value in values.items():
        name = key.rpartition("_")[0]
        group = several[name] if key in meanings else []
        if most is not None and len(group) > most:
            rows[name] = (name, f"{min(group):.6g}", f"to {max(group):.6g}: {len(group):,} values")
        else:
            rows[key] = (key, f"{value:.6g}", meanings.get(key, ""))
    out_blocks([Table([Column(cut="middle"), Column(), Column(cut="end", least=1)], [*rows.values()])])
