"""Piecewise linear functions, and functions with an exponential below 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.config import NonNegative, Positive
from graphspec.vocabulary.activations.base import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@ACTIVATIONS.add("linear")
class Linear(Activation):
    """``x``: the identity."""

    def lower(self, g: Builder, X: Value) -> Value:
        return X

    def in_cell(self) -> tuple[str, tuple[float, ...]]:
        return "Affine", (1.0, 0.0)


@ACTIVATIONS.add("relu")
class Relu(Activation):
    """``max(x, 0)``; in general ``negative_slope · (x − threshold)`` up to ``threshold``, and at most ``max_value``."""

    negative_slope: Annotated[NonNegative, Field(description="Slope below the threshold.")] = 0.0
    max_value: Annotated[NonNegative | None, Field(description="Largest output; null means no limit.")] = None
    threshold: Annotated[NonNegative, Field(description="Inputs up to this value become 0, or follow the slope.")] = 0.0

    def lower(self, g: Builder, X: Value) -> Value:
        slope, limit, threshold = self.negative_slope, self.max_value, self.threshold
        if slope and limit is None and not threshold:
            return g.LeakyRelu(X, alpha=slope)
        Y = g.ThresholdedRelu(X, alpha=threshold) if threshold else X
        if limit is not None:
            Y = g.Clip(Y, g.constant(0.0), g.constant(limit, "float32"))
        elif not threshold:
            Y = g.Relu(X)
        if slope:
            below = g.Neg(X)
            if threshold:
                below = g.Add(below, g.constant(threshold, "float32"))
            Y = g.Sub(Y, g.Mul(g.Relu(below), g.constant(slope, "float32")))
        return Y

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        if self.max_value is not None or (self.negative_slope and self.threshold):
            return None
        if self.threshold:
            return "ThresholdedRelu", (self.threshold,)
        return ("LeakyRelu", (self.negative_slope,)) if self.negative_slope else ("Relu", ())


@ACTIVATIONS.add("relu6")
class Relu6(Activation):
    """``min(max(x, 0), 6)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return g.Clip(X, g.constant(0.0), g.constant(6.0))


@ACTIVATIONS.add("leaky_relu")
class LeakyRelu(Activation):
    """``x`` above 0, ``negative_slope · x`` below (Maas et al., ICML workshop 2013)."""

    op = "LeakyRelu"

    negative_slope: Annotated[NonNegative, Field(description="Slope below 0.")] = 0.2

    def attributes(self) -> dict[str, float]:
        return {"alpha": self.negative_slope}


@ACTIVATIONS.add("elu")
class Elu(Activation):
    """``x`` above 0, ``alpha · (eˣ − 1)`` below (Clevert et al., ICLR 2016)."""

    op = "Elu"

    alpha: Annotated[NonNegative, Field(description="The limit for small x is −alpha.")] = 1.0


@ACTIVATIONS.add("celu")
class Celu(Activation):
    """``x`` above 0, ``alpha · (exp(x / alpha) − 1)`` below: smooth for any alpha (Barron, arXiv 2017)."""

    op = "Celu"

    alpha: Annotated[Positive, Field(description="The limit for small x is −alpha.")] = 1.0


@ACTIVATIONS.add("selu")
class Selu(Activation):
    """``γ · elu(x)`` with α = 1.6732…, γ = 1.0507… (Klambauer et al., NeurIPS 2017)."""

    op = "Selu"


@ACTIVATIONS.add("threshold")
class Threshold(Activation):
    """``x`` above ``threshold``, else ``default_value``."""

    threshold: Annotated[float, Field(description="Inputs above this value pass unchanged.")]
    default_value: Annotated[float, Field(description="The output for all other inputs.")]

    def lower(self, g: Builder, X: Value) -> Value:
        if not self.default_value:
            return g.ThresholdedRelu(X, alpha=self.threshold)
        above = g.Greater(X, g.constant(self.threshold, "float32"))
        return g.Where(above, X, g.constant(self.default_value, "float32"))

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        return None if self.default_value else ("ThresholdedRelu", (self.threshold,))


@ACTIVATIONS.add("hard_tanh")
class HardTanh(Activation):
    """``min(max(x, −1), 1)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return g.Clip(X, g.constant(-1.0), g.constant(1.0))


@ACTIVATIONS.add("hard_shrink")
class HardShrink(Activation):
    """``x`` if ``|x| > threshold``, else 0."""

    op = "Shrink"

    threshold: Annotated[NonNegative, Field(description="Inputs with an absolute value up to this become 0.")] = 0.5

    def attributes(self) -> dict[str, float]:
        return {"lambd": self.threshold}


@ACTIVATIONS.add("soft_shrink")
class SoftShrink(Activation):
    """``x − threshold`` above ``threshold``, ``x + threshold`` below ``−threshold``, else 0."""

    op = "Shrink"

    threshold: Annotated[NonNegative, Field(description="Inputs with an absolute value up to this become 0.")] = 0.5

    def attributes(self) -> dict[str, float]:
        return {"bias": self.threshold, "lambd": self.threshold}
