"""``graphspec summary``: print a spec's nodes with shapes, parameters, memory and multiply-adds."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from graphspec.cli.console import out, print_diagnostics
from graphspec.cli.options import AnyTarget, Sets
from graphspec.text import terminal_width


def summary(
    spec: AnyTarget,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="The batch size for the memory; the spec's by default.", show_default=False
        ),
    ] = None,
    expand: Annotated[bool, typer.Option("--expand", help="Print every node of a record, not one row.")] = False,
    sets: Sets = None,
) -> None:
    """Print every node with its output shape, parameters, memory per batch, and multiply-adds per row."""
    from graphspec.cli.targets import checked_target
    from graphspec.drawing.summary import summary_lines

    checked = checked_target(spec, sets or ())
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics)
    rows, width = batch_size or declaration.training.batch_size, terminal_width(sys.stdout)
    for line in summary_lines(declaration, lowered, rows, width=width, expand=expand):
        out(line)
