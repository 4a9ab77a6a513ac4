"""The largest number under a window before ReLU, not after it: fewer numbers to compare with 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from graphspec.compiler.ir import Graph, Node, Value
from graphspec.compiler.passes.rebuild import Rebuild, rebuild


def pool_first(graph: Graph, wanted: Mapping[str, Value]) -> tuple[Graph, dict[str, Value]]:
    """The graph and the ``wanted`` values, with Relu behind a MaxPool that alone reads it: for programs, never for a file.

    Values are the same, and so are gradients: a window's goes to its first largest number if that is above 0, else nowhere.
    """
    nodes = graph.needed(wanted.values())
    readers = Counter(v.name for node in nodes for v in node.inputs if v is not None)
    readers.update(v.name for v in wanted.values())
    moves = {node.name: relu.name for node in nodes if (relu := _relu_before(node, readers)) is not None}
    if not moves:
        return graph, dict(wanted)
    graph = graph.copy()
    graph.outputs = dict(wanted)

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.name in moves.values():
            (X,) = inputs
            return None if X is None else (X,)
        if node.name not in moves:
            return None
        return (state.builder(node).Relu(*state.copy(node, inputs)),)

    made = rebuild(graph, visit)
    return made, made.outputs


def _relu_before(node: Node, readers: Mapping[str, int]) -> Node | None:
    """The Relu whose numbers, maybe transposed, a MaxPool alone reads, if every window surely has one."""
    if node.op != "MaxPool" or node.attrs["ceil_mode"] or any(d != 1 for d in node.attrs["dilations"] or ()):
        return None
    value = node.inputs[0]
    while value is not None and value.node is not None and readers[value.name] == 1:
        if value.node.op == "Relu":
            return value.node
        value = value.node.inputs[0] if value.node.op == "Transpose" else None
    return None
