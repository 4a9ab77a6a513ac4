"""Correlations of targets and predictions along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.errors import Problem
from graphspec.vocabulary.losses.base import EPSILON, Axis
from graphspec.vocabulary.metrics.base import METRICS, Metric, check_axis, check_fixed, divide, rows, total, units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.graph.ir.graph import Array, Value
    from graphspec.vocabulary.losses import Loss


class Correlation(Metric):
    """Base: the mean of one coefficient per row, or with ``axis: 0`` of one coefficient per unit over all rows of the pass.

    With ``axis: 0`` the counters, one set per unit, are: rows, Σx, Σy, Σx², Σy², Σxy. Keras averages the coefficients
    of batches instead.
    """

    axis: Axis = -1

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        axis = self.axis if self.axis < 0 else self.axis - y_pred.rank
        return self.model_copy(update={"axis": 0 if axis == -y_pred.rank else axis})

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if self.axis in (0, -y_pred.rank):
            if y_pred.rank > 2:
                return self.error("needs a head (batch, units) to correlate along the batch", "use `axis: -1`")
            return check_fixed(self, y_pred)
        if found := check_axis(self, self.axis, y_pred):
            return found
        if y_pred.shape[self.axis] == 1:
            text = f"correlates the values of a row along axis {self.axis}, but there is only one value"
            return self.error(text, "use `axis: 0`, over all rows" if y_pred.rank == 2 else "use `mae` or `mse`")
        return []

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (6, units(y_pred)) if self.axis == 0 else (2,)

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

    def coefficient(self, mx: Array, my: Array, vx: Array, vy: Array, cov: Array) -> Array:
        """Return the coefficients from means, variances and covariances."""
        raise NotImplementedError


@METRICS.add("PearsonCorrelation", "pearson_correlation")
class PearsonCorrelation(Correlation):
    """Pearson's coefficient ``cov / (σx σy)`` along ``axis``, averaged over the other axes; NaN if a row is constant.

    Shapes: head (N, …, units), targets of the same shape. With ``axis: 0`` a head (N, units) has one coefficient per
    unit, over all rows. Masked rows do not count.

    Source: Pearson, 1895.
    """

    label = "pearson_correlation"

    def coefficient(self, mx: Array, my: Array, vx: Array, vy: Array, cov: Array) -> Array:
        values: Array = cov / np.sqrt(vx * vy)
        return values


@METRICS.add("ConcordanceCorrelation", "concordance_correlation")
class ConcordanceCorrelation(Correlation):
    """Lin's concordance coefficient ``2 cov / (σx² + σy² + (x̄ - ȳ)² + 1e-7)`` along ``axis``, averaged over the other axes.

    Shapes: head (N, …, units), targets of the same shape. With ``axis: 0`` a head (N, units) has one coefficient per
    unit, over all rows. Masked rows do not count.

    Source: Lin, *A Concordance Correlation Coefficient to Evaluate Reproducibility*, Biometrics, 1989.
    """

    label = "concordance_correlation"

    def coefficient(self, mx: Array, my: Array, vx: Array, vy: Array, cov: Array) -> Array:
        values: Array = 2 * cov / (vx + vy + np.square(mx - my) + EPSILON)
        return values
