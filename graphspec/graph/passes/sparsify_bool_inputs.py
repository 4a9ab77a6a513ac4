"""Read sparse bool inputs as the column indices of their ones.

A row of a bag-of-words input has few ones among thousands of columns. Training stores such rows as indices
(``graphspec/data/batches.py``). The graph still describes the wide input, so this pass puts a MultiHot before its readers;
``multi_hot_matmul_to_gather_sum`` then removes the MultiHot and the wide vectors.

It is for programs, and applies to inputs that are fed with another width than in the spec.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.passes.multi_hot_matmul_to_gather_sum import multiplies
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target


def only_multiplied(graph: Graph) -> dict[str, int]:
    """Return the inputs ``(N, width)`` that only matmuls read, with their widths."""
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
    """Read an input ``(N, width)`` that is fed with shape ``(N, k)`` through MultiHot.

    The input becomes int64: the indices of at most k ones per row, padded with ``width``.

    >>> g, x, W = sketch({"x": ("N", 1000)}, {"W": (1000, 8)})
    >>> graph = g.graph.with_outputs({"y": g.MatMul(x, W)})
    >>> print_graph(graph)
    y = MatMul(x, W)
    >>> print_graph(sparsify_bool_inputs(graph, Target({"x": (64, 7)})))
    %1 = MultiHot(x, depth=1000, count=1)
    y = MatMul(%1, W)
    """
    shapes = target.shapes
    sparse = {
        n: (Value(n, Type("int64", (v.shape[0], shapes[n][1])), "input"), width)
        for n, v in graph.inputs.items()
        if v.rank == 2
        and v.type.is_float
        and n in shapes
        and shapes[n][1] != (width := v.shape[1])
        and isinstance(width, int)
    }
    if not sparse:
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if not any(v is not None and v.name in sparse for v in inputs):
            return None
        g = state.builder(node)

        def multi_hot(value: Value) -> Value:
            indices, width = sparse[value.name]
            vectors: Value = g.MultiHot(indices, depth=width, count=1)
            return vectors

        return state.copy(node, [multi_hot(v) if v is not None and v.name in sparse else v for v in inputs])

    result = rebuild(graph, visit)
    result.inputs |= {n: indices for n, (indices, _) in sparse.items()}
    return result
