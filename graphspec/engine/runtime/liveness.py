"""Liveness: the last node that needs each value of a program."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphspec.graph.ir.graph import Node, Value
from graphspec.graph.ops import OPS

_NEVER = 1 << 60


def backward_uses(nodes: Sequence[Node], differentiated: Collection[str], roots: Sequence[Value]) -> dict[str, int]:
    """Return, for each value that must survive the forward pass, the index of the last node whose backward calls read it.

    The backward pass visits the nodes in reverse, so this is the lowest index. It is -1 for the ``roots`` (outputs and
    loss), which are read after the program has run.

    Args:
        differentiated: the names of values whose gradients are computed.
    """
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if not any(v is not None and v.name in differentiated for v in node.inputs):
            continue
        cls = OPS[node.op]
        kept = range(len(node.inputs)) if cls.keeps_in is None else cls.keeps_in
        inputs = [node.inputs[k] for k in kept if k < len(node.inputs)]
        for v in [*inputs, *(node.outputs if cls.keeps_out else ())]:
            if v is not None:
                last.setdefault(v.name, index)
    return last | dict.fromkeys((v.name for v in roots), -1)


def last_uses(nodes: Sequence[Node], survivors: Collection[str]) -> dict[str, int]:
    """Return the index of the last node that reads each value; beyond all nodes if it survives the forward pass."""
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        last |= {v.name: index for v in node.inputs if v is not None}
    return last | dict.fromkeys(survivors, _NEVER)
