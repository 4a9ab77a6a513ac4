"""Compute once, before the file is written, what depends on weights and constants only."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value


def computed_before(graph: Graph) -> set[str]:
    """The names of values that depend on weights and constants only."""
    known: set[str] = set()
    for node in graph.nodes:
        if node.inputs and all(v is None or v.kind in ("param", "constant") or v.name in known for v in node.inputs):
            known.update(v.name for v in node.outputs)
    return known


def fold_constants(graph: Graph, target: Target) -> Graph:
    """Replace every node whose inputs are all weights or constants by a constant."""
    known = computed_before(graph)
    if not known:
        return graph
    used = [
        v for n in graph.nodes for v in n.inputs if v is not None and v.name in known and n.outputs[0].name not in known
    ]
    used += [v for v in graph.outputs.values() if v.name in known]
    computed = target.compute(graph.asking({v.name: v for v in used}))

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.outputs[0].name not in known:
            return None
        return [
            Value(v.name, v.type, "constant", data=computed[v.name]) if v.name in computed else v for v in node.outputs
        ]

    return rebuild(graph, visit)
