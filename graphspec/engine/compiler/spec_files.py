"""Read the files that layers name: arrays of constants, vocabularies, ONNX networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphspec.base.arrays.array_files import find, read_vocabulary
from graphspec.base.errors import Code, Diagnostic, ProblemError, RunError, UsageError
from graphspec.base.files import make_folder, write_atomic
from graphspec.vocabulary.callbacks.callback import ADAPTED, ONNX_FILES
from graphspec.vocabulary.layers.indexed import Lookup

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import NodeDecl, Spec
    from graphspec.vocabulary.layers.tensors import Constant
    from graphspec.vocabulary.onnx_files.layer import Onnx

# Read the files that constants name: beside the spec or below its folder.
LARGEST = 1 << 24  # bytes of all arrays of a spec together: a run and an exported file contain them as text


def _each_read(spec: Spec, key: str, read: Callable[[NodeDecl], NodeDecl]) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with what ``read`` returns for its nodes, and problems of files, whose layers become unknown."""
    found, nodes = list[Diagnostic](), list["NodeDecl"]()
    for node in spec.nodes:
        try:
            nodes.append(read(node))
        except ProblemError as error:
            tree, subject = node.tree.get(key) or node.tree, f"the {key} '{getattr(node.layer, key)}' of '{node.name}'"
            found.append(Diagnostic.of(subject, error.problem, tree.mark, path=tree.path))
            nodes.append(replace(node, layer=None))
    return replace(spec, nodes=nodes), found


def read_arrays(spec: Spec) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with its constants' files read, and problems; a constant that cannot be read becomes unknown."""
    base, read = spec.base or Path(), dict[tuple[str, str | None], "Array"]()

    def with_array(node: NodeDecl) -> NodeDecl:
        layer = _constant(node)
        if layer is None or layer.file is None:
            return node
        place = layer.file, layer.key
        if place not in read:
            found = find(base, *place)
            if found.nbytes > LARGEST - sum(a.nbytes for a in read.values()):
                text = f"would make the arrays of the spec larger than {LARGEST >> 20} MiB"
                other = "use a Parameter with `initializer: {type: Array, file: …}` and `trainable: false`"
                raise ProblemError(Code.UNREADABLE_FILE, text, hint=f"store it in fewer bits, or {other}")
            read[place] = found.read()
        return replace(node, layer=layer.with_array(read[place]))

    return _each_read(spec, "file", with_array)


def _constant(node: NodeDecl) -> Constant | None:
    """Return the constant of a node; None for another layer. The class is imported with the first one."""
    return cast("Constant | None", node.layer) if node.type == "Constant" else None


def _states(nodes: Sequence[NodeDecl], layer_of: Callable[[NodeDecl], Any]) -> dict[str, dict[str, Any]]:
    """Return what is known of the files of some layers, by node, in the form of what layers learn."""
    layers = ((node.name, layer_of(node)) for node in nodes if node.share is None)
    return {name: state for name, layer in layers if layer is not None and (state := layer.learnt())}


def arrays_of(nodes: Sequence[NodeDecl]) -> dict[str, dict[str, Any]]:
    """Return the values of constants that came from files, by node, in the form of what layers learn."""
    return _states(nodes, _constant)


# Find the ONNX files that layers name: beside the spec, below its folder, or in the run that holds copies of them.
_LARGEST_RECORD = 1 << 27  # bytes


def copy_name(sha256: str) -> str:
    """Return the name of the copy of a file in a run: ``onnx_files/<sha256>.onnx``."""
    return f"{ONNX_FILES}/{sha256}.onnx"


def read_onnx_files(spec: Spec) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with the contents of the ONNX files that layers name, and the problems of these files.

    A layer whose file cannot be read becomes unknown; one that knows its file by hash alone, from a run or an exported file,
    keeps what it knows if the file is not there.
    """
    if all(node.type != "Onnx" for node in spec.nodes):
        return spec, []
    base = spec.base or Path()
    return _each_read(spec, "file", partial(_with_file, base, _known_to_run(base)))


def write_copies(nodes: Sequence[NodeDecl], directory: Path) -> None:
    """Write copies of the ONNX files into a run, which needs no originals then. GS603 (RunError): no folder."""
    layers = [layer for node in nodes if (layer := onnx_layer(node)) is not None]
    found = {content.sha256: content for layer in layers if (content := layer.content) is not None}
    folder = directory / ONNX_FILES
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        text = f"{folder} is {'a symbolic link' if folder.is_symlink() else 'no folder'}, but a run writes to it"
        raise RunError(Code.DAMAGED_RUN, text, "remove it")
    for sha256, content in found.items():
        make_folder(folder)
        path = directory / copy_name(sha256)
        if path.is_symlink() or not path.is_file() or path.stat().st_size != len(content.data):
            write_atomic(path, content.data)


def refuse_changed(nodes: Sequence[NodeDecl], states: Mapping[str, Mapping[str, Any]], directory: Path) -> None:
    """Raise UsageError if an ONNX file has changed since a run was started; ``states`` are what the run knows of it."""
    now, before = _hashes(_states(nodes, onnx_layer)), _hashes(states)
    if changed := sorted(name for name, sha256 in now.items() if before.get(name) != sha256):
        copy = directory / copy_name(before.get(changed[0], ""))
        text = f"the ONNX file of '{changed[0]}' has changed since {directory} was started: the run cannot be resumed"
        raise UsageError(f"{text}; the run has the file of before in {copy}")


def _hashes(states: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: str(state["onnx"].get("sha256")) for name, state in states.items() if "onnx" in state}


def onnx_layer(node: NodeDecl) -> Onnx | None:
    """Return the layer of a node if it is an ONNX file. The class is imported with the first one."""
    return cast("Onnx | None", node.layer) if node.type == "Onnx" else None


def _known_to_run(folder: Path) -> dict[str, str]:
    """Return the hashes of ONNX files by node, if the folder is a run: the originals may be elsewhere."""
    path = folder / ADAPTED
    try:
        if not (folder / ONNX_FILES).is_dir() or not path.is_file() or path.stat().st_size > _LARGEST_RECORD:
            return {}
        layers = json.loads(path.read_text(encoding="utf-8"))["layers"]
        return _hashes({name: state for name, state in layers.items() if isinstance(state, dict)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # whoever needs the record says what is wrong with it


def _with_file(base: Path, known: Mapping[str, str], node: NodeDecl) -> NodeDecl:
    from graphspec.vocabulary.onnx_files.reading import read_onnx

    layer = onnx_layer(node)
    if layer is None or layer.content is not None:
        return node
    record = layer.record
    names = [layer.file]
    if record is not None or (node.name in known and not (base / layer.file).exists()):
        names.insert(0, copy_name(known[node.name] if record is None else record.sha256))
    for name in names:
        try:
            content = read_onnx(base, name)
        except ProblemError:
            if record is None and name == layer.file:
                raise
            continue
        if record is None or content.sha256 == record.sha256:
            return replace(node, layer=layer.with_content(replace(content, name=layer.file)))
    return node


# Read the files that layers name as their vocabulary: one token per line, beside the spec.
def read_vocabularies(spec: Spec) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with its vocabulary files read, and problems; a layer that cannot be read becomes unknown."""
    base = spec.base or Path()

    def with_vocabulary(node: NodeDecl) -> NodeDecl:
        layer = node.layer
        if not isinstance(layer, Lookup) or (name := layer.vocabulary_file) is None:
            return node
        try:
            return replace(node, layer=layer.with_vocabulary(read_vocabulary(base / name)))
        except ValueError:
            hint = "write one token per line, and for IntegerLookup an integer"
            raise ProblemError(Code.VALUE_NOT_ALLOWED, "contains tokens that are not allowed", hint) from None

    return _each_read(spec, "vocabulary", with_vocabulary)


def given_by_files(nodes: Sequence[NodeDecl]) -> dict[str, dict[str, Any]]:
    """Return the vocabularies, arrays and hashes that came from files, by node, in the form of what layers learn."""
    found = arrays_of(nodes) | _states(nodes, onnx_layer)
    for node in nodes:
        named, tokens = node.tree.get("vocabulary"), getattr(node.layer, "vocabulary", None)
        is_file = named is not None and isinstance(named.value, str) and isinstance(node.layer, Lookup)
        if is_file and isinstance(tokens, tuple):
            found[node.name] = {"vocabulary": list(tokens)}
    return found
