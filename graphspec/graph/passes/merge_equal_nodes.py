"""Merge nodes that compute the same value (common subexpression elimination).

Lowering works layer by layer, so several layers that read one value may each emit the same Transpose, Shape or Cast of it.
The first node stays under its own name; the others are removed, and their readers read the first.

It is for files, and runs before ``cancel_transposes``, which then has fewer Transposes to move.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target


def merge_equal_nodes(graph: Graph, target: Target) -> Graph:
    """Replace every node by the first node with equal operator, attributes and inputs.

    Constants are equal if their bytes are equal. Nodes that draw random numbers stay, since two draws differ.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Add(g.Relu(x), g.Relu(x))})
    >>> print_graph(graph)
    %1 = Relu(x)
    %2 = Relu(x)
    y = Add(%1, %2)
    >>> print_graph(merge_equal_nodes(graph, Target()))
    %1 = Relu(x)
    y = Add(%1, %1)
    """
    first: dict[Hashable, Sequence[Value]] = {}

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if OPS[node.op].identity_in_inference or ("seed" in node.attrs and not OPS[node.op].domain):
            return None
        key = node.op, _frozen(node.attrs), tuple(map(_identity, inputs)), tuple(v.type for v in node.outputs)
        if key not in first:
            first[key] = state.copy(node, inputs)
        return first[key]

    return rebuild(graph, visit)


def _identity(value: Value | None) -> Hashable:
    """Return a key that is equal for equal inputs: the bytes of a constant, or the name of another value."""
    if value is None or value.data is None:
        return None if value is None else value.name
    # The bytes of an array of texts are addresses.
    content = tuple(value.data.flat) if value.type.is_string else value.data.tobytes()
    return value.type, value.data.dtype.str, content


def _frozen(attribute: Any) -> Hashable:
    """Return an attribute as a dictionary key; 1, 1.0 and True are different keys."""
    if isinstance(attribute, dict):
        return tuple((k, _frozen(v)) for k, v in sorted(attribute.items()))
    if isinstance(attribute, list | tuple):
        return tuple(map(_frozen, attribute))
    return type(attribute), attribute
