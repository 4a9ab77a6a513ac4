"""Operations of ``keras.ops`` for networks: pooling, normalization, encodings of ids, losses, blocks of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, PositiveInt
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.graph.kernels.context import normalize_axis
from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, from_channels_first, of_rank
from graphspec.vocabulary.operations.base import Axes, Axis, KeepDims, operation
from graphspec.vocabulary.operations.reduction import axes_of

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

EPSILON = 1e-7
"""Keras's ``epsilon``."""
Sizes = Annotated[
    PositiveInt | tuple[PositiveInt, ...], FROM_LIST, Field(description="One integer, or one for each spatial axis.")
]
Steps = Annotated[
    PositiveInt | tuple[PositiveInt, ...] | None,
    FROM_LIST,
    Field(description="The step of the window, one integer or one for each spatial axis; null for its size."),
]
Padding = Annotated[
    Literal["valid", "same"], Field(description="valid: none; same: the output size is input size / strides.")
]
Epsilon = Annotated[float, Field(ge=0, description="Added to the variance.")]
Logits = Annotated[bool, Field(description="Whether `output` holds logits instead of probabilities.")]
Classes = Annotated[PositiveInt, Field(description="The number of classes.")]
Block = Annotated[PositiveInt, Field(description="The height and width of a block of pixels.")]


def over_space(g: Builder, name: str, x: Value, data_format: DataFormat, **arguments: Any) -> Value:
    """Emit the layer of this name, such as ``MaxPooling{}D``, for as many spatial axes as ``x`` has."""
    rank = x.rank - 2
    if not 1 <= rank <= 3:
        text = f"needs (batch, 1 to 3 spatial axes, channels), got {show(x.shape)}"
        raise ShapeError(Code.WRONG_RANK, text)
    given = {k: (v,) * rank if isinstance(v, int) else v for k, v in arguments.items()}
    for key, sizes in given.items():
        if isinstance(sizes, tuple) and len(sizes) != rank:
            text = f"has {len(sizes)} sizes for {rank} spatial axes"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, key=key)
    found: Value = of_rank(name, rank)(data_format=data_format, **given).lower(g, x)
    return found


@operation
def max_pool(
    g: Builder,
    inputs: Value,
    *,
    pool_size: Sizes,
    strides: Steps = None,
    padding: Padding = "valid",
    data_format: DataFormat = None,
) -> Value:
    """The largest value of each window."""
    arguments = {"pool_size": pool_size, "strides": strides, "padding": padding}
    return over_space(g, "MaxPooling{}D", inputs, data_format, **arguments)


@operation
def average_pool(
    g: Builder,
    inputs: Value,
    *,
    pool_size: Sizes,
    strides: Steps = None,
    padding: Padding = "valid",
    data_format: DataFormat = None,
) -> Value:
    """The mean of each window; padding does not count."""
    arguments = {"pool_size": pool_size, "strides": strides, "padding": padding}
    return over_space(g, "AveragePooling{}D", inputs, data_format, **arguments)


@operation
def adaptive_max_pool(g: Builder, inputs: Value, *, output_size: Sizes, data_format: DataFormat = None) -> Value:
    """The largest value of each of ``output_size`` windows."""
    return over_space(g, "AdaptiveMaxPooling{}D", inputs, data_format, output_size=output_size)


@operation
def adaptive_average_pool(g: Builder, inputs: Value, *, output_size: Sizes, data_format: DataFormat = None) -> Value:
    """The mean of each of ``output_size`` windows."""
    return over_space(g, "AdaptiveAveragePooling{}D", inputs, data_format, output_size=output_size)


def mean_and_variance(g: Builder, x: Value, axes: list[int]) -> tuple[Value, Value]:
    """Emit the mean and the variance over ``axes``, which remain with size 1."""
    mean = g.ReduceMean(x, axes=tuple(axes), keepdims=1)
    centred = g.Sub(x, mean)
    return mean, g.ReduceMean(g.Mul(centred, centred), axes=tuple(axes), keepdims=1)


@operation
def moments(g: Builder, x: Value, *, axes: Axes, keepdims: KeepDims = False) -> tuple[Value, Value]:
    """The mean and the variance over axes."""
    x, over = as_float(g, x), axes_of(axes, x)
    mean, variance = mean_and_variance(g, x, over)
    if keepdims:
        return mean, variance
    removed = g.constant(over)
    return g.Squeeze(mean, removed), g.Squeeze(variance, removed)


@operation
def layer_normalization(
    g: Builder,
    x: Value,
    gamma: Value | None = None,
    beta: Value | None = None,
    *,
    axis: Axes = -1,
    epsilon: Epsilon = 1e-7,
) -> Value:
    """``(x - mean) / √(variance + epsilon)`` over axes, times ``gamma``, plus ``beta``."""
    x = as_float(g, x)
    mean, variance = mean_and_variance(g, x, axes_of(axis, x))
    y = g.Div(g.Sub(x, mean), g.Sqrt(g.Add(variance, g.constant(epsilon))))
    y = y if gamma is None else g.Mul(y, as_float(g, gamma))
    return y if beta is None else g.Add(y, as_float(g, beta))


@operation
def rms_normalization(
    g: Builder, x: Value, scale: Value | None = None, *, axis: Axes = -1, epsilon: Epsilon = 1e-7
) -> Value:
    """``x / √(mean of x² + epsilon)`` over axes, times ``scale``."""
    x = as_float(g, x)
    power = g.ReduceMean(g.Mul(x, x), axes=tuple(axes_of(axis, x)), keepdims=1)
    y = g.Div(x, g.Sqrt(g.Add(power, g.constant(epsilon))))
    return y if scale is None else g.Mul(y, as_float(g, scale))


@operation
def batch_normalization(
    g: Builder,
    x: Value,
    mean: Value,
    variance: Value,
    offset: Value | None = None,
    scale: Value | None = None,
    *,
    axis: Axis,
    epsilon: Epsilon = 0.001,
) -> Value:
    """``(x - mean) / √(variance + epsilon) · scale + offset``; all but x are vectors along ``axis``."""
    x = as_float(g, x)
    at = normalize_axis(axis, x.rank)
    after = list(range(1, x.rank - at))

    def vector(v: Value) -> Value:
        if v.rank != 1:
            raise ShapeError(Code.WRONG_RANK, f"needs vectors along axis {axis}, got {show(v.shape)}")
        return g.Unsqueeze(as_float(g, v), g.constant(after)) if after else as_float(g, v)

    y = g.Div(g.Sub(x, vector(mean)), g.Sqrt(g.Add(vector(variance), g.constant(epsilon))))
    y = y if scale is None else g.Mul(y, vector(scale))
    return y if offset is None else g.Add(y, vector(offset))


@operation
def normalize(
    g: Builder,
    x: Value,
    *,
    axis: Axis = -1,
    order: Annotated[PositiveInt, Field(description="The norm: 1 for sums of magnitudes, 2 for lengths, …")] = 2,
    epsilon: Annotated[float, Field(gt=0, description="The least norm.")] = EPSILON,
) -> Value:
    """``x`` divided by its norm along an axis."""
    x, at = as_float(g, x), (normalize_axis(axis, x.rank),)
    if order == 2:  # √max(Σ x², ε²), which has a gradient at 0
        power = g.ReduceSumSquare(x, axes=at, keepdims=1)
        return g.Div(x, g.Sqrt(g.Clip(power, g.constant(epsilon**2))))
    if order == 1:
        return g.Div(x, g.Clip(g.ReduceL1(x, axes=at, keepdims=1), g.constant(epsilon)))
    power = g.ReduceSum(g.Pow(g.Abs(x), g.constant(float(order))), g.constant(at), keepdims=1)
    return g.Div(x, g.Clip(g.Pow(power, g.constant(1 / order)), g.constant(epsilon)))


def hot(g: Builder, x: Value, classes: int, axis: int) -> Value:
    """Emit 1 at each index and 0 elsewhere, float32; nothing at an index out of range, such as a negative one."""
    if x.type.is_float or x.dtype == "bool":
        raise ShapeError(Code.WRONG_DTYPE, f"needs integers, got {x.type}")
    x = cast_to(g, x, "int64")
    outside = g.Less(x, g.constant(0))
    return g.OneHot(g.Where(outside, g.constant(classes), x), g.constant(classes), g.constant([0.0, 1.0]), axis=axis)


@operation
def one_hot(g: Builder, x: Value, *, num_classes: Classes, axis: Axis = -1) -> Value:
    """1 at each index along a new axis and 0 elsewhere, float32; an index out of range gives zeros."""
    return hot(g, x, num_classes, axis)


@operation
def multi_hot(g: Builder, inputs: Value, *, num_classes: Classes, axis: Axis = -1) -> Value:
    """1 at each index of a row, 0 elsewhere, float32: (batch, n) → (batch, num_classes)."""
    if inputs.rank != 2 or axis not in (-1, 1):
        raise ShapeError(Code.WRONG_RANK, f"needs ids (batch, n) and axis -1, got {show(inputs.shape)} and {axis}")
    return g.ReduceMax(hot(g, inputs, num_classes, -1), axes=(1,), keepdims=0)


def clipped(g: Builder, p: Value) -> Value:
    """Emit probabilities no nearer to 0 and 1 than ``EPSILON``."""
    return g.Clip(p, g.constant(EPSILON), g.constant(1 - EPSILON))


@operation
def binary_crossentropy(g: Builder, target: Value, output: Value, *, from_logits: Logits = False) -> Value:
    """``-t · log(p) - (1 - t) · log(1 - p)`` for each element."""
    t, x = as_float(g, target), as_float(g, output)
    if from_logits:  # softplus(x) - t · x
        return g.Sub(g.Softplus(x), g.Mul(t, x))
    p, one = clipped(g, x), g.constant(1.0)
    return g.Neg(g.Add(g.Mul(t, g.Log(p)), g.Mul(g.Sub(one, t), g.Log(g.Sub(one, p)))))


def log_probabilities(g: Builder, x: Value, at: int, from_logits: bool) -> Value:
    """Emit the logarithms of the probabilities along axis ``at``."""
    if from_logits:
        return g.LogSoftmax(x, axis=at)
    return g.Log(clipped(g, g.Div(x, g.ReduceSum(x, g.constant([at]), keepdims=1))))


@operation
def categorical_crossentropy(
    g: Builder, target: Value, output: Value, *, from_logits: Logits = False, axis: Axis = -1
) -> Value:
    """``-Σ t · log(p)`` along an axis; probabilities are divided by their sum before."""
    x = as_float(g, output)
    at = normalize_axis(axis, x.rank)
    weighted = g.Mul(as_float(g, target), log_probabilities(g, x, at, from_logits))
    return g.Neg(g.ReduceSum(weighted, g.constant([at]), keepdims=0))


@operation
def sparse_categorical_crossentropy(
    g: Builder, target: Value, output: Value, *, from_logits: Logits = False, axis: Axis = -1
) -> Value:
    """``-log(p)`` of the class that ``target`` names; probabilities are divided by their sum before."""
    x = as_float(g, output)
    at = normalize_axis(axis, x.rank)
    if target.rank == x.rank and target.shape[-1] == 1:
        target = g.Squeeze(target, g.constant([target.rank - 1]))
    chosen = hot(g, target, x.fixed(at), at)
    weighted = g.Mul(chosen, log_probabilities(g, x, at, from_logits))
    return g.Neg(g.ReduceSum(weighted, g.constant([at]), keepdims=0))


Layout = Annotated[Literal["channels_last", "channels_first"], Field(description="The position of the channel axis.")]


@operation
def depth_to_space(g: Builder, x: Value, *, block_size: Block, data_format: Layout = "channels_last") -> Value:
    """Channels as blocks of pixels: (batch, h, w, c · b²) → (batch, h · b, w · b, c)."""
    first = channels_first(g, x, 2, data_format)
    mode = "CRD" if data_format == "channels_first" else "DCR"
    return from_channels_first(g, g.DepthToSpace(first, blocksize=block_size, mode=mode), data_format)


@operation
def space_to_depth(g: Builder, x: Value, *, block_size: Block, data_format: Layout = "channels_last") -> Value:
    """Blocks of pixels as channels: (batch, h · b, w · b, c) → (batch, h, w, c · b²)."""
    y = g.SpaceToDepth(channels_first(g, x, 2, data_format), blocksize=block_size)
    if data_format == "channels_last":
        return from_channels_first(g, y, data_format)
    count = y.fixed(1)
    order = np.arange(count).reshape(block_size**2, -1).T.reshape(-1)
    return g.Gather(y, g.constant(order), axis=1)
