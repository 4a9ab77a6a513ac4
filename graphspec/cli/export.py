"""``graphspec export``: a trained run as an ONNX file, proved equal under onnxruntime."""

from __future__ import annotations

from typing import Annotated

import typer

from graphspec.cli.console import out
from graphspec.cli.options import Output, RunDirectory


def export(
    run: RunDirectory,
    output: Output,
    opset: Annotated[
        int | None, typer.Option(metavar="N", help="ONNX opset [default: 17].", show_default=False)
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A runtime instead of an opset, such as ort-1.20.", show_default=False),
    ] = None,
) -> None:
    """Write the ONNX file of a run, after proving it equal to the runtime; not equal: no file, status 1."""
    from graphspec.runtime.rundir import load

    out(f"{output}: {load(run).export(output, opset=opset, target=target)}")
