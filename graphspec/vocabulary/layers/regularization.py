"""Other dropout, noise, random values and penalties on activations: nothing is random outside training. StopGradient."""

from __future__ import annotations

from math import sqrt
from typing import Annotated, ClassVar

from graphspec.base.config import NonNegative, Positive, Rate, described, invalid, setting
from graphspec.graph.regularizers import L1L2
from graphspec.vocabulary import Builder, Value, shapes_differ, show, wrong_rank
from graphspec.vocabulary.layers.core import Dropout, DropRate, drop, shared_axes
from graphspec.vocabulary.layers.layer import LAYERS, Layer, Seed, as_float, need_rank
from graphspec.vocabulary.layers.spatial import DataFormat, by_rank, need_spatial


class AlphaDropout(Dropout):
    """In training, set random elements to SELU's negative limit, then rescale; otherwise the identity.

    An affine map keeps mean and variance.

    Shapes: (batch, …) → the same. Klambauer et al., *Self-Normalizing Neural Networks*, NIPS 2017.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        shared = shared_axes(X, self.noise_shape)
        X = as_float(g, X)
        return X if self.rate == 0.0 else g.AlphaDropout(X, rate=self.rate, shared=shared, seed=self.seed)


class GaussianDropout(Layer, supports_masking=True):
    """In training, multiply by Gaussian noise of mean 1 and variance rate / (1 − rate); otherwise the identity.

    Shapes: (batch, …) → the same. Srivastava et al., *Dropout*, JMLR 2014.
    """

    rate: DropRate = setting(..., "The noise has the variance rate / (1 − rate), as Dropout's.")
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        deviation = sqrt(self.rate / (1 - self.rate))
        return X if self.rate == 0.0 else g.GaussianDropout(X, deviation=deviation, seed=self.seed)


class GaussianNoise(Layer, supports_masking=True):
    """In training, add Gaussian noise of mean 0 and standard deviation ``stddev``; otherwise the identity.

    Shapes: (batch, …) → the same.
    """

    stddev: Rate = setting(..., "The noise's standard deviation.")
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        return X if self.stddev == 0.0 else g.GaussianNoise(X, deviation=self.stddev, seed=self.seed)


class SpatialDropout(Layer, supports_masking=True):
    """Base: dropout of entire feature maps."""

    rank: ClassVar[int]

    rate: DropRate = setting(..., "The fraction of feature maps that are dropped.")
    data_format: DataFormat = None
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_spatial(X, self.rank, self.data_format)
        start = 2 if self.data_format == "channels_first" else 1
        return drop(g, as_float(g, X), self.rate, self.seed, range(start, start + self.rank))


class SpatialDropout1D(Layer, supports_masking=True):
    """Dropout of entire features: a feature is dropped at all steps of a sequence.

    Shapes: (batch, time, features) → the same.
    Tompson et al., *Efficient Object Localization Using Convolutional Networks*, CVPR 2015.
    """

    rate: DropRate = setting(..., "The fraction of features that are dropped.")
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        hint = "for images use the layer's 2D form" if X.rank == 4 else "reshape it to (batch, time, features) first"
        need_rank(X, 3, 3, "(batch, time, features)", hint)
        return drop(g, as_float(g, X), self.rate, self.seed, (1,))


by_rank(
    SpatialDropout,
    "SpatialDropout{}D",
    "Dropout of entire feature maps of {data}.",
    "(batch, {axes}, channels) → the same.\n"
    "Tompson et al., *Efficient Object Localization Using Convolutional Networks*, CVPR 2015.",
    (2, 3),
)


class ActivityRegularization(Layer, supports_masking=True):
    """The identity, with a penalty: ``l1 · Σ |x| + l2 · Σ x²``, averaged over the batch, is added to the loss.

    Shapes: (batch, …) → the same.
    """

    l1: NonNegative = setting(0.0, "The factor of the sum of absolute values.")
    l2: NonNegative = setting(0.0, "The factor of the sum of squares.")

    @property
    def activity_regularizer(self) -> L1L2 | None:
        return L1L2(l1=self.l1, l2=self.l2) if self.l1 or self.l2 else None

    def lower(self, g: Builder, X: Value) -> Value:
        return as_float(g, X)


class Sampling(Layer, arity=(2, 3), supports_masking=True):
    """In training ``mean + exp(log_variance / 2) · ε`` with ε from N(0, 1); otherwise the mean.

    With a third input, that is ε, always: the values are then random wherever the caller's noise is.

    Shapes: ``[mean, log_variance]`` or ``[mean, log_variance, noise]``, each (batch, …) → the same.
    Kingma and Welling, *Auto-Encoding Variational Bayes*, ICLR 2014.
    """

    seed: Seed = None

    def lower(self, g: Builder, mean: Value, log_variance: Value, noise: Value | None = None) -> Value:
        for value in (log_variance, noise):
            if value is not None and value.shape != mean.shape:
                text = f"needs inputs of one shape, got {show(mean.shape)} and {show(value.shape)}"
                raise shapes_differ(text, "compute mean and log variance with layers of the same number of units")
        mean, log_variance = as_float(g, mean), as_float(g, log_variance)
        if noise is None:
            return g.Sample(mean, log_variance, seed=self.seed)
        return mean + g.Exp(log_variance * 0.5) * as_float(g, noise)


def filled(g: Builder, X: Value, number: float) -> Value:
    """Emit ``number`` in X's shape."""
    return g.Expand(g.constant(number, "float32"), g.Shape(X))


class RandomNormal(Layer, supports_masking=True):
    """Normally distributed random values in the shape of its input; outside training their mean.

    Shapes: (batch, …) → the same. The input's values do not matter.
    """

    mean: Annotated[float, described("The mean of the values.", allow_inf_nan=False)] = 0.0
    stddev: NonNegative = setting(1.0, "The standard deviation of the values.")
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        Y = filled(g, X, self.mean)
        return Y if self.stddev == 0.0 else g.GaussianNoise(Y, deviation=self.stddev, seed=self.seed)


class RandomUniform(Layer, supports_masking=True):
    """Uniformly distributed random values in the shape of its input; outside training the middle of their range.

    Shapes: (batch, …) → the same. The input's values do not matter.
    """

    minval: Annotated[float, described("The lower bound of the values.", allow_inf_nan=False)] = 0.0
    maxval: Annotated[float, described("The upper bound of the values.", allow_inf_nan=False)] = 1.0
    seed: Seed = None

    def check_arguments(self) -> None:
        if self.maxval < self.minval:
            raise invalid(f"has a maxval of {self.maxval:g} below its minval of {self.minval:g}", "exchange them")

    def lower(self, g: Builder, X: Value) -> Value:
        Y = filled(g, X, (self.minval + self.maxval) / 2)
        width = (self.maxval - self.minval) / 2
        return g.UniformNoise(Y, width=width, seed=self.seed) if width else Y


class GumbelSoftmax(Layer, supports_masking=True):
    """``softmax((x + γ) / temperature)``, with noise γ of the Gumbel distribution in training and 0 otherwise.

    The lower the temperature, the closer the values are to a one-hot choice that is random with the probabilities
    ``softmax(x)``. With ``hard`` the values are that choice, and the gradient is the softmax's.

    Shapes: logits (batch, …) → the same. Jang, Gu and Poole, *Categorical Reparameterization with Gumbel-Softmax*,
    ICLR 2017; Maddison, Mnih and Teh, *The Concrete Distribution*, ICLR 2017.
    """

    temperature: Positive = setting(1.0, "It divides the logits.")
    hard: bool = setting(False, "Whether the values are one-hot.")
    axis: int = setting(-1, "The axis of the choices.")
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        if not -X.rank < self.axis < X.rank or self.axis == 0:
            text = f"has no axis {self.axis} in {show(X.shape)}"
            raise wrong_rank(text, f"use an axis from 1 to {X.rank - 1}, or -1", key="axis")
        axis, choices = self.axis % X.rank, X.fixed(self.axis)
        noisy = g.GumbelNoise(as_float(g, X), seed=self.seed)
        soft = g.Softmax(noisy * (1 / self.temperature), axis=axis)
        if not self.hard:
            return soft
        chosen = g.ArgMax(soft, axis=axis, keepdims=0)
        one_hot = g.OneHot(chosen, g.constant(choices), g.constant([0.0, 1.0], "float32"), axis=axis)
        return g.StraightThrough(one_hot, soft)


class StopGradient(Layer, supports_masking=True):
    """The identity, through which no gradient flows: what its input depends on is not trained by what reads it.

    It is ``keras.ops.stop_gradient``. Exported files do not contain it.

    Shapes: (batch, …) → the same.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        return g.StopGradient(X)


@LAYERS.add("StochasticDepth", "DropPath")
class StochasticDepth(Layer, supports_masking=True):
    """In training, set all of a random sample to 0 and scale the others by 1 / (1 − rate); otherwise the identity.

    It stands at the end of a residual branch, before Add: for some samples the branch is then left out. As torchvision's
    with mode "row", and KerasCV's DropPath.

    Shapes: (batch, …) → the same. Huang et al., *Deep Networks with Stochastic Depth*, ECCV 2016.
    """

    rate: DropRate = setting(0.5, "The fraction of samples for which the input becomes 0.")
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        return drop(g, as_float(g, X), self.rate, self.seed, range(1, X.rank))
