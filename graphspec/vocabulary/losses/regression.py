"""Losses of heads that predict numbers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.base.config import FROM_LIST, Positive, described, setting
from graphspec.base.errors import Problem
from graphspec.graph.ir.dims import show
from graphspec.vocabulary import Array, Builder, Value
from graphspec.vocabulary.losses.loss import EPSILON, LOSSES, Loss, check_axis, mean, producer, refuse, warn


@LOSSES.add("mean_squared_error", "MeanSquaredError", "mse", "MSE")
class MeanSquaredError(Loss, label="mean_squared_error", fits="numbers", of_differences=True):
    """Mean of ``(y_pred - y_true)²`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape → (N, …).
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        if y_pred.rank == 1:
            y_true, y_pred = (g.Unsqueeze(X, g.constant([1])) for X in (y_true, y_pred))
        return g.SquaredError(y_pred, y_true)


@LOSSES.add("mean_absolute_error", "MeanAbsoluteError", "mae", "MAE")
class MeanAbsoluteError(Loss, label="mean_absolute_error", fits="numbers", of_differences=True):
    """Mean of ``|y_pred - y_true|`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape → (N, …).
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        return mean(g, abs(y_pred - y_true))


@LOSSES.add("huber", "Huber", "huber_loss")
class Huber(Loss, label="huber", fits="numbers", of_differences=True):
    """Mean over the last axis of ``e² / 2`` if ``|e| ≤ delta``, else ``delta · (|e| - delta / 2)``; ``e = y_pred - y_true``.

    Shapes: head (N, …, units), targets of the same shape → (N, …).

    Source: Huber, *Robust Estimation of a Location Parameter*, 1964.
    """

    delta: Positive = setting(1.0, "The error at which the loss changes from quadratic to linear.")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        error = y_pred - y_true
        clipped = g.Clip(error, g.constant(-self.delta), g.constant(self.delta))
        return mean(g, clipped * (error - clipped * 0.5))  # both cases


@LOSSES.add("log_cosh", "LogCosh", "logcosh")
class LogCosh(Loss, label="log_cosh", fits="numbers", of_differences=True):
    """Mean of ``log cosh e`` over the last axis, ``e = y_pred - y_true``.

    About ``e² / 2`` for small errors and ``|e| - log 2`` for large ones.

    Shapes: head (N, …, units), targets of the same shape → (N, …).
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        error = abs(y_pred - y_true)
        return mean(g, error + g.Softplus(error * -2.0) - math.log(2.0))  # which does not overflow


@LOSSES.add("mean_absolute_percentage_error", "MeanAbsolutePercentageError", "mape", "MAPE")
class MeanAbsolutePercentageError(Loss, label="mean_absolute_percentage_error", fits="numbers"):
    """Mean of ``100 · |y_true - y_pred| / max(|y_true|, 1e-7)`` over the last axis.

    Shapes: head (N, …, units), targets of the same shape → (N, …).
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        size = g.Max(abs(y_true), g.constant(EPSILON))
        return mean(g, abs((y_true - y_pred) / size) * 100.0)


@LOSSES.add("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", "msle", "MSLE")
class MeanSquaredLogarithmicError(Loss, label="mean_squared_logarithmic_error", fits="numbers"):
    """Mean of ``(log(1 + y_true) - log(1 + y_pred))²`` over the last axis; both are at least 1e-7.

    Shapes: head (N, …, units), targets of the same shape → (N, …).
    """

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        predicted, true = (g.Log(g.Max(X, g.constant(EPSILON)) + 1.0) for X in (y_pred, y_true))
        difference = predicted - true
        return mean(g, difference * difference)


def check_positive(y_pred: Value, otherwise: list[Problem]) -> list[Problem]:
    """Return GS401 if the head's activation also returns negative values."""
    op = producer(y_pred)
    if op.activation is None or op.value_range.low >= 0:
        return otherwise
    text = f"computes the logarithm of the head's values, but {op.activation} also returns negative values"
    return warn(text, "add `activation: exponential` or `activation: softplus` to the layer")


@LOSSES.add("poisson", "Poisson")
class Poisson(Loss, label="poisson", fits="numbers"):
    """Mean of ``y_pred - y_true · log(y_pred + 1e-7)`` over the last axis.

    The negative log-likelihood of counts ``y_true`` under the Poisson rates ``y_pred``, up to a constant.

    Shapes: head (N, …, units), targets of the same shape → (N, …).
    """

    def check_activation(self, y_pred: Value) -> list[Problem]:
        return check_positive(y_pred, super().check_activation(y_pred))

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        return mean(g, y_pred - y_true * g.Log(y_pred + EPSILON))


@LOSSES.add("cosine_similarity", "CosineSimilarity")
class CosineSimilarity(Loss, label="cosine_similarity", fits="numbers"):
    """``-Σ y_true · y_pred`` over ``axis``, both divided by their L2 norms: -1 for equal directions, 1 for opposite ones.

    Shapes: head (N, …, units), targets of the same shape → the shape without ``axis``.
    """

    axis: int = setting(-1, "The axis of the vectors.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank < 2:
            text = f"compares vectors, but the head has shape {show(y_pred.shape)}"
            return refuse(text, "use several units, or mean_squared_error")
        return super().check_shape(y_pred) or check_axis(self.axis, y_pred)

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        axis = self.axis % y_pred.rank
        products = g.Mul(*(g.unit(X, [axis], EPSILON) for X in (y_true, y_pred)))
        return g.Neg(g.ReduceSum(products, g.constant([axis]), keepdims=0))


@LOSSES.add("negative_binomial", "NegativeBinomial")
class NegativeBinomial(Loss, label="negative_binomial", targets="one", fits="numbers"):
    """``-log p(y)`` of counts y, whose two units are their mean μ and r: the variance is ``μ + μ² / r``.

    ``log Γ(r) + log Γ(y + 1) - log Γ(y + r) - r log(r / (r + μ)) - y log(μ / (r + μ))``; both are at least 1e-7.

    Shapes: head (N, …, 2), targets (N, …) → (N, …).

    Source: Hilbe, *Negative Binomial Regression*, 2011.
    """

    def point(self, answers: Array) -> Array:
        return np.asarray(answers[..., 0])

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank < 2 or y_pred.shape[-1] != 2:
            return refuse(f"needs two units, the mean and r, got {show(y_pred.shape)}", "set `units: 2`")
        return super().check_shape(y_pred)

    def check_activation(self, y_pred: Value) -> list[Problem]:
        return check_positive(y_pred, super().check_activation(y_pred))

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        from graphspec.vocabulary.operations.elementwise import lgamma

        mean, r = (g.Gather(g.Max(y_pred, g.constant(EPSILON)), g.constant(k), axis=y_pred.rank - 1) for k in (0, 1))
        ways = lgamma(g, y_true + r) - lgamma(g, r) - lgamma(g, y_true + 1.0)
        log_sum = g.Log(r + mean)
        return -(ways + r * (g.Log(r) - log_sum) + y_true * (g.Log(mean) - log_sum))


@LOSSES.add("cox", "Cox")
class Cox(Loss, label="cox", targets="times", fits="numbers", uses_mask=False):
    """Cox's partial likelihood: ``log Σ exp h[j] - h[i]`` over the rows j at risk, those whose time is not below i's.

    h is the logarithm of the risk. Only rows with an event count. Of d events at one time, the k-th (from 0) leaves out
    ``k / d`` of the d rows by Efron's method, nothing by Breslow's. The rows are those of the batch of all workers.

    Shapes: head (N, 1) or (N,), targets (N, 2): the time, and 1 for an event, 0 if it was not seen until then → (N,).

    Source: Cox, *Regression Models and Life-Tables*, 1972; Efron, *The Efficiency of Cox's Likelihood Function for
    Censored Data*, 1977.
    """

    ties: Literal["efron", "breslow"] = setting("efron", "How events at the same time are counted.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if y_pred.rank == 1 or (y_pred.rank == 2 and y_pred.shape[1] == 1):
            return []
        return refuse(f"needs one risk per row, got {show(y_pred.shape)}", "use a Dense layer with one unit")

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        h = g.reshape(y_pred, (-1, 1))
        time, event = g.Split(y_true, g.constant([1, 1]), axis=1)
        risk, times, events = (g.transpose(g.AllRows(X), (1, 0)) for X in (h, time, event))
        at_risk, own = times >= time, event > 0.0
        weight = g.Cast(at_risk, to="float32")
        if self.ties == "efron":
            number = g.Unsqueeze(g.RowNumbers(h), g.constant([1]))
            earlier = g.transpose(g.AllRows(number), (1, 0)) < number
            tied = g.Equal(times, time) & own & (events > 0.0)
            of_ties, of_earlier = (g.Cast(X, to="float32") for X in (tied, tied & earlier))
            before, count = (g.ReduceSum(X, g.constant([1]), keepdims=1) for X in (of_earlier, of_ties))
            weight = weight - of_ties * (before / g.Max(count, g.constant(1.0)))
        known = g.Where(at_risk, risk, g.constant(-1e30))
        peak = g.StopGradient(g.ReduceMax(known, axes=(1,), keepdims=1))
        whole = g.ReduceSum(weight * g.Exp(known - peak), g.constant([1]), keepdims=1)
        return g.Squeeze(g.Log(whole) + peak - h, g.constant([1])).with_mask(g.Squeeze(own, g.constant([1])))


Share = Annotated[float, Field(gt=0, lt=1)]


@LOSSES.add("quantile", "Quantile", "pinball", "Pinball")
class Quantile(Loss, label="quantile", targets="one", fits="numbers", of_differences=True):
    """Mean over the quantiles q of ``max(q · e, (q - 1) · e)``, ``e = y_true - y_pred``: the pinball loss.

    The head has a unit for each quantile, and the target one value. A unit with q = 0.9 is to be above nine of ten
    values; q = 0.5 is the median, with half the absolute error.

    Shapes: head (N, …, quantiles), targets (N, …) → (N, …).

    Source: Koenker and Bassett, *Regression Quantiles*, 1978.
    """

    quantiles: Annotated[
        tuple[Share, ...], FROM_LIST, described("The probability of each unit, between 0 and 1.", min_length=1)
    ] = (0.1, 0.5, 0.9)

    @property
    def places(self) -> tuple[int, int, int]:
        """The units of the quantile that is closest to the median, of the lowest and of the highest one."""
        q = self.quantiles
        return min(range(len(q)), key=lambda k: abs(q[k] - 0.5)), q.index(min(q)), q.index(max(q))

    def point(self, answers: Array) -> Array:
        """Return the quantile that is closest to the median."""
        middle: Array = answers[..., self.places[0]]
        return middle

    @property
    def share(self) -> float:
        """The share of targets that is meant to be within the ends."""
        return max(self.quantiles) - min(self.quantiles)

    def ends(self, answers: Array) -> tuple[Array, Array] | None:
        _, low, high = self.places
        return None if low == high else (answers[..., low], answers[..., high])

    def check_shape(self, y_pred: Value) -> list[Problem]:
        count = len(self.quantiles)
        if y_pred.rank < 2 or y_pred.shape[-1] != count:
            text = f"needs a unit for each of its {count} quantiles, got {show(y_pred.shape)}"
            return refuse(text, f"set `units: {count}`, or `quantiles` of the loss")
        return super().check_shape(y_pred)

    def lower(self, g: Builder, y_true: Value, y_pred: Value, **lengths: Value) -> Value:
        error = g.Unsqueeze(y_true, g.constant([y_true.rank])) - y_pred
        q = g.constant(list(self.quantiles), "float32")
        return mean(g, g.Max(error * q, error * (q - 1.0)))
