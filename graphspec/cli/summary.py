"""``graphspec summary``: print a spec's nodes with shapes, parameters, memory and multiply-adds."""

from __future__ import annotations

from typing import Annotated

import typer

from graphspec.cli.console import out, print_diagnostics
from graphspec.cli.options import Sets, SpecFile


def summary(
    spec: SpecFile,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="The batch size for the memory \\[default: the spec's].", show_default=False
        ),
    ] = None,
    sets: Sets = None,
) -> None:
    """Print every node with its output shape, parameters, memory per batch, and multiply-adds per row."""
    from graphspec.compiler.check import check
    from graphspec.drawing.summary import summary_lines

    checked = check(str(spec), sets or (), allow_outside=True)
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics)
    for line in summary_lines(declaration, lowered, batch_size or declaration.training.batch_size):
        out(line)
