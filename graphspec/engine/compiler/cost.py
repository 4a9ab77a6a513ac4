"""The cost of every node of a spec: parameters, multiply-adds, and the memory of its values."""

from __future__ import annotations

from dataclasses import dataclass, fields

from graphspec.base.errors import ShapeError
from graphspec.engine.compiler.lowered_network import Lowered, owner_of
from graphspec.graph.analysis import infer_shapes, needs_memory
from graphspec.graph.ir.graph import Graph, Shape, Value
from graphspec.graph.ops import operator
from graphspec.language.declarations import Spec

_LENGTHS = (16, 64, 256, 1024, 4096)  # of axes that vary: the smallest that the network accepts is assumed


@dataclass(slots=True)
class NodeCost:
    """The cost of one node of the spec."""

    trainable: int = 0  # trainable, frozen: number of parameters that the node owns. Moving statistics count as frozen
    frozen: int = 0
    multiply_adds: int = 0  # in matrix products, convolutions and recurrent layers, for the forward pass of one batch
    activations: int = 0  # bytes of the values that the node computes for one batch


@dataclass(frozen=True, slots=True)
class Cost:
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
