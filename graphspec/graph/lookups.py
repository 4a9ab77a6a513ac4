"""Which weights a graph only looks up by ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphspec.graph.ir.graph import Node
from graphspec.graph.ops import operator


def lookups(nodes: Sequence[Node], names: Iterable[str]) -> dict[str, list[Node]]:
    """Return the nodes that read each of these weights, for the weights of which nodes only read the rows of some ids."""
    readers: dict[str, list[Node]] = {name: [] for name in names}
    for node in nodes:
        for name in {v.name for v in node.inputs if v is not None}.intersection(readers):
            readers[name].append(node)
    return {name: found for name, found in readers.items() if all(_looks_up(node, name) for node in found)}


def _looks_up(node: Node, name: str) -> bool:
    if not operator(node).looks_up_rows():
        return False
    weight, ids = node.inputs
    return weight is not None and weight.name == name and ids is not None and ids.name != name and ids.rank > 0
