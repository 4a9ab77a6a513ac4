"""Nodes that compute the same from the same become one: the first of them, whose name it keeps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.ops import OPS


def merge_equal_nodes(graph: Graph, target: Target) -> Graph:
    """Replace every node by the first with its operator, attributes and inputs; constants are compared by what they hold.

    What draws random numbers stays as it is: two draws are not one.
    """
    first: dict[Hashable, Sequence[Value]] = {}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if OPS[node.op].vanishes or "seed" in node.attrs:
            return None
        key = node.op, _frozen(node.attrs), tuple(map(_identity, inputs)), tuple(v.type for v in node.outputs)
        if key not in first:
            first[key] = state.copy(node, inputs)
        return first[key]

    return rebuild(graph, visit)


def _identity(value: Value | None) -> Hashable:
    if value is None or value.data is None:
        return None if value is None else value.name
    return value.type, value.data.dtype.str, value.data.tobytes()


def _frozen(attribute: Any) -> Hashable:
    """An attribute as something that can be looked up: 1, 1.0 and True are not the same."""
    if isinstance(attribute, dict):
        return tuple((k, _frozen(v)) for k, v in sorted(attribute.items()))
    if isinstance(attribute, list | tuple):
        return tuple(map(_frozen, attribute))
    return type(attribute), attribute
