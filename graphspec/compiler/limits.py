"""Which inputs are ids, and how many there are: those that an Embedding looks up."""

from __future__ import annotations

from graphspec.compiler.ir import Graph, Value


def id_limits(graph: Graph) -> dict[str, int]:
    """``input → number of rows`` for every input that indexes a table of weights: valid ids are 0 to that less one."""
    limits: dict[str, int] = {}
    for node in graph.nodes:
        if node.op != "Gather" or node.inputs[0] is None or node.inputs[0].kind != "param":
            continue
        source = _source(node.inputs[1])
        if source is not None and source.kind == "input":
            rows = node.inputs[0].fixed(0)
            limits[source.name] = min(rows, limits.get(source.name, rows))
    return limits


def _source(value: Value | None) -> Value | None:
    while (
        value is not None and value.node is not None and value.node.op in ("Cast", "Identity", "Reshape", "Transpose")
    ):
        value = value.node.inputs[0]
    return value
