"""Metrics of forecasts, which do not depend on the unit of a series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import PrivateAttr

from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.losses.loss import Loss
from graphspec.vocabulary.metrics.metric import METRICS, Average, Metric, divide


class OfForecast(Average, direction="down", targets=("like", "one"), instead="use `mae`"):
    """Base: a head has one value for each target, or with the loss ``quantile`` several."""

    _loss: Loss | None = PrivateAttr(None)

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        found = self.model_copy()
        found._loss = loss
        return found


@METRICS.add("SymmetricMeanAbsolutePercentageError", "symmetric_mean_absolute_percentage_error", "smape", "SMAPE")
class SymmetricMeanAbsolutePercentageError(OfForecast, label="smape"):
    """Mean of ``200 · |y_true - y_pred| / (|y_true| + |y_pred|)`` over all values, in %; 0 where both are 0.

    Of several quantiles, the one nearest the median is compared.

    Shapes: head (N, …, units), targets of the same shape; or head (N, …, quantiles), targets (N, …). Masked rows do not
    count.

    Source: Makridakis, Spiliotis and Assimakopoulos, *The M4 Competition*, International Journal of Forecasting, 2020.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        found = (y_pred if self._loss is None else self._loss.point(y_pred)).astype(np.float64)
        true = y_true.reshape(found.shape).astype(np.float64)
        return np.asarray(divide(200 * np.abs(true - found), np.abs(true) + np.abs(found)))


@METRICS.add("WeightedQuantileLoss", "weighted_quantile_loss", "wql", "WQL")
class WeightedQuantileLoss(OfForecast, label="wql"):
    """``2 · Σ max(q · e, (q - 1) · e) / Σ |y_true|`` over all values, ``e = y_true - y_pred``; the mean of all quantiles q.

    A head with one value for each target is its median: the result is then ``Σ |e| / Σ |y_true|``.

    Shapes: head (N, …, quantiles), targets (N, …); or head (N, …, units), targets of the same shape. Masked rows do not
    count.

    Source: Park et al., *Learning Quantile Functions without Quantile Crossing for Distribution-free Time Series
    Forecasting*, AISTATS 2022.
    """

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        q = np.asarray(getattr(self._loss, "quantiles", 0.5))
        error = y_true.reshape(*y_pred.shape[: y_pred.ndim - q.ndim], *(1,) * q.ndim).astype(np.float64) - y_pred
        losses = 2 * np.maximum(q * error, (q - 1) * error) / q.size
        return np.array([losses.sum(), np.abs(y_true).sum(dtype=np.float64)])
