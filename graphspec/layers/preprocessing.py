"""Layers that make vectors of ids and bins of numbers: CategoryEncoding, Discretization, Normalization."""

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
from graphspec.layers.base import LAYERS, Layer, Machinery, as_float, cast_to, need_rank

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

_LEAST = 1e-7  # Keras's epsilon: the least standard deviation that is divided by

Sparse = Annotated[
    bool,
    AfterValidator(only(False, "sparse tensors are not available: the exported graph has none")),
    Field(description="Refused: the exported graph has no sparse tensors."),
]
Counts = Literal["one_hot", "multi_hot", "count"]


def encode(g: Builder, ids: Value, depth: int, mode: Counts, weights: Value | None = None) -> Value:
    """Ids as vectors of ``depth`` numbers: one each, or for all ids of axis 1 together. Ids out of range count nowhere.

    Args:
        weights: what each id counts, of the ids' shape.
    """
    if mode == "one_hot":
        if ids.rank < 2 or ids.shape[-1] != 1:
            ids = g.Unsqueeze(ids, g.constant([ids.rank]))
        return g.MultiHot(ids, depth=depth)
    need_rank(ids, 2, None, "(batch, ids, …)", hint="`output_mode: one_hot` takes one id a sample")
    order = (0, *range(2, ids.rank), 1)
    counted = None if weights is None else g.transpose(weights, order)
    return g.MultiHot(g.transpose(ids, order), counted, depth=depth, count=int(mode == "count"))


@LAYERS.add("CategoryEncoding")
class CategoryEncoding(Layer):
    """Ids 0 … num_tokens − 1 as vectors: ``one_hot`` each, or which (``multi_hot``) or how many (``count``) come on axis 1.

    An id out of range counts nowhere, here and in the export (Keras: so with JAX, an error with others). Of a float the
    fraction is cut off, and NaN counts nowhere.
    Shapes: (batch, ids) → (batch, num_tokens); one_hot (batch, …) → (batch, …, num_tokens), a last axis of 1 is dropped.
    """

    call_arguments = ("count_weights",)

    num_tokens: Annotated[PositiveInt, Field(description="How many ids there are: the largest one plus 1.")]
    output_mode: Annotated[
        Counts, Field(description="one_hot: a vector for each id; multi_hot: ones at all ids; count: how often.")
    ] = "multi_hot"
    sparse: Sparse = False

    def lower(self, g: Builder, ids: Value, *, count_weights: Sequence[Value] = ()) -> Value:
        weights = None
        if count_weights:
            if self.output_mode != "count":
                text = f"takes `count_weights` with `output_mode: count` only, not {self.output_mode}"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set `output_mode: count`", key="count_weights")
            if len(count_weights) != 1 or count_weights[0].shape != ids.shape:
                got = " and ".join(show(v.shape) for v in count_weights)
                text = f"needs one node of the ids' shape {show(ids.shape)} as `count_weights`, got {got}"
                raise ShapeError(Code.SHAPES_DIFFER, text, hint="one weight for each id", key="count_weights")
            weights = as_float(g, count_weights[0])
        if ids.type.is_float:  # what int64 does not have, or NaN, would become any id
            low, high = g.constant(-1.0), g.constant(float(self.num_tokens))
            ids = g.Where(g.And(g.Greater(ids, low), g.Less(ids, high)), ids, low)
        return encode(g, cast_to(g, ids, "int64"), self.num_tokens, self.output_mode, weights)


def _sorted(value: tuple[float, ...]) -> tuple[float, ...]:
    if not value:
        raise invalid("must have at least one number", "such as `[0.0, 1.0]`", show_value=True)
    if any(a > b for a, b in pairwise(value)):
        raise invalid("must be sorted, the least first", f"write {sorted(value)}", show_value=True)
    return value


@LAYERS.add("Discretization")
class Discretization(Layer):
    """The bin of each number: how many of ``bin_boundaries`` are not above it, as int32 or encoded as CategoryEncoding does.

    Shapes: ``int`` (batch, …) → the same; else as CategoryEncoding, with one more bin than boundaries.
    """

    bin_boundaries: Annotated[
        Annotated[tuple[float, ...], AfterValidator(_sorted)] | None,
        FROM_LIST,
        Field(description="Where bins begin, in order; below the first is bin 0."),
    ] = None
    num_bins: Annotated[
        None,
        BeforeValidator(only(None, "boundaries are not learnt from data here", "give them as `bin_boundaries`")),
        Field(description="Refused: boundaries are not learnt from data here."),
    ] = None
    epsilon: Machinery = 0.01
    output_mode: Annotated[
        Literal["int", "one_hot", "multi_hot", "count"],
        Field(description="int: the bin's number; one_hot, multi_hot, count: vectors of as many numbers as bins."),
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
    """Nested lists of numbers as tuples of floats; null stays."""
    if isinstance(value, list | tuple):
        parts = [_statistics(v) for v in value]
        if not parts or len({np.shape(p) for p in parts}) > 1:
            text = "must be a number, or lists of numbers that are equally long"
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
    """``(x − mean) / max(√variance, 1e-7)`` with given statistics; ``invert`` undoes that.

    Shapes: (batch, …) → the same. Statistics have a number for each place of ``axis``, or one for all.
    """

    supports_masking = True

    axis: Annotated[
        IntOrInts | None,
        Field(description="The axis or axes that have statistics of their own at each place; null: one for all."),
    ] = -1
    mean: Annotated[Statistics, Field(description="The mean: a number, or a list for `axis` (nested for several).")] = (
        None
    )
    variance: Annotated[Statistics, Field(description="The variance, of the mean's shape.")] = None
    invert: Annotated[bool, Field(description="Whether normalized numbers are turned back.")] = False

    @model_validator(mode="after")
    def _given(self) -> Self:
        missing = [f"`{key}`" for key in ("mean", "variance") if getattr(self, key) is None]
        if missing:
            text = f"needs {' and '.join(missing)}: statistics are not learnt from data here"
            hint = "compute them from the training data, such as `mean: [5.8, 3.1]` and `variance: [0.7, 0.2]`"
            raise invalid(text, hint, code=Code.MISSING_KEY)
        mean, variance = np.asarray(self.mean), np.asarray(self.variance)
        if mean.shape != variance.shape:
            text = f"must have the shape of `mean`, {list(mean.shape)}, got {list(variance.shape)}"
            raise invalid(text, "as many variances as means, nested alike", key="variance")
        if variance.min() < 0:
            hint = "the mean of the squared distances from the mean"
            raise invalid("must be at least 0", hint, key="variance", show_value=True)
        return self

    def lower(self, g: Builder, X: Value) -> Value:
        axes = self._axes(X)
        mean = g.constant(_spread(X, axes, self.mean, "mean"))
        deviation = g.constant(np.maximum(np.sqrt(_spread(X, axes, self.variance, "variance")), _LEAST))
        X = as_float(g, X)
        if self.invert:
            return g.Add(g.Mul(X, deviation), mean)
        return g.Div(g.Sub(X, mean), deviation)

    def _axes(self, X: Value) -> list[int]:
        hint = "`axis: null` has one mean and variance for all"
        return sorted({feature_axis(X, axis, "axis", hint) for axis in as_tuple(self.axis)})


def _spread(X: Value, axes: Sequence[int], numbers: Any, key: str) -> np.ndarray[Any, Any]:
    """Statistics along ``axes`` as an array that broadcasts to X."""
    array = np.asarray(numbers, np.float64)
    if array.ndim > len(axes):
        text = f"has a `{key}` of {array.ndim} axes where `axis` names {len(axes)}"
        raise ShapeError(
            Code.WRONG_RANK, text, hint="give one number, or lists nested as deep as there are axes", key=key
        )
    shape = [1] * X.rank
    for size, axis in zip(array.shape[::-1], axes[::-1], strict=False):
        if size not in (1, X.fixed(axis)):
            text = f"has {size} numbers in `{key}` for axis {axis} of {show(X.shape)}, which has {X.shape[axis]} places"
            raise ShapeError(
                Code.SIZES_DO_NOT_FIT, text, hint="give one number, or one for each place of the axis", key=key
            )
        shape[axis] = size
    return array.reshape(shape)
