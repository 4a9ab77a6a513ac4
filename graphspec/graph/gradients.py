"""Which gradients a graph needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphspec.ir.graph import Graph, Node


def wanted_gradients(graph: Graph, nodes: Sequence[Node], asked: Collection[str] = ()) -> set[str]:
    """Names of the values whose gradient is needed: those with something trainable upstream, on the way to the loss.

    Args:
        asked: inputs whose gradient is wanted for its own sake.
    """
    if graph.loss is None:
        return set()
    on_path = {n.name for n in graph.needed([graph.loss])}
    wanted = set(asked)
    for node in nodes:
        for v in node.inputs:
            if v is not None and v.param is not None and v.param.trainable:
                wanted.add(v.name)
        if node.name in on_path and any(v is not None and v.name in wanted for v in node.inputs):
            wanted.update(v.name for v in node.outputs if v.type.is_float)
    return wanted
