"""Read the files that constants name: arrays of NumPy, beside the spec or below its folder."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.codes import Code
from graphspec.errors import Diagnostic, ProblemError
from graphspec.layers.tensors import Constant
from graphspec.text import count

if TYPE_CHECKING:
    from graphspec.ir.graph import Array
    from graphspec.language.declarations import NodeDecl, Spec

LARGEST = 1 << 24
"""Bytes of all arrays of a spec together: a run and an exported file contain them as text."""
_HEADER = 1 << 16  # bytes of the description before an array
_MAGIC = b"\x93NUMPY"
_HINT = "write it with np.save or np.savez, beside the spec"


def read_arrays(spec: Spec) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with the values of its constants' files, and the problems of these files.

    A constant whose file cannot be read becomes unknown.
    """
    found: list[Diagnostic] = []
    read: dict[tuple[str, str | None], Array] = {}
    nodes = [_with_array(node, spec.base or Path(), read, found) for node in spec.nodes]
    return replace(spec, nodes=nodes), found


def arrays_of(nodes: Sequence[NodeDecl]) -> dict[str, dict[str, Any]]:
    """Return the values of constants that came from files, by node, in the form of what layers learn."""
    constants = ((node.name, node.layer) for node in nodes if node.share is None)
    return {name: state for name, layer in constants if isinstance(layer, Constant) and (state := layer.learnt())}


def _with_array(
    node: NodeDecl, base: Path, read: dict[tuple[str, str | None], Array], found: list[Diagnostic]
) -> NodeDecl:
    layer = node.layer
    if not isinstance(layer, Constant) or layer.file is None:
        return node
    try:
        known = layer.file, layer.key
        if known not in read:
            read[known] = _read(base, layer.file, layer.key, LARGEST - sum(a.nbytes for a in read.values()))
        return replace(node, layer=layer.with_array(read[known]))
    except ProblemError as error:
        tree = node.tree.get("file") or node.tree
        subject = f"the file '{layer.file}' of '{node.name}'"
        found.append(Diagnostic.of(subject, error.problem, tree.mark, path=tree.path))
    return replace(node, layer=None)


def _read(base: Path, name: str, key: str | None, largest: int) -> Array:
    """Return the array of a file; never more than ``largest`` bytes, and no pickles.

    Raises:
        ProblemError: GS501, it cannot be read; GS513, it is not beside or below the folder of the spec.
    """
    if "\0" in name or not (base / name).resolve().is_relative_to(base.resolve()):
        text = "is neither beside the spec nor below its folder"
        raise ProblemError(Code.OUTSIDE_FOLDER, text, hint="copy the file beside the spec")
    path = base / name
    if path.exists() and not path.is_file():
        raise ProblemError(Code.UNREADABLE_FILE, "is not a file", hint=_HINT)
    try:
        if name.lower().endswith(".npz"):
            return _of_archive(path, key, largest)
        with path.open("rb") as file:
            return _array(file, largest)
    except OSError as error:
        text = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=_HINT) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        text = f"is not an array of NumPy: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=_HINT) from None


def _of_archive(path: Path, key: str | None, largest: int) -> Array:
    with zipfile.ZipFile(path) as archive:
        names = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        if key is None and len(names) != 1:
            text = f"has {count(len(names), 'array')}"
            raise ProblemError(Code.MISSING_KEY, text, hint=f"name one with `key`: {_some(names)}")
        chosen = next(iter(names)) if key is None else key
        if chosen not in names:
            raise ProblemError(Code.MISSING_ARRAY, f"has no array '{chosen}'", hint=f"it has {_some(names)}")
        with archive.open(names[chosen]) as member:
            return _array(member, largest)


def _some(names: dict[str, Any]) -> str:
    shown = [f"'{name}'" for name in names][:8]
    return ", ".join([*shown, *(["…"] if len(names) > len(shown) else [])]) or "none"


def _array(file: Any, largest: int) -> Array:
    content = file.read(largest + _HEADER + 1)
    if len(content) > largest + _HEADER:
        text = f"would make the arrays of the spec larger than {LARGEST >> 20} MiB"
        hint = "store it in fewer bits, or train it: use a Parameter, and `set_weights` from Python"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=hint)
    if not content.startswith(_MAGIC):
        raise ValueError("it does not start like an .npy file")
    buffer = io.BytesIO(content)
    first = np.lib.format.read_magic(buffer)[0] == 1
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = header(buffer)
    if dtype.hasobject:
        raise ProblemError(Code.LOSSY_CONVERSION, "contains Python objects, which are pickles and are never read")
    if len(content) - buffer.tell() != math.prod(shape) * dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError("its shape and its size differ")
    return np.frombuffer(content, dtype, offset=buffer.tell()).reshape(shape, order="F" if by_columns else "C")
