"""Losses of overlapping regions, computed over the whole batch unless ``axis`` is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.config import Axes, as_tuple
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.losses.base import EPSILON, LOSSES, OfProbabilities, refuse

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


class Overlap(OfProbabilities):
    """Base: one minus an overlap index. Without ``axis`` there is one index for the whole batch."""

    suitable_activation = "`activation: sigmoid` or `activation: softmax`"
    axis: Annotated[Axes | None, Field(description="The axes that are summed over; null for all, with the batch.")] = (
        None
    )

    def check_shape(self, y_pred: Value) -> list[Problem]:
        axes = as_tuple(self.axis)
        for axis in axes:
            if not -y_pred.rank <= axis < y_pred.rank:
                text = f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}"
                return refuse(text, f"use axes from 0 (the batch) to {y_pred.rank - 1}, or null for all")
        if len({axis % y_pred.rank for axis in axes}) < len(axes):
            return refuse(f"repeats an axis in {list(axes)}", "list every axis once")
        return super().check_shape(y_pred)

    def sum(self, g: Builder, X: Value) -> Value:
        """Emit the sum over the region; the batch axis is summed over all workers' rows."""
        axes = {k % X.rank for k in (range(X.rank) if self.axis is None else as_tuple(self.axis))}
        inner = sorted(axes - {0})
        if inner:
            X = g.ReduceSum(X, g.constant(inner), keepdims=0)
        return g.BatchSum(X) if 0 in axes else X

    def index(self, g: Builder, overlap: Value, divisor: Value) -> Value:
        """Emit ``1 - overlap / (divisor + 1e-7)``: one value per row, or one for the batch."""
        values = g.Sub(g.constant(1.0), g.Div(overlap, g.Add(divisor, g.constant(EPSILON))))
        if overlap.rank == 0 or overlap.shape[0] == "N":
            return values
        # Values without a batch axis belong to no row, so they are reduced here.
        return g.ReduceSum(values, keepdims=0) if self.reduction == "sum" else g.ReduceMean(values, keepdims=0)


@LOSSES.add("dice", "Dice")
class Dice(Overlap):
    """Dice loss: ``1 - 2 Σ y · p / (Σ y + Σ p + 1e-7)``, summed over ``axis``.

    Shapes: head (N, …), targets of the same shape, from 0 to 1 → a scalar for the whole batch; if ``axis`` does not
    contain the batch, the remaining axes.

    Source: Milletari et al., *V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation*,
    2016.
    """

    label = "dice"

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        overlap = g.Mul(self.sum(g, g.Mul(y_true, y_pred)), g.constant(2.0))
        return self.index(g, overlap, g.Add(self.sum(g, y_true), self.sum(g, y_pred)))


@LOSSES.add("tversky", "Tversky")
class Tversky(Overlap):
    """Tversky loss: ``1 - Σ y·p / (Σ y·p + alpha Σ y·(1 - p) + beta Σ (1 - y)·p + 1e-7)``, summed over ``axis``.

    As in Keras's code, and other than in its documentation, ``alpha`` weights false negatives and ``beta`` false
    positives.

    Shapes: head (N, …), targets of the same shape, from 0 to 1 → a scalar for the whole batch; if ``axis`` does not
    contain the batch, the remaining axes.

    Source: Salehi et al., *Tversky loss function for image segmentation using 3D fully convolutional deep networks*,
    2017.
    """

    label = "tversky"
    alpha: Annotated[float, Field(description="The weight of false negatives.")] = 0.5
    beta: Annotated[float, Field(description="The weight of false positives.")] = 0.5

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        one = g.constant(1.0)
        overlap = self.sum(g, g.Mul(y_true, y_pred))
        missed = self.sum(g, g.Mul(g.Sub(one, y_pred), y_true))
        extra = self.sum(g, g.Mul(y_pred, g.Sub(one, y_true)))
        errors = g.Add(g.Mul(missed, g.constant(self.alpha)), g.Mul(extra, g.constant(self.beta)))
        return self.index(g, overlap, g.Add(overlap, errors))
