"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def writable(path: Path | None) -> Path | None:
    """Refuse an output path that cannot be written, before any work is done."""
    from graphspec.files import why_not_writable

    try:
        why = None if path is None else why_not_writable(path)
    except OSError as error:
        why = f"{path}: {error.strerror}"
    if why is not None:
        raise typer.BadParameter(why)
    return path


def writes_onnx(path: Path | None) -> Path | None:
    """Refuse a name that ends like a file of another format, as well as a path that cannot be written."""
    if path is not None and path.suffix.lower() in _OTHER_FORMATS:
        why = f"graphspec writes ONNX: name the file '{path.with_suffix('.onnx')}', not '{path.name}'"
        raise typer.BadParameter(why)
    return writable(path)


_OTHER_FORMATS = frozenset(
    (
        *(".tflite", ".h5", ".hdf5", ".keras", ".pb", ".pt", ".pth", ".pt2", ".ckpt", ".pkl", ".pickle", ".joblib"),
        *(".safetensors", ".mlmodel", ".mlpackage", ".pmml", ".npz", ".npy", ".csv", ".json", ".yaml", ".yml"),
        *(".txt", ".zip"),
    )
)
"""Suffixes of other formats for models, and of data and specs."""


def every(text: str | None) -> str | None:
    """Refuse a value of ``--log-every`` other than ``auto`` and a positive integer."""
    if text is not None and text != "auto" and not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise typer.BadParameter(f"write auto, or a number of epochs from 1, not '{text}'")
    return text


def with_alone(option: str, values: Sequence[str], args: Sequence[str]) -> list[str]:
    """Give an option that may stand alone the value ``yes`` there, and join it with a value of ``values`` after it."""
    end = args.index("--") if "--" in args else len(args)
    rest, done = list(args[:end]), list[str]()
    while rest:
        word = rest.pop(0)
        if word == option:
            word = f"{option}={rest.pop(0) if rest and rest[0] in values else 'yes'}"
        done.append(word)
    return [*done, *args[end:]]


def resumes(value: str | None) -> str | None:
    """Refuse a value of ``--resume`` other than ``auto``."""
    if value not in (None, "yes", "auto"):
        raise typer.BadParameter(f"write `--resume` alone, or `--resume auto`, not '{value}'")
    return value


SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML or JSON file.", show_default=False)]
AnyTarget = Annotated[
    Path,
    typer.Argument(metavar="SPEC|RUN|ONNX", help="A spec, a run directory or an ONNX file.", show_default=False),
]
DataPlace = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR|FILE",
        help="The folder in which the spec's data files lie now, or its only data file; a spec without data trains on it.",
        show_default=False,
    ),
]
RunOrSpec = Annotated[
    Path,
    typer.Argument(metavar="RUN|SPEC", help="A run directory, or a spec with initial weights.", show_default=False),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Override a value of the spec, such as training.epochs=5; may be repeated.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", callback=writable, help="The file to write.", show_default=False),
]
OnnxOutput = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", callback=writes_onnx, help="The ONNX file to write.", show_default=False
    ),
]
Opset = Annotated[
    int | None,
    typer.Option(
        "--opset",
        metavar="N",
        help="The ONNX opset to export for; 17 by default.",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help="A runtime to export for, such as ort-1.20; onnx uses no operators of onnxruntime.",
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="The folder for prepared rows; beside the run by default.",
        show_default=False,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[auto]",
        callback=resumes,
        help="Continue an interrupted run, or train for more epochs; with auto, start if there is no run yet.",
        show_default=False,
    ),
]
LogEvery = Annotated[
    str,
    typer.Option(
        "--log-every",
        metavar="N",
        callback=every,
        help="Show every Nth epoch; auto shows about 25 epochs, and those in which something happens.",
    ),
]
SignatureFile = Annotated[
    Path | None,
    typer.Option(
        "--signature",
        metavar="FILE",
        callback=writable,
        help="A JSON file for the signature: inputs, outputs and an example.",
        show_default=False,
    ),
]
AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside", help="Let the spec's callbacks write outside the run directory: only for specs you trust."
    ),
]
Allow = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow",
        metavar="DIR",
        help="A folder besides the spec's in which the files of queries may be; may be repeated.",
        show_default=False,
    ),
]
