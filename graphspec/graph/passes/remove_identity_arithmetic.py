"""Multiplications by ones and additions of zeros vanish: a scale or an offset that a layer was given and does nothing."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value

_NEUTRAL = {"Mul": 1.0, "Div": 1.0, "Add": 0.0, "Sub": 0.0}
_EITHER = ("Mul", "Add")


def remove_identity_arithmetic(graph: Graph, target: Target) -> Graph:
    """Replace each node that only gives one of its operands again by that operand."""

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op not in _NEUTRAL:
            return None
        X, other = inputs
        assert X is not None
        assert other is not None
        for kept, constant in ((X, other), (other, X)) if node.op in _EITHER else ((X, other),):
            same = kept.type == node.outputs[0].type  # else the constant gives the result its shape
            if same and constant.data is not None and bool((constant.data == _NEUTRAL[node.op]).all()):
                return (kept,)
        return None

    return rebuild(graph, visit)
