"""Zero padding and cropping of sequences, images and volumes; and layers that enlarge by integer factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema

from graphspec.base.codes import Code
from graphspec.base.config import Size1, Size2, Size3
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS, Layer
from graphspec.vocabulary.layers.resampling import Interpolation, need_fixed, repeated, resized
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, from_channels_first, need_spatial

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_Width = Annotated[int, Field(ge=0)]
_Pair = tuple[_Width, _Width]
_NUMBER = {"type": "integer", "minimum": 0}
_PAIR = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


def _borders(rank: int) -> Any:
    """Return the validator and schema: one integer for all borders, or one integer or pair per axis of ``rank`` axes."""

    def spread(value: Any) -> Any:
        if rank == 1:
            return (_pair(value),)
        return tuple(map(_pair, value)) if isinstance(value, list | tuple) else (_pair(value),) * rank

    each = {"type": "array", "items": {"anyOf": [_NUMBER, _PAIR]}, "minItems": rank, "maxItems": rank}
    return BeforeValidator(spread), WithJsonSchema({"anyOf": [_NUMBER, _PAIR if rank == 1 else each]})


Borders1 = Annotated[tuple[_Pair], *_borders(1), Field(description="n, or [left, right].")]
Borders2 = Annotated[
    tuple[_Pair, _Pair], *_borders(2), Field(description="n, [vertical, horizontal] or [[top, bottom], [left, right]].")
]
Borders3 = Annotated[
    tuple[_Pair, _Pair, _Pair], *_borders(3), Field(description="n, or per axis n or [before, after].")
]


def pad_or_crop(g: Builder, X: Value, borders: Sequence[tuple[int, int]], data_format: str | None, sign: int) -> Value:
    """Emit ``X`` padded with zeros (``sign`` 1) or cropped (-1); raise GS303 if nothing is left.

    The dtype does not change: ids can be padded and cropped before an Embedding.
    """
    rank = len(borders)
    need_spatial(X, rank, data_format)
    first = 2 if data_format == "channels_first" else 1
    axes = [first + k for k, pair in enumerate(borders) if any(pair)]
    if not axes:
        return X
    if sign > 0:
        pads = np.zeros((2, X.rank), np.int64)
        pads[:, first : first + rank] = np.transpose(borders)
        return g.Pad(X, g.constant(pads.reshape(-1)))
    for axis in axes:
        (before, after), d = borders[axis - first], X.shape[axis]
        if isinstance(d, int) and before + after >= d:
            text = f"crops {before} + {after} of {d} on axis {axis} of {show(X.shape)}: nothing is left"
            hint = f"use two values with a sum below {d}"
            raise ShapeError(Code.WINDOW_TOO_LARGE, text, hint=hint, key="cropping")
    starts = [borders[axis - first][0] for axis in axes]
    ends = [-after if (after := borders[axis - first][1]) else np.iinfo(np.int64).max for axis in axes]
    return g.Slice(X, g.constant(starts), g.constant(ends), g.constant(axes))


@LAYERS.add("ZeroPadding1D")
class ZeroPadding1D(Layer):
    """A sequence with zeros before and after it.

    Shapes: (batch, steps, features) → (batch, left + steps + right, features).
    """

    padding: Borders1 = ((1, 1),)
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.padding, self.data_format, 1)


@LAYERS.add("ZeroPadding2D")
class ZeroPadding2D(Layer):
    """An image with zeros around it.

    Shapes: (batch, height, width, channels) → (batch, top + height + bottom, left + width + right, channels).
    """

    padding: Borders2 = ((1, 1), (1, 1))
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.padding, self.data_format, 1)


@LAYERS.add("ZeroPadding3D")
class ZeroPadding3D(Layer):
    """A volume with zeros around it.

    Shapes: (batch, d1, d2, d3, channels) → (batch, before + d1 + after, …, …, channels).
    """

    padding: Borders3 = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.padding, self.data_format, 1)


@LAYERS.add("Cropping1D")
class Cropping1D(Layer):
    """A sequence without its first and last steps.

    Shapes: (batch, steps, features) → (batch, steps - left - right, features).
    """

    cropping: Borders1 = ((1, 1),)

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.cropping, None, -1)


@LAYERS.add("Cropping2D")
class Cropping2D(Layer):
    """An image without its borders.

    Shapes: (batch, height, width, channels) → (batch, height - top - bottom, width - left - right, channels).
    """

    cropping: Borders2 = ((0, 0), (0, 0))
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.cropping, self.data_format, -1)


@LAYERS.add("Cropping3D")
class Cropping3D(Layer):
    """A volume without its borders.

    Shapes: (batch, d1, d2, d3, channels) → (batch, d1 - before - after, …, …, channels).
    """

    cropping: Borders3 = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.cropping, self.data_format, -1)


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
