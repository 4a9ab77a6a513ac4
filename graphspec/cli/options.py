"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from graphspec.base.files import why_not_writable
from graphspec.cli.completion import completer


def option(metavar: str | None, text: str, *names: str, **more: Any) -> Any:
    """Return an option that takes a value; ``text`` is its help, and says what it is by default."""
    more = {"autocompletion": completer(metavar), **more}
    return typer.Option(*names, metavar=metavar, help=text, show_default=False, **more)


def flag(name: str, text: str, **more: Any) -> Any:
    """Return an option without a value; ``text`` is its help."""
    return typer.Option(name, help=text, **more)


def argument(metavar: str, text: str) -> Any:
    """Return an argument of a command; ``text`` is its help."""
    return typer.Argument(metavar=metavar, help=text, show_default=False, autocompletion=completer(metavar))


def output_file(text: str, metavar: str = "FILE") -> Any:
    """Return the option that names the file to write; ``text`` is its help."""
    return option(metavar, text, "--output", "-o", callback=writable)


def writable(path: Path | None) -> Path | None:
    """Refuse an output path that cannot be written, before any work is done."""
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


_OTHER_FORMATS = (  # suffixes of other formats for models, and of data and specs
    *(".tflite", ".h5", ".hdf5", ".keras", ".pb", ".pt", ".pth", ".pt2", ".ckpt", ".pkl", ".pickle", ".joblib"),
    *(".safetensors", ".mlmodel", ".mlpackage", ".pmml", ".npz", ".npy", ".csv", ".json", ".yaml", ".yml"),
    *(".txt", ".zip"),
)


def matching(pattern: str, wanted: str) -> Callable[[str | None], str | None]:
    """Return a callback that refuses values of an option other than those of a pattern; ``wanted`` names them."""

    def check(text: str | None) -> str | None:
        if text is not None and not re.fullmatch(pattern, text, re.ASCII):
            raise typer.BadParameter(f"write {wanted}, not '{text}'")
        return text

    return check


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


def repeated(options: Mapping[str, object], allow: Sequence[Path], sets: Sequence[str]) -> list[str]:
    """Return the words that repeat options on a command line: their values, True for a flag, None or False for nothing."""
    pairs = [(name, value) for name, value in options.items() if value is not None and value is not False]
    pairs += [*(("--allow", folder) for folder in allow), *(("--set", text) for text in sets)]
    return [word for name, value in pairs for word in ([name] if value is True else [name, str(value)])]


DataPart = StrEnum("DataPart", ["test", "validation", "train"])  # the rows to judge by
SpecFile = Annotated[Path, argument("SPEC", "The spec, a YAML or JSON file.")]
AnyTarget = Annotated[Path, argument("SPEC|RUN|ONNX", "A spec, a run directory or an ONNX file.")]
DataPlace = Annotated[
    Path | None,
    option(
        "DIR|FILE",
        "The folder in which the spec's data files lie now, or its only data file; a spec without data trains on it.",
        "--data",
    ),
]
Answering = Annotated[Path, argument("RUN|ONNX|SPEC", "A run directory, an ONNX file, or a spec with initial weights.")]
RunOrSpec = Annotated[Path, argument("RUN|SPEC", "A run directory, or a spec with initial weights.")]
Sets = Annotated[
    list[str] | None,
    option("KEY.PATH=VALUE", "Override a value of the spec, such as training.epochs=5; may be repeated.", "--set"),
]
OnnxOutput = Annotated[Path | None, option("FILE", "The ONNX file to write.", "--output", "-o", callback=writes_onnx)]
Opset = Annotated[int | None, option("N", "The ONNX opset to export for; 17 by default.", "--opset")]
Target = Annotated[
    str | None,
    option("RUNTIME", "A runtime to export for, such as ort-1.20; onnx uses no operators of onnxruntime.", "--target"),
]
Cache = Annotated[Path | None, option("DIR", "The folder for prepared rows; beside the run by default.", "--cache")]
Resume = Annotated[
    str | None,
    option(
        "[auto]",
        "Continue an interrupted run, or train for more epochs; with auto, start if there is no run yet.",
        "--resume",
        callback=matching("yes|auto", "`--resume` alone, or `--resume auto`"),
    ),
]
LogEvery = Annotated[
    str,
    typer.Option(
        "--log-every",
        metavar="N",
        callback=matching(r"auto|0*[1-9]\d*", "auto, or a number of epochs from 1"),
        help="Show every Nth epoch; auto shows about 25 epochs, and those in which something happens.",
    ),
]
SignatureFile = Annotated[
    Path | None,
    option("FILE", "A JSON file for the signature: inputs, outputs and an example.", "--signature", callback=writable),
]
AllowOutside = Annotated[
    bool, flag("--allow-outside", "Let the spec's callbacks write outside the run directory: only for specs you trust.")
]
Allow = Annotated[
    list[Path] | None,
    option("DIR", "A folder besides the spec's in which the files of queries may be; may be repeated.", "--allow"),
]
