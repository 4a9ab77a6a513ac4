"""Convolutions: ordinary, transposed, depthwise (one for each channel) and separable ones, of one to three spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from graphspec.base.config import Natural, Positive, PositiveInt, described, one_or_each, setting
from graphspec.graph.ir.graph import Layout
from graphspec.vocabulary import Array, Builder, Value, not_allowed, wrong_size
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers import spatial
from graphspec.vocabulary.layers.columns import Statistics
from graphspec.vocabulary.layers.layer import Layer
from graphspec.vocabulary.layers.learners import Moments, Whitened

_PATCHES = 28  # that Whitening learns from along a side, about
_SIDES = "valid: none; same: the output size is input size / strides."
Sizes = Annotated[tuple[int, ...], described("One integer, or one per spatial axis.")]


class Filters(Layer):
    """Base: a layer with the number of output channels as an argument."""

    filters: PositiveInt = setting(..., "The number of output channels.")


class Window(Layer):
    """Base: the window of a convolution, of any spatial rank."""

    rank: ClassVar[int]

    kernel_size: Sizes
    strides: Sizes
    padding: Literal["valid", "same"] = setting("valid", _SIDES)
    data_format: spatial.DataFormat = None
    dilation_rate: Sizes

    def window(self, X: Value) -> dict[str, Any]:
        """Return the attributes of the window over the channels-first ``X``."""
        pads = spatial.window(X, self.kernel_size, self.strides, self.padding, self.dilation_rate, key="kernel_size")
        return self.attributes() | pads

    def attributes(self) -> dict[str, Any]:
        return {"kernel_shape": self.kernel_size, "strides": self.strides, "dilations": self.dilation_rate}

    def strides_or_dilation(self) -> None:
        """Raise GS105 if both are above 1, which Keras refuses."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            text = "has both strides and a dilation_rate above 1, which exclude each other"
            raise not_allowed(text, "set one of them to 1", key="dilation_rate")


class Convolution(Window, pads_with_zeros=True):
    """Base: a window, a bias and an activation."""

    activation: base.ActivationField = setting(None, "The activation of the result; null for none.")
    use_bias: bool = setting(True, "Whether a bias is added.")
    bias_initializer: base.InitializerField = base.default_initializer("zeros")
    bias_regularizer: base.RegularizerField = setting(None, "Penalty on the bias.")
    activity_regularizer: base.RegularizerField = setting(None, "Penalty on the output.")
    bias_constraint: base.Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        channels_axis = 1 if self.data_format == "channels_first" else -1
        first = spatial.channels_first(g, X, self.rank, self.data_format)
        Y = self.convolve(g, first, X.fixed(channels_axis))
        return g.activate(self.activation, spatial.from_channels_first(g, Y, self.data_format))

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        """Emit the result for the channels-first ``X``, with the bias."""
        raise NotImplementedError

    def bias(self, g: Builder, channels: int) -> Value | None:
        return self.weight(g, "bias", (channels,)) if self.use_bias else None


class FilterBank(Convolution, Filters):
    """Base: a convolution in which every filter sees all channels (of its group)."""

    kernel_initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    kernel_regularizer: base.RegularizerField = setting(None, "Penalty on the kernel.")
    kernel_constraint: base.Constraint = None

    def kernel(self, g: Builder, last: tuple[int, int]) -> Value:
        """Create the kernel, Keras's shape (k…, *last); ONNX's has the last two axes swapped, in front."""
        n = self.rank + 1
        layout = Layout(perm=(n, n - 1, *range(self.rank)))
        return self.weight(g, "kernel", (*self.kernel_size, *last), layout=layout)


class Conv(FilterBank):
    """Base: cross-correlation of any spatial rank, ``activation(kernel ⋆ x + bias)``."""

    groups: PositiveInt = setting(1, "The number of independent groups of channels.")

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        for what, count in ((f"{channels} input channels", channels), (f"{self.filters} filters", self.filters)):
            if count % self.groups:
                hint = f"use a number that divides {channels} and {self.filters}, such as {gcd(channels, self.filters)}"
                raise wrong_size(f"has {what}, not divisible into {self.groups} groups", hint, key="groups")
        self.strides_or_dilation()
        attributes = self.window(X)
        kernel = self.kernel(g, (channels // self.groups, self.filters))
        return g.Conv(X, kernel, self.bias(g, self.filters), group=self.groups, **attributes)


class Whitening(Layer, learnt_arguments=("filters",)):
    """A frozen first convolution: patches as uncorrelated numbers of variance 1, with both signs.

    Learnt are the patches' second moments ``V diag(λ) Vᵀ`` over the training rows, as the images are at prediction. Filters
    are the columns of ``V / √(λ + epsilon)`` and their negatives; what is beyond the border is 0.

    Shapes: (batch, height, width, channels) → (batch, ⌈height / strides⌉, ⌈width / strides⌉, 2 · kernel_size² · channels).

    Source: Jordan, *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*, 2024.
    """

    kernel_size: PositiveInt = setting(3, "The height and width of a patch.")
    strides: PositiveInt = setting(1, "Their step.")
    activation: base.ActivationField = setting(None, "The activation of the result; null for none.")
    epsilon: Positive = setting(5e-4, "Added to λ: what hardly varies stays small.")
    filters: Statistics = setting(None, "Half of the filters: lists over (channel, row, column).")
    data_format: spatial.DataFormat = None

    def learning_input(self, g: Builder, X: Value) -> Value:
        """Emit the mean of each row's products of patches beside each other, (batch, size, size)."""
        high, wide = (X.fixed(axis) for axis in ((2, 3) if self.data_format == "channels_first" else (1, 2)))
        Y = self._filtered(g, X, np.eye(self._size(X)), max(round((high * wide) ** 0.5 / _PATCHES), 1))
        P = g.reshape(Y, [g.size(Y, 0), self._size(X), Y.fixed(2) * Y.fixed(3)])
        return g.MatMul(P, g.transpose(P, [0, 2, 1])) * (1 / P.fixed(2))

    def learner(self, X: Value) -> Moments:
        return Whitened(X.fixed(1), self.epsilon)

    def lower(self, g: Builder, X: Value) -> Value:
        size = self._size(X)
        if self.filters is None:
            g.learnt("filters")
        half = np.eye(size) if self.filters is None else np.asarray(self.filters)
        if half.shape != (size, size):
            text = f"has `filters` of shape {list(half.shape)}, but its patches have {size} numbers"
            raise wrong_size(text, f"give {size} lists of {size} numbers, or leave them out", key="filters")
        Y = self._filtered(g, X, np.concatenate([half, -half]), self.strides)
        return g.activate(self.activation, spatial.from_channels_first(g, Y, self.data_format))

    def _size(self, X: Value) -> int:
        return self.kernel_size**2 * X.fixed(1 if self.data_format == "channels_first" else -1)

    def _filtered(self, g: Builder, X: Value, filters: Array, step: int) -> Value:
        first, size = spatial.channels_first(g, X, 2, self.data_format), (self.kernel_size, self.kernel_size)
        pads = spatial.window(first, size, (step, step), "same", key="kernel_size")
        kernel = g.constant(filters.reshape(-1, first.fixed(1), *size), "float32")
        return g.Conv(first, kernel, kernel_shape=size, strides=(step, step), **pads)


class DepthwiseConv(Convolution):
    """Base: ``depth_multiplier`` separate convolutions of every channel, of any spatial rank."""

    depth_multiplier: PositiveInt = setting(1, "The number of output channels per input channel.")
    depthwise_initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    depthwise_regularizer: base.RegularizerField = setting(None, "Penalty on the depthwise kernel.")
    depthwise_constraint: base.Constraint = None

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        return self.depthwise(g, X, channels, "kernel", self.bias(g, channels * self.depth_multiplier))

    def depthwise(self, g: Builder, X: Value, channels: int, role: str, bias: Value | None = None) -> Value:
        """Emit the convolution of every channel, with the weight ``role`` (k…, channels, depth_multiplier)."""
        attributes = self.window(X)
        rank, outputs = self.rank, channels * self.depth_multiplier
        layout = Layout(perm=(rank, rank + 1, *range(rank)), shape=(outputs, 1, *self.kernel_size))
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        kernel = self.weight(g, role, shape, layout=layout, prefix="depthwise")
        return g.Conv(X, kernel, bias, group=channels, **attributes)


class SeparableConv(DepthwiseConv, Filters):
    """Base: a depthwise convolution, then a pointwise one (kernel size 1) that mixes the channels."""

    pointwise_initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    pointwise_regularizer: base.RegularizerField = setting(None, "Penalty on the pointwise kernel.")
    pointwise_constraint: base.Constraint = None

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        Y = self.depthwise(g, X, channels, "depthwise_kernel")
        rank, outputs = self.rank, channels * self.depth_multiplier
        layout = Layout(perm=(rank + 1, rank, *range(rank)))
        kernel = self.weight(g, "pointwise_kernel", (*(1 for _ in range(rank)), outputs, self.filters), layout=layout)
        return g.Conv(Y, kernel, self.bias(g, self.filters))


_PADDING = "Added to the size of the output, below the strides; null to derive it from `padding`."


class ConvTranspose(FilterBank):
    """Base: the gradient of a convolution with respect to its input, of any spatial rank, then bias and activation."""

    output_padding: tuple[int, ...] | None = setting(None, _PADDING)

    def convolve(self, g: Builder, X: Value, channels: int) -> Value:
        return self.transposed(g, X, self.kernel(g, (self.filters, channels)), self.bias(g, self.filters))

    def transposed(self, g: Builder, X: Value, kernel: Value, bias: Value | None) -> Value:
        """Emit the result for the channels-first ``X`` and a kernel (channels, filters, size, …)."""
        self.strides_or_dilation()
        if self.output_padding is not None:
            for padding, stride in zip(self.output_padding, self.strides, strict=True):
                if padding >= stride:
                    text = f"has an output_padding of {padding}, but it must be below the stride {stride}"
                    hint = f"use at most {[s - 1 for s in self.strides]}, or leave `output_padding` out"
                    raise not_allowed(text, hint, key="output_padding")
        begins, ends, added = zip(*map(self._padding, range(self.rank)), strict=True)
        attributes = self.attributes() | {"pads": (*begins, *ends), "output_padding": added}
        return g.ConvTranspose(X, kernel, bias, **attributes)

    def _padding(self, axis: int) -> tuple[int, int, int]:
        """Return ONNX's padding at the start, padding at the end, and output padding of an axis.

        The sizes of the output are Keras's. Without ``output_padding``: for ``same`` the input's size times the stride;
        for ``valid`` at least one stride per input. With it, ``(size - 1)·stride + output_padding`` plus the kernel's
        extent for ``valid``, plus 1 for an odd extent for ``same``.
        """
        stride = self.strides[axis]
        extent = (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1
        added = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            return 0, 0, max(stride - extent, 0) if added is None else added
        total = extent - stride if added is None else extent - extent % 2 - added  # removed minus added
        begin = max(total // 2, 0)
        return begin, max(total - begin, 0), max(begin - total, 0)


def _steps(description: str) -> Callable[[int], tuple[Any, Any]]:
    return lambda rank: (Annotated[one_or_each(rank), described(description)], (1,) * rank)


WINDOW: dict[str, Callable[[int], tuple[Any, Any]]] = {  # what depends on the number of spatial axes
    "kernel_size": lambda rank: (one_or_each(rank), described(f"The {spatial.of_window(rank)} of the window.")),
    "strides": _steps("The step of the window."),
    "dilation_rate": _steps("The distance between the window's elements."),
}
_FILTERED = "(batch, {axes}, channels) → (batch, {out}, filters)."


def _padding(rank: int) -> tuple[Any, Any]:
    kind: Any = Literal["valid", "same", "causal"] if rank == 1 else Literal["valid", "same"]
    text = _SIDES[:-1] + "; causal: only at the start." if rank == 1 else _SIDES
    return Annotated[kind, described(text)], "valid"


_SUM = "Convolution {over}: ``activation(kernel ⋆ x + bias)``."
spatial.by_rank(Conv, "Conv{}D Convolution{}D", _SUM, _FILTERED, padding=_padding, **WINDOW)
spatial.by_rank(
    ConvTranspose,
    "Conv{}DTranspose Convolution{}DTranspose",
    "Transposed convolution {over}, which upsamples by the strides.",
    f"{_FILTERED}\nDumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016.",
    output_padding=lambda rank: (one_or_each(rank, Natural) | None, setting(None, _PADDING)),
    **WINDOW,
)
spatial.by_rank(
    DepthwiseConv,
    "DepthwiseConv{}D",
    (
        "Depthwise convolution along time: every channel is convolved separately.",
        "Depthwise convolution over images: every channel is convolved separately (Howard et al., *MobileNets*, 2017).",
    ),
    "(batch, {axes}, channels) → (batch, {out}, channels · depth_multiplier).",
    (1, 2),
    **WINDOW,
)
spatial.by_rank(
    SeparableConv,
    "SeparableConv{}D SeparableConvolution{}D",
    (
        "Depthwise convolution along time, then a pointwise convolution that mixes the channels.",
        "Depthwise convolution over images, then a pointwise one that mixes the channels (Chollet, *Xception*, 2017).",
    ),
    _FILTERED,
    (1, 2),
    **WINDOW,
)
