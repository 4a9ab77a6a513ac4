"""Preprocessing of ids and numbers: CategoryEncoding, Discretization, Normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graphspec.activations import feature_axis
from graphspec.codes import Code
from graphspec.config import FROM_LIST, IntOrInts, PositiveInt, as_tuple, invalid, only
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.ir.ranges import Range, of_dtype
from graphspec.layers.base import LAYERS, Layer, NoEffect, as_float, cast_to, need_rank, number_of_ids

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

_MIN_DEVIATION = 1e-7  # as in Keras: Normalization divides by at least this standard deviation

Sparse = Annotated[
    bool,
    AfterValidator(only(False, "sparse tensors are not available: exported graphs have none")),
    Field(description="Refused: exported graphs have no sparse tensors."),
]
Counts = Literal["one_hot", "multi_hot", "count"]


def encode(g: Builder, ids: Value, depth: int, mode: Counts, weights: Value | None = None) -> Value:
    """Emit ids as vectors of size ``depth``: one vector per id, or one for all ids on axis 1.

    Ids out of range do not count.

    Args:
        weights: one weight per id, of the ids' shape.
    """
    if mode == "one_hot":
        if ids.rank < 2 or ids.shape[-1] != 1:
            ids = g.Unsqueeze(ids, g.constant([ids.rank]))
        return g.MultiHot(ids, depth=depth)
    need_rank(ids, 2, None, "(batch, ids, …)", hint="use `output_mode: one_hot` for one id per sample")
    order = (0, *range(2, ids.rank), 1)
    id_weights = None if weights is None else g.transpose(weights, order)
    return g.MultiHot(g.transpose(ids, order), id_weights, depth=depth, count=int(mode == "count"))


@LAYERS.add("CategoryEncoding")
class CategoryEncoding(Layer):
    """Ids 0 … num_tokens − 1 as vectors; without ``num_tokens``, all ids that the layer before makes.

    ``one_hot``: a vector per id. ``multi_hot``: one vector for all ids on axis 1, with ones at these ids. ``count``:
    the same with the number of occurrences. Ids out of range do not count, also in the exported graph (as in Keras on
    JAX; other backends raise an error). Floats are truncated; NaN does not count.

    Shapes: (batch, ids) → (batch, num_tokens); one_hot (batch, …) → (batch, …, num_tokens), without a last axis of size
        1.
    """

    call_arguments = ("count_weights",)

    num_tokens: Annotated[
        PositiveInt | None,
        Field(description="The number of ids: the largest id plus 1; null: as many as the layer before makes."),
    ] = None
    output_mode: Annotated[
        Counts, Field(description="one_hot: a vector per id; multi_hot: ones at all ids; count: occurrences.")
    ] = "multi_hot"
    sparse: Sparse = False

    def lower(self, g: Builder, ids: Value, *, count_weights: Sequence[Value] = ()) -> Value:
        weights = None
        if count_weights:
            if self.output_mode != "count":
                text = f"supports `count_weights` only with `output_mode: count`, not {self.output_mode}"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set `output_mode: count`", key="count_weights")
            if len(count_weights) != 1 or count_weights[0].shape != ids.shape:
                shapes = " and ".join(show(v.shape) for v in count_weights)
                text = f"needs one node of the ids' shape {show(ids.shape)} as `count_weights`, got {shapes}"
                raise ShapeError(Code.SHAPES_DIFFER, text, hint="use one weight per id", key="count_weights")
            weights = as_float(g, count_weights[0])
        depth = number_of_ids(ids, "num_tokens") if self.num_tokens is None else self.num_tokens
        if ids.type.is_float:  # NaN and values beyond int64 would become arbitrary ids
            low, high = g.constant(-1.0), g.constant(float(depth))
            ids = g.Where(g.And(g.Greater(ids, low), g.Less(ids, high)), ids, low)
        return encode(g, cast_to(g, ids, "int64"), depth, self.output_mode, weights)


def _sorted(value: tuple[float, ...]) -> tuple[float, ...]:
    if not value:
        raise invalid("must contain at least one number", "such as `[0.0, 1.0]`", show_value=True)
    if any(a > b for a, b in pairwise(value)):
        raise invalid("must be sorted in ascending order", f"write {sorted(value)}", show_value=True)
    return value


@LAYERS.add("Discretization")
class Discretization(Layer):
    """The bin of each number: the number of ``bin_boundaries`` ≤ x, as int32 or encoded like CategoryEncoding.

    Shapes: ``int`` (batch, …) → the same; other modes as for CategoryEncoding, with one more bin than boundaries.
    """

    bin_boundaries: Annotated[
        Annotated[tuple[float, ...], AfterValidator(_sorted)] | None,
        FROM_LIST,
        Field(description="The lower boundaries of bins 1, 2, …, in ascending order."),
    ] = None
    num_bins: Annotated[
        None,
        BeforeValidator(only(None, "boundaries are not computed from data", "set `bin_boundaries`")),
        Field(description="Refused: boundaries are not computed from data."),
    ] = None
    epsilon: NoEffect = 0.01
    output_mode: Annotated[
        Literal["int", "one_hot", "multi_hot", "count"],
        Field(description="int: the bin's index; one_hot, multi_hot, count: vectors with one element per bin."),
    ] = "int"
    sparse: Sparse = False

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.bin_boundaries is None:
            hint = "such as `bin_boundaries: [0.0, 1.0]`: bins below 0, from 0 to 1, and above"
            raise invalid("needs `bin_boundaries`", hint, code=Code.MISSING_KEY)
        return self

    def lower(self, g: Builder, X: Value) -> Value:
        boundaries = self.bin_boundaries or ()
        reached = g.GreaterOrEqual(g.Unsqueeze(as_float(g, X), g.constant([X.rank])), g.constant(np.array(boundaries)))
        bins = g.ReduceSum(cast_to(g, reached, "int32"), g.constant([-1]), keepdims=0)
        if self.output_mode == "int":
            bins.range = Range(0, sum(b <= of_dtype(X.dtype).high for b in boundaries))
            return bins
        return encode(g, cast_to(g, bins, "int64"), len(boundaries) + 1, self.output_mode)


def _statistics(value: Any) -> Any:
    """Return nested lists of numbers as tuples of floats, and null unchanged."""
    if isinstance(value, list | tuple):
        parts = [_statistics(v) for v in value]
        if not parts or len({np.shape(p) for p in parts}) > 1:
            text = "must be a number, or lists of numbers of equal length"
            raise invalid(text, show_value=True)
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


@LAYERS.add("Normalization")
class Normalization(Layer):
    """``(x − mean) / max(√variance, 1e-7)`` with statistics from the spec; ``invert`` reverses this.

    Shapes: (batch, …) → the same. The statistics have one value per index of ``axis``, or one value for all.
    """

    supports_masking = True

    axis: Annotated[
        IntOrInts | None,
        Field(description="The axis or axes with separate statistics per index; null for one value for all."),
    ] = -1
    mean: Annotated[Statistics, Field(description="The mean: a number, or a list for `axis` (nested for several).")] = (
        None
    )
    variance: Annotated[Statistics, Field(description="The variance, with the mean's shape.")] = None
    invert: Annotated[bool, Field(description="Whether normalized values are converted back.")] = False

    @model_validator(mode="after")
    def _given(self) -> Self:
        missing = [f"`{key}`" for key in ("mean", "variance") if getattr(self, key) is None]
        if missing:
            text = f"needs {' and '.join(missing)}: statistics are not computed from data"
            hint = "compute them from the training data, such as `mean: [5.8, 3.1]` and `variance: [0.7, 0.2]`"
            raise invalid(text, hint, code=Code.MISSING_KEY)
        mean, variance = np.asarray(self.mean), np.asarray(self.variance)
        if mean.shape != variance.shape:
            text = f"must have the shape of `mean`, {list(mean.shape)}, got {list(variance.shape)}"
            raise invalid(text, "use as many variances as means, with the same nesting", key="variance")
        if variance.min() < 0:
            hint = "use the mean of the squared distances to the mean"
            raise invalid("must be at least 0", hint, key="variance", show_value=True)
        return self

    def lower(self, g: Builder, X: Value) -> Value:
        axes = self._axes(X)
        mean = g.constant(_spread(X, axes, self.mean, "mean"))
        deviation = g.constant(np.maximum(np.sqrt(_spread(X, axes, self.variance, "variance")), _MIN_DEVIATION))
        X = as_float(g, X)
        if self.invert:
            return g.Add(g.Mul(X, deviation), mean)
        return g.Div(g.Sub(X, mean), deviation)

    def _axes(self, X: Value) -> list[int]:
        hint = "set `axis: null` for one mean and variance for all"
        return sorted({feature_axis(X, axis, "axis", hint) for axis in as_tuple(self.axis)})


def _spread(X: Value, axes: Sequence[int], values: Any, key: str) -> np.ndarray[Any, Any]:
    """Return statistics along ``axes`` as an array that broadcasts to X."""
    array = np.asarray(values, np.float64)
    if array.ndim > len(axes):
        text = f"has a `{key}` with {array.ndim} axes, but `axis` names {len(axes)}"
        raise ShapeError(Code.WRONG_RANK, text, hint="use one number, or one level of nested lists per axis", key=key)
    shape = [1] * X.rank
    for size, axis in zip(array.shape[::-1], axes[::-1], strict=False):
        if size not in (1, X.fixed(axis)):
            text = f"has {size} values in `{key}` for axis {axis} of {show(X.shape)}, which has size {X.shape[axis]}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint="use one value, or one per index of the axis", key=key)
        shape[axis] = size
    return array.reshape(shape)
