"""Layers that change the size of images: Resizing, CenterCrop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import PositiveInt, invalid
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.ranges import of_dtype
from graphspec.vocabulary.layers.base import LAYERS, Layer, as_float, cast_to
from graphspec.vocabulary.layers.resampling import Interpolation, crop_spatial, need_fixed, resized, window
from graphspec.vocabulary.layers.spatial import (
    DataFormat,
    channels_first,
    from_channels_first,
    need_spatial,
    to_channels_first,
)

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Height = Annotated[PositiveInt, Field(description="The height of the output.")]
Width = Annotated[PositiveInt, Field(description="The width of the output.")]

_GRID = 1024.0
"""Steps per integer to which values are rounded before they are rounded to integers. Exact halves are frequent (the weights
of 28 to 32 pixels are sixteenths), and the last bits, in which two runtimes differ, would decide. On the grid they are
halves again, and go to the even integer, as in Keras.
"""


@LAYERS.add("Resizing")
class Resizing(Layer):
    """Images resampled to one size, as in Keras on TensorFlow and JAX (half-pixel centres).

    Integers stay integers: ``nearest`` copies them, other interpolations compute in float32 and round. A Rescaling before
    this layer makes them floats, which lose nothing.

    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    interpolation: Interpolation = "bilinear"
    crop_to_aspect_ratio: Annotated[
        bool, Field(description="First crop the largest centred window with the aspect ratio of the output.")
    ] = False
    pad_to_aspect_ratio: Annotated[
        bool, Field(description="First pad both sides to the aspect ratio of the output, with `fill_value`.")
    ] = False
    fill_mode: Annotated[Literal["constant"], Field(description="Only `constant`, as in Keras.")] = "constant"
    fill_value: Annotated[float, Field(description="The value of the padding of `pad_to_aspect_ratio`.")] = 0.0
    antialias: Annotated[bool, Field(description="Average over more pixels when an image is reduced.")] = False
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
            reason, key = (
                (
                    "keeping the aspect ratio",
                    "crop_to_aspect_ratio" if self.crop_to_aspect_ratio else "pad_to_aspect_ratio",
                )
                if ratio
                else ("`antialias`", "antialias")
                if self.antialias
                else (f"`{self.interpolation}`", "interpolation")
            )
            hint = "give it a number in `inputs`; only `bilinear` without other options accepts varying sizes"
            need_fixed(X, self.data_format, reason, key=key, hint=hint)
        size = self.height, self.width
        copied = self.interpolation == "nearest" and X.dtype not in ("float32", "bool")
        Y = to_channels_first(g, X if copied else as_float(g, X), 2, self.data_format)
        if ratio:
            old = Y.fixed(2), Y.fixed(3)
            if self.crop_to_aspect_ratio:
                Y = crop_spatial(g, Y, *window(old, size))
            elif pads := self._pads(old):
                Y = g.Pad(Y, g.constant([0, 0, *pads, 0, 0, *pads]), g.constant(self._filling(Y.dtype), Y.dtype))
        Y = from_channels_first(g, resized(g, Y, size, self.interpolation, self.antialias), self.data_format)
        if copied or X.dtype in ("float32", "bool"):
            return Y
        limits, high = np.iinfo(X.dtype), np.float32(np.iinfo(X.dtype).max)
        steps = g.Round(g.Mul(Y, g.constant(_GRID)))
        Y = g.Round(g.Mul(steps, g.constant(1 / _GRID)))
        if limits.bits >= 32:  # float32 rounds their maximum up, beyond the dtype
            high = np.nextafter(high, np.float32(0))
        if limits.bits >= 32 or self.interpolation != "bilinear":  # other kernels overshoot
            Y = g.Clip(Y, g.constant(float(limits.min)), g.constant(float(high)))
        return cast_to(g, Y, X.dtype)

    def _filling(self, dtype: str) -> float:
        """Return ``fill_value`` as a value of ``dtype``."""
        if dtype == "float32":
            return self.fill_value
        limits = of_dtype(dtype)
        if not self.fill_value.is_integer() or not limits.low <= self.fill_value <= limits.high:
            text = f"fills {dtype} images, which cannot contain {self.fill_value:g}"
            raise ShapeError(
                Code.VALUE_NOT_ALLOWED,
                text,
                hint=f"use an integer from {limits.low} to {limits.high}",
                key="fill_value",
            )
        return int(self.fill_value)

    def _pads(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the padding on each side, for height and width; None without padding."""
        (height, width), (h, w) = size, (self.height, self.width)
        pads = (max(height, width * h // w) - height) // 2, (max(width, height * w // h) - width) // 2
        return pads if any(pads) else None


@LAYERS.add("CenterCrop")
class CenterCrop(Layer):
    """The centre of an image. From a smaller image, the largest window with the output's aspect ratio, resampled bilinearly.

    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_spatial(X, 2, self.data_format)
        need_fixed(X, self.data_format, "centred cropping", key="height")
        Y, size = channels_first(g, X, 2, self.data_format), (self.height, self.width)
        old = Y.fixed(2), Y.fixed(3)
        if all(d >= n for d, n in zip(old, size, strict=True)):
            Y = crop_spatial(g, Y, *(((d - n) // 2, n) for d, n in zip(old, size, strict=True)))
        else:
            Y = resized(g, crop_spatial(g, Y, *window(old, size)), size)
        return from_channels_first(g, Y, self.data_format)
