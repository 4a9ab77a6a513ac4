"""Read the files that layers name as their vocabulary: one token per line, beside the spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Problem, ProblemError
from graphspec.engine.compiler.array_files import arrays_of
from graphspec.engine.compiler.onnx_sources import onnx_states
from graphspec.vocabulary.layers.indexed import Lookup
from graphspec.vocabulary.layers.vocabularies import read_vocabulary

if TYPE_CHECKING:
    from graphspec.language.declarations import NodeDecl, Spec


def read_vocabularies(spec: Spec) -> tuple[Spec, list[Diagnostic]]:
    """Return the spec with the tokens of its vocabulary files, and the problems of these files.

    A layer whose file cannot be read becomes unknown.
    """
    found: list[Diagnostic] = []
    nodes = [_with_vocabulary(node, spec.base or Path(), found) for node in spec.nodes]
    return replace(spec, nodes=nodes), found


def given_by_files(nodes: Sequence[NodeDecl]) -> dict[str, dict[str, Any]]:
    """Return the vocabularies, arrays and hashes that came from files, by node, in the form of what layers learn."""
    found = arrays_of(nodes) | onnx_states(nodes)
    for node in nodes:
        named = node.tree.get("vocabulary")
        layer = node.layer
        if named is not None and isinstance(named.value, str) and isinstance(layer, Lookup):
            tokens = getattr(layer, "vocabulary", None)
            if isinstance(tokens, tuple):
                found[node.name] = {"vocabulary": list(tokens)}
    return found


def _with_vocabulary(node: NodeDecl, base: Path, found: list[Diagnostic]) -> NodeDecl:
    layer = node.layer
    if not isinstance(layer, Lookup) or (name := layer.vocabulary_file) is None:
        return node
    try:
        return replace(node, layer=layer.with_vocabulary(read_vocabulary(base / name)))
    except ProblemError as error:
        problem = error.problem
    except ValueError:
        hint = "write one token per line, and for IntegerLookup an integer"
        problem = Problem(Code.VALUE_NOT_ALLOWED, "contains tokens that are not allowed", hint)
    tree = node.tree.get("vocabulary") or node.tree
    subject = f"the vocabulary '{name}' of '{node.name}'"
    found.append(Diagnostic.of(subject, problem, tree.mark, path=tree.path))
    return replace(node, layer=None)
