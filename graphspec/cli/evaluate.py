"""``graphspec evaluate``: losses and metrics of a run on its test data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import columns, out
from graphspec.cli.options import Allow, RunDirectory
from graphspec.errors import UsageError
from graphspec.text import shorten_end, terminal_width

if TYPE_CHECKING:
    from graphspec.api import Model
    from graphspec.runtime.running_metrics import ResultTable


def evaluate(
    run: RunDirectory,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A data file to use instead of the spec's test data, with the same columns.",
            show_default=False,
        ),
    ] = None,
    allow: Allow = None,
) -> None:
    """Print the losses and metrics of a run on its test data."""
    from graphspec.api import load

    model = load(run, allow=allow or ())
    if data is not None:
        _replace_test_data(model, data)
    elif "test" not in model.spec.data:
        raise UsageError(f"the spec of {run} has no test data; name a file with --data")
    print_test(model)


def _replace_test_data(model: Model, file: Path) -> None:
    """Replace the test data by ``file``; its columns are mapped like the test data, or else the training data."""
    parts = model.spec.data
    like = parts.get("test") or parts.get("train")
    if like is None:
        raise UsageError("the spec has no `data`, which would map arrays to inputs and targets")
    parts["test"] = like.at(file)


def print_test(model: Model) -> None:
    """Print one line per value on the test data (with its meaning, if a metric has several values), then the tables."""
    running = model.evaluate_arrays(model.part("test"), model.spec.training.batch_size)
    meanings = running.meanings()
    width = terminal_width(sys.stdout)
    for line in columns((key, f"{value:.6g}", meanings.get(key, "")) for key, value in running.logs().items()):
        out(line if width is None else shorten_end(line, width))
    for table in running.tables():
        print_table(table)


def print_table(table: ResultTable) -> None:
    """Print a confusion matrix so that it fits the terminal."""
    from graphspec.cli.confusion import matrix_lines

    out("")
    for line in matrix_lines(table, terminal_width(sys.stdout)):
        out(line)
