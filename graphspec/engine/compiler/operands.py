"""The inputs of a layer: values of other nodes, and constants for the numbers among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.language.declarations import NodeDecl
    from graphspec.vocabulary.layers.base import Layer


def operands(g: Builder, layer: Layer, node: NodeDecl, values: Sequence[Value]) -> list[Value | None]:
    """Return the inputs of ``node`` in their order. ``values`` are those that it names; None is an absent one."""
    found: list[Value | None] = list(values)
    for position in sorted(node.written):
        found.insert(position, None)
    for position, number in node.written.items():
        if number is not None:
            found[position] = layer.number(g, number, position, values)
    return found
