"""Rebuild a graph node by node; passes use this to rewrite graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS

Visit = Callable[["Rebuild", Node, tuple[Value | None, ...]], Sequence[Value] | None]


class Rebuild:
    """The graph under construction; a pass's ``visit`` emits into it and returns the replacements of a node's outputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = Graph(graph.name, dict(graph.inputs), dict(graph.targets), dict(graph.params), dict(graph.values))

    def copy(self, node: Node, inputs: Sequence[Value | None], **attrs: Any) -> tuple[Value, ...]:
        """Append a copy of the node with other inputs of the same types, and with some attributes changed."""
        types = [v.type for v in node.outputs]
        outputs = self.node(
            node.name, node.op, inputs, node.attrs | attrs, node.owner, types, [v.name for v in node.outputs]
        )
        for new, old in zip(outputs, node.outputs, strict=True):
            new.dims = old.dims
        return outputs

    def copy_inferred(self, node: Node, inputs: Sequence[Value | None], **attrs: Any) -> tuple[Value, ...]:
        """Append a copy of the node with inputs of other shapes; the types of its outputs are inferred again."""
        types = OPS[node.op](**node.attrs | attrs).infer(*inputs)
        types = types if isinstance(types, tuple) else (types,)
        names = [v.name for v in node.outputs]
        return self.node(node.name, node.op, inputs, node.attrs | attrs, node.owner, types, names)

    def builder(self, node: Node) -> Builder:
        """Return a builder for the replacement of ``node``. Names begin with the node's name, so they are unique."""
        return Builder(self.graph, node.owner, _prefix=f"{node.name.removeprefix(f'{node.owner}/')}/")

    def node(
        self,
        name: str,
        op: str,
        inputs: Sequence[Value | None],
        attrs: dict[str, Any],
        owner: str,
        types: Sequence[Any],
        names: Sequence[str] | None = None,
    ) -> tuple[Value, ...]:
        """Append an operator; by default its outputs have its name."""
        new_node = Node(name, op, tuple(inputs), attrs, owner)
        names = names or [name if k == 0 else f"{name}:{k}" for k in range(len(types))]
        new_node.outputs = tuple(
            Value(n, t, "op", new_node, k) for k, (n, t) in enumerate(zip(names, types, strict=True))
        )
        self.graph.nodes.append(new_node)
        return new_node.outputs


def rebuild(graph: Graph, visit: Visit) -> Graph:
    """Return a new graph: for each node the result of ``visit``, or a copy of the node if this is None.

    Nodes on which neither an output nor the loss depends are omitted.
    """
    state = Rebuild(graph)
    replaced: dict[str, Value] = {}

    def current(value: Value | None) -> Value | None:
        return value if value is None else replaced.get(value.name, value)

    for node in graph.needed(graph.roots()):
        inputs = tuple(current(v) for v in node.inputs)
        outputs = visit(state, node, inputs)
        if outputs is None:
            outputs = state.copy(node, inputs)
        for old, new in zip(node.outputs, outputs, strict=False):
            replaced[old.name] = new
    state.graph.outputs = {name: replaced.get(v.name, v) for name, v in graph.outputs.items()}
    state.graph.loss = current(graph.loss)
    state.graph.nodes = state.graph.needed(state.graph.roots())
    return state.graph


def readers(graph: Graph) -> Counter[str]:
    """Return the number of readers of each value, by name: nodes, and the graph for an output or the loss."""
    found = Counter(v.name for node in graph.needed(graph.roots()) for v in node.inputs if v is not None)
    found.update(v.name for v in graph.roots())
    return found
