"""Depthwise convolutions, one per channel; separable ones then mix the channels by a pointwise convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.config import PositiveInt
from graphspec.graph.ir.graph import Layout
from graphspec.vocabulary.layers.base import LAYERS, Constraint, InitializerField, RegularizerField, default_initializer
from graphspec.vocabulary.layers.convolution import Convolution, Filters, Over1, Over2

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


class DepthwiseConv(Convolution):
    """Base: ``depth_multiplier`` separate convolutions of every channel, of any spatial rank."""

    depth_multiplier: Annotated[PositiveInt, Field(description="The number of output channels per input channel.")] = 1
    depthwise_initializer: InitializerField = default_initializer("glorot_uniform")
    depthwise_regularizer: RegularizerField = Field(default=None, description="Penalty on the depthwise kernel.")
    depthwise_constraint: Constraint = None

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        return self.depthwise(g, X, channels, "kernel", self.bias(g, channels * self.depth_multiplier))

    def depthwise(self, g: Builder, X: Value, channels: int, role: str, bias: Value | None = None) -> Value:
        """Emit the convolution of every channel, with the weight ``role`` (k…, channels, depth_multiplier)."""
        attributes = self.window(X)
        rank, outputs = self.rank, channels * self.depth_multiplier
        layout = Layout(perm=(rank, rank + 1, *range(rank)), shape=(outputs, 1, *self.kernel_size))
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        kernel = self.weight(g, role, shape, layout=layout, prefix="depthwise")
        Y: Value = g.emit("Conv", (X, kernel, bias), {"group": channels, **attributes})
        return Y


class SeparableConv(DepthwiseConv, Filters):
    """Base: a depthwise convolution, then a pointwise one (kernel size 1) that mixes the channels."""

    pointwise_initializer: InitializerField = default_initializer("glorot_uniform")
    pointwise_regularizer: RegularizerField = Field(default=None, description="Penalty on the pointwise kernel.")
    pointwise_constraint: Constraint = None

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        Y = self.depthwise(g, X, channels, "depthwise_kernel")
        rank, outputs = self.rank, channels * self.depth_multiplier
        layout = Layout(perm=(rank + 1, rank, *range(rank)))
        kernel = self.weight(g, "pointwise_kernel", (*(1 for _ in range(rank)), outputs, self.filters), layout=layout)
        return g.Conv(Y, kernel, self.bias(g, self.filters))


@LAYERS.add("DepthwiseConv1D")
class DepthwiseConv1D(Over1, DepthwiseConv):
    """Depthwise convolution along time: every channel is convolved separately.

    Shapes: (batch, steps, channels) → (batch, steps′, channels · depth_multiplier).
    """


@LAYERS.add("DepthwiseConv2D")
class DepthwiseConv2D(Over2, DepthwiseConv):
    """Depthwise convolution over images: every channel is convolved separately (Howard et al., *MobileNets*, 2017).

    Shapes: (batch, height, width, channels) → (batch, height′, width′, channels · depth_multiplier).
    """


@LAYERS.add("SeparableConv1D", "SeparableConvolution1D")
class SeparableConv1D(Over1, SeparableConv):
    """Depthwise convolution along time, then a pointwise convolution that mixes the channels.

    Shapes: (batch, steps, channels) → (batch, steps′, filters).
    """


@LAYERS.add("SeparableConv2D", "SeparableConvolution2D")
class SeparableConv2D(Over2, SeparableConv):
    """Depthwise convolution over images, then a pointwise one that mixes the channels (Chollet, *Xception*, 2017).

    Shapes: (batch, height, width, channels) → (batch, height′, width′, filters).
    """
