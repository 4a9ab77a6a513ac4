"""Compute the nodes that depend only on weights and constants, before the file is written.

Lowering leaves arithmetic on weights in the graph, such as a reshaped bias, because weights change in training. In a file
they are fixed, so each result is stored as one constant, and the nodes that computed it are removed.

It is for files; ``target.compute`` computes the values.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target


def constant_values(graph: Graph) -> set[str]:
    """Return the names of the values that depend only on weights and constants, and that NumPy can compute."""
    known: set[str] = set()
    for node in graph.nodes:
        if not computable(node):
            continue
        if node.inputs and all(v is None or v.kind in ("param", "constant") or v.name in known for v in node.inputs):
            known.update(v.name for v in node.outputs)
    return known


def computable(node: Node) -> bool:
    """Return whether NumPy can compute the node: texts, and some operators on numbers, are for onnxruntime alone."""
    values = [*node.outputs, *(v for v in node.inputs if v is not None)]
    return OPS[node.op].has_kernel and not any(v.type.is_string for v in values)


def fold_constants(graph: Graph, target: Target) -> Graph:
    """Replace nodes that depend only on weights and constants by constants.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Mul(x, g.Sqrt(g.constant(4.0)))})
    >>> print_graph(graph)
    %1 = Sqrt(4.0)
    y = Mul(x, %1)
    >>> target = Target(compute=partial(constants_of, Parameters(graph)))
    >>> print_graph(fold_constants(graph, target))
    y = Mul(x, 2.0)
    """
    known = constant_values(graph)
    if not known:
        return graph
    used = [
        v for n in graph.nodes for v in n.inputs if v is not None and v.name in known and n.outputs[0].name not in known
    ]
    used += [v for v in graph.outputs.values() if v.name in known]
    computed = target.compute(graph.with_outputs({v.name: v for v in used}))

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.outputs[0].name not in known:
            return None
        return [
            Value(v.name, v.type, "constant", data=computed[v.name]) if v.name in computed else v for v in node.outputs
        ]

    return rebuild(graph, visit)
