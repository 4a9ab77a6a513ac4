"""The values that the losses of heads read, and the names in ``Graph.loss_inputs`` of those that are no outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Graph, Value
    from graphspec.language.declarations import HeadDecl


def node_of(head: str, k: int) -> str:
    """Return the name of node k of a head without an output."""
    return f"{head}:{k}"  # names of heads contain no colon


def given_of(head: str) -> str:
    """Return the name of the value with which a head compares."""
    return f"target:{head}"


def nodes_of(graph: Graph, head: HeadDecl) -> list[Value]:
    """Return the values that a head's loss compares, or compares with its target."""
    if not head.only_trained:
        return [graph.outputs[head.name]]
    return [graph.loss_inputs[node_of(head.name, k)] for k in range(len(head.layers))]
