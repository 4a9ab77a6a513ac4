"""Remove multiplications by one and additions of zero.

Layers such as Rescaling and Normalization emit a scale and an offset even if one of them changes nothing. The operand then
replaces the node, unless the constant broadcasts it to a larger shape.

It is for files, and runs after ``fold_constants``, which creates more constants.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target


def remove_identity_arithmetic(graph: Graph, target: Target) -> Graph:
    """Replace each Mul, Div, Add or Sub that returns one of its operands unchanged by that operand.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Add(g.Mul(x, g.constant(1.0)), g.constant(0.5))})
    >>> print_graph(graph)
    %1 = Mul(x, 1.0)
    y = Add(%1, 0.5)
    >>> print_graph(remove_identity_arithmetic(graph, Target()))
    y = Add(x, 0.5)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        op = OPS[node.op]
        if op.neutral is None:
            return None
        X, other = inputs
        assert X is not None
        assert other is not None
        for kept, constant in ((X, other), (other, X)) if op.commutes else ((X, other),):
            same = kept.type == node.outputs[0].type  # otherwise the constant broadcasts the operand
            if same and constant.data is not None and bool((constant.data == op.neutral).all()):
                return (kept,)
        return None

    return rebuild(graph, visit)
