"""Inputs of few ones are given as the places of the ones: what multiplies them then adds up rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.passes.multi_hot_matmul_to_gather_sum import multiplies
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Type, Value


def only_multiplied(graph: Graph) -> dict[str, int]:
    """The inputs ``(N, width)`` that products with matrices read and nothing else, by their widths."""
    multiplied: set[str] = set()
    other = {v.name for v in graph.outputs.values()}
    for node in graph.nodes:
        names = [v.name for v in node.inputs if v is not None and v.name in graph.inputs]
        first = node.inputs[0] if node.inputs else None
        if names and first is not None and first.name == names[0] and multiplies(node):
            multiplied.add(names.pop(0))
        other.update(names)
    wide = {n: v.shape[1] for n, v in graph.inputs.items() if v.rank == 2 and v.type.is_float}
    return {n: k for n, k in wide.items() if isinstance(k, int) and n in multiplied - other}


def sparsify_bool_inputs(graph: Graph, target: Target) -> Graph:
    """The graph with MultiHot of an input ``(N, width)`` whose shape is another, ``(N, k)``.

    It is then int64: the places of the k ones of each row, filled up with the width.
    """
    shapes = target.shapes
    marked = {
        n: (Value(n, Type("int64", (v.shape[0], shapes[n][1])), "input"), width)
        for n, v in graph.inputs.items()
        if v.rank == 2
        and v.type.is_float
        and n in shapes
        and shapes[n][1] != (width := v.shape[1])
        and isinstance(width, int)
    }
    if not marked:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if not any(v is not None and v.name in marked for v in inputs):
            return None
        g = state.builder(node)

        def hot(value: Value) -> Value:
            places, width = marked[value.name]
            made: Value = g.MultiHot(places, depth=width, count=1)
            return made

        return state.copy(node, [hot(v) if v is not None and v.name in marked else v for v in inputs])

    made = rebuild(graph, visit)
    made.inputs |= {n: places for n, (places, _) in marked.items()}
    return made
