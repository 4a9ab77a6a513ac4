"""Spectrograms of sound: STFTSpectrogram, MelSpectrogram. They are convolutions with windowed cosines and sines."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np

from graphspec.base.arrays.layout import Array, spectral_window
from graphspec.base.config import FROM_LIST, Positive, PositiveInt, described, invalid, setting
from graphspec.graph.initializers import STFT, WINDOW, Window
from graphspec.graph.ir.graph import Layout, show
from graphspec.vocabulary import Builder, Code, ShapeError, Value, wrong_rank
from graphspec.vocabulary.layers.layer import Layer, as_float
from graphspec.vocabulary.layers.spatial import DataFormat, channels_first, window

EPSILON = 1e-7  # Keras's ``epsilon``, below which powers and magnitudes count as this


def arctan2(g: Builder, y: Value, x: Value) -> Value:
    """Emit the angle of the point (x, y), from -π to π; that of (0, 0) is 0, and -0 counts as 0.

    Of both coordinates the one nearer to 0 is divided by the other one, so nothing overflows.
    """
    zero = g.constant(0.0)
    steep = abs(y) > abs(x)
    below, beside = g.Where(steep, y, x), g.Where(steep, x, y)
    origin = g.Equal(below, zero)
    ratio = g.Where(origin, zero, beside) / g.Where(origin, g.constant(1.0), below)
    angle, half = g.Atan(ratio), g.constant(math.pi / 2)
    up = g.Where(y < zero, -half, half)
    turned = g.Where(x < zero, up + up, zero)
    return g.Where(steep, up - angle, angle + turned)


class STFTSpectrogram(Layer):
    """The spectrum of each frame of a signal, by a convolution whose kernels begin as a windowed Fourier transform.

    The kernels are weights: they are trained unless the node has ``trainable: false``. With F = fft_length // 2 + 1
    frequencies (twice as many with ``mode: stft``) each channel becomes F.

    Shapes: (batch, samples, channels) → (batch, frames, channels · F), or (batch, frames, F, channels) with
    ``expand_dims``; with channels_first (batch, channels · F, frames), or (batch, channels, frames, F).
    """

    mode: Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"] = setting(
        "log",
        "What of a frequency: the magnitude or its logarithm, the density of power, a part, the angle, or both parts.",
    )
    frame_length: PositiveInt = setting(256, "The samples of a frame.")
    frame_step: PositiveInt | None = setting(None, "The samples to the next frame, at most `frame_length`; null: half.")
    fft_length: PositiveInt | None = setting(None, "Its length, at least `frame_length`; null: the next power of two.")
    window: Window = "hann"
    periodic: bool = setting(False, "Whether the window continues periodically, or is symmetric.")
    scaling: Literal["density", "spectrum"] | None = setting(
        "density", "density: the window's squares have sum 1; spectrum: its elements; null: it stays."
    )
    padding: Literal["valid", "same"] = setting("valid", "valid: none; same: one frame every `frame_step` samples.")
    expand_dims: bool = setting(False, "Whether frequencies get an axis of their own, as in images.")
    data_format: DataFormat = None

    def check_arguments(self) -> None:
        if self.frame_step is not None and self.frame_step > self.frame_length:
            raise invalid(f"has frame_step {self.frame_step} above its frame_length {self.frame_length}", "lower it")
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise invalid(f"has fft_length {self.fft_length} below its frame_length {self.frame_length}", "raise it")
        if self.frame_length < 2 and self.frame_step is None:
            raise invalid("has frames of one sample and no frame_step", "set `frame_step: 1`")

    def lower(self, g: Builder, X: Value) -> Value:
        first = channels_first(g, X, 1, self.data_format)
        planes = g.Unsqueeze(first, g.constant([1]))  # (batch, 1, channels, samples): one kernel for all channels
        if self.mode in ("real", "imag"):
            return self.arranged(g, self.part(g, planes, self.mode))
        real, imag = self.part(g, planes, "real"), self.part(g, planes, "imag")
        if self.mode == "stft":
            return self.arranged(g, g.Concat(real, imag, axis=1))
        if self.mode == "angle":
            return self.arranged(g, arctan2(g, imag, real))
        power = real * real + imag * imag
        if self.mode == "psd":  # a frequency stands for its negative too, but for the first and the last one
            count = power.fixed(1)
            sides = np.where(np.isin(np.arange(count), (0, count - 1)), 1.0, 2.0)
            return self.arranged(g, power * sides[:, None, None])
        least = g.constant(EPSILON)
        magnitude = self.arranged(g, g.Sqrt(g.Clip(power, least)))
        return magnitude if self.mode == "magnitude" else g.Log(g.Clip(magnitude, least))

    def part(self, g: Builder, planes: Value, side: Literal["real", "imag"]) -> Value:
        """Emit the real or the imaginary parts (batch, F, channels, frames)."""
        length = self.fft_length or 1 << (self.frame_length - 1).bit_length()
        step = self.frame_step or self.frame_length // 2
        initializer = STFT(side=side, window=self.window, scaling=self.scaling, periodic=self.periodic)
        shape, layout = (self.frame_length, 1, length // 2 + 1), Layout(perm=(2, 1, 0))
        role = f"{side}_kernel"
        kernel = self.weight(g, role, shape, layout=layout, initializer=initializer, prefix=role)
        pads = window(planes, (1, self.frame_length), (1, step), self.padding, key="frame_length")
        wide = g.Unsqueeze(kernel, g.constant([2]))
        return g.Conv(planes, wide, kernel_shape=(1, self.frame_length), strides=(1, step), **pads)

    def arranged(self, g: Builder, Y: Value) -> Value:
        """Return Y (batch, F, channels, frames) with its axes in their order."""
        first = self.data_format == "channels_first"
        if self.expand_dims:
            return g.transpose(Y, (0, 2, 3, 1) if first else (0, 3, 1, 2))
        channels = Y.fixed(1) * Y.fixed(2)
        if first:
            return g.Reshape(g.transpose(Y, (0, 2, 1, 3)), g.constant([0, channels, -1]))
        return g.Reshape(g.transpose(Y, (0, 3, 2, 1)), g.constant([0, 0, channels]))


def hertz_to_mel(hertz: Array | float) -> Array:
    """Return frequencies on the mel scale: ``1127 · log(1 + f / 700)``, float32 with the same bits on every processor."""
    ratio = np.float32(1.0) + np.asarray(hertz, np.float32) / np.float32(700.0)
    return np.asarray(np.float32(1127.0) * np.log(ratio, dtype=np.float64).astype(np.float32))  # its last bit varies


def mel_matrix(bins: int, bands: int, rate: float, low: float, high: float) -> Array:
    """Return the matrix (bins, bands) from frequencies 0 … rate / 2 to overlapping triangles on the mel scale.

    Each triangle has height 1 at its centre; frequency 0 is in none, as in HTK (the Hidden Markov Model Toolkit). The slopes
    are steep, so it is computed in float32, as in Keras.
    """
    mel = hertz_to_mel(np.linspace(0.0, rate / 2, bins, dtype=np.float32))[1:, None]
    edges = np.linspace(hertz_to_mel(low), hertz_to_mel(high), bands + 2, dtype=np.float32)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre))
    return np.pad(np.maximum(triangles, 0.0), ((1, 0), (0, 0)))


class MelSpectrogram(Layer):
    """The power of a signal in bands of the mel scale, frame by frame, in decibels. It has no weights.

    A frame is centred at every ``sequence_stride``-th sample; the signal continues at its ends by reflection. As in Keras
    but for one thing: ``top_db`` counts from the loudest value of each signal, and not from that of all signals of a
    batch, on which a prediction would depend.

    Shapes: (batch, samples) → (batch, num_mel_bins, samples // sequence_stride + 1).
    """

    fft_length: PositiveInt = setting(2048, "The length of the Fourier transform.")
    sequence_stride: PositiveInt = setting(512, "The samples from one frame to the next.")
    sequence_length: PositiveInt | None = setting(None, "Samples of a frame, at most `fft_length`; null: `fft_length`.")
    window: Annotated[Literal["hann", "hamming"] | tuple[float, ...] | None, FROM_LIST] = setting(
        "hann", f"{WINDOW} It is periodic."
    )
    sampling_rate: PositiveInt = setting(16000, "Samples per second.")
    num_mel_bins: PositiveInt = setting(128, "The number of bands.")
    min_freq: Annotated[float, described("The lowest frequency of the bands, Hz.", ge=0)] = 20.0
    max_freq: Positive | None = setting(None, "The highest frequency of the bands, Hz; null: half the sampling rate.")
    power_to_db: bool = setting(True, "Whether the result is in decibels.")
    top_db: float = setting(80.0, "Decibels below the loudest value of a signal; softer ones are raised.")
    mag_exp: Positive = setting(2.0, "The exponent of the magnitude: 1 for itself, 2 for the power.")
    min_power: Positive = setting(1e-10, "The least power; smaller ones are raised.")
    ref_power: float = setting(1.0, "The power at 0 decibels.")

    def check_arguments(self) -> None:
        if self.length > self.fft_length:
            raise invalid(f"has sequence_length {self.length} above its fft_length {self.fft_length}", "lower it")
        if isinstance(self.window, tuple) and len(self.window) != self.length:
            text = f"has a window of {len(self.window)} numbers for frames of {self.length}"
            raise invalid(text, "give one a sample")
        if self.min_freq >= self.highest:
            raise invalid(f"has min_freq {self.min_freq:g} and max_freq {self.highest:g}", "lower `min_freq`")

    @property
    def length(self) -> int:
        return self.sequence_length or self.fft_length

    @property
    def highest(self) -> float:
        """The highest frequency of the bands, Hz."""
        return self.max_freq or int(self.sampling_rate / 2)

    def lower(self, g: Builder, X: Value) -> Value:
        if X.rank != 2:
            text = f"needs signals (batch, samples), got {show(X.shape)}"
            raise wrong_rank(text, "a signal is (batch, samples): drop the axis of channels, such as by Reshape")
        bins = self.fft_length // 2 + 1
        weights = mel_matrix(bins, self.num_mel_bins, self.sampling_rate, self.min_freq, self.highest)
        heard = np.flatnonzero(weights.any(axis=1))  # other frequencies need not be computed
        heard = heard if len(heard) else np.arange(1)
        power = self.power(g, as_float(g, X), heard)
        if self.mag_exp != 2:
            power = g.Sqrt(power) if self.mag_exp == 1 else power ** (self.mag_exp / 2)
        Y = g.MatMul(g.constant(weights[heard].T), power)
        return self.decibels(g, Y) if self.power_to_db else Y

    def power(self, g: Builder, X: Value, frequencies: Array) -> Value:
        """Emit the squared magnitudes (batch, frequencies, frames)."""
        before = (self.fft_length - self.length) // 2  # the window is in the middle of the transform
        left = self.fft_length // 2 - before
        right = self.fft_length // 2 - (self.fft_length - self.length - before)
        padded = g.Pad(g.Unsqueeze(X, g.constant([1])), g.constant([0, 0, left, 0, 0, right]), mode="reflect")
        curve = spectral_window(self.window, self.length, periodic=True)
        turns = np.outer(frequencies, np.arange(self.length)) / self.fft_length
        waves = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)]).reshape(-1, 1, self.length)
        if isinstance(padded.shape[2], int) and padded.shape[2] < self.length:
            text = f"needs {self.length} samples, got {padded.shape[2]}"
            raise ShapeError(Code.WINDOW_TOO_LARGE, text, key="sequence_length")
        parts = g.Conv(padded, g.constant(waves * curve), kernel_shape=(self.length,), strides=(self.sequence_stride,))
        real, imag = g.Split(parts * parts, g.constant([len(frequencies)] * 2), axis=1)
        return real + imag

    def decibels(self, g: Builder, Y: Value) -> Value:
        """Emit ``10 · log₁₀(Y / ref_power)``, at most ``top_db`` below the largest value of each signal."""
        scale = 10 / math.log(10)
        zero = scale * math.log(max(abs(self.ref_power), self.min_power))
        level = g.Log(g.Clip(Y, g.constant(self.min_power))) * scale - zero
        return g.Max(level, g.ReduceMax(level, axes=(1, 2), keepdims=1) - self.top_db)
