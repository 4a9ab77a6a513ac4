"""The loss of a node that is itself to be minimised."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import has_rows
from graphspec.vocabulary import Builder
from graphspec.vocabulary import Value as Tensor
from graphspec.vocabulary.losses.loss import LOSSES, Loss, refuse


@LOSSES.add("value", "Value")
class Value(Loss, label="value", targets="none", has_output=False):
    """The node's own values: their mean is minimised, or the one number of a node without a batch axis. No targets.

    It is for terms that a network computes itself, such as the divergence of a variational autoencoder, an energy or a
    regularizer. The head is a term of the loss alone, without an output.

    Shapes: node (N, …), float32 → (N, …); node (…), float32 → one number for the batch.
    """

    def check(self, y_pred: Tensor) -> list[Problem]:
        if not y_pred.type.is_float:
            return refuse(f"needs float32 values, got {y_pred.dtype}", "name the layer that computes numbers")
        return []

    def lower_values(self, g: Builder, y_true: Tensor | None, values: Sequence[Tensor], **lengths: Tensor) -> Tensor:
        X = values[0].with_mask(None)
        return X if X.rank == 0 or has_rows(X.shape) else g.ReduceMean(X, keepdims=0)
