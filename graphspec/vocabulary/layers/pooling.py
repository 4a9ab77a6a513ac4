"""Pooling over windows and over all spatial axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from graphspec.base.config import Size1, Size2, Size3
from graphspec.vocabulary.layers.base import LAYERS, Layer, cast_to
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, from_channels_first, window

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_WINDOW = (
    "The length of the window.",
    "The height and width of the window.",
    "The depth, height and width of the window.",
)
Padding = Annotated[
    Literal["valid", "same"], Field(description="valid: none; same: the output size is input size / strides.")
]
Steps = Field(default=None, description="The step of the window; null for its size.")


class Pooling(Layer):
    """Base: a reduction of every window, of any spatial rank. Padding does not count."""

    rank: ClassVar[int]
    op: ClassVar[str]
    same_by_default: ClassVar[Mapping[str, str]] = {"strides": "pool_size"}

    pool_size: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = channels_first(g, X, self.rank, self.data_format)
        strides = self.strides or self.pool_size
        pads = window(X, self.pool_size, strides, self.padding, key="pool_size")
        Y = g.emit(self.op, (X,), {"kernel_shape": self.pool_size, "strides": strides, **pads})
        return from_channels_first(g, Y, self.data_format)


class MaxPooling(Pooling):
    """Base: the largest value of each window."""

    op = "MaxPool"


class AveragePooling(Pooling):
    """Base: the mean of each window, without padding."""

    op = "AveragePool"


@LAYERS.add("MaxPooling1D", "MaxPool1D")
class MaxPooling1D(MaxPooling):
    """The largest value of each window.

    Shapes: (batch, steps, channels) → (batch, steps′, channels).
    """

    rank = 1

    pool_size: Size1 = Field(default=(2,), description=_WINDOW[0])
    strides: Size1 | None = Steps


@LAYERS.add("MaxPooling2D", "MaxPool2D")
class MaxPooling2D(MaxPooling):
    """The largest value of each window.

    Shapes: (batch, height, width, channels) → (batch, height′, width′, channels).
    """

    rank = 2

    pool_size: Size2 = Field(default=(2, 2), description=_WINDOW[1])
    strides: Size2 | None = Steps


@LAYERS.add("MaxPooling3D", "MaxPool3D")
class MaxPooling3D(MaxPooling):
    """The largest value of each window.

    Shapes: (batch, depth, height, width, channels) → (batch, depth′, height′, width′, channels).
    """

    rank = 3

    pool_size: Size3 = Field(default=(2, 2, 2), description=_WINDOW[2])
    strides: Size3 | None = Steps


@LAYERS.add("AveragePooling1D", "AvgPool1D")
class AveragePooling1D(AveragePooling):
    """The mean of each window. Padding does not count.

    Shapes: (batch, steps, channels) → (batch, steps′, channels).
    """

    rank = 1

    pool_size: Size1 = Field(description=_WINDOW[0])
    strides: Size1 | None = Steps


@LAYERS.add("AveragePooling2D", "AvgPool2D")
class AveragePooling2D(AveragePooling):
    """The mean of each window. Padding does not count.

    Shapes: (batch, height, width, channels) → (batch, height′, width′, channels).
    """

    rank = 2

    pool_size: Size2 = Field(description=_WINDOW[1])
    strides: Size2 | None = Steps


@LAYERS.add("AveragePooling3D", "AvgPool3D")
class AveragePooling3D(AveragePooling):
    """The mean of each window. Padding does not count.

    Shapes: (batch, depth, height, width, channels) → (batch, depth′, height′, width′, channels).
    """

    rank = 3

    pool_size: Size3 = Field(description=_WINDOW[2])
    strides: Size3 | None = Steps


class GlobalPooling(Layer):
    """Base: a reduction over all spatial axes."""

    rank: ClassVar[int]
    op: ClassVar[str]

    data_format: DataFormat = None
    keepdims: Annotated[bool, Field(description="Whether the reduced axes remain, with size 1.")] = False

    def lower(self, g: Builder, X: Value) -> Value:
        X = channels_first(g, X, self.rank, self.data_format)
        axes = tuple(range(2, self.rank + 2))
        Y = self.reduce(g, X, axes)
        return from_channels_first(g, Y, self.data_format) if self.keepdims else Y

    def reduce(self, g: Builder, X: Value, axes: tuple[int, ...]) -> Value:
        """Emit the reduction of the channels-first ``X``."""
        Y: Value = g.emit(self.op, (X,), {"axes": axes, "keepdims": int(self.keepdims)})
        return Y


@LAYERS.add("GlobalMaxPooling1D", "GlobalMaxPool1D")
class GlobalMaxPooling1D(GlobalPooling):
    """The largest value over time.

    Shapes: (batch, steps, channels) → (batch, channels).
    """

    rank, op = 1, "ReduceMax"


@LAYERS.add("GlobalMaxPooling2D", "GlobalMaxPool2D")
class GlobalMaxPooling2D(GlobalPooling):
    """The largest value of each channel.

    Shapes: (batch, height, width, channels) → (batch, channels).
    """

    rank, op = 2, "ReduceMax"


@LAYERS.add("GlobalMaxPooling3D", "GlobalMaxPool3D")
class GlobalMaxPooling3D(GlobalPooling):
    """The largest value of each channel.

    Shapes: (batch, depth, height, width, channels) → (batch, channels).
    """

    rank, op = 3, "ReduceMax"


@LAYERS.add("GlobalAveragePooling1D", "GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalPooling):
    """The mean over all unmasked steps; 0 for a row without unmasked steps.

    Shapes: (batch, steps, channels) → (batch, channels).
    """

    rank, op = 1, "ReduceMean"
    handles_mask = True

    def lower(self, g: Builder, X: Value) -> Value:
        return super().lower(g, X).with_mask(None)

    def reduce(self, g: Builder, X: Value, axes: tuple[int, ...]) -> Value:
        if X.mask is None:
            return super().reduce(g, X, axes)
        keep = g.Unsqueeze(cast_to(g, X.mask, "float32"), g.constant([1]))
        total = g.ReduceSum(g.Mul(X, keep), g.constant(list(axes)), keepdims=int(self.keepdims))
        count = g.ReduceSum(keep, g.constant(list(axes)), keepdims=int(self.keepdims))
        return g.Div(total, g.Max(count, g.constant(1.0)))  # 0, not NaN, for a row without unmasked steps


@LAYERS.add("GlobalAveragePooling2D", "GlobalAvgPool2D")
class GlobalAveragePooling2D(GlobalPooling):
    """The mean of each channel.

    Shapes: (batch, height, width, channels) → (batch, channels).
    """

    rank, op = 2, "ReduceMean"


@LAYERS.add("GlobalAveragePooling3D", "GlobalAvgPool3D")
class GlobalAveragePooling3D(GlobalPooling):
    """The mean of each channel.

    Shapes: (batch, depth, height, width, channels) → (batch, channels).
    """

    rank, op = 3, "ReduceMean"
