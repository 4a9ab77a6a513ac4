"""``graphspec plot``: draw a spec's graph."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from graphspec.cli.console import out, print_diagnostics, write_data
from graphspec.cli.options import AnyTarget, Sets, flag, output_file

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
    from graphspec.base.errors import UsageError
    from graphspec.base.files import write_atomic
    from graphspec.cli.targets import checked_target
    from graphspec.engine.compiler.cost import cost
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
