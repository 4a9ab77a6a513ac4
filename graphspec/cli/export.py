"""``graphspec export``: write a trained run as an ONNX file, proved equal under onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.console import out_wrapped
from graphspec.cli.options import Allow, Opset, Output, RunDirectory, Target, writable


def export(
    run: RunDirectory,
    output: Output,
    opset: Opset = None,
    target: Target = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rows for the proof, as for predict; by default from the spec's test or training data.",
            show_default=False,
        ),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=writable,
            help="A JSON file for the signature: inputs, outputs and an example.",
            show_default=False,
        ),
    ] = None,
    allow: Allow = None,
) -> None:
    """Write a run as an ONNX file. Writes the file only if onnxruntime's outputs match; otherwise the status is 1."""
    from graphspec.api import load

    model = load(run, allow=allow or ())
    out_wrapped(f"{output}: {model.export(output, opset=opset, target=target, rows=rows, signature=signature)}")
