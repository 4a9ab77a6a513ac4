"""Connectionist temporal classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type
from graphspec.vocabulary.losses.base import LOSSES, Loss, axis_of, gives_probabilities, producer, refuse, source, warn

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@LOSSES.add("ctc", "CTC")
class CTC(Loss):
    """Connectionist temporal classification: ``-log p(labels)``, summed over all alignments of labels and time steps.

    The head outputs logits; if it ends in a softmax, the loss uses the logits before it. Class 0 is the blank.
    ``input_length`` and ``label_length``, int64 (N,), are optional inputs of :meth:`lower`: without them the head's
    mask and the padding of the labels define the lengths.

    Shapes: head (N, time, classes), targets (N, labels), class ids padded with 0 → (N,).

    Source: Graves et al., *Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
    Neural Networks*, ICML 2006.
    """

    label, targets, uses_mask = "ctc", "labels", False

    def target(self, y_pred: Value) -> Type:
        return Type("int64", (y_pred.shape[0], "labels"))

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank != 3 or not isinstance(y_pred.shape[-1], int) or y_pred.shape[-1] < 2:
            text = f"needs values (batch, time, classes) with at least two classes, got {show(y_pred.shape)}"
            return refuse(text, "use one unit per class, and one for the blank (class 0), at every time step")
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = producer(y_pred)
        if gives_probabilities(op) and axis_of(y_pred, "Softmax") != 2:
            text = f"expects logits, but the activation is {op.activation}"
            return warn(text, "remove the activation, or use softmax over the last axis")
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        logits = source(y_pred) if axis_of(y_pred, "Softmax") == 2 else y_pred
        steps, labels = lengths.get("input_length"), lengths.get("label_length")
        if steps is None and y_pred.mask is not None:
            steps = g.ReduceSum(g.Cast(y_pred.mask, to="int64"), g.constant([1]), keepdims=0)
        return g.CTCLoss(logits, y_true, steps, labels)
