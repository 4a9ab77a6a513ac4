"""Bounded, S-shaped functions, and functions derived from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.vocabulary.activations.base import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@ACTIVATIONS.add("sigmoid")
class Sigmoid(Activation):
    """``1 / (1 + e⁻ˣ)``."""

    op = "Sigmoid"


@ACTIVATIONS.add("hard_sigmoid")
class HardSigmoid(Activation):
    """``min(max(x / 6 + 1/2, 0), 1)``: a piecewise linear sigmoid."""

    op = "HardSigmoid"

    def attributes(self) -> dict[str, float]:
        return {"alpha": 1 / 6, "beta": 0.5}


@ACTIVATIONS.add("sparse_sigmoid")
class SparseSigmoid(Activation):
    """``min(max((x + 1) / 2, 0), 1)`` (Martins and Astudillo, ICML 2016)."""

    op = "HardSigmoid"

    def attributes(self) -> dict[str, float]:
        return {"alpha": 0.5, "beta": 0.5}


@ACTIVATIONS.add("log_sigmoid")
class LogSigmoid(Activation):
    """``log(sigmoid(x))``, computed as ``−softplus(−x)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return g.Neg(g.Softplus(g.Neg(X)))


@ACTIVATIONS.add("tanh")
class Tanh(Activation):
    """``tanh(x)``, the hyperbolic tangent."""

    op = "Tanh"


@ACTIVATIONS.add("tanh_shrink")
class TanhShrink(Activation):
    """``x − tanh(x)``."""

    def lower(self, g: Builder, X: Value) -> Value:
        return g.Sub(X, g.Tanh(X))


@ACTIVATIONS.add("softsign")
class Softsign(Activation):
    """``x / (1 + |x|)``."""

    op = "Softsign"
