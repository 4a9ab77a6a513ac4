"""Operations that reduce axes: sums, means, extremes, and where these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from graphspec.graph.kernels.context import normalize_axis
from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import Axes, AxisOrNone, KeepDims, number, operation, truth

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def axes_of(axis: int | tuple[int, ...] | None, X: Value) -> list[int]:
    """Return axes counted from the front: all of X for None."""
    listed = range(X.rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    return [normalize_axis(k, X.rank) for k in listed]


def total(g: Builder, X: Value, axes: list[int], keepdims: bool) -> Value:
    """Emit the sum over ``axes``."""
    return g.ReduceSum(X, g.constant(axes), keepdims=int(keepdims)) if axes else X


@operation
def sum_(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The sum over axes. Integers and bools give int64."""
    return total(g, number(g, x), axes_of(axis, x), keepdims)


@operation
def mean(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The mean over axes, float32."""
    x, axes = as_float(g, x), axes_of(axis, x)
    return g.ReduceMean(x, axes=tuple(axes), keepdims=int(keepdims)) if axes else x


@operation
def prod(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The product over axes. Integers and bools give int64."""
    x, axes = number(g, x), axes_of(axis, x)
    return g.ReduceProd(x, axes=tuple(axes), keepdims=int(keepdims)) if axes else x


def _extreme(g: Builder, x: Value, reduce: Callable[..., Value], axis: Axes, keepdims: bool) -> Value:
    """Emit the largest or smallest element over axes; of bools it is a bool."""
    axes = axes_of(axis, x)
    if not axes:
        return x
    found = reduce(number(g, x), axes=tuple(axes), keepdims=int(keepdims))
    return g.Cast(found, to="bool") if x.dtype == "bool" else found


@operation
def max_(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The largest element over axes. Equal ones share the gradient."""
    return _extreme(g, x, g.ReduceMax, axis, keepdims)


@operation
def min_(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The smallest element over axes. Equal ones share the gradient."""
    return _extreme(g, x, g.ReduceMin, axis, keepdims)


@operation
def amax(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The largest element over axes, as ``ops.max``."""
    return _extreme(g, x, g.ReduceMax, axis, keepdims)


@operation
def amin(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The smallest element over axes, as ``ops.min``."""
    return _extreme(g, x, g.ReduceMin, axis, keepdims)


@operation
def count_nonzero(g: Builder, x: Value, *, axis: Axes = None) -> Value:
    """The number of elements over axes that are not 0, int64."""
    return total(g, number(g, truth(g, x)), axes_of(axis, x), False)


@operation
def any_(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """Whether an element over axes is not 0, bool."""
    return _extreme(g, truth(g, x), g.ReduceMax, axis, keepdims)


@operation
def all_(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """Whether no element over axes is 0, bool."""
    return _extreme(g, truth(g, x), g.ReduceMin, axis, keepdims)


def variance(g: Builder, X: Value, axis: int | tuple[int, ...] | None, keepdims: bool) -> Value:
    """Emit the mean squared distance from the mean."""
    X, axes = as_float(g, X), tuple(axes_of(axis, X))
    centred = g.Sub(X, g.ReduceMean(X, axes=axes, keepdims=1) if axes else X)
    squares = g.Mul(centred, centred)
    return g.ReduceMean(squares, axes=axes, keepdims=int(keepdims)) if axes else squares


@operation
def var(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The variance over axes: the mean squared distance from the mean, float32."""
    return variance(g, x, axis, keepdims)


@operation
def std(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The standard deviation over axes: the square root of ``ops.var``, float32."""
    return g.Sqrt(variance(g, x, axis, keepdims))


def _where_extreme(g: Builder, x: Value, find: Callable[..., Value], axis: int | None, keepdims: bool) -> Value:
    """Emit the index of the first extreme element."""
    x = number(g, x)
    if axis is not None:
        return find(x, axis=normalize_axis(axis, x.rank), keepdims=int(keepdims))
    found = find(g.reshape(x, [-1]), axis=0, keepdims=0)
    return g.reshape(found, [1] * x.rank) if keepdims else found


@operation
def argmax(g: Builder, x: Value, *, axis: AxisOrNone = None, keepdims: KeepDims = False) -> Value:
    """The index of the largest element along the axis, int64; of equal ones, the first."""
    return _where_extreme(g, x, g.ArgMax, axis, keepdims)


@operation
def argmin(g: Builder, x: Value, *, axis: AxisOrNone = None, keepdims: KeepDims = False) -> Value:
    """The index of the smallest element along the axis, int64; of equal ones, the first."""
    return _where_extreme(g, x, g.ArgMin, axis, keepdims)


@operation
def logsumexp(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """``log Σ exp(x)`` over axes, float32, without overflow."""
    x, axes = as_float(g, x), axes_of(axis, x)
    return g.ReduceLogSumExp(x, axes=tuple(axes), keepdims=int(keepdims)) if axes else x
