"""Convolutions and attention of ``keras.ops``: kernels are inputs, such as a Parameter times a mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Natural, PositiveInt
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import has_rows, show
from graphspec.graph.kernels.context import need
from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, from_channels_first, of_rank, window
from graphspec.vocabulary.operations.base import operation
from graphspec.vocabulary.operations.nn import Padding

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Steps = Annotated[
    PositiveInt | tuple[PositiveInt, ...],
    FROM_LIST,
    Field(description="The step of the window, one integer or one for each spatial axis."),
]
Dilations = Annotated[
    PositiveInt | tuple[PositiveInt, ...],
    FROM_LIST,
    Field(description="The distance between the window's elements, one integer or one for each spatial axis."),
]


def _spatial(x: Value, kernel: Value) -> int:
    """Return the number of spatial axes."""
    rank = x.rank - 2
    if not 1 <= rank <= 3 or kernel.rank != x.rank or has_rows(kernel.shape):
        text = "needs (batch, 1 to 3 spatial axes, channels) and a kernel (size, …, channels, filters) without a batch axis"
        raise ShapeError(Code.WRONG_RANK, f"{text}, got {show(x.shape)} and {show(kernel.shape)}")
    return rank


def _each(sizes: int | tuple[int, ...], rank: int, key: str) -> tuple[int, ...]:
    """Return one number for each spatial axis."""
    found = (sizes,) * rank if isinstance(sizes, int) else sizes
    need(len(found) == rank, f"has {len(found)} numbers for {rank} spatial axes", code=Code.VALUE_NOT_ALLOWED, key=key)
    return found


def _convolved(
    g: Builder,
    x: Value,
    kernel: Value,
    steps: int | tuple[int, ...],
    padding: str,
    dilation: int | tuple[int, ...],
    *,
    by_channel: bool = False,
) -> Value:
    """Emit the convolution of the channels-first ``x`` with a kernel of Keras's layout."""
    rank = _spatial(x, kernel)
    strides, dilations = _each(steps, rank, "strides"), _each(dilation, rank, "dilation_rate")
    channels, size = x.fixed(1), tuple(kernel.fixed(k) for k in range(rank))
    into, out = kernel.fixed(rank), kernel.fixed(rank + 1)
    turned = g.transpose(as_float(g, kernel), [rank + 1, rank, *range(rank)])
    fits = channels == into if by_channel else channels % into == 0 and out % (channels // into) == 0
    need(fits, f"has a kernel for {into} channels, but {channels} channels", code=Code.SIZES_DO_NOT_FIT)
    if by_channel:  # (multiplier, channels, k…) → (channels · multiplier, 1, k…)
        turned = g.reshape(g.transpose(turned, [1, 0, *range(2, rank + 2)]), [into * out, 1, *size])
    pads = window(x, size, strides, padding, dilations, key="strides")
    attributes = {"kernel_shape": size, "strides": strides, "dilations": dilations, **pads}
    return g.Conv(x, turned, group=channels if by_channel else channels // into, **attributes)


@operation
def conv(
    g: Builder,
    inputs: Value,
    kernel: Value,
    *,
    strides: Steps = 1,
    padding: Padding = "valid",
    data_format: DataFormat = None,
    dilation_rate: Dilations = 1,
) -> Value:
    """The convolution with a kernel (size, …, channels / groups, filters), which is an input."""
    rank = _spatial(inputs, kernel)
    x = channels_first(g, as_float(g, inputs), rank, data_format)
    return from_channels_first(g, _convolved(g, x, kernel, strides, padding, dilation_rate), data_format)


@operation
def depthwise_conv(
    g: Builder,
    inputs: Value,
    kernel: Value,
    *,
    strides: Steps = 1,
    padding: Padding = "valid",
    data_format: DataFormat = None,
    dilation_rate: Dilations = 1,
) -> Value:
    """A convolution of each channel with kernels of its own: (size, …, channels, multiplier)."""
    rank = _spatial(inputs, kernel)
    x = channels_first(g, as_float(g, inputs), rank, data_format)
    found = _convolved(g, x, kernel, strides, padding, dilation_rate, by_channel=True)
    return from_channels_first(g, found, data_format)


@operation
def separable_conv(
    g: Builder,
    inputs: Value,
    depthwise_kernel: Value,
    pointwise_kernel: Value,
    *,
    strides: Steps = 1,
    padding: Padding = "valid",
    data_format: DataFormat = None,
    dilation_rate: Dilations = 1,
) -> Value:
    """A depthwise convolution, then one with a kernel of size 1, which mixes the channels."""
    rank = _spatial(inputs, depthwise_kernel)
    x = channels_first(g, as_float(g, inputs), rank, data_format)
    each = _convolved(g, x, depthwise_kernel, strides, padding, dilation_rate, by_channel=True)
    return from_channels_first(g, _convolved(g, each, pointwise_kernel, 1, "valid", 1), data_format)


@operation
def conv_transpose(
    g: Builder,
    inputs: Value,
    kernel: Value,
    *,
    strides: Steps = 1,
    padding: Padding = "valid",
    output_padding: Annotated[
        Natural | tuple[Natural, ...] | None,
        FROM_LIST,
        Field(description="Added to the size of the output; null for Keras's size."),
    ] = None,
    data_format: DataFormat = None,
    dilation_rate: Dilations = 1,
) -> Value:
    """The transposed convolution with a kernel (size, …, filters, channels), which is an input."""
    rank = _spatial(inputs, kernel)
    x = channels_first(g, as_float(g, inputs), rank, data_format)
    channels = x.fixed(1)
    fits = kernel.fixed(rank + 1) == channels
    need(fits, f"has a kernel for {kernel.fixed(rank + 1)} channels, but {channels}", code=Code.SIZES_DO_NOT_FIT)
    layer = of_rank("Conv{}DTranspose", rank)(
        filters=kernel.fixed(rank),
        kernel_size=tuple(kernel.fixed(k) for k in range(rank)),
        strides=_each(strides, rank, "strides"),
        padding=padding,
        output_padding=None if output_padding is None else _each(output_padding, rank, "output_padding"),
        dilation_rate=_each(dilation_rate, rank, "dilation_rate"),
    )
    turned = g.transpose(as_float(g, kernel), [rank + 1, rank, *range(rank)])
    return from_channels_first(g, layer.transposed(g, x, turned, None), data_format)


@operation
def dot_product_attention(  # noqa: PLR0913 (Keras's arguments)
    g: Builder,
    query: Value,
    key: Value,
    value: Value,
    bias: Value | None = None,
    mask: Value | None = None,
    *,
    scale: Annotated[float | None, Field(description="The factor of the products; null for 1/√depth.")] = None,
    is_causal: Annotated[bool, Field(description="Whether a step sees itself and earlier steps alone.")] = False,
    attn_logits_soft_cap: Annotated[
        float | None, Field(gt=0, description="The bound c of c · tanh(logit / c).")
    ] = None,
) -> Value:
    """``softmax(query · keyᵀ · scale + bias) · value``, each (batch, steps, heads, depth); a mask is true where seen."""
    q, k, v = (as_float(g, X) for X in (query, key, value))
    for X in (q, k, v):
        need(X.rank == 4, f"needs (batch, steps, heads, depth), got {show(X.shape)}")
    heads, shared = q.fixed(2), k.fixed(2)
    need(heads % shared == 0, f"cannot share {shared} heads among {heads}", code=Code.SIZES_DO_NOT_FIT)
    if heads != shared:  # grouped queries: each key serves several heads
        places = g.constant([head * shared // heads for head in range(heads)])
        k, v = g.Gather(k, places, axis=2), g.Gather(v, places, axis=2)
    factor = scale if scale is not None else 1 / math.sqrt(q.fixed(3))
    logits = g.Mul(g.Einsum(q, k, equation="btnh,bsnh->bnts"), g.constant(factor))
    if attn_logits_soft_cap is not None:
        cap = g.constant(attn_logits_soft_cap)
        logits = g.Mul(g.Tanh(g.Div(logits, cap)), cap)
    if bias is not None:
        logits = g.Add(logits, as_float(g, bias))
    hidden = g.constant(-3e38)
    if mask is not None:
        logits = g.Where(cast_to(g, mask, "bool"), logits, hidden)
    if is_causal:
        ones = g.Expand(g.constant(1.0), g.ints([g.size(q, 1), g.size(k, 1)]))
        seen = g.Cast(g.Trilu(ones, g.constant(0), upper=0), to="bool")
        logits = g.Where(seen, logits, hidden)
    return g.Einsum(g.Softmax(logits, axis=-1), v, equation="bnts,bsnh->btnh")
