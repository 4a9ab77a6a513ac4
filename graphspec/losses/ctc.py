"""Connectionist temporal classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.errors import Problem
from graphspec.ir.dims import show
from graphspec.ir.graph import Type
from graphspec.losses.base import LOSSES, Loss, axis_of, gives_probabilities, producer, refuse, source, warn

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LOSSES.add("ctc", "CTC")
class CTC(Loss):
    """Connectionist temporal classification (Graves et al., 2006): ``-log p(labels)`` over all alignments.

    The head's values are logits (batch, time, classes); of one that ends in softmax, its logits. Class 0 is the blank.
    Targets: class ids (batch, labels), padded with 0. ``lower`` takes ``input_length`` and ``label_length``, int64
    (batch,); without them the mask and the padding tell.
    """

    label, targets, uses_mask = "ctc", "labels", False

    def target(self, y_pred: Value) -> Type:
        return Type("int64", (y_pred.shape[0], "labels"))

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank != 3 or not isinstance(y_pred.shape[-1], int) or y_pred.shape[-1] < 2:
            text = f"needs values (batch, time, classes) with at least two classes, got {show(y_pred.shape)}"
            return refuse(text, "use one unit per class and one for the blank, class 0, at every time step")
        return []

    def check_activation(self, y_pred: Value) -> list[Problem]:
        op = producer(y_pred)
        if gives_probabilities(op) and axis_of(y_pred, "Softmax") != 2:
            text = f"takes the head's values as logits, but the activation is {op.activation}"
            return warn(text, "remove the activation, or use softmax over the last axis")
        return []

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **more: Value) -> Value:
        logits = source(y_pred) if axis_of(y_pred, "Softmax") == 2 else y_pred
        steps, labels = more.get("input_length"), more.get("label_length")
        if steps is None and y_pred.mask is not None:
            steps = g.ReduceSum(g.Cast(y_pred.mask, to="int64"), g.constant([1]), keepdims=0)
        return g.CTCLoss(logits, y_true, steps, labels)
