"""Hinge losses: zero for values beyond a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.errors import Problem
from graphspec.vocabulary.losses.base import (
    LOSSES,
    Loss,
    check_classes,
    gives_probabilities,
    mean,
    producer,
    total,
    warn,
)

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


class Margin(Loss):
    """Base of the losses of ``max(1 - y · y_pred, 0)`` per unit, for targets y of -1 and 1; 0 counts as -1."""

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = producer(y_pred)
        if not gives_probabilities(op):
            return super().check_activation(y_pred)
        text = f"needs values beyond -1 and 1, but {op.activation} returns none below 0"
        return warn(text, "use `activation: tanh` or none, or binary_crossentropy")

    def shortfall(self, g: Builder, y_true: Value, y_pred: Value) -> Value:
        """Emit ``max(1 - y · y_pred, 0)``: the distance to the margin."""
        signs = g.Where(g.Equal(y_true, g.constant(0.0)), g.constant(-1.0), y_true)
        return g.Relu(g.Sub(g.constant(1.0), g.Mul(signs, y_pred)))


@LOSSES.add("hinge", "Hinge")
class Hinge(Margin):
    """Mean of ``max(1 - y · y_pred, 0)`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape, -1 (or 0) and 1 → (N, …).
    """

    label = "hinge"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        return mean(g, self.shortfall(g, y_true, y_pred))


@LOSSES.add("squared_hinge", "SquaredHinge")
class SquaredHinge(Margin):
    """Mean of ``max(1 - y · y_pred, 0)²`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape, -1 (or 0) and 1 → (N, …).
    """

    label = "squared_hinge"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        shortfall = self.shortfall(g, y_true, y_pred)
        return mean(g, g.Mul(shortfall, shortfall))


@LOSSES.add("categorical_hinge", "CategoricalHinge")
class CategoricalHinge(Loss):
    """``max(1 + max((1 - y) · y_pred) - Σ y · y_pred, 0)`` over the classes, the last axis.

    Shapes: head (N, …, classes), targets of the same shape, one-hot → (N, …).
    """

    label, targets = "categorical_hinge", "one_hot"

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or check_classes(-1, y_pred)

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        right = total(g, g.Mul(y_true, y_pred))
        others = g.Mul(g.Sub(g.constant(1.0), y_true), y_pred)
        best = g.ReduceMax(others, axes=(y_pred.rank - 1,), keepdims=0)
        return g.Relu(g.Add(g.Sub(best, right), g.constant(1.0)))
