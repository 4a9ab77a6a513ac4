"""Resampling of images as in Keras on TensorFlow and JAX: half-pixel centres, cubic kernel with a = -½.

Keras's PyTorch backend differs (asymmetric ``nearest``, a = -¾, no Lanczos). Separable interpolation between fixed
sizes is a matrix product with a constant matrix along each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Array, Value

Interpolation = Annotated[
    Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"],
    Field(description="The nearest pixel, or a mean of the pixels around it, weighted by a kernel."),
]


def _triangle(x: Array) -> Array:
    return cast("Array", np.maximum(1 - x, 0))


def _cubic(x: Array) -> Array:
    """Return the cubic kernel with a = -½; Keys, *Cubic Convolution Interpolation for Digital Image Processing*, 1981."""
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.select([x < 1, x < 2], [near, far])


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


KERNELS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
"""Kernels: weight by distance in pixels."""


def matrix(size: int, out: int, interpolation: str, antialias: bool = False) -> Array:
    """Return the weights (out, size) of an axis's pixels; every row sums to 1, also at the borders.

    ``antialias`` widens the kernel if ``out < size``.
    """
    scale = size / out
    positions = (np.arange(out)[:, None] + 0.5) * scale - 0.5
    distance = np.abs(positions - np.arange(size)) / (max(scale, 1.0) if antialias else 1.0)
    weights = KERNELS[interpolation](distance)
    return cast("Array", weights / weights.sum(1, keepdims=True))


def multiplied(g: Builder, X: Value, rows: Array | None, columns: Array | None) -> Value:
    """Emit ``rows @ X @ columnsᵀ`` over the last two axes; None leaves an axis unchanged."""
    if rows is not None:
        X = g.MatMul(g.constant(rows, "float32"), X)
    return X if columns is None else g.MatMul(X, g.constant(columns.T, "float32"))


def resized(
    g: Builder, X: Value, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = False
) -> Value:
    """Emit the channels-first ``X`` resampled to ``size``; only ``bilinear`` without ``antialias`` allows varying sizes."""
    if X.shape[2:] == size:
        return X
    shrinks = any(not isinstance(d, int) or d > n for d, n in zip(X.shape[2:], size, strict=True))
    if interpolation == "bilinear" and not (antialias and shrinks):
        sizes = g.ints([g.size(X, 0), g.size(X, 1), *size])
        attributes: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return g.Resize(X, None, None, sizes, **attributes)
    old = X.fixed(2), X.fixed(3)
    if interpolation != "nearest":
        rows, columns = (
            None if d == n else matrix(d, n, interpolation, antialias) for d, n in zip(old, size, strict=True)
        )
        return multiplied(g, X, rows, columns)
    if X.type.is_float and all(n % d == 0 for d, n in zip(old, size, strict=True)):
        return repeated(g, X, [n // d for d, n in zip(old, size, strict=True)])
    for axis, d, n in zip((2, 3), old, size, strict=True):
        if d != n:  # integer arithmetic: runtimes round differently in Resize if two pixels are equally near
            X = g.Gather(X, g.constant((2 * np.arange(n) + 1) * d // (2 * n)), axis=axis)
    return X


def repeated(g: Builder, X: Value, times: Sequence[int]) -> Value:
    """Emit the channels-first ``X`` with each element repeated along the spatial axes; their sizes may vary."""
    attributes: dict[str, Any] = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    return g.Resize(X, None, g.constant([1.0, 1.0, *times], "float32"), **attributes)


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
            raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=hint or f"give '{d}' a number in `inputs`", key=key)
