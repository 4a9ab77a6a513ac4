"""Adaptive pooling: a given number of windows along every axis, which may differ in size by one and share elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.codes import Code
from graphspec.config import Size1, Size2, Size3
from graphspec.errors import ShapeError
from graphspec.ir.dims import free
from graphspec.layers.base import LAYERS, Layer
from graphspec.layers.spatial import DataFormat, axes_of, channels_first, from_channels_first

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Windows = list[range]
_MOST = 1 << 24  # numbers in an averaging matrix
Output1 = Annotated[Size1, Field(description="Steps of the output.")]
Output2 = Annotated[Size2, Field(description="Height and width of the output.")]
Output3 = Annotated[Size3, Field(description="Depth, height and width of the output.")]


def windows(size: int, out: int) -> Windows:
    """Window i of ``out`` over an axis: from ``⌊i·size / out⌋`` up to ``⌈(i + 1)·size / out⌉``."""
    return [range(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def even(size: int, out: int) -> tuple[int, int] | None:
    """The length and the step of the windows where they are all alike, else None."""
    whole, rest = divmod(size, out)
    return (whole + rest, whole) if whole and rest <= 1 else None


class AdaptivePooling(Layer):
    """A reduction of ``output_size`` windows, of any spatial rank: an ordinary pooling where all windows are alike."""

    rank: ClassVar[int]
    op: ClassVar[str]

    output_size: tuple[int, ...]
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = channels_first(g, X, self.rank, self.data_format)
        alike = []
        for d, out in zip(X.shape[2:], self.output_size, strict=True):
            if not isinstance(d, int):
                text = f"needs fixed sizes of {axes_of(self.rank, self.data_format)}, but '{d}' varies"
                hint = f"give {free(d)} a number in `inputs`, or use global pooling, which takes any size"
                raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=hint, key="output_size")
            alike.append(pair := even(d, out))
            if pair is None and d * out > _MOST:
                text = f"would make {out} uneven windows over a size of {d}: too many to write them down"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=f"use a number that divides {d}", key="output_size")
        if all(pair is not None for pair in alike):
            sizes, steps = zip(*(pair for pair in alike if pair is not None), strict=True)
            Y = g.emit(self.op, (X,), {"kernel_shape": sizes, "strides": steps})
        else:
            Y = X
            for axis, out in enumerate(self.output_size, 2):
                Y = self.along(g, Y, axis, windows(X.fixed(axis), out))
        return from_channels_first(g, Y, self.data_format)

    def along(self, g: Builder, X: Value, axis: int, made: Windows) -> Value:
        """X with one axis pooled."""
        raise NotImplementedError


class AdaptiveAveragePooling(AdaptivePooling):
    """The means of ``output_size`` windows."""

    op = "AveragePool"

    def along(self, g: Builder, X: Value, axis: int, made: Windows) -> Value:
        shares = np.zeros((int(X.shape[axis]), len(made)))
        for k, window in enumerate(made):
            shares[window.start : window.stop, k] = 1 / len(window)
        swap = [*range(X.rank)]
        swap[axis], swap[-1] = swap[-1], swap[axis]
        return g.transpose(g.MatMul(g.transpose(X, swap), g.constant(shares)), swap)


class AdaptiveMaxPooling(AdaptivePooling):
    """The largest values of ``output_size`` windows."""

    op = "MaxPool"

    def along(self, g: Builder, X: Value, axis: int, made: Windows) -> Value:
        longest = max(map(len, made))
        elements = [[min(w.start + k, w.stop - 1) for k in range(longest)] for w in made]  # a last one may come twice
        return g.ReduceMax(g.Gather(X, g.constant(elements), axis=axis), axes=(axis + 1,), keepdims=0)


@LAYERS.add("AdaptiveAveragePooling1D")
class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The means of ``output_size`` windows. Shapes: (batch, steps, channels) → (batch, output_size, channels)."""

    rank = 1

    output_size: Output1


@LAYERS.add("AdaptiveAveragePooling2D")
class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The means of ``output_size`` windows. Shapes: (batch, height, width, channels) → (batch, *output_size, channels)."""

    rank = 2

    output_size: Output2


@LAYERS.add("AdaptiveAveragePooling3D")
class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The means of ``output_size`` windows.

    Shapes: (batch, depth, height, width, channels) → (batch, *output_size, channels).
    """

    rank = 3

    output_size: Output3


@LAYERS.add("AdaptiveMaxPooling1D")
class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The largest of ``output_size`` windows. Shapes: (batch, steps, channels) → (batch, output_size, channels)."""

    rank = 1

    output_size: Output1


@LAYERS.add("AdaptiveMaxPooling2D")
class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The largest of ``output_size`` windows. Shapes: (batch, height, width, channels) → (batch, *output_size, channels)."""

    rank = 2

    output_size: Output2


@LAYERS.add("AdaptiveMaxPooling3D")
class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The largest of ``output_size`` windows.

    Shapes: (batch, depth, height, width, channels) → (batch, *output_size, channels).
    """

    rank = 3

    output_size: Output3
