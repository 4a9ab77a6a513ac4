"""Hinge errors: what lacks to a margin of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from graphspec.losses.base import Problem
from graphspec.metrics.base import METRICS, Average, Kind, check_classes

if TYPE_CHECKING:
    from graphspec.compiler.ir import Array, Value


@METRICS.add("Hinge", "hinge")
class Hinge(Average):
    """Mean of ``max(1 - y_true · y_pred, 0)`` for targets of -1 and 1; 0 counts as -1."""

    label = "hinge"
    direction = "down"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        lacks: Array = np.maximum(1 - np.where(y_true == 0, -1, y_true) * y_pred, 0)
        return lacks


@METRICS.add("SquaredHinge", "squared_hinge")
class SquaredHinge(Hinge):
    """Mean of ``max(1 - y_true · y_pred, 0)²`` for targets of -1 and 1; 0 counts as -1."""

    label = "squared_hinge"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        squares: Array = np.square(super().values(y_true, y_pred))
        return squares


@METRICS.add("CategoricalHinge", "categorical_hinge")
class CategoricalHinge(Average):
    """Mean over rows of ``max(0, 1 + largest value of a wrong class - value of the right one)``."""

    label = "categorical_hinge"
    direction = "down"
    targets: ClassVar[tuple[Kind, ...]] = ("one_hot", "like")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return check_classes(self, y_pred, "use `hinge`")

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right, wrong = np.sum(y_true * y_pred, axis=-1), np.max((1 - y_true) * y_pred, axis=-1)
        lacks: Array = np.maximum(wrong - right + 1, 0)
        return lacks
