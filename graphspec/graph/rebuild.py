"""Rebuild a graph node by node: the tool that passes are written with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from graphspec.graph.builder import Builder
from graphspec.ir.graph import Graph, Node, Value
from graphspec.ops import OPS

Visit = Callable[["Rebuild", Node, tuple[Value | None, ...]], Sequence[Value] | None]


class Rebuild:
    """The graph under construction; ``visit`` emits into it and returns what replaces a node's outputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = Graph(graph.name, dict(graph.inputs), dict(graph.targets), dict(graph.params), dict(graph.values))

    def copy(self, node: Node, inputs: Sequence[Value | None], **attrs: Any) -> tuple[Value, ...]:
        """A copy of the node with other inputs of the same types, and with some attributes changed."""
        types = [v.type for v in node.outputs]
        made = self.node(
            node.name, node.op, inputs, node.attrs | attrs, node.owner, types, [v.name for v in node.outputs]
        )
        for new, old in zip(made, node.outputs, strict=True):
            new.dims = old.dims
        return made

    def again(self, node: Node, inputs: Sequence[Value | None], **attrs: Any) -> tuple[Value, ...]:
        """A copy of the node with inputs of other shapes: the types of its outputs are inferred again."""
        types = OPS[node.op](**node.attrs | attrs).infer(*inputs)
        types = types if isinstance(types, tuple) else (types,)
        names = [v.name for v in node.outputs]
        return self.node(node.name, node.op, inputs, node.attrs | attrs, node.owner, types, names)

    def builder(self, node: Node) -> Builder:
        """A builder for what replaces ``node``. Names begin with the node's own, so they are unique."""
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
        """Append an operator. Its outputs are named after it unless ``names`` are given."""
        made = Node(name, op, tuple(inputs), attrs, owner)
        names = names or [name if k == 0 else f"{name}:{k}" for k in range(len(types))]
        made.outputs = tuple(Value(n, t, "op", made, k) for k, (n, t) in enumerate(zip(names, types, strict=True)))
        self.graph.nodes.append(made)
        return made.outputs


def rebuild(graph: Graph, visit: Visit) -> Graph:
    """A new graph of what ``visit`` returns for each node, or a copy where it returns None.

    Nodes that neither an output nor the loss depends on are left out.
    """
    state = Rebuild(graph)
    now: dict[str, Value] = {}

    def current(value: Value | None) -> Value | None:
        return value if value is None else now.get(value.name, value)

    for node in graph.needed(graph.roots()):
        inputs = tuple(current(v) for v in node.inputs)
        outputs = visit(state, node, inputs)
        if outputs is None:
            outputs = state.copy(node, inputs)
        for old, new in zip(node.outputs, outputs, strict=False):
            now[old.name] = new
    state.graph.outputs = {name: now.get(v.name, v) for name, v in graph.outputs.items()}
    state.graph.loss = current(graph.loss)
    state.graph.nodes = state.graph.needed(state.graph.roots())
    return state.graph


def readers(graph: Graph) -> Counter[str]:
    """How often each value is read, by its name: as an input of a node, or because it is an output or the loss."""
    found = Counter(v.name for node in graph.needed(graph.roots()) for v in node.inputs if v is not None)
    found.update(v.name for v in graph.roots())
    return found
