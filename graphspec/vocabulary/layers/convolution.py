"""The bases of all convolutions; Conv1D, Conv2D and Conv3D."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import PositiveInt, Size1, Size2, Size3
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import Layout
from graphspec.vocabulary.layers.base import (
    LAYERS,
    ActivationField,
    Constraint,
    InitializerField,
    Layer,
    RegularizerField,
    default_initializer,
)
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, from_channels_first, window

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Sizes = Annotated[tuple[int, ...], Field(description="One integer, or one per spatial axis.")]


class Filters(Layer):
    """Base: a layer with the number of output channels as an argument."""

    filters: Annotated[PositiveInt, Field(description="The number of output channels.")]


class Window(Layer):
    """Base: the window of a convolution, of any spatial rank."""

    rank: ClassVar[int]

    kernel_size: Sizes
    strides: Sizes
    padding: Annotated[
        Literal["valid", "same"], Field(description="valid: none; same: the output size is input size / strides.")
    ] = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes

    def window(self, X: Value) -> dict[str, Any]:
        """Return the attributes of the window over the channels-first ``X``."""
        pads = window(X, self.kernel_size, self.strides, self.padding, self.dilation_rate, key="kernel_size")
        return {
            "kernel_shape": self.kernel_size,
            "strides": self.strides,
            "dilations": self.dilation_rate,
            **pads,
        }

    def strides_or_dilation(self) -> None:
        """Raise GS105 if both are above 1, which Keras refuses."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            text = "has both strides and a dilation_rate above 1, which exclude each other"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set one of them to 1", key="dilation_rate")


class Convolution(Window):
    """Base: a window, a bias and an activation."""

    activation: ActivationField = Field(default=None, description="The activation of the result; null for none.")
    use_bias: bool = Field(default=True, description="Whether a bias is added.")
    bias_initializer: InitializerField = default_initializer("zeros")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on the bias.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    bias_constraint: Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        channels_axis = 1 if self.data_format == "channels_first" else -1
        first = channels_first(g, X, self.rank, self.data_format)
        Y = self.convolve(g, first, X.fixed(channels_axis))
        return g.activate(self.activation, from_channels_first(g, Y, self.data_format))

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        """Emit the result for the channels-first ``X``, with the bias."""
        raise NotImplementedError

    def bias(self, g: Builder, channels: int) -> Value | None:
        """Create the bias, or return None without one."""
        return self.weight(g, "bias", (channels,)) if self.use_bias else None


class FilterBank(Convolution, Filters):
    """Base: a convolution in which every filter sees all channels (of its group)."""

    kernel_initializer: InitializerField = default_initializer("glorot_uniform")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on the kernel.")
    kernel_constraint: Constraint = None

    def kernel(self, g: Builder, last: tuple[int, int]) -> Value:
        """Create the kernel, Keras's shape (k…, *last); ONNX's has the last two axes swapped, in front."""
        n = self.rank + 1
        layout = Layout(perm=(n, n - 1, *range(self.rank)))
        return self.weight(g, "kernel", (*self.kernel_size, *last), layout=layout)


class Conv(FilterBank):
    """Base: cross-correlation of any spatial rank, ``activation(kernel ⋆ x + bias)``."""

    groups: Annotated[PositiveInt, Field(description="The number of independent groups of channels.")] = 1

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        for what, count in ((f"{channels} input channels", channels), (f"{self.filters} filters", self.filters)):
            if count % self.groups:
                hint = f"use a number that divides {channels} and {self.filters}, such as {gcd(channels, self.filters)}"
                text = f"has {what}, not divisible into {self.groups} groups"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint=hint, key="groups")
        self.strides_or_dilation()
        attributes = self.window(X)
        kernel = self.kernel(g, (channels // self.groups, self.filters))
        Y: Value = g.emit("Conv", (X, kernel, self.bias(g, self.filters)), {"group": self.groups, **attributes})
        return Y


class Over1(Window):
    """Base: a window over time."""

    rank = 1

    kernel_size: Annotated[Size1, Field(description="The length of the window.")]
    strides: Annotated[Size1, Field(description="The step of the window.")] = (1,)
    dilation_rate: Annotated[Size1, Field(description="The distance between the window's elements.")] = (1,)


class Over2(Window):
    """Base: a window over images."""

    rank = 2

    kernel_size: Annotated[Size2, Field(description="The height and width of the window.")]
    strides: Annotated[Size2, Field(description="The step of the window.")] = (1, 1)
    dilation_rate: Annotated[Size2, Field(description="The distance between the window's elements.")] = (1, 1)


class Over3(Window):
    """Base: a window over volumes."""

    rank = 3

    kernel_size: Annotated[Size3, Field(description="The depth, height and width of the window.")]
    strides: Annotated[Size3, Field(description="The step of the window.")] = (1, 1, 1)
    dilation_rate: Annotated[Size3, Field(description="The distance between the window's elements.")] = (1, 1, 1)


@LAYERS.add("Conv1D", "Convolution1D")
class Conv1D(Over1, Conv):
    """Convolution along time: ``activation(kernel ⋆ x + bias)``.

    Shapes: (batch, steps, channels) → (batch, steps′, filters).
    """

    padding: Annotated[
        Literal["valid", "same", "causal"],
        Field(description="valid: none; same: the output size is input size / strides; causal: only at the start."),
    ] = "valid"  # type: ignore[assignment]


@LAYERS.add("Conv2D", "Convolution2D")
class Conv2D(Over2, Conv):
    """Convolution over images: ``activation(kernel ⋆ x + bias)``.

    Shapes: (batch, height, width, channels) → (batch, height′, width′, filters).
    """


@LAYERS.add("Conv3D", "Convolution3D")
class Conv3D(Over3, Conv):
    """Convolution over volumes: ``activation(kernel ⋆ x + bias)``.

    Shapes: (batch, depth, height, width, channels) → (batch, depth′, height′, width′, filters).
    """
