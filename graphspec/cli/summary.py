"""``graphspec summary``, ``plot`` and ``diff``: the network of a spec as a table, as a drawing, and beside another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from graphspec.base.errors import SpecError, UsageError
from graphspec.base.files import write_atomic
from graphspec.base.text import terminal_width
from graphspec.cli.console import out, out_blocks, print_diagnostics, write_data, write_json
from graphspec.cli.options import AnyTarget, Sets, argument, flag, option, output_file
from graphspec.cli.targets import checked_target


def summary(
    spec: AnyTarget,
    batch_size: Annotated[
        int | None, option("N", "The batch size for the memory; the spec's by default.", min=1)
    ] = None,
    expand: Annotated[bool, flag("--expand", "Print every node of a record, not one row.")] = False,
    sets: Sets = None,
) -> None:
    """Print every node with its output shape, parameters, memory per batch, and multiply-adds per row."""
    from graphspec.base.document import Column, Table
    from graphspec.base.terminal import table_lines
    from graphspec.show.drawing.summary import summary_lines

    checked = checked_target(spec, sets or ())
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics)
    rows, width = batch_size or declaration.training.batch_size, terminal_width(sys.stdout)
    out(*summary_lines(declaration, lowered, rows, width=width, expand=expand))
    for plan in lowered.initial:
        known = plan.report()  # what each weight of a file starts from, and what is left over
        table = Table([Column(cut="middle"), Column(cut="end", least=8)], list(known.rows()), indent=2)
        out("", str(known), *table_lines(table, width))


_MERMAID = (".mmd", ".mermaid", ".md")


def plot(
    spec: AnyTarget,
    output: Annotated[
        Path | None, output_file("An .svg file, or .mmd or .md for Mermaid text; by default Mermaid text is printed.")
    ] = None,
    expand: Annotated[bool, flag("--expand", "Draw every node of every block, not each block once.")] = False,
    sets: Sets = None,
) -> None:
    """Draw the graph: an SVG file, or Mermaid text. Blocks are boxes, and each block has its own panel."""
    from graphspec.engine.compiler.lowered_network import cost
    from graphspec.show.drawing.outline import outline
    from graphspec.show.drawing.svg import mermaid, svg

    if output is not None and output.suffix.lower() not in (".svg", *_MERMAID):
        raise UsageError(f"'{output}' is neither .svg nor Mermaid text (.mmd, .md)")
    checked = checked_target(spec, sets or ())
    declaration, lowered = checked.require()
    print_diagnostics(checked.diagnostics, sys.stderr)
    panels = outline(declaration, lowered, cost(declaration, lowered, 1), expand=expand)
    if output is None:
        write_data(mermaid(panels).encode())
        return
    ending = output.suffix.lower()
    text = svg(panels) if ending == ".svg" else mermaid(panels)
    write_atomic(output, f"```mermaid\n{text}```\n" if ending == ".md" else text)
    out(f"wrote {output}")


_PLACE = "A spec, a run directory or an ONNX file."
_DIFFERENT, _TROUBLE = 1, 2  # exit statuses


def diff(
    old: Annotated[Path, argument("OLD", _PLACE)],
    new: Annotated[Path, argument("NEW", "The spec, run or file to compare it with.")],
    json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False,
) -> int:
    """Show what differs between two specs, runs or ONNX files, by meaning: layers, shapes, training, data, results.

    The order of keys, defaults, short forms and blocks make no difference. Status 0: equal, 1: different, 2: not comparable.
    """
    from graphspec.cli.differences import compare, differences

    try:
        record = compare(old, new)
    except SpecError as error:
        print_diagnostics(error.diagnostics)
        return _TROUBLE
    if json:
        write_json(record)
    else:
        out_blocks(differences(record))
    return 0 if record["equal"] else _DIFFERENT
