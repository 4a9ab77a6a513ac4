"""Errors of heads that predict numbers, and the coefficient of determination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.base.errors import Problem
from graphspec.vocabulary.losses import regression
from graphspec.vocabulary.metrics.base import METRICS, Metric, check_fixed, check_results, divide, one_each, rows, units
from graphspec.vocabulary.metrics.of_loss import Along, OfLoss

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Value


@METRICS.add("MeanSquaredError", "mean_squared_error", "mse", "MSE")
class MeanSquaredError(OfLoss):
    """Mean of ``(y_pred - y_true)²`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "mean_squared_error", regression.MeanSquaredError


@METRICS.add("RootMeanSquaredError", "root_mean_squared_error")
class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean of ``(y_pred - y_true)²`` over all units and rows of the pass.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label = "root_mean_squared_error"

    def finish(self, counters: Array) -> float | Array:
        return float(np.sqrt(super().finish(counters)))


@METRICS.add("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(OfLoss):
    """Mean of ``|y_pred - y_true|`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "mean_absolute_error", regression.MeanAbsoluteError


@METRICS.add("MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(OfLoss):
    """Mean of ``100 · |y_pred - y_true| / max(|y_true|, 1e-7)`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "mean_absolute_percentage_error", regression.MeanAbsolutePercentageError


@METRICS.add("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(OfLoss):
    """Mean of ``(log(1 + y_pred) - log(1 + y_true))²`` over all units and rows; both are at least 1e-7.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "mean_squared_logarithmic_error", regression.MeanSquaredLogarithmicError


@METRICS.add("LogCoshError", "log_cosh_error", "log_cosh")
class LogCoshError(OfLoss):
    """Mean of ``log cosh(y_pred - y_true)`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "logcosh", regression.LogCosh


@METRICS.add("CosineSimilarity", "cosine_similarity")
class CosineSimilarity(Along):
    """Mean over rows of the cosine of the angle between target and prediction along ``axis``: 1 for equal directions.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label, of = "cosine_similarity", regression.CosineSimilarity
    direction = "up"

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if found := super().check_shape(y_pred):
            return found
        if y_pred.shape[self.axis] == 1:
            text = f"compares directions along axis {self.axis}, but the head has only one value there"
            return self.warning(text, "use `mae` or `mse`")
        return []

    def finish(self, counters: Array) -> float | Array:
        return float(divide(-counters[0], counters[1]))  # the loss is -1 for equal directions


@METRICS.add("R2Score", "r2_score")
class R2Score(Metric):
    """The coefficient of determination ``R² = 1 - Σ (y_true - y_pred)² / Σ (y_true - mean)²`` of every unit.

    ``class_aggregation`` averages over the units, equally or weighted by their variance. With ``num_regressors`` p the
    score is adjusted to ``1 - (1 - R²)(n - 1) / (n - p - 1)``; n counts the values of all units, as in Keras.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    label = "r2_score"
    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = Field(
        "uniform_average", description="How the units' scores are averaged; null for one score per unit."
    )
    num_regressors: Annotated[int, Field(ge=0, description="Independent variables; above 0 the score is adjusted.")] = 0

    def check_shape(self, y_pred: Value) -> list[Problem]:
        found = check_fixed(self, y_pred)
        if found or self.class_aggregation:
            return found
        return check_results(self, y_pred, "leave `class_aggregation` out, or choose an average")

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        return None if self.class_aggregation else one_each("output", y_pred)

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (4, units(y_pred))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = (rows(y).astype(np.float64) for y in (y_true, y_pred))
        squares = np.square(y_true - y_pred)
        return np.stack([np.ones_like(y_true).sum(0), y_true.sum(0), np.square(y_true).sum(0), squares.sum(0)])

    def finish(self, counters: Array) -> float | Array:
        count, values, squares, residual = counters
        if not count.any():
            return np.zeros(count.shape) if self.class_aggregation is None else 0.0
        spread = squares - values * (values / count)
        scores = 1 - residual / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        result: Array | float = scores
        if self.class_aggregation == "uniform_average":
            result = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            result = np.sum(spread * scores) / np.sum(spread)
        n, p = count.sum(), self.num_regressors
        return result if p == 0 or p >= n - 1 else 1 - (1 - result) * (n - 1) / (n - p - 1)
