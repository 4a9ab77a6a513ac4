"""GroupNormalization (opset 21) and RMSNormalization (opset 23)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.graph.decompositions import decomposes

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.graph.ops.layer_norm import GroupNormalization, RMSNormalization


@decomposes("GroupNormalization")
def group_normalization(g: Builder, op: GroupNormalization, X: Value, scale: Value, bias: Value) -> Value:
    """Emit the normalization of ``(N, groups, …)``, then reshape to X's shape, scale and shift."""
    rows = g.Reshape(X, g.constant([0, op.num_groups, -1]))
    centred = rows - g.ReduceMean(rows, axes=(-1,), keepdims=1)
    variance = g.ReduceMean(centred * centred, axes=(-1,), keepdims=1)
    normal = centred / g.Sqrt(variance + op.epsilon)
    spatial = g.constant(list(range(1, X.rank - 1)))
    factor, offset = ((g.Unsqueeze(v, spatial) if X.rank > 2 else v) for v in (scale, bias))
    return g.Reshape(normal, g.Shape(X)) * factor + offset


@decomposes("RMSNormalization")
def rms_normalization(g: Builder, op: RMSNormalization, X: Value, scale: Value) -> Value:
    """Emit ``X / sqrt(mean(X²) + epsilon) · scale``."""
    axes = tuple(range(op.axis % X.rank, X.rank))
    square = g.ReduceMean(X * X, axes=axes, keepdims=1)
    return X / g.Sqrt(square + op.epsilon) * scale
