"""Smooth relatives of relu: x times a function of x, or a smooth bend at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.config import NonNegative
from graphspec.vocabulary.activations.base import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


_LARGE = 1e18  # float32 can represent its square, and adding b to the square does not change it


@ACTIVATIONS.add("gelu")
class Gelu(Activation):
    """``x · Φ(x)`` with the normal distribution's Φ, exact or by tanh (Hendrycks and Gimpel, arXiv 2016)."""

    op = "Gelu"

    approximate: Annotated[bool, Field(description="Use the tanh approximation.")] = False

    def attributes(self) -> dict[str, str]:
        return {"approximate": "tanh" if self.approximate else "none"}


@ACTIVATIONS.add("silu", "swish")
class Silu(Activation):
    """``x · sigmoid(x)`` (Ramachandran et al., arXiv 2017)."""

    op = "Swish"


@ACTIVATIONS.add("hard_silu", "hard_swish")
class HardSilu(Activation):
    """``x · min(max(x / 6 + 1/2, 0), 1)`` (Howard et al., ICCV 2019)."""

    op = "HardSwish"


@ACTIVATIONS.add("mish")
class Mish(Activation):
    """``x · tanh(log(1 + eˣ))`` (Misra, arXiv 2019)."""

    op = "Mish"


@ACTIVATIONS.add("exponential")
class Exponential(Activation):
    """``eˣ``."""

    op = "Exp"


@ACTIVATIONS.add("softplus")
class Softplus(Activation):
    """``log(1 + eˣ)``."""

    op = "Softplus"


@ACTIVATIONS.add("sparse_plus")
class SparsePlus(Activation):
    """0 for x up to −1, ``(x + 1)² / 4`` up to 1, then ``x``."""

    def lower(self, g: Builder, X: Value) -> Value:
        half = g.HardSigmoid(X, alpha=0.5, beta=0.5)
        return g.Where(g.Less(X, g.constant(1.0)), g.Mul(half, half), X)


@ACTIVATIONS.add("squareplus")
class Squareplus(Activation):
    """``(x + √(x² + b)) / 2`` (Barron, arXiv 2021)."""

    b: Annotated[NonNegative, Field(description="Smoothness of the bend: 4 resembles softplus, 0 is relu.")] = 4

    def lower(self, g: Builder, X: Value) -> Value:
        if not self.b:
            return g.Relu(X)
        # For negative x the two terms cancel; b / 4 divided by the function of |x| is the same without cancellation.
        negative = g.Less(X, g.constant(0.0))
        magnitude = g.Where(negative, g.Neg(X), X)
        bounded = g.Clip(magnitude, None, g.constant(_LARGE))
        root = g.Sqrt(g.Add(g.Mul(bounded, bounded), g.constant(self.b, "float32")))
        Y = g.Add(g.Mul(g.Add(bounded, root), g.constant(0.5)), g.Sub(magnitude, bounded))
        return g.Where(negative, g.Div(g.constant(self.b / 4, "float32"), Y), Y)
