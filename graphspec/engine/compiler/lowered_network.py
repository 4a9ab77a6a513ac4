"""The result of lowering a spec."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphspec.base.errors import Diagnostic, NodeRef
from graphspec.graph.ir.graph import Graph, Value
from graphspec.language.declarations import InputDecl, NodeDecl, Ref

if TYPE_CHECKING:
    from graphspec.data.weights.plan import FilePlan

_SHAPE_ARGUMENTS = ("padding", "strides", "pool_size", "axis", "return_sequences", "target_shape", "data_format")


@dataclass
class Lowered:
    """A lowered spec; ``outputs`` of nodes are None if an error hides them; ``initial``: what files of weights give."""

    graph: Graph
    outputs: dict[str, tuple[Value, ...] | None] = field(default_factory=dict)
    declared: dict[str, NodeDecl | InputDecl] = field(default_factory=dict)  # the inputs and nodes of the spec, by name
    diagnostics: list[Diagnostic] = field(default_factory=list)
    initial: list[FilePlan] = field(default_factory=list)

    def value(self, ref: Ref | None) -> Value | None:
        """Return the value that a reference stands for, or None if it is unknown."""
        if ref is None:
            return None
        outputs = self.outputs.get(ref.name)
        return outputs[ref.output] if outputs is not None and ref.output < len(outputs) else None

    def node_ref(self, ref: Ref) -> NodeRef:
        """Return the line about a node in a diagnostic: its shape, its position, and the arguments behind its shape."""
        decl = self.declared.get(ref.name)
        value = self.value(ref)
        name = visible(ref.name) if ref.output == 0 else f"{visible(ref.name)}:{ref.output}"
        layer = getattr(decl, "layer", None)
        arguments = {} if layer is None else {k: getattr(layer, k) for k in _SHAPE_ARGUMENTS if hasattr(layer, k)}
        written = set() if layer is None else layer.model_fields_set
        notes = [f"{k}: {_format(v)}" for k, v in arguments.items() if k == "padding" or k in written]
        if value is not None and not value.type.is_float:
            notes.append(f"dtype: {value.dtype}")
        mark = None if decl is None else decl.mark
        layer_type = getattr(decl, "type", None) or "input"
        shape = None if value is None else value.shape
        return NodeRef(name, layer_type, shape, mark.line if mark else None, ", ".join(notes))

    def with_shapes(self, diagnostic: Diagnostic) -> Diagnostic:
        """Return ``diagnostic`` with the shapes of its nodes, which were unknown when it was created."""
        shapes = {n.name: v[0].shape for n in diagnostic.nodes if (v := self.outputs.get(n.name))}
        nodes = tuple(replace(n, shape=n.shape or shapes.get(n.name)) for n in diagnostic.nodes)
        return replace(diagnostic, nodes=nodes)


def owner_of(name: str, nodes: Container[str]) -> str:
    """Return the node that owns a weight ``<node>/[<part>/]<role>``, or the node ``name``; names may contain slashes."""
    while name not in nodes and "/" in name:
        name = name.rpartition("/")[0]
    return name


def visible(name: str) -> str:
    """Return a node's name as the spec writes it, without the ``#2`` that expansion appends to a duplicate name."""
    return re.sub(r"#\d+", "", name)


def _format(value: Any) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def masks_of_tags(outputs: Mapping[str, Value], heads: Iterable[str]) -> dict[str, Value | None]:
    """Return the mask of those heads with labels, not of CTC, that have a label for each token, and hide padding."""
    found = {head: outputs[head].mask for head in heads}
    return {head: mask for head, mask in found.items() if mask is not None and 1 < mask.rank == outputs[head].rank - 1}


def lists_of(graph: Graph) -> list[str]:
    """Return the inputs whose rows are lists of texts."""
    return [name for name, value in graph.inputs.items() if value.type.is_string and value.type.has_lists]
