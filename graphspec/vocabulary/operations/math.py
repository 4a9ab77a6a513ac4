"""Operations of ``keras.ops`` for the largest predictions, and for frames of signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.base.arrays.layout import spectral_window
from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, PositiveInt
from graphspec.base.errors import ShapeError
from graphspec.graph.initializers import WINDOW
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.operations.base import operation

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Count = Annotated[PositiveInt, Field(description="How many of the largest elements count.")]
Length = Annotated[PositiveInt, Field(description="The elements of a sequence.")]
Stride = Annotated[PositiveInt, Field(description="The elements from one sequence to the next.")]


@operation
def in_top_k(g: Builder, targets: Value, predictions: Value, *, k: Count) -> Value:
    """Whether fewer than ``k`` predictions of a row are larger than its target's, bool; not if there is no such class."""
    if targets.rank != 1 or predictions.rank != 2 or targets.type.is_float:
        text = f"needs integers (batch,) and predictions (batch, classes), got {targets.type} and {predictions.type}"
        raise ShapeError(Code.WRONG_RANK, text)
    classes = g.constant(np.arange(predictions.fixed(1)))
    own = g.Equal(g.Unsqueeze(cast_to(g, targets, "int64"), g.constant([1])), classes)
    x = as_float(g, predictions)
    score = g.ReduceSum(g.Where(own, x, g.constant(0.0)), g.constant([1]), keepdims=1)
    counts = (
        g.ReduceSum(cast_to(g, found, "int64"), g.constant([1]), keepdims=0) for found in (own, g.Greater(x, score))
    )
    there, larger = counts
    return g.And(g.Greater(there, g.constant(0)), g.Less(larger, g.constant(k)))


def frames(g: Builder, x: Value, length: int, stride: int) -> Value:
    """Emit the sequences of the last axis (…, sequences, length)."""
    size = x.fixed(-1)
    if size < length:
        text = f"cannot take sequences of {length} elements from {show(x.shape)}"
        raise ShapeError(Code.WINDOW_TOO_LARGE, text, key="sequence_length")
    starts = np.arange(0, size - length + 1, stride)
    return g.Gather(x, g.constant(starts[:, None] + np.arange(length)), axis=x.rank - 1)


@operation
def extract_sequences(g: Builder, x: Value, *, sequence_length: Length, sequence_stride: Stride) -> Value:
    """Sequences of the last axis: (…, n) → (…, sequences, sequence_length). An incomplete last one is left out."""
    return frames(g, x, sequence_length, sequence_stride)


@operation
def stft(
    g: Builder,
    x: Value,
    *,
    sequence_length: Length,
    sequence_stride: Stride,
    fft_length: Annotated[PositiveInt, Field(description="The length of the Fourier transform.")],
    window: Annotated[
        Literal["hann", "hamming"] | tuple[float, ...] | None, FROM_LIST, Field(description=WINDOW)
    ] = "hann",
    center: Annotated[
        bool, Field(description="Whether frames are centred, and the ends continue by reflection.")
    ] = True,
) -> tuple[Value, Value]:
    """The Fourier transform of frames of the last axis: real and imaginary parts (…, frames, fft_length // 2 + 1)."""
    if fft_length < sequence_length:
        text = f"has fft_length {fft_length} below its sequence_length {sequence_length}"
        raise ShapeError(Code.VALUE_NOT_ALLOWED, text, key="fft_length")
    if isinstance(window, tuple) and len(window) != sequence_length:
        text = f"has a window of {len(window)} numbers for sequences of {sequence_length}"
        raise ShapeError(Code.SIZES_DO_NOT_FIT, text, key="window")
    x = as_float(g, x)
    if center:
        pads = [0] * (x.rank - 1) + [fft_length // 2]
        x = g.Pad(x, g.constant(pads + pads), mode="reflect")
    before = (fft_length - sequence_length) // 2  # the window is in the middle of the transform
    curve = np.zeros(fft_length)
    curve[before : before + sequence_length] = spectral_window(window, sequence_length, periodic=True)
    turns = np.outer(np.arange(fft_length), np.arange(fft_length // 2 + 1)) / fft_length
    parts = frames(g, x, fft_length, sequence_stride)
    waves = np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)
    real, imag = (g.MatMul(parts, g.constant(wave * curve[:, None])) for wave in waves)
    return real, imag
