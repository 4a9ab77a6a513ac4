"""The result of lowering a spec."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from graphspec.base.errors import Diagnostic, NodeRef, ShapeError
from graphspec.graph.analysis import infer_shapes
from graphspec.graph.ir.graph import Graph, Shape, Value
from graphspec.graph.memory_estimate import needs_memory
from graphspec.graph.ops import operator
from graphspec.language.declarations import InputDecl, NodeDecl, Ref, Spec

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


# The cost of every node of a spec: parameters, multiply-adds, and the memory of its values.
_LENGTHS = (16, 64, 256, 1024, 4096)  # of axes that vary: the smallest that the network accepts is assumed


@dataclass(slots=True)
class NodeCost:
    """The cost of one node of the spec."""

    trainable: int = 0  # trainable, frozen: number of parameters that the node owns. Moving statistics count as frozen
    frozen: int = 0
    multiply_adds: int = 0  # in matrix products, convolutions and recurrent layers, for the forward pass of one batch
    activations: int = 0  # bytes of the values that the node computes for one batch


class Cost(NamedTuple):
    """The cost of a spec."""

    nodes: dict[str, NodeCost]  # the cost of every node, by name
    shapes: dict[str, Shape]  # the shapes of the inputs, by name
    lengths: dict[str, int]  # the assumed sizes of the axes that vary, by axis name

    def total(self) -> NodeCost:
        return NodeCost(*(sum(getattr(node, f.name) for node in self.nodes.values()) for f in fields(NodeCost)))


def cost(spec: Spec, lowered: Lowered, batch_size: int) -> Cost:
    """Return the cost of a spec without errors at ``batch_size``. Nodes that no head needs compute nothing."""
    graph = lowered.graph
    nodes = {node.name: NodeCost() for node in spec.nodes}
    for param in graph.params.values():
        owner = nodes[owner_of(param.name.rpartition("/")[0], nodes)]
        owner.trainable += param.size if param.trainable else 0
        owner.frozen += 0 if param.trainable else param.size
    input_shapes, types, lengths = _assume(graph, batch_size)
    for node in graph.needed(graph.trained_roots()):
        if node.owner in nodes:
            op, outputs = operator(node), [types[v.name].type for v in node.outputs]
            shapes = [() if v is None else types.get(v.name, v).shape for v in node.inputs]
            nodes[node.owner].multiply_adds += op.multiply_adds(shapes, outputs[0].shape)
            if needs_memory(op):
                nodes[node.owner].activations += sum(output.nbytes for output in outputs)
    return Cost(nodes, input_shapes, lengths)


def _assume(graph: Graph, batch_size: int) -> tuple[dict[str, Shape], dict[str, Value], dict[str, int]]:
    """Return the input shapes, all types, and the smallest of ``_LENGTHS`` that fits. ShapeError: none does."""
    symbols = sorted({d for v in graph.inputs.values() for d in v.shape[1:] if isinstance(d, str)})
    needed = graph.needed(graph.trained_roots())
    for length in _LENGTHS:
        lengths = dict.fromkeys(symbols, length)
        sizes = lengths | {"N": batch_size}
        shapes: dict[str, Shape] = {
            name: tuple(sizes[d] if isinstance(d, str) else d for d in value.shape)
            for name, value in graph.inputs.items()
        }
        try:
            return shapes, infer_shapes(graph, needed, shapes, assumed=length), lengths
        except ShapeError:
            if length == _LENGTHS[-1]:
                raise
    raise AssertionError("there are lengths")
