"""Convolutions: what all kinds share, and Conv1D, Conv2D, Conv3D."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from graphspec.codes import Code
from graphspec.config import PositiveInt, Size1, Size2, Size3
from graphspec.errors import ShapeError
from graphspec.ir.graph import Layout
from graphspec.layers.base import (
    LAYERS,
    ActivationField,
    Constraint,
    InitializerField,
    Layer,
    RegularizerField,
    starts,
)
from graphspec.layers.spatial import DataFormat, channels_first, from_channels_first, window

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Sizes = Annotated[tuple[int, ...], Field(description="One number, or one for each spatial axis.")]


class Filters(Layer):
    """How many channels come out, where that is an argument."""

    filters: Annotated[PositiveInt, Field(description="Number of output channels.")]


class Window(Layer):
    """The window of a convolution, of any spatial rank."""

    rank: ClassVar[int]

    kernel_size: Sizes
    strides: Sizes
    padding: Annotated[
        Literal["valid", "same"], Field(description="valid: none; same: the input's size over the strides.")
    ] = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes

    def window(self, X: Value) -> dict[str, Any]:
        """The attributes of the window over the channels-first ``X``."""
        pads = window(X, self.kernel_size, self.strides, self.padding, self.dilation_rate, key="kernel_size")
        return {
            "kernel_shape": self.kernel_size,
            "strides": self.strides,
            "dilations": self.dilation_rate,
            **pads,
        }

    def strides_or_dilation(self) -> None:
        """GS105 where both are above 1, which Keras refuses."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            text = "has strides and a dilation_rate above 1, which do not go together"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set one of them to 1", key="dilation_rate")


class Convolution(Window):
    """What every convolution has: a window, a bias and an activation."""

    activation: ActivationField = Field(default=None, description="Applied to the result; null for none.")
    use_bias: bool = Field(default=True, description="Whether a bias is added.")
    bias_initializer: InitializerField = starts("zeros")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on the bias.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    bias_constraint: Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        given, X = X, channels_first(g, X, self.rank, self.data_format)
        channels = given.fixed(1 if self.data_format == "channels_first" else -1)
        Y = self.convolve(g, X, channels)
        return g.activate(self.activation, from_channels_first(g, Y, self.data_format))

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        """The result for the channels-first ``X``, bias included."""
        raise NotImplementedError

    def bias(self, g: Builder, channels: int) -> Value | None:
        return self.weight(g, "bias", (channels,)) if self.use_bias else None


class FilterBank(Convolution, Filters):
    """A convolution whose every filter sees every channel (of its group)."""

    kernel_initializer: InitializerField = starts("glorot_uniform")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on the kernel.")
    kernel_constraint: Constraint = None

    def kernel(self, g: Builder, last: tuple[int, int]) -> Value:
        """The kernel (k…, *last) with its last two axes in front, swapped."""
        n = self.rank + 1
        layout = Layout(perm=(n, n - 1, *range(self.rank)))
        return self.weight(g, "kernel", (*self.kernel_size, *last), layout=layout)


class Conv(FilterBank):
    """Cross-correlation of any spatial rank: ``activation(kernel ⋆ x + bias)``."""

    groups: Annotated[PositiveInt, Field(description="Channels are cut into so many independent groups.")] = 1

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        for what, number in ((f"{channels} input channels", channels), (f"{self.filters} filters", self.filters)):
            if number % self.groups:
                hint = f"use a number that divides {channels} and {self.filters}: {gcd(channels, self.filters)} is one"
                text = f"has {what}, which {self.groups} groups do not divide"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint=hint, key="groups")
        self.strides_or_dilation()
        attributes = self.window(X)
        kernel = self.kernel(g, (channels // self.groups, self.filters))
        Y: Value = g.emit("Conv", (X, kernel, self.bias(g, self.filters)), {"group": self.groups, **attributes})
        return Y


class Over1(Window):
    """A window over time."""

    rank = 1

    kernel_size: Annotated[Size1, Field(description="Length of the window.")]
    strides: Annotated[Size1, Field(description="Step of the window.")] = (1,)
    dilation_rate: Annotated[Size1, Field(description="Distance of the window's elements.")] = (1,)


class Over2(Window):
    """A window over images."""

    rank = 2

    kernel_size: Annotated[Size2, Field(description="Height and width of the window.")]
    strides: Annotated[Size2, Field(description="Step of the window.")] = (1, 1)
    dilation_rate: Annotated[Size2, Field(description="Distance of the window's elements.")] = (1, 1)


class Over3(Window):
    """A window over volumes."""

    rank = 3

    kernel_size: Annotated[Size3, Field(description="Depth, height and width of the window.")]
    strides: Annotated[Size3, Field(description="Step of the window.")] = (1, 1, 1)
    dilation_rate: Annotated[Size3, Field(description="Distance of the window's elements.")] = (1, 1, 1)


@LAYERS.add("Conv1D", "Convolution1D")
class Conv1D(Over1, Conv):
    """Convolution along time: ``activation(kernel ⋆ x + bias)``.

    Shapes: (batch, steps, channels) → (batch, steps′, filters).
    """

    padding: Annotated[
        Literal["valid", "same", "causal"],
        Field(description="valid: none; same: as long as the input; causal: in front only."),
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
