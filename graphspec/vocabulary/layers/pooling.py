"""Pooling over windows, over all spatial axes, and over a fixed number of windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from graphspec.base.config import described, one_or_each, setting
from graphspec.graph.ir.dims import names_in
from graphspec.vocabulary import Builder, Value, not_allowed, not_fixed
from graphspec.vocabulary.layers import spatial
from graphspec.vocabulary.layers.layer import LAYERS, Layer, cast_to

Padding = Annotated[Literal["valid", "same"], described("valid: none; same: the output size is input size / strides.")]


class Pooling(Layer, same_by_default={"strides": "pool_size"}):
    """Base: a reduction of every window, of any spatial rank. Padding does not count."""

    rank: ClassVar[int]
    op: ClassVar[str]

    pool_size: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    padding: Padding = "valid"
    data_format: spatial.DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = spatial.channels_first(g, X, self.rank, self.data_format)
        strides = self.strides or self.pool_size
        pads = spatial.window(X, self.pool_size, strides, self.padding, key="pool_size")
        Y = g.emit(self.op, (X,), {"kernel_shape": self.pool_size, "strides": strides, **pads})
        return spatial.from_channels_first(g, Y, self.data_format)


def _strides(rank: int) -> tuple[Any, Any]:
    return one_or_each(rank) | None, setting(None, "The step of the window; null for its size.")


def _pool_size(default: Callable[[int], Any]) -> Callable[[int], tuple[Any, Any]]:
    return lambda rank: (one_or_each(rank), setting(default(rank), f"The {spatial.of_window(rank)} of the window."))


_REQUIRED, _TWO = _pool_size(lambda rank: ...), _pool_size(lambda rank: (2,) * rank)

for _names, _op, _text, _pooled in (
    ("MaxPooling{}D MaxPool{}D", "MaxPool", "The largest value of each window.", _TWO),
    ("AveragePooling{}D AvgPool{}D", "AveragePool", "The mean of each window. Padding does not count.", _REQUIRED),
):
    spatial.by_rank(Pooling, _names, _text, op=_op, pool_size=_pooled, strides=_strides)


class GlobalPooling(Layer):
    """Base: a reduction over all spatial axes."""

    rank: ClassVar[int]
    op: ClassVar[str]

    data_format: spatial.DataFormat = None
    keepdims: bool = setting(False, "Whether the reduced axes remain, with size 1.")

    def lower(self, g: Builder, X: Value) -> Value:
        X = spatial.channels_first(g, X, self.rank, self.data_format)
        Y = self.reduce(g, X, tuple(range(2, self.rank + 2)))
        return spatial.from_channels_first(g, Y, self.data_format) if self.keepdims else Y

    def reduce(self, g: Builder, X: Value, axes: tuple[int, ...]) -> Value:
        Y: Value = g.emit(self.op, (X,), {"axes": axes, "keepdims": int(self.keepdims)})
        return Y


_LARGEST, _MEANS = "GlobalMaxPooling{}D GlobalMaxPool{}D", "GlobalAveragePooling{}D GlobalAvgPool{}D"
for _names, _op, _text, _ranks in (
    (_LARGEST, "ReduceMax", "The largest value over time.", (1,)),
    (_LARGEST, "ReduceMax", "The largest value of each channel.", (2, 3)),
    (_MEANS, "ReduceMean", "The mean of each channel.", (2, 3)),
):
    spatial.by_rank(GlobalPooling, _names, _text, "(batch, {axes}, channels) → (batch, channels).", _ranks, op=_op)


@LAYERS.add("GlobalAveragePooling1D", "GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalPooling, op="ReduceMean", rank=1, handles_mask=True):
    """The mean over all unmasked steps; 0 for a row without unmasked steps.

    Shapes: (batch, steps, channels) → (batch, channels).
    """

    def lower(self, g: Builder, X: Value) -> Value:
        return super().lower(g, X).with_mask(None)

    def reduce(self, g: Builder, X: Value, axes: tuple[int, ...]) -> Value:
        if X.mask is None:
            return super().reduce(g, X, axes)
        keep = g.Unsqueeze(cast_to(g, X.mask, "float32"), g.constant([1]))
        total = g.ReduceSum(X * keep, g.constant(list(axes)), keepdims=int(self.keepdims))
        count = g.ReduceSum(keep, g.constant(list(axes)), keepdims=int(self.keepdims))
        return total / g.Max(count, g.constant(1.0))  # 0, not NaN, for a row without unmasked steps


# Adaptive pooling: a fixed number of windows along every axis, whose sizes may differ by one; they may overlap.

Windows = list[range]
_MAX_WEIGHTS = 1 << 24  # elements of an averaging matrix: 64 MiB of float32


def windows(size: int, out: int) -> Windows:
    """Return ``out`` windows over an axis; window i is from ``⌊i·size / out⌋`` to ``⌈(i + 1)·size / out⌉``, exclusive."""
    return [range(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def even(size: int, out: int) -> tuple[int, int] | None:
    """Return the length and the stride of the windows if all have one size and stride, else None."""
    stride, remainder = divmod(size, out)
    return (stride + remainder, stride) if stride and remainder <= 1 else None


class AdaptivePooling(Layer):
    """Base: a reduction of ``output_size`` windows, of any spatial rank; ordinary pooling if all windows are equal."""

    rank: ClassVar[int]
    op: ClassVar[str]

    output_size: tuple[int, ...]
    data_format: spatial.DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = spatial.channels_first(g, X, self.rank, self.data_format)
        pairs = []
        for d, out in zip(X.shape[2:], self.output_size, strict=True):
            if not isinstance(d, int):
                text = f"needs fixed sizes for {spatial.axes_of(self.rank, self.data_format)}, but '{d}' varies"
                hint = f"give {names_in(d)} a number in `inputs`, or use global pooling, which accepts any size"
                raise not_fixed(text, hint, key="output_size")
            pairs.append(pair := even(d, out))
            if pair is None and d * out > _MAX_WEIGHTS:
                text = f"needs {out} unequal windows over a size of {d}, which is too many"
                raise not_allowed(text, f"use a number that divides {d}", key="output_size")
        if None not in pairs:
            sizes, steps = zip(*(pair for pair in pairs if pair is not None), strict=True)
            Y = g.emit(self.op, (X,), {"kernel_shape": sizes, "strides": steps})
        else:
            Y = X
            for axis, out in enumerate(self.output_size, 2):
                Y = self.along(g, Y, axis, windows(X.fixed(axis), out))
        return spatial.from_channels_first(g, Y, self.data_format)

    def along(self, g: Builder, X: Value, axis: int, spans: Windows) -> Value:
        raise NotImplementedError


class AdaptiveAveragePooling(AdaptivePooling, op="AveragePool"):
    """Base: the means of ``output_size`` windows."""

    def along(self, g: Builder, X: Value, axis: int, spans: Windows) -> Value:
        averaging = np.zeros((int(X.shape[axis]), len(spans)))
        for k, span in enumerate(spans):
            averaging[span.start : span.stop, k] = 1 / len(span)
        swap = [*range(X.rank)]
        swap[axis], swap[-1] = swap[-1], swap[axis]
        return g.transpose(g.MatMul(g.transpose(X, swap), g.constant(averaging)), swap)


class AdaptiveMaxPooling(AdaptivePooling, op="MaxPool"):
    """Base: the largest values of ``output_size`` windows."""

    def along(self, g: Builder, X: Value, axis: int, spans: Windows) -> Value:
        longest = max(map(len, spans))
        # A shorter window repeats its last element, which does not change the maximum.
        indices = [[min(w.start + k, w.stop - 1) for k in range(longest)] for w in spans]
        return g.ReduceMax(g.Gather(X, g.constant(indices), axis=axis), axes=(axis + 1,), keepdims=0)


def _output_size(rank: int) -> tuple[Any, Any]:
    text = "The number of steps" if rank == 1 else spatial.of_window(rank).capitalize()
    return Annotated[one_or_each(rank), described(f"{text} of the output.")], ...


_RESIZED = "(batch, {axes}, channels) → (batch, {star}output_size, channels)."

for _base, _name, _value in (
    (AdaptiveAveragePooling, "AdaptiveAveragePooling{}D", "mean"),
    (AdaptiveMaxPooling, "AdaptiveMaxPooling{}D", "largest value"),
):
    _text = f"The {_value} of each of ``output_size`` windows."
    spatial.by_rank(_base, _name, _text, _RESIZED, output_size=_output_size)
