"""``graphspec init``: write a new spec for a kind of problem."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.console import out
from graphspec.errors import UsageError
from graphspec.files import create

SCHEMA = "graphspec.schema.json"


class Kind(StrEnum):
    """The kind of problem of a new spec; its template is ``templates/<kind>.yaml``."""

    binary = "binary"
    multiclass = "multiclass"
    regression = "regression"
    images = "images"
    text = "text"
    sequence = "sequence"
    two_heads = "two-heads"


def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The spec to write.", show_default=False)],
    kind: Annotated[Kind, typer.Option(help="The kind of problem.")] = Kind.multiclass,
) -> None:
    """Write a new, valid spec, and next to it a schema with which an editor completes and checks it."""
    from importlib.resources import files

    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path}: a new spec is YAML; use a name that ends in .yaml")
    if os.path.lexists(path):
        raise UsageError(f"{path} already exists and is not overwritten")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    template = files("graphspec.cli").joinpath("templates", f"{kind.value}.yaml").read_text(encoding="utf-8")
    text = template.replace("NAME", _name(path), 1).replace("SCHEMA", _schema(path), 1)
    create(path, text)
    out(f"{path}: a {kind.value} problem; edit it, then: graphspec validate {path}")


def _name(path: Path) -> str:
    """Return a valid spec name: letters, digits, ``_``, ``-`` and ``.``; quoted if YAML would not read it as text."""
    name = re.sub(r"[^\w.-]+", "_", path.stem, flags=re.ASCII).strip("_.-") or "network"
    return name if name[0].isalpha() and name.lower() not in ("null", "true", "false") else f'"{name}"'


def _schema(path: Path) -> str:
    """Return the schema's path from ``path``: in ``schemas/`` of a parent folder, else next to it (created if missing)."""
    from graphspec.cli.schema import schema_text

    folder = path.parent.resolve()
    for above in (folder, *folder.parents):
        if (above / "schemas" / SCHEMA).is_file():
            return Path(os.path.relpath(above / "schemas" / SCHEMA, folder)).as_posix()
    with suppress(FileExistsError):
        create(folder / SCHEMA, schema_text())
    return f"./{SCHEMA}"
