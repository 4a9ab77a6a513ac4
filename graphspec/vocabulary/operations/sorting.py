"""Operations that choose, order and count elements along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST
from graphspec.base.errors import ShapeError
from graphspec.graph.kernels.context import need, normalize_axis
from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.operations.base import (
    Axes,
    Axis,
    AxisOrNone,
    KeepDims,
    is_integer,
    number,
    operation,
)
from graphspec.vocabulary.operations.reduction import axes_of

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def as_indices(g: Builder, X: Value) -> Value:
    """Return integers as int64; other inputs are no indices (GS306)."""
    if not is_integer(X) or X.type.is_string:
        hint = "convert them with `ops.cast`, dtype int64"
        raise ShapeError(Code.WRONG_DTYPE, f"needs integers as indices, got {X.type}", hint=hint)
    return cast_to(g, X, "int64")


def ordered(g: Builder, X: Value, axis: int) -> tuple[Value, Value]:
    """Emit the elements along an axis in ascending order, and where they were; equal ones keep their order."""
    size = X.shape[axis]
    count = g.ints([size if isinstance(size, int) else g.size(X, axis)])
    values, places = g.TopK(X, count, axis=axis, largest=0, sorted=1)
    return values, places


@operation
def sort(g: Builder, x: Value, *, axis: Axis = -1) -> Value:
    """The elements along the axis in ascending order."""
    return ordered(g, number(g, x), normalize_axis(axis, x.rank))[0]


@operation
def argsort(g: Builder, x: Value, *, axis: Axis = -1) -> Value:
    """The places of the elements along the axis in ascending order, int64; equal ones keep their order."""
    return ordered(g, number(g, x), normalize_axis(axis, x.rank))[1]


@operation
def median(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The middle element over axes of fixed size, or the mean of the middle two, float32."""
    X, axes = as_float(g, x), axes_of(axis, x)
    kept = [k for k in range(X.rank) if k not in axes]
    count = 1
    for k in axes:
        count *= X.fixed(k)
    moved = g.reshape(g.transpose(X, [*kept, *axes]), [*(g.size(X, k) for k in kept), count])
    values, at = ordered(g, moved, len(kept))[0], len(kept)
    middle = g.Gather(values, g.constant([(count - 1) // 2, count // 2]), axis=at)
    found = g.ReduceMean(middle, axes=(at,), keepdims=0)
    return g.Unsqueeze(found, g.constant(sorted(axes))) if keepdims and axes else found


@operation
def take(g: Builder, x: Value, indices: Value, *, axis: AxisOrNone = None) -> Value:
    """The elements at these indices along an axis; negative ones count from the end."""
    indices = as_indices(g, indices)
    if axis is None:
        x, axis = g.reshape(x, [-1]), 0
    return g.Gather(x, indices, axis=normalize_axis(axis, x.rank))


@operation
def take_along_axis(g: Builder, x: Value, indices: Value, *, axis: AxisOrNone = None) -> Value:
    """For each place, the element at the index there along the axis; the other axes of both are equal, or broadcast."""
    indices = as_indices(g, indices)
    if axis is None:
        x, indices, axis = g.reshape(x, [-1]), g.reshape(indices, [-1]), 0
    axis = normalize_axis(axis, x.rank)
    both = _broadcast_beside(g, x, indices, axis), _broadcast_beside(g, indices, x, axis)
    return g.GatherElements(*both, axis=axis)


def _broadcast_beside(g: Builder, X: Value, other: Value, axis: int) -> Value:
    """Emit X repeated over the axes of another value, except for one axis."""
    beside = [k for k in range(X.rank) if k != axis]
    if X.rank != other.rank or all(X.shape[k] == other.shape[k] or other.shape[k] == 1 for k in beside):
        return X
    expanded: Value = g.Expand(X, g.ints([1 if k == axis else g.size(other, k) for k in range(X.rank)]))
    return expanded


@operation
def cumsum(g: Builder, x: Value, *, axis: AxisOrNone = None) -> Value:
    """The sum of the elements up to each one along the axis."""
    x = number(g, x)
    if axis is None:
        x, axis = g.reshape(x, [-1]), 0
    return g.CumSum(x, g.constant(normalize_axis(axis, x.rank)))


@operation
def diff(
    g: Builder, a: Value, *, n: Annotated[int, Field(ge=0, le=64, description="How many times.")] = 1, axis: Axis = -1
) -> Value:
    """The differences of neighbours along the axis."""
    a, at = number(g, a), normalize_axis(axis, a.rank)
    for _ in range(n):
        where = g.constant([at])
        later = g.Slice(a, g.constant([1]), g.constant([2**31]), where)
        a = g.Sub(later, g.Slice(a, g.constant([0]), g.constant([-1]), where))
    return a


@operation
def digitize(
    g: Builder,
    x: Value,
    *,
    bins: Annotated[tuple[float, ...], FROM_LIST, Field(min_length=1, description="The edges, in ascending order.")],
) -> Value:
    """The number of edges that are no larger than each element, int64."""
    need(list(bins) == sorted(bins), "needs edges in ascending order", code=Code.VALUE_NOT_ALLOWED, key="bins")
    X = g.Unsqueeze(as_float(g, x), g.constant([x.rank]))
    reached = g.GreaterOrEqual(X, g.constant(list(bins), "float32"))
    return g.ReduceSum(cast_to(g, reached, "int64"), g.constant([x.rank]), keepdims=0)


@operation
def average(g: Builder, x: Value, weights: Value | None = None, *, axis: Axes = None) -> Value:
    """The mean over axes, weighted by the second input if there is one, float32. Weights broadcast to x."""
    X, axes = as_float(g, x), axes_of(axis, x)
    if weights is None or not axes:
        return g.ReduceMean(X, axes=tuple(axes), keepdims=0) if axes else X
    W = as_float(g, weights)
    if W.rank == 1 and len(axes) == 1 and X.rank > 1:
        shape = [1] * X.rank
        shape[axes[0]] = -1
        W = g.reshape(W, shape)
    products = g.Mul(X, W)
    wide = g.Expand(W, g.Shape(products))
    return g.Div(g.ReduceSum(products, g.constant(axes), keepdims=0), g.ReduceSum(wide, g.constant(axes), keepdims=0))


@operation
def top_k(g: Builder, x: Value, *, k: Annotated[int, Field(ge=1, description="How many.")]) -> tuple[Value, Value]:
    """The k largest elements along the last axis, in descending order, and their indices, int64: two outputs."""
    values, places = g.TopK(number(g, x), g.constant([k]), axis=-1, largest=1, sorted=1)
    return values, places
