"""The loss of a node that is itself to be minimised."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.base.errors import Problem
from graphspec.vocabulary import Builder
from graphspec.vocabulary import Value as Tensor
from graphspec.vocabulary.losses.loss import LOSSES, Loss, refuse


@LOSSES.add("value", "Value")
class Value(Loss, label="value", targets="none", has_output=False):
    """The node's own values: their mean is minimised. There are no targets.

    It is for terms that a network computes itself, such as the divergence of a variational autoencoder, an energy or a
    regularizer. The head is a term of the loss alone, without an output.

    Shapes: node (N, …), float32 → (N, …).
    """

    def check(self, y_pred: Tensor) -> list[Problem]:
        if y_pred.type.is_float and y_pred.rank > 0:
            return []
        if y_pred.rank > 0:
            return refuse(f"needs float32 values, got {y_pred.dtype}", "name the layer that computes numbers")
        return super().check(y_pred)

    def lower_values(self, g: Builder, y_true: Tensor | None, values: Sequence[Tensor], **lengths: Tensor) -> Tensor:
        return values[0].with_mask(None)
