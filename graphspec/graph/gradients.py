"""The gradients that a graph needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphspec.graph.ir.graph import Graph, Node
from graphspec.graph.ops import OPS


def needed_gradients(graph: Graph, nodes: Sequence[Node], requested: Collection[str] = ()) -> set[str]:
    """Return the names of the values that need a gradient: they depend on a trainable weight, and the loss depends on them.

    Args:
        graph: the graph with its loss.
        nodes: its nodes in topological order.
        requested: inputs whose gradients are requested.
    """
    if graph.loss is None:
        return set()
    on_path = {n.name for n in graph.needed([graph.loss])}
    needed = set(requested)
    for node in nodes:
        for v in node.inputs:
            if v is not None and v.param is not None and v.param.trainable:
                needed.add(v.name)
        if OPS[node.op].stops_gradient:
            continue
        if node.name in on_path and any(v is not None and v.name in needed for v in node.inputs):
            needed.update(v.name for v in node.outputs if v.type.is_float)
    return needed
