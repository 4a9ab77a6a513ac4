"""Other sizes: resampling of images as in Keras, padding, cropping, and layers that enlarge by integer factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema

from graphspec.base.config import Size2, described, one_or_each, setting
from graphspec.vocabulary import Array, Builder, Code, ShapeError, Value, not_fixed, show
from graphspec.vocabulary.layers.layer import Layer
from graphspec.vocabulary.layers.spatial import DataFormat, by_rank, channels_first, from_channels_first, need_spatial

# Resampling of images as in Keras on TensorFlow and JAX: half-pixel centres, cubic kernel with a = -½. Keras's PyTorch
# backend differs (asymmetric ``nearest``, a = -¾, no Lanczos). Separable interpolation between fixed sizes is a matrix
# product with a constant matrix along each axis.
Interpolation = Annotated[
    Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"],
    described("The nearest pixel, or a mean of the pixels around it, weighted by a kernel."),
]


def _cubic(x: Array) -> Array:
    """Return the cubic kernel with a = -½; Keys, *Cubic Convolution Interpolation for Digital Image Processing*, 1981."""
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.select([x < 1, x < 2], [near, far])


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


KERNELS: dict[str, Callable[[Array], Array]] = {  # kernels: weight by distance in pixels
    "bilinear": lambda x: np.maximum(1 - x, 0),
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
_HALF_PIXEL: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


def matrix(size: int, out: int, interpolation: str, antialias: bool = False) -> Array:
    """Return the weights (out, size) of an axis's pixels, rows of sum 1; ``antialias`` widens the kernel if they shrink."""
    scale = size / out
    positions = (np.arange(out)[:, None] + 0.5) * scale - 0.5
    distance = np.abs(positions - np.arange(size)) / (max(scale, 1.0) if antialias else 1.0)
    weights = KERNELS[interpolation](distance)
    return cast("Array", weights / weights.sum(1, keepdims=True))


def resized(
    g: Builder, X: Value, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = False
) -> Value:
    """Emit the channels-first ``X`` resampled to ``size``; only ``bilinear`` without ``antialias`` allows varying sizes."""
    if X.shape[2:] == size:
        return X
    shrinks = any(not isinstance(d, int) or d > n for d, n in zip(X.shape[2:], size, strict=True))
    if interpolation == "bilinear" and not (antialias and shrinks):
        return g.Resize(X, None, None, g.ints([g.size(X, 0), g.size(X, 1), *size]), **_HALF_PIXEL)
    old = X.fixed(2), X.fixed(3)
    if interpolation != "nearest":
        each = zip(old, size, strict=True)
        rows, columns = (None if d == n else matrix(d, n, interpolation, antialias) for d, n in each)
        if rows is not None:  # rows @ X @ columnsᵀ over the last two axes
            X = g.MatMul(g.constant(rows, "float32"), X)
        return X if columns is None else g.MatMul(X, g.constant(columns.T, "float32"))
    if X.type.is_float and all(n % d == 0 for d, n in zip(old, size, strict=True)):
        return repeated(g, X, [n // d for d, n in zip(old, size, strict=True)])
    for axis, d, n in zip((2, 3), old, size, strict=True):
        if d != n:  # integer arithmetic: runtimes round differently in Resize if two pixels are equally near
            X = g.Gather(X, g.constant((2 * np.arange(n) + 1) * d // (2 * n)), axis=axis)
    return X


def repeated(g: Builder, X: Value, times: Sequence[int]) -> Value:
    """Emit the channels-first ``X`` with each element repeated along the spatial axes; their sizes may vary."""
    mode: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return g.Resize(X, None, g.constant([1.0, 1.0, *times], "float32"), **mode)


def window(size: tuple[int, int], target: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (start, length) for height and width of the largest centred window with the aspect ratio of ``target``."""
    (height, width), (h, w) = size, target
    lengths = max(min(height, width * h // w), 1), max(min(width, height * w // h), 1)
    return ((height - lengths[0]) // 2, lengths[0]), ((width - lengths[1]) // 2, lengths[1])


def crop_spatial(g: Builder, X: Value, *spans: tuple[int, int]) -> Value:
    """Emit the crop of the channels-first ``X`` with ``spans`` (start, length) on the spatial axes."""
    if all(start == 0 and length == d for (start, length), d in zip(spans, X.shape[2:], strict=True)):
        return X
    starts, ends = [start for start, _ in spans], [start + length for start, length in spans]
    return g.Slice(X, g.constant(starts), g.constant(ends), g.constant([2, 3]))


def need_fixed(X: Value, data_format: str | None, reason: str, *, key: str, hint: str | None = None) -> None:
    """Raise GS305 if the height or width of an image varies."""
    first = 2 if data_format == "channels_first" else 1
    for name, d in zip(("height", "width"), X.shape[first : first + 2], strict=True):
        if not isinstance(d, int):
            text = f"needs a fixed {name} for {reason}, but its input {show(X.shape)} varies there ('{d}')"
            raise not_fixed(text, hint or f"give '{d}' a number in `inputs`", key=key)


# Zero padding and cropping of sequences, images and volumes; and layers that enlarge by integer factors.
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
    return Annotated[kind, BeforeValidator(spread), schema, described(_BORDERS[rank])], ((default,) * 2,) * rank


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
            raise ShapeError(Code.WINDOW_TOO_LARGE, text, f"use two values with a sum below {d}", key="cropping")
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


_FORMAT: dict[str, Callable[[int], tuple[Any, Any]]] = {"data_format": lambda rank: (DataFormat, None)}


class Cropping(Layer):
    """Base: data without their borders."""

    cropping: tuple[tuple[int, int], ...]

    def lower(self, g: Builder, X: Value) -> Value:
        return pad_or_crop(g, X, self.cropping, getattr(self, "data_format", None), -1)


_SHORTER = "(batch, steps, features) → (batch, steps - left - right, features)."
by_rank(Cropping, "Cropping{}D", "A sequence without its first and last steps.", _SHORTER, (1,), cropping=_borders)
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
    **_FORMAT,
)


def enlarged(g: Builder, X: Value, size: Sequence[int], data_format: str | None) -> Value:
    """Emit ``X`` with each element repeated along the spatial axes."""
    return from_channels_first(g, repeated(g, channels_first(g, X, len(size), data_format), size), data_format)


class UpSampling(Layer):
    """Base: data with each element repeated along the spatial axes."""

    size: tuple[int, ...]

    def lower(self, g: Builder, X: Value) -> Value:
        return enlarged(g, X, self.size, getattr(self, "data_format", None))


def _size(rank: int) -> tuple[Any, Any]:
    text = "The number of repetitions." if rank == 1 else "The factors of the three axes."
    return one_or_each(rank), setting((2,) * rank, text)


_STEPS = "(batch, steps, features) → (batch, steps·size, features)."
_VOLUME = "(batch, d1, d2, d3, channels) → (batch, d1·size[0], d2·size[1], d3·size[2], channels)."
by_rank(UpSampling, "UpSampling{}D", "A sequence with each step repeated.", _STEPS, (1,), size=_size)
by_rank(UpSampling, "UpSampling{}D", "A volume with each element repeated.", _VOLUME, (3,), size=_size, **_FORMAT)


class UpSampling2D(Layer):
    """An image enlarged by integer factors.

    Shapes: (batch, height, width, channels) → (batch, height·size[0], width·size[1], channels).
    """

    size: Size2 = setting((2, 2), "The factors of height and width.")
    data_format: DataFormat = None
    interpolation: Interpolation = "nearest"

    def lower(self, g: Builder, X: Value) -> Value:
        if self.interpolation == "nearest":
            return enlarged(g, X, self.size, self.data_format)
        Y = channels_first(g, X, 2, self.data_format)
        if self.interpolation == "bilinear":
            Y = g.Resize(Y, None, g.constant([1.0, 1.0, *self.size], "float32"), **_HALF_PIXEL)
        else:
            hint = "use `bilinear` or `nearest`, or give the size a number in `inputs`"
            need_fixed(X, self.data_format, f"`{self.interpolation}`", key="interpolation", hint=hint)
            Y = resized(g, Y, (Y.fixed(2) * self.size[0], Y.fixed(3) * self.size[1]), self.interpolation)
        return from_channels_first(g, Y, self.data_format)
