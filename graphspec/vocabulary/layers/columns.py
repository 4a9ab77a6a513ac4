"""Columns of numbers, categories and dates, prepared for a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, FloatOrFloats, IntOrInts, as_tuple, described, invalid, setting
from graphspec.graph.ir.graph import MISSING_INTEGER, Type, show
from graphspec.graph.ir.ranges import Range, of_dtype
from graphspec.vocabulary import Array, Builder, Value, wrong_rank, wrong_size
from graphspec.vocabulary.activations import feature_axis
from graphspec.vocabulary.layers.indexed import Sparse, encode
from graphspec.vocabulary.layers.layer import Layer, NoEffect, Outputs, as_float, cast_to, need_rank
from graphspec.vocabulary.layers.learners import Extremes, Learner, Moments, Quantiles

_HUGE = 1e30  # a deviation
_MIN_DEVIATION = 1e-7  # as in Keras: Normalization divides by at least this standard deviation


def _statistics(value: Any) -> Any:
    """Return nested lists of numbers as tuples of floats, and null unchanged."""
    if isinstance(value, list | tuple):
        parts = [_statistics(v) for v in value]
        if not parts or len({np.shape(p) for p in parts}) > 1:
            raise invalid("must be a number, or lists of numbers of equal length", show_value=True)
        return tuple(parts)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        text = "must be a number or a list of numbers"
        raise invalid(text, "such as `[0.5, 1.0]`", code=Code.WRONG_TYPE, show_value=True)
    return number


Statistics = Annotated[float | tuple[Any, ...] | None, BeforeValidator(_statistics)]


def _both(layer: Layer, first: str, second: str, hint: str) -> tuple[Array, Array] | None:
    """Return two arguments, None if none is set; one alone and different shapes are errors."""
    one, other = getattr(layer, first), getattr(layer, second)
    if (one is None) != (other is None):
        text = f"needs `{first if one is None else second}`"
        raise invalid(text, "set both, or none: then they are learnt from the training rows", code=Code.MISSING_KEY)
    if one is None:
        return None
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        text = f"must have the shape of `{first}`, {list(one.shape)}, got {list(other.shape)}"
        raise invalid(text, hint, key=second)
    return one, other


class Normalization(Layer, supports_masking=True, learnt_arguments=("mean", "variance")):
    """``(x − mean) / max(√variance, 1e-7)``; ``invert`` reverses this.

    Without ``mean`` and ``variance`` they are learnt from the training rows: exact means and population variances in
    float64, as by Keras's ``adapt``. The variance of equal numbers is 1, as in scikit-learn (Keras: 0): a year that all
    training rows share gives 0 for them, and 1 for the next year, not 10,000,000. Masked steps count, as in Keras. NaN is an
    error; Impute may stand before the layer.

    Shapes: (batch, …) → the same. The statistics have one value per index of ``axis``, or one value for all.
    """

    in_float64 = frozenset(("variance",))

    axis: IntOrInts | None = setting(
        -1, "The axis or axes with separate statistics per index; null for one value for all."
    )
    mean: Statistics = setting(None, "The mean: a number, or a list for `axis` (nested for several).")
    variance: Statistics = setting(None, "The variance, with the mean's shape.")
    invert: bool = setting(False, "Whether normalized values are converted back.")

    def check_arguments(self) -> None:
        both = _both(self, "mean", "variance", "use as many variances as means, with the same nesting")
        if both is not None and both[1].min() < 0:
            text = "must be at least 0"
            raise invalid(text, "use the mean of the squared distances to the mean", key="variance", show_value=True)

    def learner(self, X: Value) -> Moments:
        axes = self._axes(X)
        return Moments(axes, [X.fixed(axis) for axis in axes], constant=1.0)

    def lower(self, g: Builder, X: Value) -> Value:
        axes = self._axes(X)
        if self.learns:
            g.learnt("statistics")
            for axis in axes:
                X.fixed(axis)
        means = spread(X, axes, 0.0 if self.mean is None else self.mean, "mean")
        variance = spread(X, axes, 1.0 if self.variance is None else self.variance, "variance")
        deviations = np.maximum(np.sqrt(variance), _MIN_DEVIATION)
        mean, deviation = g.constant(means), g.constant(deviations)
        X = as_float(g, X)
        if self.invert:
            return X * deviation + mean
        if deviations.max(initial=0.0) > _HUGE:  # a difference of two such numbers may be infinite
            return X / deviation - g.constant(means / deviations)
        return (X - mean) / deviation

    def _axes(self, X: Value) -> list[int]:
        hint = "set `axis: null` for one mean and variance for all"
        return sorted({feature_axis(X, axis, "axis", hint) for axis in as_tuple(self.axis)})


def spread(X: Value, axes: Sequence[int], values: Any, key: str) -> Array:
    """Return statistics along ``axes`` as an array that broadcasts to X."""
    array = np.asarray(values, np.float64)
    if array.ndim > len(axes):
        text = f"has a `{key}` with {array.ndim} axes, but `axis` names {len(axes)}"
        raise wrong_rank(text, "use one number, or one level of nested lists per axis", key=key)
    shape = [1] * X.rank
    for size, axis in zip(array.shape[::-1], axes[::-1], strict=False):
        if size not in (1, X.fixed(axis)):
            text = f"has {size} values in `{key}` for axis {axis} of {show(X.shape)}, which has size {X.shape[axis]}"
            raise wrong_size(text, "use one value, or one per index of the axis", key=key)
        shape[axis] = size
    return array.reshape(shape)


def last_axis(X: Value) -> list[int]:
    """Return the last axis, as a list; none if X has only the batch."""
    return [X.rank - 1] if X.rank > 1 else []


class MinMaxScaling(Layer, supports_masking=True, learnt_arguments=("minimum", "maximum")):
    """``(x − minimum) / (maximum − minimum)``: numbers from 0 to 1, as by scikit-learn's MinMaxScaler.

    Without ``minimum`` and ``maximum`` they are learnt from the training rows, for each index of the last axis; other
    numbers may then lie outside 0 … 1. Where both are equal the result is ``x − minimum``. NaN is skipped.

    Shapes: (batch, …) → the same. The bounds have one value per index of the last axis, or one value for all.
    """

    minimum: FloatOrFloats | None = setting(None, "The number that becomes 0: one, or a list for the last axis.")
    maximum: FloatOrFloats | None = setting(None, "The number that becomes 1, with the minimum's shape.")

    def check_arguments(self) -> None:
        both = _both(self, "minimum", "maximum", "use as many maxima as minima")
        if both is not None and np.any(both[0] > both[1]):
            raise invalid("must be at least `minimum`", "exchange them", key="maximum", show_value=True)

    def learner(self, X: Value) -> Extremes:
        return Extremes(X.features if last_axis(X) else None)

    def lower(self, g: Builder, X: Value) -> Value:
        if self.learns:
            g.learnt("statistics")
        axes = last_axis(X)
        low = spread(X, axes, 0.0 if self.minimum is None else self.minimum, "minimum")
        width = spread(X, axes, 1.0 if self.maximum is None else self.maximum, "maximum") - low
        return (as_float(g, X) - low) / np.where(width == 0, 1.0, width)


class Log1p(Layer, supports_masking=True):
    """``sign(x) · ln(1 + |x|)``: numbers of very different sizes, such as prices and counts, come close to each other.

    The gradient at 0 is 0.

    Shapes: (batch, …) → the same.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        return g.Sign(X) * g.Log(abs(X) + 1.0)


class SmoothClip(Layer, supports_masking=True):
    """``x / √(1 + (x/limit)²)``: nearly x around 0, and never beyond ``limit``, as in RealMLP (Holzmüller et al., 2024).

    Shapes: (batch, …) → the same.
    """

    limit: Annotated[float, described("What far numbers come close to, with their sign.", gt=0)] = 3.0

    def lower(self, g: Builder, X: Value) -> Value:
        return g.Sin(g.Atan(as_float(g, X) / self.limit)) * self.limit  # the same number, without the square


class WindowScaling(Layer, supports_masking=True):
    """``(x − level) / deviation`` with the level and the deviation of each row's own window, column by column.

    The level is the last value of a column, or with ``by: mean`` its mean; the deviation is 1, or ``√(variance + epsilon) +
    floor · |mean|``. One network then reads series of very different sizes, and ``scale: {window: …}`` of a head gives its
    answers the size of the window again.

    Shapes: (batch, time) or (batch, time, columns) → the same; output 1 is the level, 2 the deviation if it is divided by
    that, with 1 step of time.

    Source: Kim et al., *Reversible Instance Normalization*, 2022; the last value, Zeng et al., *Are Transformers Effective
    for Time Series Forecasting?*, 2023.
    """

    by: Literal["last", "mean"] = setting("last", "What is subtracted.")
    deviation: bool = setting(True, "Whether it is divided by the deviation.")
    floor: Annotated[float, described("The part of the mean that is added to the deviation.", ge=0)] = 0.1
    epsilon: Annotated[float, described("Added to the variance: that of equal values is 0.", gt=0)] = 1e-5

    def lower(self, g: Builder, X: Value) -> Outputs:
        need_rank(X, 2, 3, "(batch, time) or (batch, time, columns)")
        mask, X = X.mask, as_float(g, X)
        level = g.Slice(X, g.constant([-1]), g.constant([1 << 62]), g.constant([1]))
        scaled = X - level  # exact where a window is far from 0: its mean would be rounded
        if self.by == "last" and not self.deviation:
            return scaled.with_mask(mask), level
        mean = g.ReduceMean(scaled, axes=(1,), keepdims=1)
        centred = scaled - mean
        mean += level
        if self.by == "mean":
            scaled, level = centred, mean
        if not self.deviation:
            return scaled.with_mask(mask), level
        variance = g.ReduceMean(centred * centred, axes=(1,), keepdims=1)
        deviation = g.Sqrt(variance + self.epsilon) + abs(mean) * self.floor
        return (scaled / deviation).with_mask(mask), level, deviation


class _OfQuantiles(Layer, supports_masking=True, learnt_arguments=("quantiles",)):
    """The base of layers that learn quantiles of each index of the last axis, exactly; by default of 0, ¼, ½, ¾ and 1."""

    quantiles: Statistics = setting(None, "An ascending list, or one for each column; null: learnt.")

    def _probabilities(self) -> Sequence[float]:
        return 0.0, 0.25, 0.5, 0.75, 1.0

    def check_arguments(self) -> None:
        if self.quantiles is not None:
            found, count = np.asarray(self.quantiles), len(self._probabilities())
            if found.ndim not in (1, 2) or found.shape[-1] != count or (np.diff(found) < 0).any():
                raise invalid(f"must have {count} numbers in ascending order, or lists of as many", key="quantiles")

    def learner(self, X: Value) -> Quantiles:
        return Quantiles(self._probabilities(), "quantiles", columns=X.features)

    def _edges(self, g: Builder, X: Value) -> Array:
        """Return the quantiles, a row for each index of the last axis; 0, 1, … before they are learnt."""
        need_rank(X, 2, None, "(batch, …, numbers)")
        if self.learns:
            g.learnt("statistics")
        count = len(self._probabilities())
        edges = np.asarray(range(count) if self.learns else self.quantiles, np.float64).reshape(-1, count)
        if len(edges) not in (1, X.features):
            text = f"has {len(edges)} lists in `quantiles` for {show(X.shape)}"
            raise wrong_size(text, "use one list, or one per index of the last axis", key="quantiles")
        return np.array(np.broadcast_to(edges, (X.features, count)))


class RobustScaling(_OfQuantiles):
    """``(x − median) / (q₇₅ − q₂₅)``, as by scikit-learn's RobustScaler: a few far numbers do not change the scale.

    Where both quartiles are equal, the divisor is ``maximum − minimum``; where these are, 1, as in RealMLP.

    Shapes: (batch, …, d) → the same.
    """

    def lower(self, g: Builder, X: Value) -> Value:
        low, first, median, third, high = self._edges(g, X).T
        widths = np.where(third > first, third - first, high - low)
        X = as_float(g, X) - median
        return X / np.where(widths > 0, widths, 1.0)


def _pieces(g: Builder, X: Value, edges: Array) -> Value:
    """Emit ``clip((x − b) / (b′ − b), 0, 1)`` for neighbours b and b′, a row of edges for each index of the last axis."""
    widths = np.diff(edges)
    X = g.Unsqueeze(as_float(g, X), g.constant([X.rank])) - edges[:, :-1]
    Y: Value = g.Clip(X / np.where(widths > 0, widths, 1.0), g.constant(0.0), g.constant(1.0))
    return Y


class PiecewiseLinear(_OfQuantiles):
    """Each number as several, one for each bin from b to b′: ``clip((x − b) / (b′ − b), 0, 1)``.

    A Dense after it is a function with a slope of its own in each bin (Gorishniy et al., *On Embeddings for Numerical
    Features in Tabular Deep Learning*, 2022; there the outer bins have no end). Each bin has as many training rows; those
    without a width are left out, so few different numbers have few bins. A constant has one of the width 1.

    Shapes: (batch, …, d) → (batch, …, bins of all d).
    """

    num_bins: Annotated[int, described("The most bins of an index of the last axis.", ge=1, le=10_000)] = 16

    def _probabilities(self) -> Sequence[float]:
        return [k / self.num_bins for k in range(self.num_bins + 1)]

    def lower(self, g: Builder, X: Value) -> Value:
        edges = self._edges(g, X)
        edges[edges[:, 0] == edges[:, -1], -1] += 1
        Y: Value = g.reshape(_pieces(g, X, edges), [*[0] * (X.rank - 1), X.features * self.num_bins])
        kept = g.constant(np.flatnonzero(np.diff(edges)))
        if self.learns:
            kept.type = Type("int64", (g.learnt("pieces"),))
        return Y if kept.shape == Y.shape[-1:] else g.Gather(Y, kept, axis=-1)


class Impute(Layer, supports_masking=True, takes_missing=True, learnt_arguments=("fill_value",)):
    """The input with a number in each place where one is missing, as by scikit-learn's SimpleImputer.

    Missing is NaN, in int64 the smallest integer, and each number of ``missing_values``; data files may also have its
    texts. ``median`` and ``mean`` are learnt from the numbers that are there in
    the training rows, for each index of the last axis, exactly; set ``fill_value`` to learn nothing.

    Shapes: (batch, …) → the same, as float32. With ``indicator`` output 1, of the same shape, is 1 where a number was
        missing, else 0.
    """

    strategy: Literal["median", "mean", "zero", "constant"] = setting(
        "median", "What stands for a missing number: the median, the mean, 0, or `fill_value`."
    )
    fill_value: FloatOrFloats | None = setting(
        None, "The number of `constant`; median and mean, which are else learnt: one, or a list."
    )
    missing_values: Annotated[tuple[float | int | str, ...], FROM_LIST] = setting(
        (), "Numbers, and texts of data files, that count as missing, such as `[-1, unknown]`."
    )
    indicator: bool = setting(False, "Whether output 1 says where numbers are missing.")

    def check_arguments(self) -> None:
        if self.strategy == "constant" and self.fill_value is None:
            raise invalid("needs `fill_value`", "such as `fill_value: -1.0`", code=Code.MISSING_KEY)
        if self.strategy == "zero" and self.fill_value is not None:
            raise invalid("must not be set with `strategy: zero`", "use `strategy: constant`", key="fill_value")

    @property
    def learns(self) -> bool:
        return self.strategy in ("median", "mean") and self.fill_value is None

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """The texts of data files that count as missing."""
        return tuple(value for value in self.missing_values if isinstance(value, str))

    def _missing(self, g: Builder, X: Value, numbers: Value) -> Value:
        missing: Value = g.Equal(X, g.constant(MISSING_INTEGER)) if X.dtype == "int64" else g.IsNaN(numbers)
        for value in self.missing_values:
            if not isinstance(value, str):
                missing = g.Or(missing, g.Equal(numbers, g.constant(float(value))))
        return missing

    def learning_input(self, g: Builder, X: Value) -> Value:
        """Emit the numbers, NaN where one is missing."""
        if len(self.missing_texts) == len(self.missing_values):
            return super().learning_input(g, X)
        numbers = as_float(g, X)
        return g.Where(self._missing(g, X, numbers), g.constant(float("nan")), numbers)

    def learner(self, X: Value) -> Learner:
        axes = last_axis(X)
        sizes = [X.fixed(axis) for axis in axes]
        if self.strategy == "mean":
            return Moments(axes, sizes, mean="fill_value", variance=None, skip_missing=True)
        return Quantiles(0.5, "fill_value", columns=sizes[0] if sizes else None)

    def lower(self, g: Builder, X: Value) -> Outputs:
        axes = last_axis(X)
        if self.learns:
            g.learnt("statistics")
            for axis in axes:
                X.fixed(axis)
        fill = g.constant(spread(X, axes, 0.0 if self.fill_value is None else self.fill_value, "fill_value"))
        numbers = as_float(g, X)
        missing = self._missing(g, X, numbers)
        filled = g.Where(missing, fill, numbers)
        return (filled, cast_to(g, missing, "float32")) if self.indicator else filled


_MOST_BINS = 1 << 16  # every number is compared with each boundary


def _sorted(value: tuple[float, ...]) -> tuple[float, ...]:
    if not value:
        raise invalid("must contain at least one number", "such as `[0.0, 1.0]`", show_value=True)
    if any(a > b for a, b in pairwise(value)):
        raise invalid("must be sorted in ascending order", f"write {sorted(value)}", show_value=True)
    return value


class Discretization(Layer, learnt_arguments=("bin_boundaries",)):
    """The bin of each number: the number of ``bin_boundaries`` ≤ x, as int32 or encoded like CategoryEncoding.

    With ``num_bins`` the boundaries are learnt from the training rows: exact quantiles of all numbers of the input, such as
    the quartiles for 4 bins, interpolated linearly (Keras approximates them). A number that occurs in many rows may be
    several quantiles; the boundary is then repeated, and the bins between equal boundaries stay empty. NaN is skipped.

    Shapes: ``int`` (batch, …) → the same; other modes as for CategoryEncoding, with one more bin than boundaries.
    """

    bin_boundaries: Annotated[Annotated[tuple[float, ...], AfterValidator(_sorted)] | None, FROM_LIST] = setting(
        None, "The lower boundaries of bins 1, 2, …, in ascending order."
    )
    num_bins: Annotated[int, Field(ge=2, le=_MOST_BINS)] | None = setting(
        None, "The number of bins, whose boundaries are learnt: about as many training rows in each."
    )
    epsilon: NoEffect = 0.01
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = setting(
        "int", "int: the bin's index; one_hot, multi_hot, count: vectors with one element per bin."
    )
    sparse: Sparse = False

    def check_arguments(self) -> None:
        if self.bin_boundaries is None and self.num_bins is None:
            hint = "such as `num_bins: 10`, or `bin_boundaries: [0.0, 1.0]`: bins below 0, from 0 to 1, and above"
            raise invalid("needs `num_bins` or `bin_boundaries`", hint, code=Code.MISSING_KEY)
        if self.bin_boundaries is not None and self.num_bins not in (None, bins := len(self.bin_boundaries) + 1):
            raise invalid(f"must be {bins} with these `bin_boundaries`", "leave one of them out", key="num_bins")

    def learner(self, X: Value) -> Quantiles:
        bins = self.num_bins or 1
        return Quantiles([k / bins for k in range(1, bins)], "bin_boundaries")

    def lower(self, g: Builder, X: Value) -> Value:
        boundaries = self.bin_boundaries
        if boundaries is None:
            g.learnt("statistics")
            boundaries = (0.0,) * ((self.num_bins or 1) - 1)
        reached = g.GreaterOrEqual(g.Unsqueeze(as_float(g, X), g.constant([X.rank])), g.constant(np.array(boundaries)))
        bins = g.ReduceSum(cast_to(g, reached, "int32"), g.constant([-1]), keepdims=0)
        if self.output_mode == "int":
            bins.range = Range(0, sum(b <= of_dtype(X.dtype).high for b in boundaries))
            return bins
        return encode(g, cast_to(g, bins, "int64"), len(boundaries) + 1, self.output_mode)
