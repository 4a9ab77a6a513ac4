"""What lowering a spec gives."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphspec.errors import Diagnostic, NodeRef
from graphspec.ir.graph import Graph, Value
from graphspec.language.declarations import Ref

if TYPE_CHECKING:
    from graphspec.language.declarations import InputDecl, NodeDecl


_NOTED = ("padding", "strides", "pool_size", "axis", "return_sequences", "target_shape", "data_format")


@dataclass
class Lowered:
    """A graph, the outputs of every node (None where they are unknown because of an error), and what was found."""

    graph: Graph
    outputs: dict[str, tuple[Value, ...] | None] = field(default_factory=dict)
    declared: dict[str, NodeDecl | InputDecl] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def value(self, ref: Ref | None) -> Value | None:
        """What a reference stands for; None where that is unknown."""
        if ref is None:
            return None
        outputs = self.outputs.get(ref.name)
        return outputs[ref.output] if outputs is not None and ref.output < len(outputs) else None

    def node_ref(self, ref: Ref) -> NodeRef:
        """The line about a node in a diagnostic: its shape, its place, and the arguments that shape it."""
        decl = self.declared.get(ref.name)
        value = self.value(ref)
        name = visible(ref.name) if ref.output == 0 else f"{visible(ref.name)}:{ref.output}"
        layer = getattr(decl, "layer", None)
        given = {} if layer is None else {k: getattr(layer, k) for k in _NOTED if hasattr(layer, k)}
        written = set() if layer is None else layer.model_fields_set
        notes = [f"{k}: {_plain(v)}" for k, v in given.items() if k == "padding" or k in written]
        if value is not None and not value.type.is_float:
            notes.append(f"dtype: {value.dtype}")
        mark = None if decl is None else decl.mark
        kind = getattr(decl, "type", None) or "input"
        shape = None if value is None else value.shape
        return NodeRef(name, kind, shape, mark.line if mark else None, ", ".join(notes))

    def with_shapes(self, found: Diagnostic) -> Diagnostic:
        """A diagnostic that was made before the shapes of its nodes were known."""
        shapes = {n.name: v[0].shape for n in found.nodes if (v := self.outputs.get(n.name))}
        return replace(found, nodes=tuple(replace(n, shape=n.shape or shapes.get(n.name)) for n in found.nodes))


def visible(name: str) -> str:
    """A node's name as the spec has it; a second node of one name has a number behind it, to go on checking."""
    return re.sub(r"#\d+", "", name)


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
