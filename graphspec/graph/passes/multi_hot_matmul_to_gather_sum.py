"""Turn a matmul with multi-hot vectors into a sum of weight rows.

A multi-hot vector times a matrix is the sum of the matrix's rows at the ids. GatherSum computes the sum from the ids, so the
wide vectors, mostly zeros, are never created. This is faster if the vectors are much wider than the lists of ids.

It is for programs only: a file contains only ONNX operators.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target

MIN_WIDTH_PER_ID = 20
"""GatherSum is faster for vectors with at least this many elements per id: one id takes as long as 15 to 24 elements of a
matmul."""
_UNSCALED = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def multiplies(node: Node) -> bool:
    """Return whether a node multiplies its first input by a matrix, without scaling or transposing."""
    unscaled = node.op in ("Gemm", "MatMul") and not node.attrs.items() - _UNSCALED.items()
    return unscaled and node.inputs[1] is not None and node.inputs[1].rank == 2


def multi_hot_matmul_to_gather_sum(graph: Graph, target: Target) -> Graph:
    """Replace products of MultiHot and a matrix by GatherSum.

    >>> g, ids, W = sketch({"ids": Type("int64", ("N", 3))}, {"W": (1000, 8)})
    >>> graph = g.graph.with_outputs({"y": g.MatMul(g.MultiHot(ids, depth=1000), W)})
    >>> print_graph(graph)
    %1 = MultiHot(ids, depth=1000)
    y = MatMul(%1, W)
    >>> print_graph(multi_hot_matmul_to_gather_sum(graph, Target()))
    y = GatherSum(ids, W)
    """
    if all(node.op != "MultiHot" for node in graph.nodes):
        return graph

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if not multiplies(node):
            return None
        X, W, bias = (*inputs, None)[:3]
        assert X is not None
        assert W is not None
        multi_hot = X.node
        if multi_hot is None or multi_hot.op != "MultiHot" or len(multi_hot.inputs) > 1:
            return None
        (ids,), depth = multi_hot.inputs, multi_hot.attrs["depth"]
        assert ids is not None
        k = ids.shape[-1]
        if not use_fast_kernel(not isinstance(k, int) or MIN_WIDTH_PER_ID * k <= depth):
            return None
        g = state.builder(node)
        Y = g.GatherSum(ids, W, count=multi_hot.attrs["count"])
        return (Y if bias is None else g.Add(Y, bias),)

    return rebuild(graph, visit)
