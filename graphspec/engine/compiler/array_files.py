"""Read the files that constants name: beside the spec or below its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphspec.base.arrays.array_files import find
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, ProblemError

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import NodeDecl, Spec
    from graphspec.vocabulary.layers.tensors import Constant

LARGEST = 1 << 24
"""Bytes of all arrays of a spec together: a run and an exported file contain them as text."""


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
    constants = ((node.name, _constant(node)) for node in nodes if node.share is None)
    return {name: state for name, layer in constants if layer is not None and (state := layer.learnt())}


def _constant(node: NodeDecl) -> Constant | None:
    """Return the constant of a node; None for another layer. The class is imported with the first one."""
    return cast("Constant | None", node.layer) if node.type == "Constant" else None


def _with_array(
    node: NodeDecl, base: Path, read: dict[tuple[str, str | None], Array], found: list[Diagnostic]
) -> NodeDecl:
    layer = _constant(node)
    if layer is None or layer.file is None:
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
    """Return the array of a file; never more than ``largest`` bytes.

    Raises:
        ProblemError: the file cannot be read, or is too large; see :func:`graphspec.base.arrays.array_files.find`.
    """
    found = find(base, name, key)
    if found.nbytes > largest:
        text = f"would make the arrays of the spec larger than {LARGEST >> 20} MiB"
        hint = "store it in fewer bits, or use a Parameter with `initializer: {type: Array, file: …}` and `trainable: false`"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=hint)
    return found.read()
