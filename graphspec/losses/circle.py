"""Circle loss: a metric between the rows of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.config import Positive
from graphspec.errors import Problem
from graphspec.ir.dims import show
from graphspec.ir.graph import Type
from graphspec.losses.base import LOSSES, Loss, other_activation, producer, refuse, warn

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LOSSES.add("circle", "Circle")
class Circle(Loss):
    """Rows of one class are drawn together, rows of different classes apart.

    ``softplus(P + Q)`` with the distances ``d = max(1 - x · r, 0)`` of row x to the rows r of the whole batch and the
    margin m: ``P = log Σ exp(-γ (m + d)⁺ (m - d))`` over x's class, ``Q = log Σ exp(γ (1 + m - d)⁺ (1 - m - d))`` over
    the others.
    A row without a partner does not count. Head: (batch, features), rows of length 1. Targets: class ids (batch,), any
    integers: what counts is whether two are equal.
    Sun et al., *Circle loss*, CVPR 2020.
    """

    label, targets, uses_mask = "circle", "groups", False
    gamma: Annotated[Positive, Field(description="How sharply near rows count.")] = 80.0
    margin: Annotated[float, Field(description="The margin m.")] = 0.4
    remove_diagonal: Annotated[bool, Field(description="Whether a row is no partner of its own.")] = True

    def target(self, y_pred: Value) -> Type:
        return Type("int64", y_pred.shape[:1])

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank == 2:
            return []
        text = f"compares vectors (batch, features), but the head has shape {show(y_pred.shape)}"
        return refuse(text, "reduce the head to one vector a row, such as by global pooling")

    def check_activation(self, y_pred: Value) -> list[Problem]:
        name = other_activation(producer(y_pred))
        if name is None:
            return super().check_activation(y_pred)
        text = f"compares vectors of length 1, but the head ends in {name}"
        return warn(text, "put a UnitNormalization behind the layer")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        values = g.CircleLoss(
            y_pred, y_true, gamma=self.gamma, margin=self.margin, remove_diagonal=int(self.remove_diagonal)
        )
        return values.with_mask(g.Greater(values, g.constant(0.0)))
