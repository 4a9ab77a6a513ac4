"""The loss of quantiles: what a value stays below with a given probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.config import FROM_LIST
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type
from graphspec.vocabulary.losses.base import LOSSES, Loss, mean, refuse

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Array, Value

Share = Annotated[float, Field(gt=0, lt=1)]


@LOSSES.add("quantile", "Quantile", "pinball", "Pinball")
class Quantile(Loss):
    """Mean over the quantiles q of ``max(q · e, (q - 1) · e)``, ``e = y_true - y_pred``: the pinball loss.

    The head has a unit for each quantile, and the target one value. A unit with q = 0.9 is to be above nine of ten
    values; q = 0.5 is the median, with half the absolute error.

    Shapes: head (N, …, quantiles), targets (N, …) → (N, …).

    Source: Koenker and Bassett, *Regression Quantiles*, 1978.
    """

    label, targets, fits, of_differences = "quantile", "one", "numbers", True
    quantiles: Annotated[
        tuple[Share, ...], FROM_LIST, Field(min_length=1, description="The probability of each unit, between 0 and 1.")
    ] = (0.1, 0.5, 0.9)

    def target(self, y_pred: Value) -> Type:
        return Type("float32", y_pred.shape[:-1])

    def class_axis(self, y_pred: Value) -> int | None:
        return None

    def point(self, answers: Array) -> Array:
        """Return the quantile that is closest to the median."""
        middle: Array = answers[..., min(range(len(self.quantiles)), key=lambda k: abs(self.quantiles[k] - 0.5))]
        return middle

    def check_shape(self, y_pred: Value) -> list[Problem]:
        count = len(self.quantiles)
        if y_pred.rank < 2 or y_pred.shape[-1] != count:
            text = f"needs a unit for each of its {count} quantiles, got {show(y_pred.shape)}"
            return refuse(text, f"set `units: {count}`, or `quantiles` of the loss")
        return super().check_shape(y_pred)

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        error = g.Sub(g.Unsqueeze(y_true, g.constant([y_true.rank])), y_pred)
        q = g.constant(list(self.quantiles), "float32")
        return mean(g, g.Max(g.Mul(error, q), g.Mul(error, g.Sub(q, g.constant(1.0)))))
