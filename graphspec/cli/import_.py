"""``graphspec import``: make a spec of a network that another program saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.console import out, out_wrapped
from graphspec.cli.options import writable
from graphspec.cli.schema import place
from graphspec.text import shell


def import_(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of Keras, .keras, .h5, .json; or .onnx.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="SPEC",
            help="The spec to write; by default FILE's name with .yaml, in this folder.",
            callback=writable,
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write a spec from a network that Keras saved, with its weights, or from an ONNX file. No code of the file runs."""
    from graphspec.importing.importer import import_file

    found = import_file(path, output, overwrite=overwrite, schema=place)
    for line in found.lines():
        out_wrapped(line)
    name = str(found.path)
    exported = found.path.with_suffix(".onnx")
    if exported.exists():  # it may be the file of the layer
        exported = found.path.with_name(f"{found.path.stem}_trained.onnx")
    steps = [("validate", name), ("train", name, "--data", "train.npz"), ("export", name, "-o", str(exported))]
    out("next:\n  " + "\n  ".join(shell("graphspec", *words) for words in steps))


import_.__name__ = "import"
