"""Transposed convolutions: Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Naturals1, Naturals2, Naturals3
from graphspec.base.errors import ShapeError
from graphspec.vocabulary.layers.base import LAYERS
from graphspec.vocabulary.layers.convolution import FilterBank, Over1, Over2, Over3

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_PADDING = "Added to the size of the output, below the strides; null to derive it from `padding`."


class ConvTranspose(FilterBank):
    """Base: the gradient of a convolution with respect to its input, of any spatial rank, then bias and activation."""

    output_padding: tuple[int, ...] | None = Field(default=None, description=_PADDING)

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
                    raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=hint, key="output_padding")
        begins, ends, added = zip(*(self._padding(k) for k in range(self.rank)), strict=True)
        Y = g.ConvTranspose(
            X,
            kernel,
            bias,
            kernel_shape=self.kernel_size,
            strides=self.strides,
            dilations=self.dilation_rate,
            pads=(*begins, *ends),
            output_padding=added,
        )
        return Y

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


@LAYERS.add("Conv1DTranspose", "Convolution1DTranspose")
class Conv1DTranspose(Over1, ConvTranspose):
    """Transposed convolution along time, which upsamples by the strides.

    Shapes: (batch, steps, channels) → (batch, steps′, filters).
    Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016.
    """

    output_padding: Annotated[Naturals1 | None, Field(description=_PADDING)] = None


@LAYERS.add("Conv2DTranspose", "Convolution2DTranspose")
class Conv2DTranspose(Over2, ConvTranspose):
    """Transposed convolution over images, which upsamples by the strides.

    Shapes: (batch, height, width, channels) → (batch, height′, width′, filters).
    Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016.
    """

    output_padding: Annotated[Naturals2 | None, Field(description=_PADDING)] = None


@LAYERS.add("Conv3DTranspose", "Convolution3DTranspose")
class Conv3DTranspose(Over3, ConvTranspose):
    """Transposed convolution over volumes, which upsamples by the strides.

    Shapes: (batch, depth, height, width, channels) → (batch, depth′, height′, width′, filters).
    Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016.
    """

    output_padding: Annotated[Naturals3 | None, Field(description=_PADDING)] = None
