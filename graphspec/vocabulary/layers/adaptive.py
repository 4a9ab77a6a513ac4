"""Adaptive pooling: a fixed number of windows along every axis. Windows may differ in size by one and may overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Size1, Size2, Size3
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import names_in
from graphspec.vocabulary.layers.base import LAYERS, Layer
from graphspec.vocabulary.layers.spatial import DataFormat, axes_of, channels_first, from_channels_first

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Windows = list[range]
_MAX_WEIGHTS = 1 << 24  # elements of an averaging matrix: 64 MiB of float32
Output1 = Annotated[Size1, Field(description="The number of steps of the output.")]
Output2 = Annotated[Size2, Field(description="Height and width of the output.")]
Output3 = Annotated[Size3, Field(description="Depth, height and width of the output.")]


def windows(size: int, out: int) -> Windows:
    """Return ``out`` windows over an axis; window i is from ``⌊i·size / out⌋`` to ``⌈(i + 1)·size / out⌉``, exclusive."""
    return [range(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def even(size: int, out: int) -> tuple[int, int] | None:
    """Return the length and the stride of the windows if all have one size and stride, else None."""
    stride, remainder = divmod(size, out)
    return (stride + remainder, stride) if stride and remainder <= 1 else None


class AdaptivePooling(Layer):
    """Base: a reduction of ``output_size`` windows, of any spatial rank; ordinary pooling if all windows are equal."""

    rank: ClassVar[int]
    op: ClassVar[str]

    output_size: tuple[int, ...]
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = channels_first(g, X, self.rank, self.data_format)
        pairs = []
        for d, out in zip(X.shape[2:], self.output_size, strict=True):
            if not isinstance(d, int):
                text = f"needs fixed sizes for {axes_of(self.rank, self.data_format)}, but '{d}' varies"
                hint = f"give {names_in(d)} a number in `inputs`, or use global pooling, which accepts any size"
                raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=hint, key="output_size")
            pairs.append(pair := even(d, out))
            if pair is None and d * out > _MAX_WEIGHTS:
                text = f"needs {out} unequal windows over a size of {d}, which is too many"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=f"use a number that divides {d}", key="output_size")
        if all(pair is not None for pair in pairs):
            sizes, steps = zip(*(pair for pair in pairs if pair is not None), strict=True)
            Y = g.emit(self.op, (X,), {"kernel_shape": sizes, "strides": steps})
        else:
            Y = X
            for axis, out in enumerate(self.output_size, 2):
                Y = self.along(g, Y, axis, windows(X.fixed(axis), out))
        return from_channels_first(g, Y, self.data_format)

    def along(self, g: Builder, X: Value, axis: int, spans: Windows) -> Value:
        """Return X with one axis pooled."""
        raise NotImplementedError


class AdaptiveAveragePooling(AdaptivePooling):
    """Base: the means of ``output_size`` windows."""

    op = "AveragePool"

    def along(self, g: Builder, X: Value, axis: int, spans: Windows) -> Value:
        averaging = np.zeros((int(X.shape[axis]), len(spans)))
        for k, window in enumerate(spans):
            averaging[window.start : window.stop, k] = 1 / len(window)
        swap = [*range(X.rank)]
        swap[axis], swap[-1] = swap[-1], swap[axis]
        return g.transpose(g.MatMul(g.transpose(X, swap), g.constant(averaging)), swap)


class AdaptiveMaxPooling(AdaptivePooling):
    """Base: the largest values of ``output_size`` windows."""

    op = "MaxPool"

    def along(self, g: Builder, X: Value, axis: int, spans: Windows) -> Value:
        longest = max(map(len, spans))
        # A shorter window repeats its last element, which does not change the maximum.
        indices = [[min(w.start + k, w.stop - 1) for k in range(longest)] for w in spans]
        return g.ReduceMax(g.Gather(X, g.constant(indices), axis=axis), axes=(axis + 1,), keepdims=0)


@LAYERS.add("AdaptiveAveragePooling1D")
class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The mean of each of ``output_size`` windows.

    Shapes: (batch, steps, channels) → (batch, output_size, channels).
    """

    rank = 1

    output_size: Output1


@LAYERS.add("AdaptiveAveragePooling2D")
class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The mean of each of ``output_size`` windows.

    Shapes: (batch, height, width, channels) → (batch, *output_size, channels).
    """

    rank = 2

    output_size: Output2


@LAYERS.add("AdaptiveAveragePooling3D")
class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The mean of each of ``output_size`` windows.

    Shapes: (batch, depth, height, width, channels) → (batch, *output_size, channels).
    """

    rank = 3

    output_size: Output3


@LAYERS.add("AdaptiveMaxPooling1D")
class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The largest value of each of ``output_size`` windows.

    Shapes: (batch, steps, channels) → (batch, output_size, channels).
    """

    rank = 1

    output_size: Output1


@LAYERS.add("AdaptiveMaxPooling2D")
class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The largest value of each of ``output_size`` windows.

    Shapes: (batch, height, width, channels) → (batch, *output_size, channels).
    """

    rank = 2

    output_size: Output2


@LAYERS.add("AdaptiveMaxPooling3D")
class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The largest value of each of ``output_size`` windows.

    Shapes: (batch, depth, height, width, channels) → (batch, *output_size, channels).
    """

    rank = 3

    output_size: Output3
