"""``graphspec card``: a model card of a run, in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from graphspec.base.errors import UsageError
from graphspec.base.files import write_atomic
from graphspec.cli.console import complain, out_wrapped, write_data
from graphspec.cli.options import Allow, DataPlace, argument, option, output_file
from graphspec.cli.report import load_run, refuse_no_run
from graphspec.cli.targets import naming_data


def card(
    run: Annotated[Path, argument("RUN", "A run directory, as `train` writes it.")],
    output: Annotated[
        Path | None, output_file("The file to write, such as README.md; by default the card is printed.")
    ] = None,
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

    refuse_no_run(run)
    if output is not None and output.is_file() and MARK not in output.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{output} exists, and no card is in it; name another file with -o")
    model = load_run(run, data, allow or ())
    with naming_data(data):
        found = find(model, run)
    text = card_of(found, file or f"{model.spec.name}.onnx", licence)
    if output is None:
        write_data(text.encode())
    else:
        write_atomic(output, text)
        out_wrapped(f"card: {output}")
    if found.missing:
        complain(f"note: the card has no results: {found.missing[:1].lower()}{found.missing[1:].rstrip('.')}")
