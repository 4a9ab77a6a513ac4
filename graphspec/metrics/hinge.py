"""Hinge errors: what lacks to a margin of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graphspec.errors import Problem
from graphspec.losses import hinge
from graphspec.metrics.base import METRICS, Kind, check_classes
from graphspec.metrics.of_loss import OfLoss

if TYPE_CHECKING:
    from graphspec.ir.graph import Value


@METRICS.add("Hinge", "hinge")
class Hinge(OfLoss):
    """Mean of ``max(1 - y_true · y_pred, 0)`` for targets of -1 and 1; 0 counts as -1."""

    label, of = "hinge", hinge.Hinge


@METRICS.add("SquaredHinge", "squared_hinge")
class SquaredHinge(OfLoss):
    """Mean of ``max(1 - y_true · y_pred, 0)²`` for targets of -1 and 1; 0 counts as -1."""

    label, of = "squared_hinge", hinge.SquaredHinge


@METRICS.add("CategoricalHinge", "categorical_hinge")
class CategoricalHinge(OfLoss):
    """Mean over rows of ``max(0, 1 + largest value of a wrong class - value of the right one)``."""

    label, of, by_class = "categorical_hinge", hinge.CategoricalHinge, True
    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_classes(self, y_pred, "use `hinge`")
