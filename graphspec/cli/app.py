"""The command line: one typer command a verb, each in the file of its name."""

from __future__ import annotations

from typing import Annotated

import typer

from graphspec.cli.console import guarded
from graphspec.cli.evaluate import evaluate
from graphspec.cli.export import export
from graphspec.cli.init import init
from graphspec.cli.plot import plot
from graphspec.cli.predict import predict
from graphspec.cli.schema import schema
from graphspec.cli.summary import summary
from graphspec.cli.train import train
from graphspec.cli.validate import validate

VERBS = (init, validate, summary, plot, train, evaluate, predict, export, schema)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
for verb in VERBS:
    app.command()(guarded(verb))


def _version(asked: bool) -> None:
    if asked:
        from graphspec.version import __version__

        typer.echo(f"graphspec {__version__}")
        raise typer.Exit


@app.callback()
def graphspec(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Neural networks as data: check a spec, train it with NumPy, export it to ONNX, proved equal.

    Exit status: 0 fine, 1 the spec or its data is wrong, 2 wrong usage, 3 the run failed, 130 interrupted.
    """
