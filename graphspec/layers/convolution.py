"""Conv1D and Conv2D."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from graphspec.compiler.ir import Layout
from graphspec.config import PositiveInt, Size1, Size2
from graphspec.errors import ShapeError
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
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value

Window = Annotated[tuple[int, ...], Field(description="One number, or one for each spatial axis.")]


class Conv(Layer):
    """Cross-correlation of any spatial rank: ``activation(kernel ⋆ x + bias)``."""

    rank: ClassVar[int]

    filters: Annotated[PositiveInt, Field(description="Number of output channels.")]
    kernel_size: Window
    strides: Window
    padding: Any
    data_format: DataFormat = None
    dilation_rate: Window
    groups: Annotated[PositiveInt, Field(description="Channels are cut into so many independent groups.")] = 1
    activation: ActivationField = Field(default=None, description="Applied to the result; null for none.")
    use_bias: bool = Field(default=True, description="Whether a bias is added.")
    kernel_initializer: InitializerField = starts("glorot_uniform")
    bias_initializer: InitializerField = starts("zeros")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on the kernel.")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on the bias.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        given, X = X, channels_first(g, X, self.rank, self.data_format)
        channels, groups = given.fixed(1 if self.data_format == "channels_first" else -1), self.groups
        for what, number in ((f"{channels} input channels", channels), (f"{self.filters} filters", self.filters)):
            if number % groups:
                hint = f"use a number that divides {channels} and {self.filters}: {gcd(channels, self.filters)} is one"
                raise ShapeError("GS304", f"has {what}, which {groups} groups do not divide", hint=hint, key="groups")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            text = "has strides and a dilation_rate above 1, which do not go together"
            raise ShapeError("GS105", text, hint="set one of them to 1", key="dilation_rate")
        pads = window(X, self.kernel_size, self.strides, self.padding, self.dilation_rate, key="kernel_size")
        last = self.rank + 1
        kernel = self.weight(
            g,
            "kernel",
            (*self.kernel_size, channels // groups, self.filters),
            layout=Layout(perm=(last, last - 1, *range(self.rank))),
        )
        bias = self.weight(g, "bias", (self.filters,)) if self.use_bias else None
        Y = g.Conv(
            X,
            kernel,
            bias,
            kernel_shape=self.kernel_size,
            strides=self.strides,
            dilations=self.dilation_rate,
            group=groups,
            **pads,
        )
        return g.activate(self.activation, from_channels_first(g, Y, self.data_format))


@LAYERS.add("Conv1D", "Convolution1D")
class Conv1D(Conv):
    """Convolution along time: ``activation(kernel ⋆ x + bias)``.

    Shapes: (batch, steps, channels) → (batch, steps′, filters).
    """

    rank = 1

    kernel_size: Annotated[Size1, Field(description="Length of the window.")]
    strides: Annotated[Size1, Field(description="Step of the window.")] = (1,)
    padding: Annotated[
        Literal["valid", "same", "causal"],
        Field(description="valid: none; same: as long as the input; causal: in front only."),
    ] = "valid"
    dilation_rate: Annotated[Size1, Field(description="Distance of the window's elements.")] = (1,)


@LAYERS.add("Conv2D", "Convolution2D")
class Conv2D(Conv):
    """Convolution over images: ``activation(kernel ⋆ x + bias)``.

    Shapes: (batch, height, width, channels) → (batch, height′, width′, filters).
    """

    rank = 2

    kernel_size: Annotated[Size2, Field(description="Height and width of the window.")]
    strides: Annotated[Size2, Field(description="Step of the window.")] = (1, 1)
    padding: Annotated[
        Literal["valid", "same"], Field(description="valid: none; same: the input's size over the strides.")
    ] = "valid"
    dilation_rate: Annotated[Size2, Field(description="Distance of the window's elements.")] = (1, 1)
