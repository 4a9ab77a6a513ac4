"""``graphspec summary``: print a spec's nodes with shapes, parameters, memory and multiply-adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from graphspec.base.text import terminal_width
from graphspec.cli.console import out, print_diagnostics
from graphspec.cli.options import AnyTarget, Sets, flag, option

if TYPE_CHECKING:
    from graphspec.engine.compiler.lowered import Lowered


def summary(
    spec: AnyTarget,
    batch_size: Annotated[
        int | None, option("N", "The batch size for the memory; the spec's by default.", min=1)
    ] = None,
    expand: Annotated[bool, flag("--expand", "Print every node of a record, not one row.")] = False,
    sets: Sets = None,
) -> None:
    """Print every node with its output shape, parameters, memory per batch, and multiply-adds per row."""
    from graphspec.cli.targets import checked_target
    from graphspec.show.drawing.summary import summary_lines

    checked = checked_target(spec, sets or ())
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics)
    rows, width = batch_size or declaration.training.batch_size, terminal_width(sys.stdout)
    for line in summary_lines(declaration, lowered, rows, width=width, expand=expand):
        out(line)
    for line in _initial(lowered, width):
        out(line)


def _initial(lowered: Lowered, width: int | None) -> Iterator[str]:
    """Yield a table for each file of initial weights: what each weight starts from, and what is left over."""
    from graphspec.base.document import Column, Table
    from graphspec.base.terminal import table_lines

    for plan in lowered.initial:
        known = plan.report()
        rows = list(known.rows())
        yield from ("", str(known))
        yield from table_lines(Table([Column(cut="middle"), Column(cut="end", least=8)], rows, indent=2), width)
