"""Images: resizing and cropping, and random changes for training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Positive, PositiveInt, described, invalid, setting
from graphspec.graph.ir.ranges import of_dtype
from graphspec.vocabulary import Array, Builder, Value, not_allowed
from graphspec.vocabulary.layers import spatial
from graphspec.vocabulary.layers.layer import Layer, NoEffect, Seed, as_float, cast_to
from graphspec.vocabulary.layers.resizing import Interpolation, crop_spatial, matrix, need_fixed, resized, window

Height = Annotated[PositiveInt, described("The height of the output.")]
Width = Annotated[PositiveInt, described("The width of the output.")]

_GRID = 1024.0
"""Steps per integer to which values are rounded before they are rounded to integers. Exact halves are frequent (the weights
of 28 to 32 pixels are sixteenths), and the last bits, in which two runtimes differ, would decide. On the grid they are
halves again, and go to the even integer, as in Keras.
"""


class Resizing(Layer):
    """Images resampled to one size, as in Keras on TensorFlow and JAX (half-pixel centres).

    Integers stay integers: ``nearest`` copies them, other interpolations compute in float32 and round. A Rescaling before
    this layer makes them floats, which lose nothing.

    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    interpolation: Interpolation = "bilinear"
    crop_to_aspect_ratio: bool = setting(
        False, "First crop the largest centred window with the aspect ratio of the output."
    )
    pad_to_aspect_ratio: bool = setting(
        False, "First pad both sides to the aspect ratio of the output, with `fill_value`."
    )
    fill_mode: Literal["constant"] = setting("constant", "Only `constant`, as in Keras.")
    fill_value: float = setting(0.0, "The value of the padding of `pad_to_aspect_ratio`.")
    antialias: bool = setting(False, "Average over more pixels when an image is reduced.")
    data_format: spatial.DataFormat = None

    def check_arguments(self) -> None:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            text = "sets both `pad_to_aspect_ratio` and `crop_to_aspect_ratio`, which exclude each other"
            raise invalid(text, "set one of them to false")

    def lower(self, g: Builder, X: Value) -> Value:
        spatial.need_spatial(X, 2, self.data_format)
        for key, is_set, reason in (
            ("crop_to_aspect_ratio", self.crop_to_aspect_ratio, "keeping the aspect ratio"),
            ("pad_to_aspect_ratio", self.pad_to_aspect_ratio, "keeping the aspect ratio"),
            ("antialias", self.antialias, "`antialias`"),
            ("interpolation", self.interpolation != "bilinear", f"`{self.interpolation}`"),
        ):
            if is_set:
                hint = "give it a number in `inputs`; only `bilinear` without other options accepts varying sizes"
                need_fixed(X, self.data_format, reason, key=key, hint=hint)
        size = self.height, self.width
        copied = self.interpolation == "nearest" and X.dtype not in ("float32", "bool")
        Y = spatial.to_channels_first(g, X if copied else as_float(g, X), 2, self.data_format)
        if self.crop_to_aspect_ratio:
            Y = crop_spatial(g, Y, *window((Y.fixed(2), Y.fixed(3)), size))
        elif self.pad_to_aspect_ratio and (pads := self._pads((Y.fixed(2), Y.fixed(3)))):
            Y = g.Pad(Y, g.constant([0, 0, *pads, 0, 0, *pads]), g.constant(self._filling(Y.dtype), Y.dtype))
        Y = spatial.from_channels_first(g, resized(g, Y, size, self.interpolation, self.antialias), self.data_format)
        if copied or X.dtype in ("float32", "bool"):
            return Y
        limits, high = np.iinfo(X.dtype), np.float32(np.iinfo(X.dtype).max)
        Y = g.Round(g.Mul(g.Round(g.Mul(Y, g.constant(_GRID))), g.constant(1 / _GRID)))
        if limits.bits >= 32:  # float32 rounds their maximum up, beyond the dtype
            high = np.nextafter(high, np.float32(0))
        if limits.bits >= 32 or self.interpolation != "bilinear":  # other kernels overshoot
            Y = g.Clip(Y, g.constant(float(limits.min)), g.constant(float(high)))
        return cast_to(g, Y, X.dtype)

    def _filling(self, dtype: str) -> float:
        if dtype == "float32":
            return self.fill_value
        limits = of_dtype(dtype)
        if not self.fill_value.is_integer() or not limits.low <= self.fill_value <= limits.high:
            text = f"fills {dtype} images, which cannot contain {self.fill_value:g}"
            raise not_allowed(text, f"use an integer from {limits.low} to {limits.high}", key="fill_value")
        return int(self.fill_value)

    def _pads(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the padding on each side, for height and width; None without padding."""
        (height, width), (h, w) = size, (self.height, self.width)
        pads = (max(height, width * h // w) - height) // 2, (max(width, height * w // h) - width) // 2
        return pads if any(pads) else None


class CenterCrop(Layer):
    """The centre of an image. From a smaller image, the largest window with the output's aspect ratio, resampled bilinearly.

    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    data_format: spatial.DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        Y, size = spatial.channels_first(g, X, 2, self.data_format), (self.height, self.width)
        need_fixed(X, self.data_format, "centred cropping", key="height")
        old = Y.fixed(2), Y.fixed(3)
        spare = [d - n for d, n in zip(old, size, strict=True)]
        if min(spare) >= 0:
            Y = crop_spatial(g, Y, (spare[0] // 2, self.height), (spare[1] // 2, self.width))
        else:
            Y = resized(g, crop_spatial(g, Y, *window(old, size)), size)
        return spatial.from_channels_first(g, Y, self.data_format)


# Layers that change images at random in training. Outside training they are the identity, and exports omit them. The
# change of a row depends on the seed, the layer, the step and the row's index in the batch.
Range = tuple[float, float]
_PAIR = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}


def _factor(minimum: float, maximum: float, *, open_below: bool = False, unit: str = "") -> Any:
    """Return the validator and schema of bounds [low, high], or of a number f: [-f, f], or [0, f] if ``minimum`` is 0."""
    between = f"above {minimum:g} and at most {maximum:g}" if open_below else f"from {minimum:g} to {maximum:g}"

    def spread(value: Any) -> Any:
        pair = value if isinstance(value, list | tuple) else [value, value]
        if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int | float) for n in pair):
            hint = f"such as {maximum / 5:g}, or [{minimum / 10:g}, {maximum / 5:g}]"
            raise invalid("must be a number or a list of two, [low, high]", hint, code=Code.WRONG_TYPE, show_value=True)
        for number in pair:
            if not minimum <= number <= maximum or (open_below and number == minimum):
                raise invalid(f"must be {between}, got {number:g}", f"use a number, or [low, high], {between}{unit}")
        if pair[0] > pair[1]:
            low, high = (f"{number:g}" for number in pair)
            raise invalid(f"must have its lower bound first, got {low} above {high}", f"write [{high}, {low}]")
        return tuple(pair) if pair is value else (max(-abs(value), minimum), abs(value))

    return BeforeValidator(spread), WithJsonSchema({"anyOf": [{"type": "number"}, _PAIR]})


Share = Annotated[Range, *_factor(-1, 1)]
Zoom = Annotated[Range, *_factor(-1, 1, open_below=True)]


def _rising(pair: Range) -> Range:
    if pair[0] >= pair[1]:
        text = f"must increase, got {pair[0]:g} to {pair[1]:g}"
        raise invalid(text, "write the smallest value, then the largest: [0, 255]")
    return pair


ValueRange = Annotated[
    Range,
    FROM_LIST,
    AfterValidator(_rising),
    WithJsonSchema(_PAIR),
    described("The smallest and largest value of a pixel; the result is clipped to this range."),
]
FillMode = Annotated[
    Literal["reflect", "wrap", "constant", "nearest"],
    described("The values beyond the border: the mirror image, the opposite side, `fill_value`, or the edge."),
]
Lookup = Annotated[Literal["nearest", "bilinear"], described("The nearest pixel, or a mean of the four nearest.")]


def images(g: Builder, X: Value, data_format: str | None) -> Value:
    """Return ``X`` as float32; raise GS301 unless it is a batch of images."""
    spatial.need_spatial(X, 2, data_format)
    return as_float(g, X)


def drawn(g: Builder, X: Value, ranges: Sequence[Range], seed: int | None) -> list[Value]:
    """Emit one random column (batch, 1) per range, uniform between its bounds."""
    low, high = zip(*ranges, strict=True)
    U, count = g.RowUniform(X, low=low, high=high, seed=seed), len(ranges)
    return [U if count == 1 else g.Slice(U, *(g.constant([n]) for n in (k, k + 1, 1))) for k in range(count)]


def warped(g: Builder, X: Value, columns: Sequence[Value | float], data_format: str | None, **attributes: Any) -> Value:
    """Emit ``X`` under affine maps; each of their six coefficients is a column (batch, 1), or one float for all rows."""
    column = next(column for column in columns if not isinstance(column, float))
    zero = g.Mul(column, g.constant(0.0))
    filled = [g.Add(zero, g.constant(c)) if isinstance(c, float) else c for c in columns]
    Y = g.AffineWarp(spatial.channels_last(g, X, data_format), g.Concat(*filled, axis=1), **attributes)
    return spatial.from_channels_last(g, Y, data_format)


Mirrors = Annotated[
    Literal["horizontal", "vertical", "horizontal_and_vertical"], described("Left and right, top and bottom, or both.")
]


class RandomFlip(Layer):
    """In training, mirror half of the images. With both directions an image is mirrored in both or in none, as in Keras.

    Shapes: (batch, height, width, channels) → the same.
    """

    mode: Mirrors = "horizontal_and_vertical"
    seed: Seed = None
    data_format: spatial.DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = images(g, X, self.data_format)
        (draw,) = drawn(g, X, [(0.0, 1.0)], self.seed)
        side = g.Where(g.Greater(draw, g.constant(0.5)), g.constant(1.0), g.constant(-1.0))
        across = side if self.mode != "vertical" else 1.0
        down = side if self.mode != "horizontal" else 1.0
        return warped(g, X, [across, 0.0, 0.0, 0.0, down, 0.0], self.data_format, interpolation="nearest")


class FlipMean(Layer, arity=(2, 2)):
    """At prediction the mean of a value and of that for mirrored images; in training the value.

    The second input is what is mirrored: what lies between it and the first is computed twice, with the same weights. An
    answer takes twice the time, a step of training does not.

    Shapes: (batch, …), of images (batch, height, width, channels) → (batch, …).

    Source: Krizhevsky, Sutskever and Hinton, *ImageNet Classification with Deep Convolutional Neural Networks*, 2012.
    """

    mode: Mirrors = "horizontal"
    data_format: spatial.DataFormat = None

    def lower(self, g: Builder, Y: Value, X: Value) -> Value:
        spatial.need_spatial(X, 2, self.data_format)
        down = 2 if self.data_format == "channels_first" else 1
        axes = [axis for axis, one in ((down, "vertical"), (down + 1, "horizontal")) if one in self.mode]
        back, end = [-1] * len(axes), [-(2**31)] * len(axes)
        mirrored = g.again(Y, X, g.Slice(X, *(g.constant(numbers) for numbers in (back, end, axes, back))))
        if mirrored is Y:
            text = "gets a first input that is not computed from the second: nothing in it could be mirrored"
            raise not_allowed(text, "name what the network computes, then the node of the pictures: [pooled, scaled]")
        return g.MeanAtInference(as_float(g, Y), as_float(g, mirrored)).with_mask(Y.mask)


class Warp(Layer):
    """Base of rotation, translation and zoom: an affine map around the centre, from output pixels to input pixels."""

    fill_mode: FillMode = "reflect"
    interpolation: Lookup = "bilinear"
    seed: Seed = None
    fill_value: float = setting(0.0, "The value beyond the border with `fill_mode: constant`.")
    data_format: spatial.DataFormat = None

    def columns(self, g: Builder, X: Value) -> Sequence[Value | float]:
        """Return the six coefficients of each row's map, in the order of the operator AffineWarp."""
        raise NotImplementedError

    def lower(self, g: Builder, X: Value) -> Value:
        X = images(g, X, self.data_format)
        attributes = {"interpolation": self.interpolation, "fill_mode": self.fill_mode, "fill_value": self.fill_value}
        return warped(g, X, self.columns(g, X), self.data_format, **attributes)


class RandomRotation(Warp):
    """In training, rotate each image around its centre by a random angle.

    Shapes: (batch, height, width, channels) → the same.
    """

    factor: Annotated[Range, *_factor(-1, 1, unit=", in turns: 0.125 is 45 degrees")] = setting(
        ..., "Bounds of the angle in turns, f or [low, high]; positive angles are counter-clockwise."
    )

    def columns(self, g: Builder, X: Value) -> Sequence[Value | float]:
        low, high = (2 * math.pi * turns for turns in self.factor)
        (angle,) = drawn(g, X, [(low, high)], self.seed)
        cos, sin = g.Cos(angle), g.Sin(angle)
        return [cos, g.Neg(sin), 0.0, sin, cos, 0.0]


class RandomTranslation(Warp):
    """In training, shift each image by a random distance.

    Shapes: (batch, height, width, channels) → the same.
    """

    height_factor: Share = setting(
        ..., "Bounds of the shift as a fraction of the height, f or [low, high]; above 0 is down."
    )
    width_factor: Share = setting(
        ..., "Bounds of the shift as a fraction of the width, f or [low, high]; above 0 is to the right."
    )

    def columns(self, g: Builder, X: Value) -> Sequence[Value | float]:
        down, across = drawn(g, X, [(-low, -high) for low, high in (self.height_factor, self.width_factor)], self.seed)
        return [1.0, 0.0, across, 0.0, 1.0, down]


class RandomZoom(Warp):
    """In training, zoom each image around its centre by a random factor.

    Shapes: (batch, height, width, channels) → the same.
    """

    height_factor: Zoom = setting(
        ..., "Bounds of the zoom, f or [low, high]: -0.2 shows 20 % less of the height, 0.2 more."
    )
    width_factor: Zoom | None = setting(None, "The same for the width; null keeps the aspect ratio.")

    def columns(self, g: Builder, X: Value) -> Sequence[Value | float]:
        factors = [factor for factor in (self.height_factor, self.width_factor) if factor is not None]
        columns = drawn(g, X, [(1 + low, 1 + high) for low, high in factors], self.seed)
        return [columns[-1], 0.0, 0.0, 0.0, columns[0], 0.0]


class Recolor(Layer):
    """Base of contrast and brightness."""

    value_range: ValueRange = (0.0, 255.0)
    seed: Seed = None
    data_format: spatial.DataFormat = None

    def factor_and_offset(self, g: Builder, X: Value) -> tuple[Value | None, Value | None]:
        """Return each row's factor of the distances to the channel's mean, and the value that is added to its pixels."""
        raise NotImplementedError

    def lower(self, g: Builder, X: Value) -> Value:
        X = images(g, X, self.data_format)
        axes = (2, 3) if self.data_format == "channels_first" else (1, 2)
        low, high = self.value_range
        return g.Recolor(X, *self.factor_and_offset(g, X), low=low, high=high, axes=axes)


class RandomContrast(Recolor):
    """In training, multiply the distances of each image's pixels to the mean of their channel by a random factor.

    A number f draws factors from [1, 1 + f], like Keras's code; Keras documents [1 - f, 1 + f].

    Shapes: (batch, height, width, channels) → the same.
    """

    factor: Annotated[Range, *_factor(0, 1)] = setting(
        ..., "[low, high] for contrast from 1 - low to 1 + high; f for 1 to 1 + f."
    )

    def factor_and_offset(self, g: Builder, X: Value) -> tuple[Value | None, Value | None]:
        return drawn(g, X, [(1 - self.factor[0], 1 + self.factor[1])], self.seed)[0], None


class RandomBrightness(Recolor):
    """In training, add a random value to each image.

    Shapes: (batch, height, width, channels) → the same.
    """

    factor: Share = setting(..., "Bounds of the added value as a fraction of the value range, f or [low, high].")

    def factor_and_offset(self, g: Builder, X: Value) -> tuple[Value | None, Value | None]:
        span = self.value_range[1] - self.value_range[0]
        return None, drawn(g, X, [(self.factor[0] * span, self.factor[1] * span)], self.seed)[0]


class Mix(Layer, arity=(2, 2)):
    """Base of MixUp and CutMix: rows 0 and 1, 2 and 3, … of a batch are mixed, and so are their targets."""

    def kept(self, g: Builder, X: Value) -> tuple[Value, Value]:
        """Return what each row keeps of itself, and of its target: with X's rank, or (N,) or (N, 1)."""
        raise NotImplementedError

    def lower(self, g: Builder, X: Value, target: Value) -> tuple[Value, Value]:
        values = as_float(g, X), as_float(g, target)
        mixed = []
        for V, kept in zip(values, self.kept(g, values[0]), strict=True):
            column = kept if kept.rank == V.rank else g.reshape(kept, (-1, *(1,) * (V.rank - 1)))
            mixed.append(g.MixRows(V, column))
        return mixed[0], mixed[1]


class MixUp(Mix):
    """In training, a weighted mean of two rows of the batch, and the same mean of their targets, which the loss then reads.

    The weight is drawn for each row from Beta(alpha, alpha). Two neighbours of the shuffled batch are mixed, those of one
    worker. Outside training both are what they were.

    Shapes: ``[x, target]``, (batch, …) each → the same, as outputs 0 and 1.
    Zhang et al., *mixup: Beyond Empirical Risk Minimization*, ICLR 2018.
    """

    alpha: Positive = setting(0.2, "The parameter of the Beta distribution: the smaller, the less is mixed.")
    data_format: NoEffect = None
    seed: Seed = None

    def kept(self, g: Builder, X: Value) -> tuple[Value, Value]:
        (draw,) = drawn(g, X, [(0.0, float(_QUANTILES))], self.seed)
        kept = g.Gather(g.constant(beta_quantiles(self.alpha, _QUANTILES)), cast_to(g, draw, "int64"))
        return kept, kept


_QUANTILES = 4096  # of the distribution that MixUp draws from


def beta_quantiles(alpha: float, count: int) -> Array:
    """Return the middles of ``count`` equally likely parts of Beta(alpha, alpha).

    With ``s = t^alpha`` the density of s is smooth at 0, and the upper half mirrors the lower one.
    """
    s = np.linspace(0, 0.5**alpha, 200_001)
    density = (1 - s ** (1 / alpha)) ** (alpha - 1)
    below = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    lower = np.interp((np.arange(count // 2) + 0.5) / count, below / below[-1] / 2, s) ** (1 / alpha)
    return np.concatenate([lower, 1 - lower[::-1]]).astype(np.float32)


class CutMix(Mix):
    """In training, a random box of an image is that of another one, and the target a mean by the areas; see MixUp.

    Box by box of the batch's rows: its centre is anywhere, and what lies beyond the border is cut off.

    Shapes: ``[images, target]``, (batch, height, width, channels) and (batch, …) → the same, as outputs 0 and 1.
    Yun et al., *CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features*, ICCV 2019.
    """

    factor: Annotated[Range, *_factor(0, 1)] = setting(
        1.0, "The part that the box has of the image: up to f, or [low, high].", validate_default=True
    )
    data_format: spatial.DataFormat = None
    seed: Seed = None

    def kept(self, g: Builder, X: Value) -> tuple[Value, Value]:
        spatial.need_spatial(X, 2, self.data_format)
        first = 2 if self.data_format == "channels_first" else 1
        area, *centres = drawn(g, X, [self.factor, (0.0, 1.0), (0.0, 1.0)], self.seed)
        half, cut = g.Sqrt(area) * 0.5, list[Value]()
        for axis, centre in enumerate(centres, first):
            pixels = g.constant((np.arange(X.fixed(axis)) + 0.5) / X.fixed(axis), "float32")
            inside = g.Cast(g.Less(g.Abs(g.constant(0.0) + pixels - centre), half), to="float32")
            cut.append(g.reshape(inside, (0, *(X.fixed(k) if k == axis else 1 for k in (1, 2, 3)))))
        kept = 1.0 - cut[0] * cut[1]
        return kept, g.ReduceMean(kept, axes=(1, 2, 3), keepdims=0)


class RandomCrop(Layer):
    """In training, crop a random window, the same one for the whole batch, as in Keras.

    Outside training, and always for images smaller than the output, take the largest centred window with the aspect
    ratio of the output and resample it bilinearly. Keras documents this, but its layer leaves images unchanged outside
    training and distorts smaller ones.

    Shapes: (batch, rows, columns, channels) → (batch, height, width, channels).
    """

    height: Height
    width: Width
    seed: Seed = None
    data_format: spatial.DataFormat = None

    def lower(self, g: Builder, X: Value) -> Value:
        Y = spatial.channels_first(g, X, 2, self.data_format)
        need_fixed(X, self.data_format, "cropping", key="height")
        old, size = (Y.fixed(2), Y.fixed(3)), (self.height, self.width)
        centre = window(old, size)
        if any(d < n for d, n in zip(old, size, strict=True)):
            Y = resized(g, crop_spatial(g, Y, *centre), size)
        elif old != size:
            rows, columns = (self._weights(*span) for span in zip(old, centre, size, strict=True))
            corner = g.RowUniform(Y, low=(0.0, 0.0), high=(1.0, 1.0), same=True, seed=self.seed)
            Y = g.RandomCrop(Y, corner, g.constant(rows, "float32"), g.constant(columns.T, "float32"))
        return spatial.from_channels_first(g, Y, self.data_format)

    @staticmethod
    def _weights(size: int, span: tuple[int, int], out: int) -> Array:
        """Return the matrix (out, size) that resamples a span (start, length) of an axis."""
        start, length = span
        return np.pad(matrix(length, out, "bilinear"), [(0, 0), (start, size - start - length)])
