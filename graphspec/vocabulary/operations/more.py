"""Further operations of NumPy's: roots and signs, diagonals, quantiles, segments, parts that are replaced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, PositiveInt
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.graph.kernels.context import need, normalize_axis
from graphspec.vocabulary.layers.base import as_float, cast_to
from graphspec.vocabulary.operations.base import Axes, Axis, KeepDims, number, numbers, operation, promoted
from graphspec.vocabulary.operations.reduction import axes_of
from graphspec.vocabulary.operations.sorting import as_indices, ordered

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Offset = Annotated[int, Field(description="The diagonal: 0 is the main one, 1 the one above.")]
Sizes = Annotated[tuple[int, ...], FROM_LIST]
Segments = Annotated[PositiveInt, Field(description="The number of segments.")]


@operation
def ptp(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The largest less the smallest element over axes."""
    X, axes = number(g, x), tuple(axes_of(axis, x))
    kept = int(keepdims)
    return g.Sub(g.ReduceMax(X, axes=axes, keepdims=kept), g.ReduceMin(X, axes=axes, keepdims=kept))


@operation
def stop_gradient(g: Builder, variable: Value) -> Value:
    """The same values; nothing in front of them gets a gradient from here."""
    return g.StopGradient(variable)


@operation
def cdist(g: Builder, x1: Value, x2: Value) -> Value:
    """The distances of all pairs of points on the last axis: (…, a, d), (…, b, d) → (…, a, b), float32."""
    a, b = as_float(g, x1), as_float(g, x2)
    apart = g.Sub(g.Unsqueeze(a, g.constant([a.rank - 1])), g.Unsqueeze(b, g.constant([b.rank - 2])))
    rank = max(a.rank, b.rank) + 1
    return g.ReduceL2(apart, axes=(rank - 1,), keepdims=0)


@operation
def isin(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether each element of x1 is one of the numbers of x2, bool."""
    a, b = numbers(g, x1, x2)
    same = g.Equal(g.Unsqueeze(a, g.constant([a.rank])), g.reshape(b, [-1]))
    found = g.ReduceMax(cast_to(g, same, "int64"), axes=(a.rank,), keepdims=0)
    return g.Cast(found, to="bool")


@operation
def searchsorted(
    g: Builder,
    sorted_sequence: Value,
    values: Value,
    *,
    side: Annotated[
        Literal["left", "right"], Field(description="Whether equal ones are behind the place, or before.")
    ] = "left",
) -> Value:
    """Where each value belongs in an ascending vector without a batch axis, int64."""
    need(sorted_sequence.rank == 1, f"needs a vector, got {show(sorted_sequence.shape)}")
    edges, x = numbers(g, sorted_sequence, values)
    wide = g.Unsqueeze(x, g.constant([x.rank]))
    before = g.Less(edges, wide) if side == "left" else g.LessOrEqual(edges, wide)
    return g.ReduceSum(cast_to(g, before, "int64"), g.constant([x.rank]), keepdims=0)


@operation
def trapezoid(
    g: Builder,
    y: Value,
    *,
    dx: Annotated[float, Field(description="The distance of neighbours.")] = 1.0,
    axis: Axis = -1,
) -> Value:
    """The integral along the axis by the trapezoidal rule, float32."""
    Y, at = as_float(g, y), normalize_axis(axis, y.rank)
    where = g.constant([at])
    later = g.Slice(Y, g.constant([1]), g.constant([2**31]), where)
    pairs = g.Add(later, g.Slice(Y, g.constant([0]), g.constant([-1]), where))
    return g.Mul(g.ReduceSum(pairs, where, keepdims=0), g.constant(dx / 2))


def _diagonal(g: Builder, x: Value, offset: int, axis1: int, axis2: int) -> Value:
    a, b = normalize_axis(axis1, x.rank), normalize_axis(axis2, x.rank)
    need(a != b, "needs two axes", key="axis2")
    rows, columns = x.fixed(a), x.fixed(b)
    kept = [k for k in range(x.rank) if k not in (a, b)]
    first, count = max(-offset, 0), min(rows, columns - offset) - max(-offset, 0)
    need(count > 0, f"has no diagonal {offset} in {rows} × {columns}", code=Code.SIZES_DO_NOT_FIT, key="offset")
    flat = g.reshape(g.transpose(x, [*kept, a, b]), [*(g.size(x, k) for k in kept), rows * columns])
    places = [i * columns + i + offset for i in range(first, first + count)]
    return g.Gather(flat, g.constant(places), axis=len(kept))


@operation
def diagonal(g: Builder, x: Value, *, offset: Offset = 0, axis1: Axis = 0, axis2: Axis = 1) -> Value:
    """The diagonal over two axes of fixed size, as a new last axis."""
    return _diagonal(g, x, offset, axis1, axis2)


@operation
def trace(g: Builder, x: Value, *, offset: Offset = 0, axis1: Axis = 0, axis2: Axis = 1) -> Value:
    """The sum of the diagonal over two axes of fixed size."""
    found = _diagonal(g, number(g, x), offset, axis1, axis2)
    return g.ReduceSum(found, g.constant([found.rank - 1]), keepdims=0)


Quantile = Annotated[
    float | tuple[float, ...],
    FROM_LIST,
    Field(description="A part of the elements, or a list of parts, which then are the first axis."),
]
Method = Annotated[
    Literal["linear", "lower", "higher", "midpoint"], Field(description="What is taken between two elements.")
]


def _quantile(g: Builder, x: Value, q: float | tuple[float, ...], axis: Axes, method: str, keepdims: bool) -> Value:
    X, axes = as_float(g, x), axes_of(axis, x)
    parts = np.atleast_1d(np.asarray(q, np.float64))
    need(bool(((parts >= 0) & (parts <= 1)).all()), "has parts outside 0 to 1", code=Code.VALUE_NOT_ALLOWED, key="q")
    kept = [k for k in range(X.rank) if k not in axes]
    count = math.prod(X.fixed(k) for k in axes)
    moved = g.reshape(g.transpose(X, [*kept, *axes]), [*(g.size(X, k) for k in kept), count])
    values, at = ordered(g, moved, len(kept))[0], len(kept)
    places = parts * (count - 1)
    low, high = np.floor(places).astype(np.int64), np.ceil(places).astype(np.int64)
    weights = {"linear": places - low, "lower": 0 * places, "higher": 0 * places + 1, "midpoint": 0 * places + 0.5}
    below, above = (g.Gather(values, g.constant(k), axis=at) for k in (low, high))
    found = g.Add(below, g.Mul(g.Sub(above, below), g.constant(weights[method], "float32")))
    found = g.transpose(found, [at, *range(at)])
    if keepdims and axes:
        found = g.Unsqueeze(found, g.constant([k + 1 for k in sorted(axes)]))
    return found if isinstance(q, tuple) else g.Squeeze(found, g.constant([0]))


@operation
def quantile(
    g: Builder, x: Value, *, q: Quantile, axis: Axes = None, method: Method = "linear", keepdims: KeepDims = False
) -> Value:
    """The element below which a part ``q`` of the elements is, over axes of fixed size, float32."""
    return _quantile(g, x, q, axis, method, keepdims)


@operation
def percentile(
    g: Builder, x: Value, *, q: Quantile, axis: Axes = None, method: Method = "linear", keepdims: KeepDims = False
) -> Value:
    """The element below which ``q`` percent of the elements are, over axes of fixed size, float32."""
    share = tuple(part / 100 for part in q) if isinstance(q, tuple) else q / 100
    return _quantile(g, x, share, axis, method, keepdims)


@operation
def select(g: Builder, *inputs: Value) -> Value:
    """Where the first condition is true, the first choice, else by the second one: conditions, as many choices; then 0."""
    count = len(inputs) // 2
    need(len(inputs) == 2 * count, "needs as many choices as conditions", code=Code.WRONG_INPUT_COUNT, key="inputs")
    choices = promoted(g, *inputs[count:])
    found = g.constant(0, choices[0].dtype)
    for condition, choice in zip(inputs[:count][::-1], choices[::-1], strict=True):
        found = g.Where(cast_to(g, condition, "bool"), choice, found)
    return found


@operation
def slice_(
    g: Builder,
    inputs: Value,
    *,
    start_indices: Annotated[Sizes, Field(description="Where the part begins, on each axis; 0 on that of the batch.")],
    shape: Annotated[Sizes, Field(description="The size of the part on each axis; -1 for the rest.")],
) -> Value:
    """A part of the input: on each axis, ``shape`` elements from ``start_indices`` on."""
    need(len(start_indices) == len(shape) == inputs.rank, "needs a number for each axis", key="shape")
    for k, (start, size) in enumerate(zip(start_indices, shape, strict=True)):
        whole = inputs.shape[k]
        if isinstance(whole, int) and not (0 <= start < whole and start + max(size, 1) <= whole):
            text = f"has no {size} elements from {start} on along axis {k}, whose size is {whole}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, key="shape")
    axes = [k for k in range(inputs.rank) if (start_indices[k], shape[k]) != (0, -1)]
    if not axes:
        return inputs
    ends = [start_indices[k] + shape[k] if shape[k] >= 0 else 2**31 for k in axes]
    return g.Slice(inputs, g.constant([start_indices[k] for k in axes]), g.constant(ends), g.constant(axes))


@operation
def slice_update(
    g: Builder,
    inputs: Value,
    updates: Value,
    *,
    start_indices: Annotated[Sizes, Field(description="Where the part begins, on each axis; 0 on that of the batch.")],
) -> Value:
    """The input with a part of it, from ``start_indices`` on, replaced by ``updates``."""
    x, part = promoted(g, inputs, updates)
    need(len(start_indices) == x.rank == part.rank, "needs a number for each axis", key="start_indices")
    before, after, inside = [], [], np.ones([1] * x.rank, bool)
    for k, start in enumerate(start_indices):
        if x.shape[k] == part.shape[k] and start == 0:
            before.append(0)
            after.append(0)
            continue
        whole, size = x.fixed(k), part.fixed(k)
        if not 0 <= start <= whole - size:
            text = f"cannot replace {size} elements from {start} on along axis {k}, whose size is {whole}"
            raise ShapeError(Code.SIZES_DO_NOT_FIT, text, key="start_indices")
        before.append(start)
        after.append(whole - size - start)
        line = (np.arange(whole) >= start) & (np.arange(whole) < start + size)
        inside = inside & line.reshape([-1 if axis == k else 1 for axis in range(x.rank)])
    return g.Where(g.constant(inside), g.Pad(part, g.constant([*before, *after])), x)


def _members(g: Builder, data: Value, segment_ids: Value, count: int) -> tuple[Value, Value, list[int]]:
    """Return the data with an axis in front, and whether each belongs to each segment, in as many axes."""
    ids = as_indices(g, segment_ids)
    need(ids.rank == 1 and data.rank >= 1, f"needs data (n, …) and ids (n,), got {show(data.shape)}, {show(ids.shape)}")
    member = g.Equal(g.Unsqueeze(g.constant(np.arange(count)), g.constant([1])), g.Unsqueeze(ids, g.constant([0])))
    if data.rank > 1:
        member = g.Unsqueeze(member, g.constant([*range(2, data.rank + 1)]))
    return g.Unsqueeze(data, g.constant([0])), member, [1]


@operation
def segment_sum(g: Builder, data: Value, segment_ids: Value, *, num_segments: Segments) -> Value:
    """The sums of rows with the same id: (n, …), (n,) → (num_segments, …). There are none of the batch axis behind it."""
    x, member, axes = _members(g, number(g, data), segment_ids, num_segments)
    return g.ReduceSum(g.Where(member, x, g.constant(0, x.dtype)), g.constant(axes), keepdims=0)


@operation
def segment_max(g: Builder, data: Value, segment_ids: Value, *, num_segments: Segments) -> Value:
    """The largest of rows with the same id, float32, -∞ without any: (n, …), (n,) → (num_segments, …)."""
    x, member, axes = _members(g, as_float(g, data), segment_ids, num_segments)
    return g.ReduceMax(g.Where(member, x, g.constant(-math.inf)), axes=tuple(axes), keepdims=0)


@operation
def segment_min(g: Builder, data: Value, segment_ids: Value, *, num_segments: Segments) -> Value:
    """The smallest of rows with the same id, float32, ∞ without any: (n, …), (n,) → (num_segments, …)."""
    x, member, axes = _members(g, as_float(g, data), segment_ids, num_segments)
    return g.ReduceMin(g.Where(member, x, g.constant(math.inf)), axes=tuple(axes), keepdims=0)
