"""Find what compares the rows of a batch with each other, so that a part of the batch would give something else."""

from __future__ import annotations

from graphspec.ir.dims import Shape, has_rows
from graphspec.ir.graph import Graph, Node

WHOLE = (
    "train with `workers: 1` and without `shards`; the losses info_nce, clip and circle compare the rows of all workers"
)
"""The hint for workers, which have a part of the rows each."""
_SIZES = frozenset(["Shape", "Size"])
"""Operators that read shapes, not rows."""
_ALONG = frozenset(
    ["Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "TopK", "Gather", "GatherElements", "ScatterElements"]
)
"""Operators along the axis ``axis``."""


def compares_rows(graph: Graph) -> Node | None:
    """Return the first node whose rows depend on other rows of the batch, apart from losses and penalties.

    It joins the rows (its output has no batch axis), pairs them (two batch axes), or is an operator along the batch axis.
    Batch normalization is none of them: workers share its statistics.
    """
    for node in graph.needed(graph.trained_roots()):
        read = [_batch_axes(v.shape) for v in node.inputs if v is not None]
        if node.op in _SIZES or not any(read):
            continue
        if any(len(_batch_axes(v.shape)) != 1 for v in node.outputs):
            return node
        shape = next(v.shape for v in node.inputs if v is not None)
        if any(shape[axis] == "N" for axis in _axes(node)):
            return node
    return None


def _axes(node: Node) -> list[int]:
    """Return the axes along which an operator works, if it keeps them in its output.

    CumSum is none of them: masked recurrent layers count rows with it. They also gather steps from rows with their steps.
    """
    if node.op in _ALONG:
        return [int(node.attrs.get("axis", 0 if node.op.startswith(("Gather", "Scatter")) else -1))]
    axes = node.inputs[3] if node.op == "Slice" and len(node.inputs) > 3 else None
    return [] if axes is None or axes.data is None else [int(axis) for axis in axes.data.reshape(-1)]


def _batch_axes(shape: Shape) -> list[int]:
    return [axis for axis, size in enumerate(shape) if has_rows((size,))]
