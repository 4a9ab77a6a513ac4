"""Operations that leave NaN out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.operations.base import Axes, AxisOrNone, KeepDims, operation
from graphspec.vocabulary.operations.reduction import axes_of, total
from graphspec.vocabulary.operations.sorting import cumsum

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def filled(g: Builder, x: Value, by: float) -> Value:
    """Emit x, float32, with a number in place of NaN."""
    X = as_float(g, x)
    return g.Where(g.IsNaN(X), g.constant(by), X)


def _count(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
    there = cast_to(g, g.Not(g.IsNaN(as_float(g, x))), "float32")
    return total(g, there, axes, keepdims)


@operation
def nansum(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The sum over axes without NaN, float32."""
    return total(g, filled(g, x, 0.0), axes_of(axis, x), keepdims)


@operation
def nanmean(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The mean over axes without NaN, float32; NaN if there is nothing else."""
    axes = axes_of(axis, x)
    return g.Div(total(g, filled(g, x, 0.0), axes, keepdims), _count(g, x, axes, keepdims))


@operation
def nanprod(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The product over axes without NaN, float32."""
    X, axes = filled(g, x, 1.0), tuple(axes_of(axis, x))
    return g.ReduceProd(X, axes=axes, keepdims=int(keepdims)) if axes else X


def _variance(g: Builder, x: Value, axis: Axes, keepdims: bool) -> Value:
    axes = axes_of(axis, x)
    mean = g.Div(total(g, filled(g, x, 0.0), axes, True), _count(g, x, axes, True))
    centred = filled(g, g.Sub(as_float(g, x), mean), 0.0)
    return g.Div(total(g, g.Mul(centred, centred), axes, keepdims), _count(g, x, axes, keepdims))


@operation
def nanvar(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The variance over axes without NaN, float32."""
    return _variance(g, x, axis, keepdims)


@operation
def nanstd(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The standard deviation over axes without NaN, float32."""
    return g.Sqrt(_variance(g, x, axis, keepdims))


def _extreme(g: Builder, x: Value, axis: Axes, keepdims: bool, reduce: Callable[..., Value], worst: float) -> Value:
    """Emit the largest or smallest element without NaN; NaN if there is nothing else."""
    axes = axes_of(axis, x)
    if not axes:
        return as_float(g, x)
    found = reduce(filled(g, x, worst), axes=tuple(axes), keepdims=int(keepdims))
    none = g.Equal(_count(g, x, axes, keepdims), g.constant(0.0))
    return g.Where(none, g.constant(math.nan), found)


@operation
def nanmax(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The largest element over axes without NaN, float32."""
    return _extreme(g, x, axis, keepdims, g.ReduceMax, -math.inf)


@operation
def nanmin(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The smallest element over axes without NaN, float32."""
    return _extreme(g, x, axis, keepdims, g.ReduceMin, math.inf)


@operation
def nancumsum(g: Builder, x: Value, *, axis: AxisOrNone = None) -> Value:
    """The sum of the elements up to each one along the axis, with NaN as 0, float32."""
    found: Value = cumsum.function(g, filled(g, x, 0.0), axis=axis)
    return found
