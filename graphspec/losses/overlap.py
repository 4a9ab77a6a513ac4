"""Losses of overlapping regions, over the whole batch unless axes are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.config import Axes, as_tuple
from graphspec.errors import Problem
from graphspec.ir.dims import show
from graphspec.losses.base import EPSILON, LOSSES, OfProbabilities, refuse

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


class Overlap(OfProbabilities):
    """One minus an index of overlap. Without ``axis`` all values of the whole batch make one index."""

    fitting = "`activation: sigmoid` or `activation: softmax`"
    axis: Annotated[Axes | None, Field(description="The axes of a region; null for all of the batch.")] = None

    def check_shape(self, y_pred: Value) -> list[Problem]:
        axes = as_tuple(self.axis)
        for axis in axes:
            if not -y_pred.rank <= axis < y_pred.rank:
                text = f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}"
                return refuse(text, f"use axes from 0, the batch, to {y_pred.rank - 1}, or null for all")
        if len({axis % y_pred.rank for axis in axes}) < len(axes):
            return refuse(f"has an axis twice in {list(axes)}", "name every axis once")
        return super().check_shape(y_pred)

    def sum(self, g: Builder, X: Value) -> Value:
        """Over the region: what the batch axis adds is added over all of the batch."""
        inner = {k % X.rank for k in (range(X.rank) if self.axis is None else as_tuple(self.axis))}
        whole = 0 in inner
        inner -= {0}
        if inner:
            X = g.ReduceSum(X, g.constant(sorted(inner)), keepdims=0)
        return g.BatchSum(X) if whole else X

    def index(self, g: Builder, shared: Value, divisor: Value) -> Value:
        """``1 - shared / (divisor + 1e-7)``: one value a row, or one for the batch."""
        values = g.Sub(g.constant(1.0), g.Div(shared, g.Add(divisor, g.constant(EPSILON))))
        if shared.rank == 0 or shared.shape[0] == "N":
            return values
        reduction = g.ReduceSum(values, keepdims=0) if self.reduction == "sum" else g.ReduceMean(values, keepdims=0)
        return reduction  # no row has a value of its own


@LOSSES.add("dice", "Dice")
class Dice(Overlap):
    """``1 - 2 Σ y · p / (Σ y + Σ p)``. Targets: like the head, from 0 to 1. Milletari et al., *V-Net*, 2016."""

    label = "dice"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        shared = g.Mul(self.sum(g, g.Mul(y_true, y_pred)), g.constant(2.0))
        return self.index(g, shared, g.Add(self.sum(g, y_true), self.sum(g, y_pred)))


@LOSSES.add("tversky", "Tversky")
class Tversky(Overlap):
    """``1 - Σ y·p / (Σ y·p + alpha Σ y·(1 - p) + beta Σ (1 - y)·p)``. Targets: like the head, from 0 to 1.

    Keras calls both weights by the other's error: ``alpha`` weighs what was missed. Salehi et al., 2017.
    """

    label = "tversky"
    alpha: Annotated[float, Field(description="The weight of what should be there and is not.")] = 0.5
    beta: Annotated[float, Field(description="The weight of what is there and should not be.")] = 0.5

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        one = g.constant(1.0)
        shared = self.sum(g, g.Mul(y_true, y_pred))
        missed = self.sum(g, g.Mul(g.Sub(one, y_pred), y_true))
        extra = self.sum(g, g.Mul(y_pred, g.Sub(one, y_true)))
        wrong = g.Add(g.Mul(missed, g.constant(self.alpha)), g.Mul(extra, g.constant(self.beta)))
        return self.index(g, shared, g.Add(shared, wrong))
