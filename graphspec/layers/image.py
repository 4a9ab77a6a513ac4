"""Layers that bring images to a size: Resizing, CenterCrop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from graphspec.codes import Code
from graphspec.config import PositiveInt, invalid
from graphspec.errors import ShapeError
from graphspec.ir.ranges import of_dtype
from graphspec.layers.base import LAYERS, Layer, as_float, cast_to
from graphspec.layers.resampling import Interpolation, crop_spatial, need_fixed, resized, window
from graphspec.layers.spatial import DataFormat, channels_first, from_channels_first, in_front, need_spatial

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Height = Annotated[PositiveInt, Field(description="Height of the output.")]
Width = Annotated[PositiveInt, Field(description="Width of the output.")]


@LAYERS.add("Resizing")
class Resizing(Layer):
    """Images resampled to one size, as TensorFlow's and JAX's backend of Keras do it (half-pixel centres).

    Integers stay integers: ``nearest`` moves them, the others compute in float32 and round.
    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    interpolation: Interpolation = "bilinear"
    crop_to_aspect_ratio: Annotated[
        bool, Field(description="Cut the largest window in the middle with the shape of the output out first.")
    ] = False
    pad_to_aspect_ratio: Annotated[
        bool, Field(description="Pad both sides to the shape of the output first, with `fill_value`.")
    ] = False
    fill_mode: Annotated[Literal["constant"], Field(description="Only constant, as in Keras.")] = "constant"
    fill_value: Annotated[float, Field(description="What `pad_to_aspect_ratio` pads with.")] = 0.0
    antialias: Annotated[bool, Field(description="Average over more pixels where the image becomes smaller.")] = False
    data_format: DataFormat = None

    @model_validator(mode="after")
    def _one_way(self) -> Resizing:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            text = "sets both `pad_to_aspect_ratio` and `crop_to_aspect_ratio`, which exclude each other"
            raise invalid(text, "set one of them to false")
        return self

    def lower(self, g: Builder, X: Value) -> Value:
        need_spatial(X, 2, self.data_format)
        ratio = self.crop_to_aspect_ratio or self.pad_to_aspect_ratio
        if ratio or self.antialias or self.interpolation != "bilinear":
            why, key = (
                (
                    "keeping the aspect ratio",
                    "crop_to_aspect_ratio" if self.crop_to_aspect_ratio else "pad_to_aspect_ratio",
                )
                if ratio
                else ("`antialias`", "antialias")
                if self.antialias
                else (f"`{self.interpolation}`", "interpolation")
            )
            hint = "give it a number in `inputs`; only plain `bilinear` takes sizes that vary"
            need_fixed(X, self.data_format, why, key=key, hint=hint)
        size = self.height, self.width
        moved = self.interpolation == "nearest" and X.dtype not in ("float32", "bool")
        Y = in_front(g, X if moved else as_float(g, X), 2, self.data_format)
        if ratio:
            old = Y.fixed(2), Y.fixed(3)
            if self.crop_to_aspect_ratio:
                Y = crop_spatial(g, Y, *window(old, size))
            elif pads := self._pads(old):
                Y = g.Pad(Y, g.constant([0, 0, *pads, 0, 0, *pads]), g.constant(self._filling(Y.dtype), Y.dtype))
        Y = from_channels_first(g, resized(g, Y, size, self.interpolation, self.antialias), self.data_format)
        if moved or X.dtype in ("float32", "bool"):
            return Y
        limits, high = np.iinfo(X.dtype), np.float32(np.iinfo(X.dtype).max)
        Y = g.Round(Y)
        if limits.bits >= 32:  # whose largest integers float32 rounds up, to one that they do not have
            high = np.nextafter(high, np.float32(0))
        if limits.bits >= 32 or self.interpolation != "bilinear":  # kernels that overshoot
            Y = g.Clip(Y, g.constant(float(limits.min)), g.constant(float(high)))
        return cast_to(g, Y, X.dtype)

    def _filling(self, dtype: str) -> float:
        """``fill_value`` as a number that ``dtype`` has."""
        if dtype == "float32":
            return self.fill_value
        held = of_dtype(dtype)
        if not self.fill_value.is_integer() or not held.low <= self.fill_value <= held.high:
            text = f"fills {dtype} images, which cannot hold {self.fill_value:g}"
            raise ShapeError(
                Code.VALUE_NOT_ALLOWED, text, hint=f"give an integer from {held.low} to {held.high}", key="fill_value"
            )
        return int(self.fill_value)

    def _pads(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """What is put on each of both sides, for height and width."""
        (height, width), (h, w) = size, (self.height, self.width)
        pads = (max(height, width * h // w) - height) // 2, (max(width, height * w // h) - width) // 2
        return pads if any(pads) else None


@LAYERS.add("CenterCrop")
class CenterCrop(Layer):
    """The middle of an image; of a smaller one the largest window with the shape of the output, resampled bilinearly.

    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_spatial(X, 2, self.data_format)
        need_fixed(X, self.data_format, "cropping in the middle", key="height")
        Y, size = channels_first(g, X, 2, self.data_format), (self.height, self.width)
        old = Y.fixed(2), Y.fixed(3)
        if all(d >= n for d, n in zip(old, size, strict=True)):
            Y = crop_spatial(g, Y, *(((d - n) // 2, n) for d, n in zip(old, size, strict=True)))
        else:
            Y = resized(g, crop_spatial(g, Y, *window(old, size)), size)
        return from_channels_first(g, Y, self.data_format)
