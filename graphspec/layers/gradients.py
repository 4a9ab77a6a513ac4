"""Layers that change gradients alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.layers.base import LAYERS, Layer

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LAYERS.add("StopGradient")
class StopGradient(Layer):
    """The identity, through which no gradient flows: what its input depends on is not trained by what reads it.

    It is ``keras.ops.stop_gradient``. Exported files do not contain it.

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    def lower(self, g: Builder, X: Value) -> Value:
        return g.StopGradient(X)
