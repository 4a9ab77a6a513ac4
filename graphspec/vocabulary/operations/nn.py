"""Operations of ``keras.ops`` for networks, images and signals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np

from graphspec.base.arrays.layout import spectral_window
from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Natural, PositiveInt, Size2, described
from graphspec.graph.initializers import WINDOW
from graphspec.graph.kernels.context import need, normalize_axis
from graphspec.vocabulary import Builder, Value, has_rows, show
from graphspec.vocabulary.layers import spatial
from graphspec.vocabulary.layers.images import Resizing
from graphspec.vocabulary.layers.layer import as_float, cast_to
from graphspec.vocabulary.layers.resizing import Interpolation, pad_or_crop
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, from_channels_first, window
from graphspec.vocabulary.losses.loss import EPSILON, clip
from graphspec.vocabulary.operations.along_axes import axes_of
from graphspec.vocabulary.operations.operation import Axes, Axis, KeepDims, add_row, operation

# Operations of ``keras.ops`` for networks: pooling, normalization, encodings of ids, losses, blocks of pixels.
Each = PositiveInt | tuple[PositiveInt, ...]
_STEP = "The step of the window, one integer or one for each spatial axis"
Sizes = Annotated[Each, FROM_LIST, described("One integer, or one for each spatial axis.")]
Steps = Annotated[Each | None, FROM_LIST, described(f"{_STEP}; null for its size.")]
Padding = Annotated[Literal["valid", "same"], described("valid: none; same: the output size is input size / strides.")]
Epsilon = Annotated[float, described("Added to the variance.", ge=0)]
Logits = Annotated[bool, described("Whether `output` holds logits instead of probabilities.")]
Classes = Annotated[PositiveInt, described("The number of classes.")]
Block = Annotated[PositiveInt, described("The height and width of a block of pixels.")]


def over_space(form: str, g: Builder, inputs: Value, *, data_format: DataFormat, **arguments: Any) -> Value:
    """Emit the layer of this form, such as ``MaxPooling{}D``, for as many spatial axes as the input has."""
    rank = inputs.rank - 2
    need(1 <= rank <= 3, f"needs (batch, 1 to 3 spatial axes, channels), got {show(inputs.shape)}")
    sizes = {k: (v,) * rank if isinstance(v, int) else v for k, v in arguments.items()}
    for key, each in sizes.items():
        fits = not isinstance(each, tuple) or len(each) == rank
        need(fits, f"has {len(each or ())} sizes for {rank} spatial axes", code=Code.VALUE_NOT_ALLOWED, key=key)
    pooled: Value = spatial.of_rank(form, rank)(data_format=data_format, **sizes).lower(g, inputs)
    return pooled


_POOLED: dict[str, Any] = {
    "pool_size": (Sizes, ...),
    "strides": (Steps, None),
    "padding": (Padding, "valid"),
    "data_format": (DataFormat, None),
}
_ADAPTED: dict[str, Any] = {"output_size": (Sizes, ...), "data_format": (DataFormat, None)}
POOLS = {  # the layer of each operation, the sentence of the pages, and the arguments: a type and a default each
    "max_pool": ("MaxPooling{}D", "The largest value of each window.", _POOLED),
    "average_pool": ("AveragePooling{}D", "The mean of each window; padding does not count.", _POOLED),
    "adaptive_max_pool": ("AdaptiveMaxPooling{}D", "The largest value of each of ``output_size`` windows.", _ADAPTED),
    "adaptive_average_pool": ("AdaptiveAveragePooling{}D", "The mean of each of ``output_size`` windows.", _ADAPTED),
}

for _name, (_form, _text, _arguments) in POOLS.items():
    add_row(__name__, _name, partial(over_space, _form), _text, _arguments)


def mean_and_variance(g: Builder, x: Value, axes: list[int]) -> tuple[Value, Value]:
    """Emit the mean and the variance over ``axes``, which remain with size 1."""
    mean = g.ReduceMean(x, axes=tuple(axes), keepdims=1)
    centred = x - mean
    return mean, g.ReduceMean(centred * centred, axes=tuple(axes), keepdims=1)


@operation
def moments(g: Builder, x: Value, *, axes: Axes, keepdims: KeepDims = False) -> tuple[Value, Value]:
    """The mean and the variance over axes."""
    x, over = as_float(g, x), axes_of(axes, x)
    both = mean_and_variance(g, x, over)
    removed = None if keepdims else g.constant(over)
    return both if removed is None else (g.Squeeze(both[0], removed), g.Squeeze(both[1], removed))


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
    y = (x - mean) / g.Sqrt(variance + epsilon)
    y = y if gamma is None else y * as_float(g, gamma)
    return y if beta is None else y + as_float(g, beta)


@operation
def rms_normalization(
    g: Builder, x: Value, scale: Value | None = None, *, axis: Axes = -1, epsilon: Epsilon = 1e-7
) -> Value:
    """``x / √(mean of x² + epsilon)`` over axes, times ``scale``."""
    x = as_float(g, x)
    y = x / g.Sqrt(g.ReduceMean(x * x, axes=tuple(axes_of(axis, x)), keepdims=1) + epsilon)
    return y if scale is None else y * as_float(g, scale)


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
    after = list(range(1, x.rank - normalize_axis(axis, x.rank)))

    def vector(v: Value) -> Value:
        need(v.rank == 1, f"needs vectors along axis {axis}, got {show(v.shape)}")
        return g.Unsqueeze(as_float(g, v), g.constant(after)) if after else as_float(g, v)

    y = (x - vector(mean)) / g.Sqrt(vector(variance) + epsilon)
    y = y if scale is None else y * vector(scale)
    return y if offset is None else y + vector(offset)


@operation
def normalize(
    g: Builder,
    x: Value,
    *,
    axis: Axis = -1,
    order: Annotated[PositiveInt, described("The norm: 1 for sums of magnitudes, 2 for lengths, …")] = 2,
    epsilon: Annotated[float, described("The least norm.", gt=0)] = EPSILON,
) -> Value:
    """``x`` divided by its norm along an axis."""
    x, at = as_float(g, x), (normalize_axis(axis, x.rank),)
    if order == 2:  # √max(Σ x², ε²), which has a gradient at 0
        power = g.ReduceSumSquare(x, axes=at, keepdims=1)
        return x / g.Sqrt(g.Clip(power, g.constant(epsilon**2)))
    if order == 1:
        return x / g.Clip(g.ReduceL1(x, axes=at, keepdims=1), g.constant(epsilon))
    power = g.ReduceSum(abs(x) ** float(order), g.constant(at), keepdims=1)
    return x / g.Clip(power ** (1 / order), g.constant(epsilon))


@operation
def one_hot(g: Builder, x: Value, *, num_classes: Classes, axis: Axis = -1) -> Value:
    """1 at each index along a new axis and 0 elsewhere, float32; an index out of range gives zeros."""
    need.dtype(not x.type.is_float and x.dtype != "bool", f"needs integers, got {x.type}")
    x = cast_to(g, x, "int64")
    ids = g.Where(x < 0, g.constant(num_classes), x)  # a negative one is out of range, too
    return g.OneHot(ids, g.constant(num_classes), g.constant([0.0, 1.0]), axis=axis)


@operation
def multi_hot(g: Builder, inputs: Value, *, num_classes: Classes, axis: Axis = -1) -> Value:
    """1 at each index of a row, 0 elsewhere, float32: (batch, n) → (batch, num_classes)."""
    need(inputs.rank == 2 and axis in (-1, 1), f"needs ids (batch, n) and axis -1, got {show(inputs.shape)} and {axis}")
    return g.ReduceMax(one_hot.function(g, inputs, num_classes=num_classes), axes=(1,), keepdims=0)


@operation
def binary_crossentropy(g: Builder, target: Value, output: Value, *, from_logits: Logits = False) -> Value:
    """``-t · log(p) - (1 - t) · log(1 - p)`` for each element."""
    t, x = as_float(g, target), as_float(g, output)
    if from_logits:
        return g.Softplus(x) - t * x
    p, one = clip(g, x), g.constant(1.0)
    return -(t * g.Log(p) + (one - t) * g.Log(one - p))


def log_probabilities(g: Builder, x: Value, at: int, from_logits: bool) -> Value:
    """Emit the logarithms of the probabilities along axis ``at``."""
    if from_logits:
        return g.LogSoftmax(x, axis=at)
    return g.Log(clip(g, x / g.ReduceSum(x, g.constant([at]), keepdims=1)))


@operation
def categorical_crossentropy(
    g: Builder, target: Value, output: Value, *, from_logits: Logits = False, axis: Axis = -1
) -> Value:
    """``-Σ t · log(p)`` along an axis; probabilities are divided by their sum before."""
    x = as_float(g, output)
    at = normalize_axis(axis, x.rank)
    weighted = as_float(g, target) * log_probabilities(g, x, at, from_logits)
    return -g.ReduceSum(weighted, g.constant([at]), keepdims=0)


@operation
def sparse_categorical_crossentropy(
    g: Builder, target: Value, output: Value, *, from_logits: Logits = False, axis: Axis = -1
) -> Value:
    """``-log(p)`` of the class that ``target`` names; probabilities are divided by their sum before."""
    x = as_float(g, output)
    at = normalize_axis(axis, x.rank)
    if target.rank == x.rank and target.shape[-1] == 1:
        target = g.Squeeze(target, g.constant([target.rank - 1]))
    weighted = one_hot.function(g, target, num_classes=x.fixed(at), axis=at) * log_probabilities(g, x, at, from_logits)
    return -g.ReduceSum(weighted, g.constant([at]), keepdims=0)


Layout = Annotated[Literal["channels_last", "channels_first"], described("The position of the channel axis.")]


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
    order = np.arange(y.fixed(1)).reshape(block_size**2, -1).T.reshape(-1)
    return g.Gather(y, g.constant(order), axis=1)


# Convolutions and attention of ``keras.ops``: kernels are inputs, such as a Parameter times a mask.
_GAP = "The distance between the window's elements, one integer or one for each spatial axis."
Strides = Annotated[Each, FROM_LIST, described(f"{_STEP}.")]
Dilations = Annotated[Each, FROM_LIST, described(_GAP)]
WINDOW_ARGUMENTS: dict[str, Any] = {
    "strides": (Strides, 1),
    "padding": (Padding, "valid"),
    "data_format": (DataFormat, None),
    "dilation_rate": (Dilations, 1),
}


def _spatial(x: Value, kernel: Value) -> int:
    rank = x.rank - 2
    text = "needs (batch, 1 to 3 spatial axes, channels) and a kernel (size, …, channels, filters) without a batch axis"
    fits = 1 <= rank <= 3 and kernel.rank == x.rank and not has_rows(kernel.shape)
    need(fits, f"{text}, got {show(x.shape)} and {show(kernel.shape)}")
    return rank


def _each(sizes: int | tuple[int, ...], rank: int, key: str) -> tuple[int, ...]:
    listed = (sizes,) * rank if isinstance(sizes, int) else sizes
    text = f"has {len(listed)} numbers for {rank} spatial axes"
    need(len(listed) == rank, text, code=Code.VALUE_NOT_ALLOWED, key=key)
    return listed


def _convolved(
    g: Builder,
    x: Value,
    kernel: Value,
    *,
    by_channel: bool,
    strides: int | tuple[int, ...] = 1,
    padding: str = "valid",
    dilation_rate: int | tuple[int, ...] = 1,
) -> Value:
    """Emit the convolution of the channels-first ``x`` with a kernel of Keras's layout."""
    rank = _spatial(x, kernel)
    steps, dilations = _each(strides, rank, "strides"), _each(dilation_rate, rank, "dilation_rate")
    channels, size = x.fixed(1), tuple(kernel.fixed(k) for k in range(rank))
    into, out = kernel.fixed(rank), kernel.fixed(rank + 1)
    turned = g.transpose(as_float(g, kernel), [rank + 1, rank, *range(rank)])
    fits = channels == into if by_channel else channels % into == 0 and out % (channels // into) == 0
    need.sizes(fits, f"has a kernel for {into} channels, but {channels} channels")
    if by_channel:  # (multiplier, channels, k…) → (channels · multiplier, 1, k…)
        turned = g.reshape(g.transpose(turned, [1, 0, *range(2, rank + 2)]), [into * out, 1, *size])
    pads = window(x, size, steps, padding, dilations, key="strides")
    attributes = {"kernel_shape": size, "strides": steps, "dilations": dilations, **pads}
    return g.Conv(x, turned, group=channels if by_channel else channels // into, **attributes)


def _conv(by_channel: bool, g: Builder, inputs: Value, kernel: Value, *, data_format: DataFormat, **how: Any) -> Value:
    x = channels_first(g, as_float(g, inputs), _spatial(inputs, kernel), data_format)
    return from_channels_first(g, _convolved(g, x, kernel, by_channel=by_channel, **how), data_format)


def _separable(
    g: Builder, inputs: Value, depthwise_kernel: Value, pointwise_kernel: Value, *, data_format: DataFormat, **how: Any
) -> Value:
    x = channels_first(g, as_float(g, inputs), _spatial(inputs, depthwise_kernel), data_format)
    apart = _convolved(g, x, depthwise_kernel, by_channel=True, **how)
    return from_channels_first(g, _convolved(g, apart, pointwise_kernel, by_channel=False), data_format)


_text = "The convolution with a kernel (size, …, channels / groups, filters), which is an input."
add_row(__name__, "conv", partial(_conv, False), _text, WINDOW_ARGUMENTS)
_text = "A convolution of each channel with kernels of its own: (size, …, channels, multiplier)."
add_row(__name__, "depthwise_conv", partial(_conv, True), _text, WINDOW_ARGUMENTS)
_text = "A depthwise convolution, then one with a kernel of size 1, which mixes the channels."
add_row(__name__, "separable_conv", _separable, _text, WINDOW_ARGUMENTS)


_ADDED = described("Added to the size of the output; null for Keras's size.")
OutputPadding = Annotated[Natural | tuple[Natural, ...] | None, FROM_LIST, _ADDED]


@operation
def conv_transpose(
    g: Builder,
    inputs: Value,
    kernel: Value,
    *,
    strides: Strides = 1,
    padding: Padding = "valid",
    output_padding: OutputPadding = None,
    data_format: DataFormat = None,
    dilation_rate: Dilations = 1,
) -> Value:
    """The transposed convolution with a kernel (size, …, filters, channels), which is an input."""
    rank = _spatial(inputs, kernel)
    x = channels_first(g, as_float(g, inputs), rank, data_format)
    channels, into = x.fixed(1), kernel.fixed(rank + 1)
    need.sizes(into == channels, f"has a kernel for {into} channels, but {channels}")
    layer = spatial.of_rank("Conv{}DTranspose", rank)(
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
    scale: Annotated[float | None, described("The factor of the products; null for 1/√depth.")] = None,
    is_causal: Annotated[bool, described("Whether a step sees itself and earlier steps alone.")] = False,
    attn_logits_soft_cap: Annotated[float | None, described("The bound c of c · tanh(logit / c).", gt=0)] = None,
) -> Value:
    """``softmax(query · keyᵀ · scale + bias) · value``, each (batch, steps, heads, depth); a mask is true where seen."""
    q, k, v = (as_float(g, X) for X in (query, key, value))
    for X in (q, k, v):
        need(X.rank == 4, f"needs (batch, steps, heads, depth), got {show(X.shape)}")
    heads, shared = q.fixed(2), k.fixed(2)
    need.sizes(heads % shared == 0, f"cannot share {shared} heads among {heads}")
    if heads != shared:  # grouped queries: each key serves several heads
        places = g.constant([head * shared // heads for head in range(heads)])
        k, v = g.Gather(k, places, axis=2), g.Gather(v, places, axis=2)
    factor = scale if scale is not None else 1 / math.sqrt(q.fixed(3))
    logits = g.Einsum(q, k, equation="btnh,bsnh->bnts") * factor
    if attn_logits_soft_cap is not None:
        cap = g.constant(attn_logits_soft_cap)
        logits = g.Tanh(logits / cap) * cap
    if bias is not None:
        logits = logits + as_float(g, bias)
    hidden = g.constant(-3e38)
    if mask is not None:
        logits = g.Where(cast_to(g, mask, "bool"), logits, hidden)
    if is_causal:
        ones = g.Expand(g.constant(1.0), g.ints([g.size(q, 1), g.size(k, 1)]))
        logits = g.Where(g.Cast(g.Trilu(ones, g.constant(0), upper=0), to="bool"), logits, hidden)
    return g.Einsum(g.Softmax(logits, axis=-1), v, equation="bnts,bsnh->btnh")


# Operations of ``keras.ops`` for the largest predictions, and for frames of signals.
Count = Annotated[PositiveInt, described("How many of the largest elements count.")]
Length = Annotated[PositiveInt, described("The elements of a sequence.")]
Stride = Annotated[PositiveInt, described("The elements from one sequence to the next.")]


@operation
def in_top_k(g: Builder, targets: Value, predictions: Value, *, k: Count) -> Value:
    """Whether fewer than ``k`` predictions of a row are larger than its target's, bool; not if there is no such class."""
    fits = targets.rank == 1 and predictions.rank == 2 and not targets.type.is_float
    need(fits, f"needs integers (batch,) and predictions (batch, classes), got {targets.type} and {predictions.type}")
    classes = g.constant(np.arange(predictions.fixed(1)))
    own = g.Equal(g.Unsqueeze(cast_to(g, targets, "int64"), g.constant([1])), classes)
    x = as_float(g, predictions)
    score = g.ReduceSum(g.Where(own, x, g.constant(0.0)), g.constant([1]), keepdims=1)
    there, larger = (g.ReduceSum(cast_to(g, X, "int64"), g.constant([1]), keepdims=0) for X in (own, x > score))
    return (there > 0) & (larger < k)


@operation
def extract_sequences(g: Builder, x: Value, *, sequence_length: Length, sequence_stride: Stride) -> Value:
    """Sequences of the last axis: (…, n) → (…, sequences, sequence_length). An incomplete last one is left out."""
    size, text = x.fixed(-1), f"cannot take sequences of {sequence_length} elements from {show(x.shape)}"
    need(size >= sequence_length, text, code=Code.WINDOW_TOO_LARGE, key="sequence_length")
    starts = np.arange(0, size - sequence_length + 1, sequence_stride)
    return g.Gather(x, g.constant(starts[:, None] + np.arange(sequence_length)), axis=x.rank - 1)


@operation
def stft(
    g: Builder,
    x: Value,
    *,
    sequence_length: Length,
    sequence_stride: Stride,
    fft_length: Annotated[PositiveInt, described("The length of the Fourier transform.")],
    window: Annotated[Literal["hann", "hamming"] | tuple[float, ...] | None, FROM_LIST, described(WINDOW)] = "hann",
    center: Annotated[bool, described("Whether frames are centred, and the ends continue by reflection.")] = True,
) -> tuple[Value, Value]:
    """The Fourier transform of frames of the last axis: real and imaginary parts (…, frames, fft_length // 2 + 1)."""
    text = f"has fft_length {fft_length} below its sequence_length {sequence_length}"
    need(fft_length >= sequence_length, text, code=Code.VALUE_NOT_ALLOWED, key="fft_length")
    if isinstance(window, tuple):
        text = f"has a window of {len(window)} numbers for sequences of {sequence_length}"
        need(len(window) == sequence_length, text, code=Code.SIZES_DO_NOT_FIT, key="window")
    x = as_float(g, x)
    if center:
        pads = [0] * (x.rank - 1) + [fft_length // 2]
        x = g.Pad(x, g.constant(pads + pads), mode="reflect")
    before = (fft_length - sequence_length) // 2  # the window is in the middle of the transform
    curve = np.zeros(fft_length)
    curve[before : before + sequence_length] = spectral_window(window, sequence_length, periodic=True)
    turns = np.outer(np.arange(fft_length), np.arange(fft_length // 2 + 1)) / fft_length
    parts = extract_sequences.function(g, x, sequence_length=fft_length, sequence_stride=sequence_stride)
    waves = np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)
    real, imag = (g.MatMul(parts, g.constant(wave * curve[:, None])) for wave in waves)
    return real, imag


# Operations of ``keras.ops.image``.
Border = Annotated[Natural | None, described("The rows or columns on this side; null: what the target leaves.")]
Target = Annotated[Natural | None, described("The size afterwards; null: what the borders leave.")]


image = partial(operation, prefix="ops.image.")


@image
def resize(
    g: Builder,
    images: Value,
    *,
    size: Annotated[Size2, described("The height and width of the output.")],
    interpolation: Interpolation = "bilinear",
    antialias: Annotated[bool, described("Average over more pixels when an image is reduced.")] = False,
    data_format: DataFormat = None,
) -> Value:
    """Images of another size, as the layer Resizing."""
    how: dict[str, Any] = {"interpolation": interpolation, "antialias": antialias, "data_format": data_format}
    return Resizing(height=size[0], width=size[1], **how).lower(g, images)


@image
def rgb_to_grayscale(g: Builder, images: Value, *, data_format: DataFormat = None) -> Value:
    """``0.2989 · red + 0.587 · green + 0.114 · blue``, one channel."""
    spatial.need_spatial(images, 2, data_format)
    axis = 1 if data_format == "channels_first" else 3
    channels = images.fixed(axis)
    need(channels == 3, f"needs 3 channels, got {channels}", code=Code.SIZES_DO_NOT_FIT, key="data_format")
    weights = g.constant([0.2989, 0.587, 0.114] if axis == 3 else [[[0.2989]], [[0.587]], [[0.114]]])
    return g.ReduceSum(as_float(g, images) * weights, g.constant([axis]), keepdims=1)


def borders(size: int, numbers: Sequence[int | None], sign: int, axis: str) -> tuple[int, int]:
    """Return both borders of an axis, of which two of three ``numbers`` are given: these and the size afterwards.

    ``sign`` is -1 for cropping.
    """
    text = f"needs two of the three numbers of the {axis}: both borders, or one and target_{axis}"
    need(sum(n is not None for n in numbers) == 2, text, code=Code.VALUE_NOT_ALLOWED, key=f"target_{axis}")
    before, after, target = numbers
    more = 0 if target is None else sign * (target - size)
    both = (more - (after or 0) if before is None else before, more - (before or 0) if after is None else after)
    text = f"needs borders {both[0]} and {both[1]} of the {axis}, and no border is negative"
    need(min(both) >= 0, text, code=Code.VALUE_NOT_ALLOWED, key=f"target_{axis}")
    return both


def bordered(word: str, g: Builder, images: Value, *, data_format: DataFormat, **numbers: int | None) -> Value:
    """Emit images with more rows and columns (``padding``), or fewer (``cropping``)."""
    spatial.need_spatial(images, 2, data_format)
    first, sign = 2 if data_format == "channels_first" else 1, 1 if word == "padding" else -1
    sides = (first, "height", "top", "bottom"), (first + 1, "width", "left", "right")
    given = [[numbers[key] for key in (f"{a}_{word}", f"{b}_{word}", f"target_{axis}")] for _, axis, a, b in sides]
    pairs = [borders(images.fixed(k), own, sign, axis) for (k, axis, *_), own in zip(sides, given, strict=True)]
    return pad_or_crop(g, images, pairs, data_format, sign)


BORDERS = {
    "pad_images": ("padding", "Images with zeros around them"),
    "crop_images": ("cropping", "Images without their borders"),
}
for _name, (_word, _text) in BORDERS.items():
    _arguments = {f"{side}_{_word}": (Border, None) for side in ("top", "left", "bottom", "right")}
    _arguments |= {"target_height": (Target, None), "target_width": (Target, None), "data_format": (DataFormat, None)}
    _text += "; of each axis, two of both borders and the target are given."
    add_row(__name__, f"image.{_name}", partial(bordered, _word), _text, _arguments)


@image
def extract_patches(
    g: Builder,
    images: Value,
    *,
    size: Annotated[Size2, described("The height and width of a patch.")],
    strides: Annotated[Size2 | None, described("The step between patches; null for their size.")] = None,
    dilation_rate: Annotated[Size2, described("The distance between the pixels of a patch.")] = (1, 1),
    padding: Annotated[Literal["valid", "same"], described("same: zeros around, so that strides divide.")] = "valid",
    data_format: DataFormat = None,
) -> Value:
    """Patches as channels: (batch, h, w, c) → (batch, h′, w′, height · width · c), pixel by pixel."""
    spatial.need_spatial(images, 2, data_format)
    first = data_format == "channels_first"
    x = g.transpose(images, [0, 2, 3, 1]) if first else images
    steps = size if strides is None else strides
    places, borders_of = [], []
    for axis in (0, 1):
        whole, extent = x.fixed(axis + 1), (size[axis] - 1) * dilation_rate[axis] + 1
        more = max((-(-whole // steps[axis]) - 1) * steps[axis] + extent - whole, 0) if padding == "same" else 0
        borders_of.append((more // 2, more - more // 2))
        starts = np.arange(0, whole + more - extent + 1, steps[axis])
        text = f"cannot take patches of {extent} pixels from {whole}"
        need(len(starts) > 0, text, code=Code.WINDOW_TOO_LARGE, key="size")
        places.append(starts[:, None] + np.arange(size[axis]) * dilation_rate[axis])
    padded = pad_or_crop(g, x, borders_of, None, 1) if any(map(any, borders_of)) else x
    rows, columns = places
    width = padded.fixed(2)
    at = rows[:, None, :, None] * width + columns[None, :, None, :]  # h′, w′, height, width
    flat = g.reshape(padded, [g.size(padded, 0), padded.fixed(1) * width, padded.fixed(3)])
    gathered = g.Gather(flat, g.constant(at.reshape(len(rows), len(columns), -1)), axis=1)
    y = g.reshape(gathered, [g.size(padded, 0), len(rows), len(columns), size[0] * size[1] * padded.fixed(3)])
    return g.transpose(y, [0, 3, 1, 2]) if first else y
