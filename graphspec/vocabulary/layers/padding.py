"""Zero padding and cropping of sequences, images and volumes; and layers that enlarge by integer factors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema

from graphspec.base.codes import Code
from graphspec.base.config import Size2, one_or_each
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS, Layer
from graphspec.vocabulary.layers.resampling import Interpolation, need_fixed, repeated, resized
from graphspec.vocabulary.layers.spatial import DataFormat, by_rank, channels_first, from_channels_first, need_spatial

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_Width = Annotated[int, Field(ge=0)]
_Pair = tuple[_Width, _Width]
_NUMBER = {"type": "integer", "minimum": 0}
_PAIR = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


_BORDERS = {
    1: "n, or [left, right].",
    2: "n, [vertical, horizontal] or [[top, bottom], [left, right]].",
    3: "n, or per axis n or [before, after].",
}


def _borders(rank: int, default: int = 1) -> tuple[Any, Any]:
    """Return the type and default: one integer for all borders, or one integer or pair per axis of ``rank`` axes."""

    def spread(value: Any) -> Any:
        if rank == 1:
            return (_pair(value),)
        return tuple(map(_pair, value)) if isinstance(value, list | tuple) else (_pair(value),) * rank

    each = {"type": "array", "items": {"anyOf": [_NUMBER, _PAIR]}, "minItems": rank, "maxItems": rank}
    schema = WithJsonSchema({"anyOf": [_NUMBER, _PAIR if rank == 1 else each]})
    kind: Any = tuple[(_Pair,) * rank]  # type: ignore[misc]
    return Annotated[kind, BeforeValidator(spread), schema, Field(description=_BORDERS[rank])], ((default,) * 2,) * rank


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


class ZeroPadding(Layer):
    """Base: data with zeros around them."""

    padding: tuple[tuple[int, int], ...]
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.padding, self.data_format, 1)


by_rank(
    ZeroPadding,
    "ZeroPadding{}D",
    ("A sequence with zeros before and after it.", "An image with zeros around it.", "A volume with zeros around it."),
    (
        "(batch, steps, features) → (batch, left + steps + right, features).",
        "(batch, height, width, channels) → (batch, top + height + bottom, left + width + right, channels).",
        "(batch, d1, d2, d3, channels) → (batch, before + d1 + after, …, …, channels).",
    ),
    padding=_borders,
)


class Cropping(Layer):
    """Base: data without their borders."""

    cropping: tuple[tuple[int, int], ...]

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.cropping, getattr(self, "data_format", None), -1)


by_rank(
    Cropping,
    "Cropping{}D",
    "A sequence without its first and last steps.",
    "(batch, steps, features) → (batch, steps - left - right, features).",
    (1,),
    cropping=_borders,
)
by_rank(
    Cropping,
    "Cropping{}D",
    ("An image without its borders.", "A volume without its borders."),
    (
        "(batch, height, width, channels) → (batch, height - top - bottom, width - left - right, channels).",
        "(batch, d1, d2, d3, channels) → (batch, d1 - before - after, …, …, channels).",
    ),
    (2, 3),
    cropping=lambda rank: _borders(rank, rank - 2),
    data_format=lambda rank: (DataFormat, None),
)


def enlarged(g: Builder, X: Value, size: Sequence[int], data_format: str | None) -> Value:
    """Emit ``X`` with each element repeated along the spatial axes."""
    X = channels_first(g, X, len(size), data_format)
    return from_channels_first(g, repeated(g, X, size), data_format)


class UpSampling(Layer):
    """Base: data with each element repeated along the spatial axes."""

    size: tuple[int, ...]

    def lower(self, g: Builder, X: Value) -> Value:
        return enlarged(g, X, self.size, getattr(self, "data_format", None))


by_rank(
    UpSampling,
    "UpSampling{}D",
    "A sequence with each step repeated.",
    "(batch, steps, features) → (batch, steps·size, features).",
    (1,),
    size=lambda rank: (Annotated[one_or_each(1), Field(description="The number of repetitions.")], (2,)),
)
by_rank(
    UpSampling,
    "UpSampling{}D",
    "A volume with each element repeated.",
    "(batch, d1, d2, d3, channels) → (batch, d1·size[0], d2·size[1], d3·size[2], channels).",
    (3,),
    size=lambda rank: (Annotated[one_or_each(3), Field(description="The factors of the three axes.")], (2, 2, 2)),
    data_format=lambda rank: (DataFormat, None),
)


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


if not TYPE_CHECKING:
    __getattr__ = partial(LAYERS.attribute, __name__)  # to unpickle the layers of each rank
