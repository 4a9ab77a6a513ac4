"""MultiHot, which is not an ONNX operator: vectors from ids, by comparison or by scattering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.graph.decompositions import decomposes

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.graph.ops.multi_hot import MultiHot


@decomposes("MultiHot")
def multi_hot(g: Builder, op: MultiHot, ids: Value, weights: Value | None = None) -> Any:
    """Emit a comparison with all indices for a single id, else a scatter with one extra column for ids out of range."""
    depth = op.depth
    if ids.shape[-1] == 1 and weights is None:
        return g.Cast(g.Equal(ids, g.constant(np.arange(depth))), to="float32")
    inside = (ids >= 0) & (ids < depth)
    indices = g.Where(inside, ids, g.constant(depth))
    outer = [g.size(ids, axis) for axis in range(ids.rank - 1)]
    zeros = g.Expand(g.constant(0.0), g.ints([*outer, depth + 1]))
    updates = g.Expand(g.constant(1.0), g.Shape(ids)) if weights is None else weights
    Y = g.ScatterElements(zeros, indices, updates, axis=-1, reduction="add" if op.count else "none")
    return g.Slice(Y, g.constant([0]), g.constant([depth]), g.constant([-1]))
