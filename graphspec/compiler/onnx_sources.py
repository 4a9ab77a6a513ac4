"""Find the ONNX files that layers name: beside the spec, below its folder, or in the run that holds copies of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphspec.errors import Diagnostic, ProblemError

if TYPE_CHECKING:
    from graphspec.language.declarations import NodeDecl, Spec
    from graphspec.onnx_files.layer import Onnx
    from graphspec.onnx_files.reading import OnnxFile

FOLDER = "onnx_files"
"""The folder of a run with copies of files, named by their hashes."""


def copy_name(sha256: str) -> str:
    """Return the name of the copy of a file in a run: ``onnx_files/<sha256>.onnx``."""
    return f"{FOLDER}/{sha256}.onnx"


def read_onnx_files(spec: Spec) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with the contents of the ONNX files that layers name, and the problems of these files.

    A layer whose file cannot be read becomes unknown; one that knows its file by hash alone, from a run or an exported file,
    keeps what it knows if the file is not there.
    """
    if all(node.type != "Onnx" for node in spec.nodes):
        return spec, []
    found: list[Diagnostic] = []
    base = spec.base or Path()
    return replace(spec, nodes=[_with_file(node, base, found) for node in spec.nodes]), found


def contents(nodes: Sequence[NodeDecl]) -> dict[str, OnnxFile]:
    """Return the ONNX files of layers, by hash."""
    layers = (onnx_layer(node) for node in nodes)
    return {c.sha256: c for layer in layers if layer is not None and (c := layer.content) is not None}


def onnx_states(nodes: Sequence[NodeDecl]) -> dict[str, dict[str, Any]]:
    """Return what is known of the files of layers, by node, in the form of what layers learn."""
    layers = ((node.name, onnx_layer(node)) for node in nodes if node.share is None)
    return {name: state for name, layer in layers if layer is not None and (state := layer.learnt())}


def hashes(states: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the hashes of the files in what layers have learnt, by node."""
    return {name: str(state["onnx"].get("sha256")) for name, state in states.items() if "onnx" in state}


def onnx_layer(node: NodeDecl) -> Onnx | None:
    """Return the layer of a node if it is an ONNX file. The class is imported with the first one."""
    return cast("Onnx | None", node.layer) if node.type == "Onnx" else None


def _with_file(node: NodeDecl, base: Path, found: list[Diagnostic]) -> NodeDecl:
    from graphspec.onnx_files.reading import read_onnx

    layer = onnx_layer(node)
    if layer is None or layer.content is not None:
        return node
    record = layer.record
    names = [layer.file] if record is None else [copy_name(record.sha256), layer.file]
    for name in names:
        try:
            content = read_onnx(base, name)
        except ProblemError as error:
            if record is None:
                tree = node.tree.get("file") or node.tree
                subject = f"the file '{layer.file}' of '{node.name}'"
                found.append(Diagnostic.of(subject, error.problem, tree.mark, path=tree.path))
                return replace(node, layer=None)
            continue
        if record is None or content.sha256 == record.sha256:
            return replace(node, layer=layer.with_content(replace(content, name=layer.file)))
    return node
