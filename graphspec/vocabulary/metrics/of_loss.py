"""Metrics that are the mean of a loss, whose lowering is the formula; and metrics of numbers and forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import PrivateAttr

from graphspec.base.config import described, setting
from graphspec.base.errors import Problem
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type
from graphspec.vocabulary import Array, Value
from graphspec.vocabulary.losses import classes, crossentropy, regression
from graphspec.vocabulary.losses.loss import EPSILON, Axis, FromLogits, Loss, Smoothing
from graphspec.vocabulary.metrics import metric as base
from graphspec.vocabulary.metrics.metric import METRICS, Average, Ignored, Metric, add_row, divide, rows, total


# Metrics that are the mean of a loss; the loss's lowering is the formula.
class OfLoss(Average, direction="down"):
    """Base: the mean of the loss ``of`` over all unmasked rows. The metric's fields are the loss's arguments."""

    of: ClassVar[type[Loss]]  # the loss

    def start(self, y_pred: Value, compute: base.Compute) -> base.MetricState:
        return _MeanOfLoss(self, y_pred, self.of(**self.model_dump(exclude={"name"})), compute)


class Along(OfLoss):
    """Base: the mean of a loss that is computed along an axis of the head."""

    axis: Axis = -1

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        return base.from_end(self, y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return base.check_axis(self, self.axis, y_pred)


class _MeanOfLoss(base.MetricState):
    """The state of the mean of a loss."""

    def __init__(self, metric: Metric, y_pred: Value, loss: Loss, compute: base.Compute) -> None:
        super().__init__(metric, y_pred)
        self._loss, self._compute = loss, compute

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        assert y_true is not None
        head = Value("y_pred", Type("float32", y_pred.shape), "input")
        target = self._loss.target(head)
        y_true = y_true.reshape([int(d) for d in target.shape])  # (N,) and (N, 1) are compatible
        feeds = {"y_true": y_true, "y_pred": y_pred}
        outputs = self._compute(lambda: values_of(self._loss, head, target), feeds)
        values = base.visible(outputs["values"], mask)
        if "counts" in outputs:
            values = values[base.visible(outputs["counts"], mask)]
        return total(values)


def values_of(loss: Loss, head: Value, target: Type) -> Graph:
    """Return the graph from ``y_true`` and ``y_pred``, a head of fixed shape, to the loss's ``values``.

    If the values have a mask, it is the output ``counts``, bool. The graph is computed in float64: the other rows of
    the batch change at most the last bits of a row's value.
    """
    graph = Graph(loss.label, inputs={head.name: head})
    y_true = graph.targets["y_true"] = Value("y_true", target, "target")
    with Builder(graph, loss.label) as g:
        values = loss.lower(g, y_true, head)
    graph.outputs = {"values": values} if values.mask is None else {"values": values, "counts": values.mask}
    return graph


# Errors of heads that predict numbers, and the coefficient of determination.
_LIKELIHOOD = "The negative log-likelihood of counts ``y_true`` under the Poisson rates ``y_pred``, up to a constant"
_MEAN_OF: dict[type[Loss], tuple[str, str]] = {  # names besides those of the loss, and what follows "Mean of"
    regression.MeanSquaredError: ("mse MSE", "``(y_pred - y_true)²`` {}"),
    regression.MeanAbsoluteError: ("mae MAE", "``|y_pred - y_true|`` {}"),
    regression.MeanAbsolutePercentageError: ("mape MAPE", "``100 · |y_pred - y_true| / max(|y_true|, 1e-7)`` {}"),
    regression.MeanSquaredLogarithmicError: (
        "msle MSLE",
        "``(log(1 + y_pred) - log(1 + y_true))²`` {}; both are at least 1e-7",
    ),
    regression.Poisson: ("", f"``y_pred - y_true · log(y_pred + 1e-7)`` {{}}.\n\n{_LIKELIHOOD}"),
    classes.Hinge: ("", "``max(1 - y_true · y_pred, 0)`` {}"),
    classes.SquaredHinge: ("", "``max(1 - y_true · y_pred, 0)²`` {}"),
}
_SHAPES = "Shapes: head (N, …, units), targets of the same shape"
for _loss, (_names, _text) in _MEAN_OF.items():
    _signs = ", -1 (or 0) and 1" if issubclass(_loss, classes.Margin) else ""
    _text = f"Mean of {_text.format('over all units and rows')}.\n\n{_SHAPES}{_signs}. Masked rows do not count."
    add_row(f"{_loss.__name__} {_loss.label} {_names}", OfLoss, _text, of=_loss)
_text = f"Mean of ``log cosh(y_pred - y_true)`` over all units and rows.\n\n{_SHAPES}. Masked rows do not count."
add_row("LogCoshError log_cosh_error log_cosh", OfLoss, _text, of=regression.LogCosh, label="logcosh")


@METRICS.add("RootMeanSquaredError", "root_mean_squared_error")
class RootMeanSquaredError(OfLoss, label="root_mean_squared_error", of=regression.MeanSquaredError):
    """The square root of the mean of ``(y_pred - y_true)²`` over all units and rows of the pass.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    def finish(self, counters: Array) -> float | Array:
        return float(np.sqrt(super().finish(counters)))


@METRICS.add("CosineSimilarity", "cosine_similarity")
class CosineSimilarity(Along, label="cosine_similarity", of=regression.CosineSimilarity, direction="up"):
    """Mean over rows of the cosine of the angle between target and prediction along ``axis``: 1 for equal directions.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if found := super().check_shape(y_pred):
            return found
        text = f"compares directions along axis {self.axis}, but the head has only one value there"
        return self.warning(text, "use `mae` or `mse`") if y_pred.shape[self.axis] == 1 else []

    def finish(self, counters: Array) -> float | Array:
        return float(divide(-counters[0], counters[1]))  # the loss is -1 for equal directions


@METRICS.add("R2Score", "r2_score")
class R2Score(Metric, label="r2_score"):
    """The coefficient of determination ``R² = 1 - Σ (y_true - y_pred)² / Σ (y_true - mean)²`` of every unit.

    ``class_aggregation`` averages over the units, equally or weighted by their variance. With ``num_regressors`` p the
    score is adjusted to ``1 - (1 - R²)(n - 1) / (n - p - 1)``; n counts the values of all units, as in Keras.

    Shapes: head (N, …, units), targets of the same shape. Masked rows do not count.
    """

    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = setting(
        "uniform_average", "How the units' scores are averaged; null for one score per unit."
    )
    num_regressors: Annotated[int, described("Independent variables; above 0 the score is adjusted.", ge=0)] = 0

    def check_shape(self, y_pred: Value) -> list[Problem]:
        problems = base.check_fixed(self, y_pred)
        if problems or self.class_aggregation:
            return problems
        return base.check_results(self, y_pred, "leave `class_aggregation` out, or choose an average")

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        return None if self.class_aggregation else base.one_each("output", y_pred)

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (4, base.units(y_pred))

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


# Hinge errors: the distance to a margin of 1.
@METRICS.add("CategoricalHinge", "categorical_hinge")
class CategoricalHinge(OfLoss, label="categorical_hinge", by_class=True, targets=("one_hot", "like")):
    """Mean over rows of ``max(1 + max((1 - y) · y_pred) - Σ y · y_pred, 0)`` over the classes.

    Shapes: head (N, …, classes), targets of the same shape, one-hot. Masked rows do not count.
    """

    of = classes.CategoricalHinge

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return base.check_classes(self, y_pred, "use `hinge`")


# Cross-entropies and divergences between targets and predicted probabilities.
@METRICS.add("crossentropy", "ce")
class CrossentropyOfLoss(Metric, label="crossentropy", direction="down"):
    """The cross-entropy that fits the loss: binary, categorical or sparse, from logits if the loss expects logits.

    Without a loss that decides, Keras's rule: BinaryCrossentropy for a head with one unit, else
    CategoricalCrossentropy.
    """

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        family, axis = base.matching(loss, y_pred), getattr(loss, "axis", None)
        axis = axis if isinstance(axis, int) else -1  # overlap losses have several axes or null
        own: dict[str, Any] = {"name": self.key, "from_logits": loss is not None and base.has_logits(loss)}
        if family == "binary":
            return BinaryCrossentropy(**own)
        if family == "categorical":
            return CategoricalCrossentropy(**own, axis=axis).resolve(loss, y_pred)
        ignored = getattr(loss, "ignore_class", None)
        return SparseCategoricalCrossentropy(**own, ignore_class=ignored, axis=axis).resolve(loss, y_pred)

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return base.check_classifies(self, y_pred, loss) or self.resolve(loss, y_pred).check(y_pred, loss)


_FOLLOWS = "use `crossentropy`, which follows the loss"


def check_logits(metric: Any, loss: Loss) -> list[Problem]:
    """Return a GS403 warning if only one of metric and loss expects logits."""
    if metric.from_logits == base.has_logits(loss) or not hasattr(loss, "from_logits"):
        return []
    own, other = ("logits", "probabilities") if metric.from_logits else ("probabilities", "logits")
    text = f"expects {own}, but {type(loss).__name__} expects {other}"
    hint = f"set `from_logits: {str(not metric.from_logits).lower()}` in the metric"
    return metric.warning(text, hint)  # type: ignore[no-any-return]


class _OfProbabilities(OfLoss, instead=_FOLLOWS):
    """Base of the cross-entropies: the head outputs probabilities, or logits with ``from_logits``."""

    from_logits: FromLogits = False

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        return check_logits(self, loss)


@METRICS.add("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(_OfProbabilities, label="binary_crossentropy", of=crossentropy.BinaryCrossentropy):
    """Mean of ``-(y log p + (1 - y) log(1 - p))`` over all units and rows.

    Shapes: head (N, …, units), targets of the same shape, from 0 to 1. Masked rows do not count.
    """

    label_smoothing: Smoothing = 0.0


class _Categorical(_OfProbabilities, Along):
    """Base of the cross-entropies over exclusive classes along ``axis``."""

    def class_axis(self, y_pred: Value) -> int | None:
        return self.axis % y_pred.rank


@METRICS.add("CategoricalCrossentropy", "categorical_crossentropy")
class CategoricalCrossentropy(_Categorical, targets=("one_hot", "like")):
    """Mean over rows of ``-Σ y log p`` over the classes along ``axis``.

    Shapes: head (N, …, classes), targets of the same shape, one-hot or any distribution. Masked rows do not count.
    """

    label, of = "categorical_crossentropy", crossentropy.CategoricalCrossentropy
    label_smoothing: Smoothing = 0.0


@METRICS.add("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(_Categorical, targets=("ids",)):
    """Mean over rows of ``-log p[y]``; targets equal to ``ignore_class`` do not count.

    Shapes: head (N, …, classes), targets (N, …), class ids from 0. Masked rows do not count.
    """

    label, of = "sparse_categorical_crossentropy", crossentropy.SparseCategoricalCrossentropy
    ignore_class: Ignored = None


@METRICS.add("KLDivergence", "kl_divergence")
class KLDivergence(OfLoss, label="kl_divergence", by_class=True, instead=_FOLLOWS):
    """Mean over rows of the Kullback–Leibler divergence ``Σ y log(y / p)``; y and p are clipped to 1e-7 … 1.

    Shapes: head (N, …, classes), targets of the same shape, distributions. Masked rows do not count.

    Source: Kullback and Leibler, *On Information and Sufficiency*, 1951.
    """

    of = crossentropy.KLDivergence


# Correlations of targets and predictions along an axis.
class Correlation(Metric):
    """Base: the mean of one coefficient per row, or with ``axis: 0`` of one coefficient per unit over all rows of the pass.

    With ``axis: 0`` the counters, one set per unit, are: rows, Σx, Σy, Σx², Σy², Σxy. Keras averages the coefficients
    of batches instead.
    """

    coefficient: ClassVar[Callable[..., Array]]  # of means, variances and covariances
    axis: Axis = -1

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        axis = self.axis if self.axis < 0 else self.axis - y_pred.rank
        return self.model_copy(update={"axis": 0 if axis == -y_pred.rank else axis})

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if self.axis in (0, -y_pred.rank):
            if y_pred.rank > 2:
                return self.error("needs a head (batch, units) to correlate along the batch", "use `axis: -1`")
            return base.check_fixed(self, y_pred)
        if found := base.check_axis(self, self.axis, y_pred):
            return found
        if y_pred.shape[self.axis] == 1:
            text = f"correlates the values of a row along axis {self.axis}, but there is only one value"
            return self.error(text, "use `axis: 0`, over all rows" if y_pred.rank == 2 else "use `mae` or `mse`")
        return []

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (6, base.units(y_pred)) if self.axis == 0 else (2,)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        x, y = y_true.astype(np.float64), y_pred.astype(np.float64)
        if self.axis == 0:
            x, y = rows(x), rows(y)
            return np.stack([a.sum(0) for a in (np.ones_like(x), x, y, x * x, y * y, x * y)])
        means = [a.mean(self.axis, keepdims=True) for a in (x, y)]
        dx, dy = x - means[0], y - means[1]
        spread = [(a * b).mean(self.axis) for a, b in ((dx, dx), (dy, dy), (dx, dy))]
        with np.errstate(divide="ignore", invalid="ignore"):
            return total(self.coefficient(*(m.squeeze(self.axis) for m in means), *spread))

    def finish(self, counters: Array) -> float | Array:
        if self.axis != 0:
            return float(divide(*counters))
        n, *sums = counters
        if not n.any():
            return 0.0
        mx, my, xx, yy, xy = (s / n for s in sums)
        return float(self.coefficient(mx, my, xx - mx * mx, yy - my * my, xy - mx * my).mean())


_ALONG = "along ``axis``, averaged over the other axes"
_LIN = "Lin, *A Concordance Correlation Coefficient to Evaluate Reproducibility*, Biometrics, 1989"
_AXES = "With ``axis: 0`` a head (N, units) has one coefficient per\nunit, over all rows. Masked rows do not count."
for _names, _coefficient, _text, _source in (
    (
        "PearsonCorrelation pearson_correlation",
        lambda mx, my, vx, vy, cov: cov / np.sqrt(vx * vy),
        f"Pearson's coefficient ``cov / (σx σy)`` {_ALONG}; NaN if a row is constant.",
        "Pearson, 1895",
    ),
    (
        "ConcordanceCorrelation concordance_correlation",
        lambda mx, my, vx, vy, cov: 2 * cov / (vx + vy + np.square(mx - my) + EPSILON),
        f"Lin's concordance coefficient ``2 cov / (σx² + σy² + (x̄ - ȳ)² + 1e-7)`` {_ALONG}.",
        _LIN,
    ),
):
    _text = f"{_text}\n\n{_SHAPES}. {_AXES}\n\nSource: {_source}."
    add_row(_names, Correlation, _text, coefficient=staticmethod(_coefficient))


# Metrics of the head's values only, without targets.
@METRICS.add("Mean", "mean")
class Mean(Average, label="mean", direction=None):
    """The mean of the head's values; the head does not need a loss.

    Shapes: head (N, …). Masked rows do not count.
    """

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        return []

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        return total(base.visible(y_pred, mask))


@METRICS.add("Sum", "sum")
class Sum(Mean, label="sum"):
    """The sum of the head's values; the head does not need a loss.

    Shapes: head (N, …). Masked rows do not count.
    """

    def finish(self, counters: Array) -> float | Array:
        return float(counters[0])


# Metrics of forecasts, which do not depend on the unit of a series.
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
