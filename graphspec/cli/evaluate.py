"""``graphspec evaluate``: losses and metrics of a run on its test data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import columns, out
from graphspec.cli.options import Allow, RunDirectory
from graphspec.errors import UsageError

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
    for line in columns((key, f"{value:.6g}", meanings.get(key, "")) for key, value in running.logs().items()):
        out(line)
    for table in running.tables():
        print_table(table)


def print_table(table: ResultTable) -> None:
    """Print a confusion matrix with the recall of every class on the right and its precision below."""
    counts = table.counts
    right, true, answers = counts.diagonal(), counts.sum(1), counts.sum(0)
    out("")
    rows = [
        [label, *row, _ratio(right[k], true[k])]
        for k, (label, row) in enumerate(zip(table.labels, counts, strict=True))
    ]
    precisions = [_ratio(a, b) for a, b in zip(right, answers, strict=True)]
    head = [f"{table.key}: true \\ answer", *table.labels, "recall"]
    for line in columns([head, *rows, ["precision", *precisions, ""]], right=range(1, len(head))):
        out(line)


def _ratio(part: int, whole: int) -> str:
    """Return a ratio of row counts, ``-`` without rows."""
    return f"{part / whole:.4f}" if whole else "-"
