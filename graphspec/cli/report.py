"""``graphspec report``: one HTML page about a run, or about several runs side by side."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.base.errors import UsageError
from graphspec.base.files import write_atomic
from graphspec.cli.console import complain, out_wrapped, write_data
from graphspec.cli.options import Allow, DataPart, DataPlace, argument, option, output_file
from graphspec.cli.targets import is_onnx, is_run, is_spec, naming_data, open_model, refuse_other, spec_for_run

if TYPE_CHECKING:
    from graphspec.show.report.comparison import Written

_WANTED = "name a run directory"


def report(
    runs: Annotated[list[Path], argument("RUN", "Run directories, as `train` writes them.")],
    output: Annotated[
        Path | None,
        output_file("The file to write; by default report.html in the run, or comparison.html for several runs."),
    ] = None,
    data: DataPlace = None,
    part: Annotated[
        DataPart | None, option(None, "The rows to judge by; by default test, else validation, else train.", "--part")
    ] = None,
    allow: Allow = None,
) -> None:
    """Write a page about a run: results, curves, mistakes, data, the network. Several runs are compared on one page."""
    from graphspec.show.report.comparison import MOST, write_comparison, write_report

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"'{output}' must end in .html: a report is an HTML page")
    for run in runs:
        refuse_no_run(run)
    if len(runs) > MOST:
        raise UsageError(f"{len(runs)} runs are too many for one page; name at most {MOST}")
    wanted = None if part is None else part.value
    loaded = partial(open_model, command="report", allow=allow or (), data=data)
    if len(runs) == 1:
        with naming_data(data):
            written = write_report(loaded(runs[0]), runs[0], output, wanted)
        return say(written)
    path = output or Path("comparison.html")
    if output is None:
        from graphspec.show.html import refuse_foreign

        refuse_foreign(path, "report")
    with naming_data(data):
        notes = write_comparison(runs, loaded, path, wanted)
    out_wrapped(f"report: {path}")
    for note in notes:
        complain(f"note: {note}")


def say(written: Written) -> None:
    """Print where a report is, and which part of it could not be made."""
    out_wrapped(f"report: {written.path}")
    if missing := written.missing:
        complain(f"note: the report has no results by row: {missing[:1].lower()}{missing[1:].rstrip('.')}")


def refuse_no_run(run: Path) -> None:
    """Raise UsageError for what is no run."""
    refuse_other(run, _WANTED)
    if is_spec(run):
        raise spec_for_run(run, "report")
    if not is_run(run):
        missing = "is not a run directory" if run.exists() else "does not exist"
        what = "is an ONNX file, which has no history" if is_onnx(run) and run.exists() else missing
        raise UsageError(f"{run} {what}; {_WANTED}")


# ``graphspec card``: a model card of a run, in Markdown, or a bill of materials of a run or a file, for programs.
Format = StrEnum("Format", ["markdown", "cyclonedx"])


def card(
    run: Annotated[Path, argument("RUN|FILE", "A run directory, or with --format cyclonedx an exported file.")],
    output: Annotated[
        Path | None, output_file("The file to write, such as README.md; by default the card is printed.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="A card for people, or a bill of materials (CycloneDX, JSON).")
    ] = Format.markdown,
    file: Annotated[
        str | None, option("NAME", "The name of the exported file in the card; by default <name>.onnx.", "--file")
    ] = None,
    licence: Annotated[str | None, option("ID", "The licence of the model, such as mit.", "--license")] = None,
    data: DataPlace = None,
    allow: Allow = None,
) -> None:
    """Write a model card: what a run does, its results with intervals, its limits, and how to call its file."""
    from graphspec.show.report.card import MARK
    from graphspec.show.report.card import card as card_of
    from graphspec.show.report.findings import find
    from graphspec.show.report.model_bill import found_in_file, model_bill

    is_bill = form is Format.cyclonedx
    mark, what = ('"bomFormat": "CycloneDX"', "bill of materials") if is_bill else (MARK, "card")
    if not (is_bill and is_onnx(run)):
        refuse_no_run(run)
    if output is not None and output.is_file() and mark not in output.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{output} exists, and no {what} is in it; name another file with -o")
    if is_onnx(run):
        found, file = found_in_file(run), str(run)
    else:
        model = open_model(run, "card", allow or (), data)
        with naming_data(data):
            found = find(model, run)
    name = file or f"{found.model.spec.name}.onnx"
    text = model_bill(found, Path(file) if file else None, licence) if is_bill else card_of(found, name, licence)
    content = text.encode(errors="replace")
    if output is None:
        write_data(content)
    else:
        write_atomic(output, content)
        out_wrapped(f"card: {output}")
    if found.missing:
        complain(f"note: the card has no results: {found.missing[:1].lower()}{found.missing[1:].rstrip('.')}")
