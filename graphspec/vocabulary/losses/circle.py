"""Circle loss: it compares the rows of a batch with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.config import Positive
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type
from graphspec.vocabulary.losses.base import LOSSES, Loss, other_activation, producer, refuse, warn

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@LOSSES.add("circle", "Circle")
class Circle(Loss):
    """Circle loss: it pulls rows of one class together and pushes rows of different classes apart.

    ``softplus(P + Q)`` for every row x, with the distances ``d = max(1 - x · r, 0)`` from x to the rows r of the whole
    batch and the margin m: ``P = log Σ exp(-γ (m + d)⁺ (m - d))`` over the rows of x's class,
    ``Q = log Σ exp(γ (1 + m - d)⁺ (1 - m - d))`` over the other rows. A row without a partner does not count.

    Shapes: head (N, features), rows of length 1; targets (N,), class ids: any integers, compared for equality only →
    (N,).

    Source: Sun et al., *Circle Loss: A Unified Perspective of Pair Similarity Optimization*, CVPR 2020.
    """

    label, targets, uses_mask = "circle", "groups", False
    gamma: Annotated[Positive, Field(description="The scale γ: larger values focus on the hardest pairs.")] = 80.0
    margin: Annotated[float, Field(description="The margin m.")] = 0.4
    remove_diagonal: Annotated[bool, Field(description="Whether a row is excluded from its own partners.")] = True

    def target(self, y_pred: Value) -> Type:
        return Type("int64", y_pred.shape[:1])

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank == 2:
            return []
        text = f"compares vectors (batch, features), but the head has shape {show(y_pred.shape)}"
        return refuse(text, "reduce the head to one vector per row, for example by global pooling")

    def check_activation(self, y_pred: Value) -> list[Problem]:
        name = other_activation(producer(y_pred))
        if name is None:
            return super().check_activation(y_pred)
        text = f"compares vectors of length 1, but the head ends in {name}"
        return warn(text, "add a UnitNormalization after the layer")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        values = g.CircleLoss(
            y_pred, y_true, gamma=self.gamma, margin=self.margin, remove_diagonal=int(self.remove_diagonal)
        )
        return values.with_mask(g.Greater(values, g.constant(0.0)))
