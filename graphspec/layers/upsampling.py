"""Layers that enlarge sequences, images and volumes by integer factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from graphspec.config import Size1, Size2, Size3
from graphspec.layers.base import LAYERS, Layer
from graphspec.layers.resampling import Interpolation, need_fixed, repeated, resized
from graphspec.layers.spatial import DataFormat, channels_first, from_channels_first, need_spatial

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


def enlarged(g: Builder, X: Value, size: Sequence[int], data_format: str | None) -> Value:
    """Emit ``X`` with each element repeated along the spatial axes."""
    X = channels_first(g, X, len(size), data_format)
    return from_channels_first(g, repeated(g, X, size), data_format)


@LAYERS.add("UpSampling1D")
class UpSampling1D(Layer):
    """A sequence with each step repeated.

    Shapes: (batch, steps, features) → (batch, steps·size, features).
    """

    size: Annotated[Size1, Field(description="The number of repetitions.")] = (2,)

    def lower(self, g: Builder, X: Value) -> Value:
        return enlarged(g, X, self.size, None)


@LAYERS.add("UpSampling2D")
class UpSampling2D(Layer):
    """An image enlarged by integer factors.

    Shapes: (batch, height, width, channels) → (batch, height·size[0], width·size[1], channels).
    """

    size: Annotated[Size2, Field(description="The factors of height and width.")] = (2, 2)
    data_format: DataFormat = None
    interpolation: Interpolation = "nearest"

    def lower(self, g: Builder, X: Value) -> Value:
        if self.interpolation == "nearest":
            return enlarged(g, X, self.size, self.data_format)
        need_spatial(X, 2, self.data_format)
        if self.interpolation != "bilinear":
            hint = "use `bilinear` or `nearest`, or give the size a number in `inputs`"
            need_fixed(X, self.data_format, f"`{self.interpolation}`", key="interpolation", hint=hint)
        Y = channels_first(g, X, 2, self.data_format)
        if self.interpolation == "bilinear":
            attributes: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            Y = g.Resize(Y, None, g.constant([1.0, 1.0, *self.size], "float32"), **attributes)
        else:
            Y = resized(g, Y, (Y.fixed(2) * self.size[0], Y.fixed(3) * self.size[1]), self.interpolation)
        return from_channels_first(g, Y, self.data_format)


@LAYERS.add("UpSampling3D")
class UpSampling3D(Layer):
    """A volume with each element repeated.

    Shapes: (batch, d1, d2, d3, channels) → (batch, d1·size[0], d2·size[1], d3·size[2], channels).
    """

    size: Annotated[Size3, Field(description="The factors of the three axes.")] = (2, 2, 2)
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return enlarged(g, X, self.size, self.data_format)
