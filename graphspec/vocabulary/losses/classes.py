"""Losses of classes: alignments, margins, overlaps of regions."""

from __future__ import annotations

from typing import ClassVar

from graphspec.base.config import Axes, as_tuple, setting
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type
from graphspec.vocabulary import Builder, Value
from graphspec.vocabulary.losses import loss as base


@base.LOSSES.add("ctc", "CTC")
class CTC(base.Loss, label="ctc", targets="labels", uses_mask=False):
    """Connectionist temporal classification: ``-log p(labels)``, summed over all alignments of labels and time steps.

    The head outputs logits; if it ends in a softmax, the loss uses the logits before it. Class 0 is the blank.
    ``input_length`` and ``label_length``, int64 (N,), are optional inputs of :meth:`lower`: without them the head's
    mask and the padding of the labels define the lengths.

    Shapes: head (N, time, classes), targets (N, labels), class ids padded with 0 → (N,).

    Source: Graves et al., *Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
    Neural Networks*, ICML 2006.
    """

    def target(self, y_pred: Value) -> Type:
        return Type("int64", (y_pred.shape[0], "labels"))

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank != 3 or not isinstance(y_pred.shape[-1], int) or y_pred.shape[-1] < 2:
            text = f"needs values (batch, time, classes) with at least two classes, got {show(y_pred.shape)}"
            return base.refuse(text, "use one unit per class, and one for the blank (class 0), at every time step")
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = base.producer(y_pred)
        if base.gives_probabilities(op) and base.axis_of(y_pred, "Softmax") != 2:
            text = f"expects logits, but the activation is {op.activation}"
            return base.warn(text, "remove the activation, or use softmax over the last axis")
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        logits = base.source(y_pred) if base.axis_of(y_pred, "Softmax") == 2 else y_pred
        steps, labels = lengths.get("input_length"), lengths.get("label_length")
        if steps is None and y_pred.mask is not None:
            steps = g.ReduceSum(g.Cast(y_pred.mask, to="int64"), g.constant([1]), keepdims=0)
        return g.CTCLoss(logits, y_true, steps, labels)


@base.LOSSES.add("crf", "CRF")
class CRF(base.Loss, label="crf", targets="ids", fits="classes", uses_mask=False):
    """``-log p(tags)`` of a linear-chain conditional random field, for a head on a CRF layer, which has the transitions.

    Shapes: head (N, time, tags), targets (N, time), class ids → (N,). Steps that the mask hides do not count; they follow
    the others.

    Source: Lafferty, McCallum and Pereira, *Conditional Random Fields*, ICML 2001.
    """

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.node is not None and y_pred.node.op == "Viterbi":
            return []
        text = "needs the transitions of a CRF layer, but the head is on another layer"
        return base.refuse(text, "add `type: CRF` after the layer that scores the tags, and name it in the head")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        assert y_pred.node is not None
        scores, transitions, ends, *mask = y_pred.node.inputs
        return g.CRFLoss(scores, transitions, ends, y_true, *mask)


# Hinge losses: zero for values beyond a margin.
class Margin(base.Loss):
    """Base of the losses of ``max(1 - y · y_pred, 0)`` per unit, for targets y of -1 and 1; 0 counts as -1."""

    squared: ClassVar[bool] = False

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = base.producer(y_pred)
        if not base.gives_probabilities(op):
            return super().check_activation(y_pred)
        text = f"needs values beyond -1 and 1, but {op.activation} returns none below 0"
        return base.warn(text, "use `activation: tanh` or none, or binary_crossentropy")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        signs = g.Where(g.Equal(y_true, g.constant(0.0)), g.constant(-1.0), y_true)
        shortfall = g.Relu(1.0 - signs * y_pred)
        return base.mean(g, shortfall * shortfall if self.squared else shortfall)


@base.LOSSES.add("hinge", "Hinge")
class Hinge(Margin, label="hinge"):
    """Mean of ``max(1 - y · y_pred, 0)`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape, -1 (or 0) and 1 → (N, …).
    """


@base.LOSSES.add("squared_hinge", "SquaredHinge")
class SquaredHinge(Margin, label="squared_hinge", squared=True):
    """Mean of ``max(1 - y · y_pred, 0)²`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape, -1 (or 0) and 1 → (N, …).
    """


@base.LOSSES.add("categorical_hinge", "CategoricalHinge")
class CategoricalHinge(base.Loss, label="categorical_hinge", targets="one_hot"):
    """``max(1 + max((1 - y) · y_pred) - Σ y · y_pred, 0)`` over the classes, the last axis.

    Shapes: head (N, …, classes), targets of the same shape, one-hot → (N, …).
    """

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or base.check_classes(-1, y_pred)

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        right = base.total(g, y_true * y_pred)
        best = g.ReduceMax((1.0 - y_true) * y_pred, axes=(y_pred.rank - 1,), keepdims=0)
        return g.Relu(best - right + 1.0)


# Losses of overlapping regions, computed over the whole batch unless ``axis`` is set.
class Overlap(base.OfProbabilities, suitable_activation="`activation: sigmoid` or `activation: softmax`"):
    """Base: one minus an overlap index. Without ``axis`` there is one index for the whole batch."""

    axis: Axes | None = setting(None, "The axes that are summed over; null for all, with the batch.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        axes = as_tuple(self.axis)
        for axis in axes:
            if not -y_pred.rank <= axis < y_pred.rank:
                text = f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}"
                return base.refuse(text, f"use axes from 0 (the batch) to {y_pred.rank - 1}, or null for all")
        if len({axis % y_pred.rank for axis in axes}) < len(axes):
            return base.refuse(f"repeats an axis in {list(axes)}", "list every axis once")
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
        values = g.constant(1.0) - overlap / (divisor + base.EPSILON)
        if overlap.rank == 0 or overlap.shape[0] == "N":
            return values
        # Values without a batch axis belong to no row, so they are reduced here.
        return g.ReduceSum(values, keepdims=0) if self.reduction == "sum" else g.ReduceMean(values, keepdims=0)


@base.LOSSES.add("dice", "Dice")
class Dice(Overlap, label="dice"):
    """Dice loss: ``1 - 2 Σ y · p / (Σ y + Σ p + 1e-7)``, summed over ``axis``.

    Shapes: head (N, …), targets of the same shape, from 0 to 1 → a scalar for the whole batch; if ``axis`` does not
    contain the batch, the remaining axes.

    Source: Milletari et al., *V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation*,
    2016.
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        overlap = self.sum(g, y_true * y_pred) * 2.0
        return self.index(g, overlap, self.sum(g, y_true) + self.sum(g, y_pred))


@base.LOSSES.add("tversky", "Tversky")
class Tversky(Overlap, label="tversky"):
    """Tversky loss: ``1 - Σ y·p / (Σ y·p + alpha Σ y·(1 - p) + beta Σ (1 - y)·p + 1e-7)``, summed over ``axis``.

    As in Keras's code, and other than in its documentation, ``alpha`` weights false negatives and ``beta`` false
    positives.

    Shapes: head (N, …), targets of the same shape, from 0 to 1 → a scalar for the whole batch; if ``axis`` does not
    contain the batch, the remaining axes.

    Source: Salehi et al., *Tversky loss function for image segmentation using 3D fully convolutional deep networks*,
    2017.
    """

    alpha: float = setting(0.5, "The weight of false negatives.")
    beta: float = setting(0.5, "The weight of false positives.")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        one = g.constant(1.0)
        overlap = self.sum(g, y_true * y_pred)
        missed, extra = self.sum(g, (one - y_pred) * y_true), self.sum(g, y_pred * (one - y_true))
        return self.index(g, overlap, overlap + (missed * self.alpha + extra * self.beta))
