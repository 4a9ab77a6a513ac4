"""A matrix times vectors that mark ids is the sum of its rows at the ids: the wide vectors are never made."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.kernels.fast import faster

WORTH = 20
"""How many times wider than the ids of a row a vector must be: a row of ids takes as long as 15 to 24 times its numbers."""
_PRODUCT = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def multiplies(node: Node) -> bool:
    """Whether a node is a plain product of its first input and a matrix."""
    plain = node.op in ("Gemm", "MatMul") and not node.attrs.items() - _PRODUCT.items()
    return plain and node.inputs[1] is not None and node.inputs[1].rank == 2


def multi_hot_matmul_to_gather_sum(graph: Graph, target: Target) -> Graph:
    """The graph with GatherSum for products of MultiHot: for programs, never for a file."""
    if all(node.op != "MultiHot" for node in graph.nodes):
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if not multiplies(node):
            return None
        X, W, bias = (*inputs, None)[:3]
        assert X is not None
        assert W is not None
        hot = X.node
        if hot is None or hot.op != "MultiHot" or len(hot.inputs) > 1:
            return None
        (ids,), depth = hot.inputs, hot.attrs["depth"]
        assert ids is not None
        k = ids.shape[-1]
        if not faster(not isinstance(k, int) or WORTH * k <= depth):
            return None
        g = state.builder(node)
        Y = g.GatherSum(ids, W, count=hot.attrs["count"])
        return (Y if bias is None else g.Add(Y, bias),)

    return rebuild(graph, visit)
