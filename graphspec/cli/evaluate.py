"""``graphspec evaluate``: losses and metrics of a run on its test data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli.console import columns, out
from graphspec.cli.options import RunDirectory
from graphspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphspec.model import Model


def evaluate(
    run: RunDirectory,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Other rows than the spec's test data, in the same form.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the losses and metrics of a run on its test data."""
    from graphspec.runtime.rundir import load

    model = load(run)
    if data is not None:
        _use(model, data)
    elif "test" not in model.spec.data:
        raise UsageError(f"the spec of {run} has no test data; name a file with --data")
    print_figures(model.evaluate())


def _use(model: Model, file: Path) -> None:
    """Let ``file`` stand for the test data: columns are mapped as there, or as in the training data."""
    parts = model.spec.data
    like = parts.get("test") or parts.get("train")
    if like is None:
        raise UsageError("the spec has no `data`: it does not say which arrays are inputs and targets")
    parts["test"] = replace(like, file=file, split=None, stratify=None)


def print_figures(logs: Mapping[str, float]) -> None:
    """A line a figure."""
    for line in columns((key, f"{value:.6g}") for key, value in logs.items()):
        out(line)
