"""Dropout, noise and penalties on activations: nothing of them is left outside training."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from graphspec.codes import Code
from graphspec.config import FROM_LIST, NonNegative, PositiveInt, Rate
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, Seed, as_float, need_rank
from graphspec.layers.spatial import DataFormat, need_spatial
from graphspec.regularizers import L1L2

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


Share = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A share to drop: never everything."""
Dropped = Annotated[Share, Field(description="The share of elements that are dropped.")]


def drop(g: Builder, X: Value, rate: float, seed: int | None, shared: Sequence[int] = ()) -> Value:
    """``X`` with elements zeroed at ``rate`` and the others scaled by 1 / (1 − rate) in training.

    One decision is made for all elements along the axes ``shared``.
    """
    if rate == 0.0:
        return X
    if shared:
        return g.SharedDropout(X, rate=rate, shared=tuple(shared), seed=seed)
    attributes: dict[str, Any] = {} if seed is None else {"seed": seed}
    return g.Dropout(X, g.constant(rate, "float32"), g.constant(True), **attributes)


NoiseShape = Annotated[
    tuple[PositiveInt | None, ...] | None,
    FROM_LIST,
    Field(
        description="Shape of the decisions, batch included: 1 shares one along that axis, null is the input's size."
    ),
]


def shared_axes(X: Value, noise_shape: tuple[int | None, ...] | None) -> tuple[int, ...]:
    """The axes along which ``noise_shape`` has one decision; GS301 where it does not broadcast to X."""
    if noise_shape is None:
        return ()
    fits = len(noise_shape) == X.rank and all(n in (None, 1, d) for n, d in zip(noise_shape, X.shape, strict=True))
    if not fits:
        got = ", ".join("null" if n is None else str(n) for n in noise_shape)
        text = f"needs a noise_shape that broadcasts to {show(X.shape)}, got [{got}]"
        hint = f"one entry for each of the {X.rank} axes, the batch included: 1 or null"
        raise ShapeError(Code.WRONG_RANK, text, hint=hint, key="noise_shape")
    return tuple(k for k, n in enumerate(noise_shape) if n == 1)


@LAYERS.add("Dropout")
class Dropout(Layer):
    """In training zeroes elements at random and scales the others by 1 / (1 − rate); else the input itself.

    Shapes: (batch, …) → the same. Srivastava et al., 2014.
    """

    supports_masking = True

    rate: Dropped
    noise_shape: NoiseShape = None
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        return drop(g, as_float(g, X), self.rate, self.seed, shared_axes(X, self.noise_shape))


@LAYERS.add("AlphaDropout")
class AlphaDropout(Layer):
    """In training sets elements to SELU's least value at random and keeps mean and variance; else the input itself.

    Shapes: (batch, …) → the same. Klambauer et al., *Self-normalizing neural networks*, 2017.
    """

    supports_masking = True

    rate: Dropped
    noise_shape: NoiseShape = None
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        shared = shared_axes(X, self.noise_shape)
        X = as_float(g, X)
        return X if self.rate == 0.0 else g.AlphaDropout(X, rate=self.rate, shared=shared, seed=self.seed)


@LAYERS.add("GaussianDropout")
class GaussianDropout(Layer):
    """In training multiplies by numbers of mean 1 and variance rate / (1 − rate); else the input itself.

    Shapes: (batch, …) → the same. Srivastava et al., 2014.
    """

    supports_masking = True

    rate: Annotated[Share, Field(description="Sets the noise's variance, rate / (1 − rate), that of Dropout.")]
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        deviation = sqrt(self.rate / (1 - self.rate))
        return X if self.rate == 0.0 else g.GaussianDropout(X, deviation=deviation, seed=self.seed)


@LAYERS.add("GaussianNoise")
class GaussianNoise(Layer):
    """In training adds numbers of mean 0 and standard deviation ``stddev``; else the input itself.

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    stddev: Annotated[Rate, Field(description="The noise's standard deviation.")]
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        return X if self.stddev == 0.0 else g.GaussianNoise(X, deviation=self.stddev, seed=self.seed)


class SpatialDropout(Layer):
    """Dropout of whole feature maps. Tompson et al., *Efficient object localization using convolutional networks*, 2015."""

    supports_masking = True
    rank: ClassVar[int]

    rate: Annotated[Share, Field(description="The share of feature maps that are dropped.")]
    data_format: DataFormat = None
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_spatial(X, self.rank, self.data_format)
        start = 2 if self.data_format == "channels_first" else 1
        return drop(g, as_float(g, X), self.rate, self.seed, range(start, start + self.rank))


@LAYERS.add("SpatialDropout1D")
class SpatialDropout1D(Layer):
    """Dropout of whole features of a sequence. Shapes: (batch, time, features) → the same."""

    supports_masking = True

    rate: Annotated[Share, Field(description="The share of features that are dropped.")]
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        hint = "for images use the layer's 2D form" if X.rank == 4 else "bring it to (batch, time, features) first"
        need_rank(X, 3, 3, "(batch, time, features)", hint)
        return drop(g, as_float(g, X), self.rate, self.seed, (1,))


@LAYERS.add("SpatialDropout2D")
class SpatialDropout2D(SpatialDropout):
    """Dropout of whole feature maps of images. Shapes: (batch, height, width, channels) → the same."""

    rank = 2


@LAYERS.add("SpatialDropout3D")
class SpatialDropout3D(SpatialDropout):
    """Dropout of whole feature maps of volumes. Shapes: (batch, depth, height, width, channels) → the same."""

    rank = 3


@LAYERS.add("ActivityRegularization")
class ActivityRegularization(Layer):
    """The input itself; ``l1 · Σ |x| + l2 · Σ x²``, averaged over the batch, is added to the loss.

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    l1: Annotated[NonNegative, Field(description="Factor of the sum of absolute values.")] = 0.0
    l2: Annotated[NonNegative, Field(description="Factor of the sum of squares.")] = 0.0

    @property
    def activity_regularizer(self) -> L1L2 | None:
        return L1L2(l1=self.l1, l2=self.l2) if self.l1 or self.l2 else None

    def lower(self, g: Builder, X: Value) -> Value:
        return as_float(g, X)
