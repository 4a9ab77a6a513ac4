"""``graphspec export``: write a trained run as an ONNX file, proved equal under onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.console import out_wrapped
from graphspec.cli.options import Allow, DataPlace, OnnxOutput, Opset, RunDirectory, SignatureFile, Target


def export(
    run: RunDirectory,
    output: OnnxOutput,
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
    signature: SignatureFile = None,
    data: DataPlace = None,
    allow: Allow = None,
) -> None:
    """Write a run as an ONNX file. Writes the file only if onnxruntime's outputs match; otherwise the status is 1."""
    from graphspec.api import load
    from graphspec.cli.targets import is_onnx, is_spec, refuse_other, spec_for_run
    from graphspec.data.relocated import moved
    from graphspec.errors import UsageError

    wanted = "name a run directory"
    refuse_other(run, wanted)
    if is_onnx(run):
        raise UsageError(f"{run} is an ONNX file already; {wanted}")
    if is_spec(run):
        raise spec_for_run(run, "export")
    model = load(run, allow=allow or ())
    if data is not None:
        model.spec = moved(model.spec, data)
    out_wrapped(f"{output}: {model.export(output, opset=opset, target=target, rows=rows, signature=signature)}")
