"""``graphspec export``: a trained run as an ONNX file, proved equal under onnxruntime."""

from __future__ import annotations

from graphspec.cli.console import out
from graphspec.cli.options import Opset, Output, RunDirectory, Target


def export(
    run: RunDirectory,
    output: Output,
    opset: Opset = None,
    target: Target = None,
) -> None:
    """Write the ONNX file of a run, after proving it equal to the runtime; not equal: no file, status 1."""
    from graphspec.runtime.rundir import load

    out(f"{output}: {load(run).export(output, opset=opset, target=target)}")
