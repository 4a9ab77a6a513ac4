"""Rebuild a graph node by node: what every pass is written with."""

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
        """The node again, with other inputs and some attributes changed."""
        types = [v.type for v in node.outputs]
        made = self.node(
            node.name, node.op, inputs, node.attrs | attrs, node.owner, types, [v.name for v in node.outputs]
        )
        for new, old in zip(made, node.outputs, strict=True):
            new.dims = old.dims
        return made

    def again(self, node: Node, inputs: Sequence[Value | None], **attrs: Any) -> tuple[Value, ...]:
        """The node again, with inputs of other shapes: its outputs' types are inferred anew."""
        types = OPS[node.op].infer(*inputs, **node.attrs | attrs)
        types = types if isinstance(types, tuple) else (types,)
        names = [v.name for v in node.outputs]
        return self.node(node.name, node.op, inputs, node.attrs | attrs, node.owner, types, names)

    def builder(self, node: Node) -> Builder:
        """A builder for what replaces ``node``: names have its own in front, and so are unique."""
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
        """Append an operator; its outputs are called after it unless ``names`` says otherwise."""
        made = Node(name, op, tuple(inputs), attrs, owner)
        names = names or [name if k == 0 else f"{name}:{k}" for k in range(len(types))]
        made.outputs = tuple(Value(n, t, "op", made, k) for k, (n, t) in enumerate(zip(names, types, strict=True)))
        self.graph.nodes.append(made)
        return made.outputs


def rebuild(graph: Graph, visit: Visit) -> Graph:
    """A new graph: each node as ``visit`` has it, or copied where that returns None; then only what the heads need."""
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
    state.graph.outputs = {head: now.get(v.name, v) for head, v in graph.outputs.items()}
    state.graph.loss = current(graph.loss)
    state.graph.nodes = state.graph.needed(state.graph.roots())
    return state.graph


def readers(graph: Graph) -> Counter[str]:
    """How often each value is read, by its name: as an input of a node, or because it is an output or the loss."""
    found = Counter(v.name for node in graph.needed(graph.roots()) for v in node.inputs if v is not None)
    found.update(v.name for v in graph.roots())
    return found
