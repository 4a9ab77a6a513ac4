"""``graphspec import``: make a spec of a network that another program saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from graphspec.base.text import shell
from graphspec.cli.console import out, out_wrapped
from graphspec.cli.options import argument, flag, option, writable
from graphspec.cli.schema import place


def import_(
    path: Annotated[Path, argument("FILE", "A file of Keras, .keras, .h5, .json; or .onnx.")],
    output: Annotated[
        Path | None,
        option(
            "SPEC",
            "The spec to write; by default FILE's name with .yaml, in this folder.",
            "--output",
            "-o",
            callback=writable,
        ),
    ] = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace files that exist.")] = False,
) -> None:
    """Write a spec from a network that Keras saved, with its weights, or from an ONNX file. No code of the file runs."""
    from graphspec.foreign.importing.importer import import_file

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
