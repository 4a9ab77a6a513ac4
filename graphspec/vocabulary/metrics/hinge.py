"""Hinge errors: the distance to a margin of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graphspec.base.errors import Problem
from graphspec.vocabulary.losses import hinge
from graphspec.vocabulary.losses.base import Targets
from graphspec.vocabulary.metrics.base import METRICS, check_classes
from graphspec.vocabulary.metrics.of_loss import OfLoss

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Value


@METRICS.add("Hinge", "hinge")
class Hinge(OfLoss):
    """Mean of ``max(1 - y_true · y_pred, 0)`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape, -1 (or 0) and 1. Masked rows do not count.
    """

    label, of = "hinge", hinge.Hinge


@METRICS.add("SquaredHinge", "squared_hinge")
class SquaredHinge(OfLoss):
    """Mean of ``max(1 - y_true · y_pred, 0)²`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape, -1 (or 0) and 1. Masked rows do not count.
    """

    label, of = "squared_hinge", hinge.SquaredHinge


@METRICS.add("CategoricalHinge", "categorical_hinge")
class CategoricalHinge(OfLoss):
    """Mean over rows of ``max(1 + max((1 - y) · y_pred) - Σ y · y_pred, 0)`` over the classes.

    Shapes: head (N, …, classes), targets of the same shape, one-hot. Masked rows do not count.
    """

    label, of, by_class = "categorical_hinge", hinge.CategoricalHinge, True
    targets: ClassVar[tuple[Targets, ...]] = ("one_hot", "like")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_classes(self, y_pred, "use `hinge`")
