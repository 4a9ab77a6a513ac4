"""Replace operators that are newer than an opset by older ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from graphspec.graph.decompositions import (
    DECOMPOSITIONS,
    attention,  # noqa: F401
    elementwise,  # noqa: F401
    multi_hot,  # noqa: F401
    norm,  # noqa: F401
)
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Node, Value
from graphspec.ops import OPS

BASE = 17
"""The opset that operators have the form of, where they exist in it."""
_CHANGED = {"GroupNormalization": 21}  # before: a scale a group
_WITHOUT_KERNEL = {"Swish"}  # onnxruntime 1.32 has none; it expands the operator at opset 24, but not from 25 on


@cache
def since(op: str) -> int | None:
    """The first opset that has the operator in the form in which it is written here; None for one of training alone."""
    from onnx import defs

    if not OPS[op].exported:
        return None
    if op in _CHANGED:
        return _CHANGED[op]
    newest = defs.onnx_opset_version()
    first = next((k for k in range(BASE, newest + 1) if defs.has(op, max_inclusive_version=k)), None)
    return first if first is None else min(first, int(defs.get_schema(op, first).since_version))


def is_newer(node: Node, opset: int) -> bool:
    """Whether ``opset`` does not have the node's operator, or no runtime does."""
    first = since(node.op)
    return first is None or first > opset or node.op in _WITHOUT_KERNEL


def legalize(graph: Graph, target: Target) -> Graph:
    """The graph with every operator that the target's opset lacks decomposed; one that has no decomposition stays."""

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op not in DECOMPOSITIONS or not is_newer(node, target.opset):
            return None
        made = DECOMPOSITIONS[node.op](state.builder(node), *inputs, **node.attrs)
        return made if isinstance(made, tuple) else (made,)

    return rebuild(graph, visit)
