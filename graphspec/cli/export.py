"""``graphspec export``: write a trained run as an ONNX file, proved equal under onnxruntime, or as a folder for a server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from graphspec.base.errors import UsageError
from graphspec.cli.console import out_wrapped
from graphspec.cli.options import (
    Allow,
    DataPlace,
    OnnxOutput,
    Opset,
    RunOrSpec,
    SignatureFile,
    Target,
    option,
    writes_onnx,
)
from graphspec.cli.targets import is_onnx, open_model, refuse_other

Kind = StrEnum("Kind", ["int8", "float16"])  # the numbers of a quantized file


def export(  # noqa: PLR0913 (one for each option)
    run: RunOrSpec,
    output: OnnxOutput = None,
    opset: Opset = None,
    target: Target = None,
    rows: Annotated[
        Path | None,
        option("FILE", "Rows for the proof, as for predict; by default from the spec's test or training data."),
    ] = None,
    signature: SignatureFile = None,
    quantize: Annotated[
        Kind | None, option(None, "Write a smaller file, if test rows show that it is about as good.")
    ] = None,
    max_loss: Annotated[
        float | None, option("X", "How much worse a loss or metric of it may be; 0.01 by default.")
    ] = None,
    mlflow: Annotated[Path | None, option("DIR", "A folder for MLflow, with model and signature.")] = None,
    triton: Annotated[
        Path | None, option("DIR", "A model repository of the Triton server, to which the model is added.")
    ] = None,
    training_step: Annotated[
        Path | None,
        option(
            "FILE",
            "An ONNX file that makes one training step, for programs that train by onnxruntime.",
            callback=writes_onnx,
        ),
    ] = None,
    trainable: Annotated[
        list[str] | None,
        option(
            "PATTERN",
            "Weights that it trains, such as `head/*`; the others become constants. Repeatable; all by default.",
        ),
    ] = None,
    data: DataPlace = None,
    allow: Allow = None,
) -> None:
    """Write a run as an ONNX file, or a spec with initial weights.

    Writes the file only if onnxruntime's outputs match; otherwise the status is 1.
    """
    wanted = "name a run directory"
    refuse_other(run, wanted)
    if is_onnx(run):
        raise UsageError(f"{run} is an ONNX file already; {wanted}")
    to_serve = output is not None or mlflow is not None or triton is not None
    if not to_serve and training_step is None:
        raise UsageError("name what to write: a file with `-o`, or a folder with `--mlflow` or `--triton`")
    if trainable and training_step is None:
        raise UsageError("`--trainable` chooses the weights of a training step: add `--training-step FILE`")
    model = open_model(run, "export", allow or (), data)
    if training_step is not None:
        step = model.export_training_step(training_step, trainable=trainable or (), opset=opset, rows=rows)
        out_wrapped(f"{training_step}: {step}")
        out_wrapped(f"{step.start}: returns the weights and slots for its first step")
        if step.prelude is not None:
            out_wrapped(f"{step.prelude}: prepares rows for it")
        if not to_serve:
            return
    folders = _writers(mlflow, triton, model.spec.name)
    with _file(output) as file:
        proof = model.export(
            file, opset=opset, target=target, rows=rows, signature=signature, quantize=quantize, max_loss=max_loss
        )
        written = [write(file) for write in folders]
    first, *others = written if output is None else [output, *written]
    out_wrapped(f"{first}: {proof}")
    for place in others:
        out_wrapped(f"{place}: the same model")


@contextmanager
def _file(output: Path | None) -> Iterator[Path]:
    """Yield the file to write: without a name, one that only the folders are made from."""
    if output is not None:
        yield output  # nothing else is written, not even a folder that is removed again
        return
    with tempfile.TemporaryDirectory(prefix="graphspec-") as temporary:
        yield Path(temporary) / "model.onnx"


def _writers(mlflow: Path | None, triton: Path | None, name: str) -> list[Any]:
    """Return functions that write a file into the folders. A folder that must not be replaced is refused at once."""
    found: list[Any] = []
    if mlflow is not None or triton is not None:
        from graphspec.export import folders
    if mlflow is not None:
        folders.refuse_not_mlflow(mlflow)
        found.append(partial(folders.write_mlflow, mlflow))
    if triton is not None:
        folders.refuse_not_triton(triton, name)
        found.append(partial(folders.write_triton, triton))
    return found
