"""Random values inside a network, whose gradient flows through the distribution's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from graphspec.codes import Code
from graphspec.config import NonNegative, Positive, invalid
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, Seed, as_float

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LAYERS.add("Sampling")
class Sampling(Layer):
    """In training ``mean + exp(log_variance / 2) · ε`` with ε from N(0, 1); otherwise the mean.

    With a third input, that is ε, always: the values are then random wherever the caller's noise is.

    Shapes: ``[mean, log_variance]`` or ``[mean, log_variance, noise]``, each (batch, …) → the same.
    Kingma and Welling, *Auto-Encoding Variational Bayes*, ICLR 2014.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 3)
    supports_masking = True

    seed: Seed = None

    def lower(self, g: Builder, mean: Value, log_variance: Value, noise: Value | None = None) -> Value:
        for value in (log_variance, noise):
            if value is not None and value.shape != mean.shape:
                text = f"needs inputs of one shape, got {show(mean.shape)} and {show(value.shape)}"
                hint = "compute mean and log variance with layers of the same number of units"
                raise ShapeError(Code.SHAPES_DIFFER, text, hint=hint)
        mean, log_variance = as_float(g, mean), as_float(g, log_variance)
        if noise is None:
            return g.Sample(mean, log_variance, seed=self.seed)
        spread = g.Exp(g.Mul(log_variance, g.constant(0.5)))
        return g.Add(mean, g.Mul(spread, as_float(g, noise)))


def filled(g: Builder, X: Value, number: float) -> Value:
    """Emit ``number`` in X's shape."""
    return g.Expand(g.constant(number, "float32"), g.Shape(X))


@LAYERS.add("RandomNormal")
class RandomNormal(Layer):
    """Normally distributed random values in the shape of its input; outside training their mean.

    Shapes: (batch, …) → the same. The input's values do not matter.
    """

    supports_masking = True

    mean: Annotated[float, Field(allow_inf_nan=False, description="The mean of the values.")] = 0.0
    stddev: Annotated[NonNegative, Field(description="The standard deviation of the values.")] = 1.0
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        Y = filled(g, X, self.mean)
        return Y if self.stddev == 0.0 else g.GaussianNoise(Y, deviation=self.stddev, seed=self.seed)


@LAYERS.add("RandomUniform")
class RandomUniform(Layer):
    """Uniformly distributed random values in the shape of its input; outside training the middle of their range.

    Shapes: (batch, …) → the same. The input's values do not matter.
    """

    supports_masking = True

    minval: Annotated[float, Field(allow_inf_nan=False, description="The lower bound of the values.")] = 0.0
    maxval: Annotated[float, Field(allow_inf_nan=False, description="The upper bound of the values.")] = 1.0
    seed: Seed = None

    @model_validator(mode="after")
    def _check(self) -> RandomUniform:
        if self.maxval < self.minval:
            raise invalid(f"has a maxval of {self.maxval:g} below its minval of {self.minval:g}", "exchange them")
        return self

    def lower(self, g: Builder, X: Value) -> Value:
        Y = filled(g, X, (self.minval + self.maxval) / 2)
        width = (self.maxval - self.minval) / 2
        return g.UniformNoise(Y, width=width, seed=self.seed) if width else Y


@LAYERS.add("GumbelSoftmax")
class GumbelSoftmax(Layer):
    """``softmax((x + γ) / temperature)``, with noise γ of the Gumbel distribution in training and 0 otherwise.

    The lower the temperature, the closer the values are to a one-hot choice that is random with the probabilities
    ``softmax(x)``. With ``hard`` the values are that choice, and the gradient is the softmax's.

    Shapes: logits (batch, …) → the same. Jang, Gu and Poole, *Categorical Reparameterization with Gumbel-Softmax*,
    ICLR 2017; Maddison, Mnih and Teh, *The Concrete Distribution*, ICLR 2017.
    """

    supports_masking = True

    temperature: Annotated[Positive, Field(description="It divides the logits.")] = 1.0
    hard: Annotated[bool, Field(description="Whether the values are one-hot.")] = False
    axis: Annotated[int, Field(description="The axis of the choices.")] = -1
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        if not -X.rank < self.axis < X.rank or self.axis == 0:
            text, hint = f"has no axis {self.axis} in {show(X.shape)}", f"use an axis from 1 to {X.rank - 1}, or -1"
            raise ShapeError(Code.WRONG_RANK, text, hint=hint, key="axis")
        axis, choices = self.axis % X.rank, X.fixed(self.axis)
        noisy = g.GumbelNoise(as_float(g, X), seed=self.seed)
        soft = g.Softmax(g.Mul(noisy, g.constant(1 / self.temperature, "float32")), axis=axis)
        if not self.hard:
            return soft
        chosen = g.ArgMax(soft, axis=axis, keepdims=0)
        one_hot = g.OneHot(chosen, g.constant(choices), g.constant([0.0, 1.0], "float32"), axis=axis)
        return g.StraightThrough(one_hot, soft)
