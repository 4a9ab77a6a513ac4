"""Penalties on weights and activations, lowered to operators and added to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field

from graphspec.config import Config, NonNegative, Registry

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


class Regularizer(Config):
    """Lowers to a scalar penalty."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise :class:`ShapeError` (GS301) if a weight of ``shape`` cannot be penalized so."""

    def lower(self, g: Builder, X: Value) -> Value:
        """The penalty on ``X``, a float32 scalar."""
        raise NotImplementedError


REGULARIZERS: Registry[Regularizer] = Registry("regularizer")


def _absolute(g: Builder, X: Value, factor: float) -> Value:
    return cast("Value", g.Mul(g.ReduceSum(g.Abs(X), keepdims=0), g.constant(factor, "float32")))


def _square(g: Builder, X: Value, factor: float) -> Value:
    return cast("Value", g.Mul(g.ReduceSumSquare(X, keepdims=0), g.constant(factor, "float32")))


@REGULARIZERS.add("L1", "l1")
class L1(Regularizer):
    """``l1 · Σ |x|``."""

    l1: Annotated[NonNegative, Field(description="Factor of the sum of absolute values.")] = 0.01

    def lower(self, g: Builder, X: Value) -> Value:
        return _absolute(g, X, self.l1)


@REGULARIZERS.add("L2", "l2")
class L2(Regularizer):
    """``l2 · Σ x²``."""

    l2: Annotated[NonNegative, Field(description="Factor of the sum of squares.")] = 0.01

    def lower(self, g: Builder, X: Value) -> Value:
        return _square(g, X, self.l2)


@REGULARIZERS.add("L1L2", "l1_l2")
class L1L2(Regularizer):
    """``l1 · Σ |x| + l2 · Σ x²``."""

    l1: Annotated[NonNegative, Field(description="Factor of the sum of absolute values.")] = 0.0
    l2: Annotated[NonNegative, Field(description="Factor of the sum of squares.")] = 0.0

    def lower(self, g: Builder, X: Value) -> Value:
        return cast("Value", g.Add(_absolute(g, X, self.l1), _square(g, X, self.l2)))
