"""Operations along axes: sums, extremes, order, products, quantiles, segments."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Ints, PositiveInt, described
from graphspec.graph.decompositions import repeated
from graphspec.graph.derivatives.arrays import zeros_like
from graphspec.graph.kernels.context import need, normalize_axis
from graphspec.vocabulary import Builder, Value, has_rows, show
from graphspec.vocabulary.layers.layer import as_float, cast_to
from graphspec.vocabulary.operations import operation as base
from graphspec.vocabulary.operations.operation import Axes, Axis, AxisOrNone, KeepDims, add_row, number, operation


# Operations that reduce axes: sums, means, extremes, and where these are.
def axes_of(axis: int | tuple[int, ...] | None, X: Value) -> list[int]:
    """Return axes counted from the front: all of X for None."""
    listed = range(X.rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    return [normalize_axis(k, X.rank) for k in listed]


def total(g: Builder, X: Value, axes: list[int], keepdims: bool) -> Value:
    """Emit the sum over ``axes``."""
    return g.ReduceSum(X, g.constant(axes), keepdims=int(keepdims)) if axes else X


# A function of the builder, the input, the axes counted from the front, and whether they remain.
Reduction = Callable[["Builder", "Value", list[int], bool], "Value"]


def by_operator(op: str, cast: Callable[[Builder, Value], Value]) -> Reduction:
    """Return the reduction by an operator; without axes it does nothing."""

    def reduce(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
        X = cast(g, x)
        reduced: Value = g.emit(op, (X,), {"axes": tuple(axes), "keepdims": int(keepdims)}) if axes else X
        return reduced

    return reduce


def extreme(op: str, cast: Callable[[Builder, Value], Value] = lambda _, x: x) -> Reduction:
    """Return the reduction to the largest or smallest element; of bools it is a bool."""
    of_numbers = by_operator(op, number)

    def reduce(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
        x = cast(g, x)
        if not axes:
            return x
        reduced = of_numbers(g, x, axes, keepdims)
        return g.Cast(reduced, to="bool") if x.dtype == "bool" else reduced

    return reduce


def _sum(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
    return total(g, number(g, x), axes, keepdims)


def variance(g: Builder, X: Value, axes: list[int], keepdims: bool) -> Value:
    """Emit the mean squared distance from the mean."""
    X, over = as_float(g, X), tuple(axes)
    centred = X - (g.ReduceMean(X, axes=over, keepdims=1) if axes else X)
    squares = centred * centred
    return g.ReduceMean(squares, axes=over, keepdims=int(keepdims)) if axes else squares


# Without NaN.


def filled(g: Builder, x: Value, by: float) -> Value:
    """Emit x, float32, with a number in place of NaN."""
    X = as_float(g, x)
    return g.Where(g.IsNaN(X), g.constant(by), X)


def _count(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
    return total(g, cast_to(g, ~g.IsNaN(as_float(g, x)), "float32"), axes, keepdims)


def _nansum(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
    return total(g, filled(g, x, 0.0), axes, keepdims)


def _nanmean(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
    return _nansum(g, x, axes, keepdims) / _count(g, x, axes, keepdims)


def _nanvar(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
    mean = _nanmean(g, x, axes, True)
    centred = filled(g, as_float(g, x) - mean, 0.0)
    return total(g, centred * centred, axes, keepdims) / _count(g, x, axes, keepdims)


def _extreme_number(op: str, worst: float) -> Reduction:
    """Return the reduction to the largest or smallest element without NaN; NaN if there is nothing else."""
    of_filled = by_operator(op, lambda g, x: filled(g, x, worst))

    def reduce(g: Builder, x: Value, axes: list[int], keepdims: bool) -> Value:
        if not axes:
            return as_float(g, x)
        reduced = of_filled(g, x, axes, keepdims)
        return g.Where(g.Equal(_count(g, x, axes, keepdims), g.constant(0.0)), g.constant(math.nan), reduced)

    return reduce


REDUCTIONS: dict[str, tuple[Reduction, str]] = {  # the reduction of each operation, and the sentence of the pages
    "sum": (_sum, "The sum over axes. Integers and bools give int64."),
    "mean": (by_operator("ReduceMean", as_float), "The mean over axes, float32."),
    "prod": (by_operator("ReduceProd", number), "The product over axes. Integers and bools give int64."),
    "max": (extreme("ReduceMax"), "The largest element over axes. Equal ones share the gradient."),
    "min": (extreme("ReduceMin"), "The smallest element over axes. Equal ones share the gradient."),
    "amax": (extreme("ReduceMax"), "The largest element over axes, as ``ops.max``."),
    "amin": (extreme("ReduceMin"), "The smallest element over axes, as ``ops.min``."),
    "any": (extreme("ReduceMax", base.truth), "Whether an element over axes is not 0, bool."),
    "all": (extreme("ReduceMin", base.truth), "Whether no element over axes is 0, bool."),
    "var": (variance, "The variance over axes: the mean squared distance from the mean, float32."),
    "std": (
        lambda g, x, axes, keepdims: g.Sqrt(variance(g, x, axes, keepdims)),
        "The standard deviation over axes: the square root of ``ops.var``, float32.",
    ),
    "logsumexp": (by_operator("ReduceLogSumExp", as_float), "``log Σ exp(x)`` over axes, float32, without overflow."),
    "nansum": (_nansum, "The sum over axes without NaN, float32."),
    "nanmean": (_nanmean, "The mean over axes without NaN, float32; NaN if there is nothing else."),
    "nanprod": (
        by_operator("ReduceProd", lambda g, x: filled(g, x, 1.0)),
        "The product over axes without NaN, float32.",
    ),
    "nanvar": (_nanvar, "The variance over axes without NaN, float32."),
    "nanstd": (
        lambda g, x, axes, keepdims: g.Sqrt(_nanvar(g, x, axes, keepdims)),
        "The standard deviation over axes without NaN, float32.",
    ),
    "nanmax": (_extreme_number("ReduceMax", -math.inf), "The largest element over axes without NaN, float32."),
    "nanmin": (_extreme_number("ReduceMin", math.inf), "The smallest element over axes without NaN, float32."),
}


def _over(reduction: Reduction, g: Builder, x: Value, *, axis: Axes, keepdims: bool) -> Value:
    return reduction(g, x, axes_of(axis, x), keepdims)


for _name, (_reduction, _text) in REDUCTIONS.items():
    _arguments = {"axis": (Axes, None), "keepdims": (KeepDims, False)}
    add_row(__name__, _name, partial(_over, _reduction), _text, _arguments)


@operation
def count_nonzero(g: Builder, x: Value, *, axis: Axes = None) -> Value:
    """The number of elements over axes that are not 0, int64."""
    return total(g, number(g, base.truth(g, x)), axes_of(axis, x), False)


def _where_extreme(op: str, g: Builder, x: Value, *, axis: int | None, keepdims: bool) -> Value:
    x = number(g, x)
    X, at = placed(g, x, axis)
    place: Value = g.emit(op, (X,), {"axis": at, "keepdims": int(keepdims and axis is not None)})
    return g.reshape(place, [1] * x.rank) if keepdims and axis is None else place


for _name, _op, _word in (("argmax", "ArgMax", "largest"), ("argmin", "ArgMin", "smallest")):
    _text = f"The index of the {_word} element along the axis, int64; of equal ones, the first."
    _arguments = {"axis": (AxisOrNone, None), "keepdims": (KeepDims, False)}
    add_row(__name__, _name, partial(_where_extreme, _op), _text, _arguments)


# Operations that choose, order and count elements along an axis.
def as_indices(g: Builder, X: Value) -> Value:
    """Return integers as int64; other inputs are no indices (GS306)."""
    hint = "convert them with `ops.cast`, dtype int64"
    sound = base.is_integer(X) and not X.type.is_string
    need(sound, f"needs integers as indices, got {X.type}", code=Code.WRONG_DTYPE, hint=hint)
    return cast_to(g, X, "int64")


def placed(g: Builder, X: Value, axis: int | None) -> tuple[Value, int]:
    """Emit the input and its axis, counted from the front; for None, all elements as one vector."""
    return (g.reshape(X, [-1]), 0) if axis is None else (X, normalize_axis(axis, X.rank))


def ordered_over(g: Builder, X: Value, axes: list[int]) -> tuple[Value, int, int]:
    """Emit the elements over ``axes`` of fixed size in ascending order, on the last axis; also where it is, and its size."""
    kept = [k for k in range(X.rank) if k not in axes]
    count = math.prod(X.fixed(k) for k in axes)
    moved = g.reshape(g.transpose(X, [*kept, *axes]), [*(g.size(X, k) for k in kept), count])
    return ordered(g, moved, len(kept))[0], len(kept), count


def ordered(g: Builder, X: Value, axis: int) -> tuple[Value, Value]:
    """Emit the elements along an axis in ascending order, and where they were; equal ones keep their order."""
    size = X.shape[axis]
    count = g.ints([size if isinstance(size, int) else g.size(X, axis)])
    values, places = g.TopK(X, count, axis=axis, largest=0, sorted=1)
    return values, places


def _sorted(which: int, g: Builder, x: Value, *, axis: int) -> Value:
    return ordered(g, number(g, x), normalize_axis(axis, x.rank))[which]


_IN_ORDER = "along the axis in ascending order"
add_row(__name__, "sort", partial(_sorted, 0), f"The elements {_IN_ORDER}.", {"axis": (Axis, -1)})
_text = f"The places of the elements {_IN_ORDER}, int64; equal ones keep their order."
add_row(__name__, "argsort", partial(_sorted, 1), _text, {"axis": (Axis, -1)})


@operation
def median(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The middle element over axes of fixed size, or the mean of the middle two, float32."""
    X, axes = as_float(g, x), axes_of(axis, x)
    values, at, count = ordered_over(g, X, axes)
    middle = g.Gather(values, g.constant([(count - 1) // 2, count // 2]), axis=at)
    middle_value = g.ReduceMean(middle, axes=(at,), keepdims=0)
    return g.Unsqueeze(middle_value, g.constant(sorted(axes))) if keepdims and axes else middle_value


@operation
def take(g: Builder, x: Value, indices: Value, *, axis: AxisOrNone = None) -> Value:
    """The elements at these indices along an axis; negative ones count from the end."""
    indices = as_indices(g, indices)
    x, at = placed(g, x, axis)
    return g.Gather(x, indices, axis=at)


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
    x, at = placed(g, number(g, x), axis)
    return g.CumSum(x, g.constant(at))


@operation
def associative_scan(
    g: Builder,
    a: Value,
    b: Value,
    *,
    axis: Axis,
    reverse: Annotated[bool, described("Whether it begins at the end.")] = False,
) -> Value:
    """The linear recurrence ``h[t] = a[t] · h[t − 1] + b[t]`` along the axis, with ``h[−1] = 0``.

    Shapes: a and b broadcast. Blelloch, *Prefix Sums and Their Applications*, 1990.
    """
    a, b = as_float(g, a), as_float(g, b)
    a, b = (X if X.shape == Y.shape else g.Expand(X, g.Shape(Y)) for X, Y in ((a, b), (b, a)))
    at = normalize_axis(axis, b.rank)
    front = [at, *(k for k in range(b.rank) if k != at)]
    steps = [g.transpose(X, front) for X in (a, b)]
    start = zeros_like(g, g.Gather(steps[1], g.constant(0), axis=0))
    _, (found,) = repeated(g, lambda _, h, x, __: [x[0] * h[0] + x[1]], [start], steps, {}, int(reverse))
    return g.transpose(found, np.argsort(front).tolist())


@operation
def diff(
    g: Builder, a: Value, *, n: Annotated[int, described("How many times.", ge=0, le=64)] = 1, axis: Axis = -1
) -> Value:
    """The differences of neighbours along the axis."""
    a, at = number(g, a), normalize_axis(axis, a.rank)
    for _ in range(n):
        later, earlier = neighbours(g, a, g.constant([at]))
        a = later - earlier
    return a


def neighbours(g: Builder, X: Value, axis: Value) -> tuple[Value, Value]:
    """Emit the elements along an axis without the first, and without the last."""
    later = g.Slice(X, g.constant([1]), g.constant([2**31]), axis)
    return later, g.Slice(X, g.constant([0]), g.constant([-1]), axis)


@operation
def digitize(
    g: Builder,
    x: Value,
    *,
    bins: Annotated[tuple[float, ...], FROM_LIST, described("The edges, in ascending order.", min_length=1)],
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
    products = X * W
    wide = g.Expand(W, g.Shape(products))
    return total(g, products, axes, False) / total(g, wide, axes, False)


@operation
def top_k(g: Builder, x: Value, *, k: Annotated[int, described("How many.", ge=1)]) -> tuple[Value, Value]:
    """The k largest elements along the last axis, in descending order, and their indices, int64: two outputs."""
    values, places = g.TopK(number(g, x), g.constant([k]), axis=-1, largest=1, sorted=1)
    return values, places


# Operations that leave NaN out.
@operation
def nancumsum(g: Builder, x: Value, *, axis: AxisOrNone = None) -> Value:
    """The sum of the elements up to each one along the axis, with NaN as 0, float32."""
    found: Value = cumsum.function(g, filled(g, x, 0.0), axis=axis)
    return found


# Products of vectors and matrices, and norms.
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def contracted(g: Builder, A: Value, B: Value, left: list[int], right: list[int]) -> Value:
    """Emit the sum of products over the axes ``left`` of A and ``right`` of B, with the other axes of both."""
    need(len(left) == len(right), f"sums over {len(left)} axes of one input and {len(right)} of the other", key="axes")
    a = list(_LETTERS[: A.rank])
    b = list(_LETTERS[A.rank : A.rank + B.rank])
    for i, j in zip(left, right, strict=True):
        b[j] = a[i]
    out = [c for k, c in enumerate(a) if k not in left] + [c for k, c in enumerate(b) if k not in right]
    return g.Einsum(as_float(g, A), as_float(g, B), equation=f"{''.join(a)},{''.join(b)}->{''.join(out)}")


@operation
def matmul(g: Builder, x1: Value, x2: Value) -> Value:
    """The matrix product over the last two axes, float32; the axes before broadcast. A vector is a row or a column."""
    return g.MatMul(as_float(g, x1), as_float(g, x2))


def _products(from_end: int, g: Builder, x1: Value, x2: Value) -> Value:
    if 0 in (x1.rank, x2.rank):
        return as_float(g, x1) * as_float(g, x2)
    return contracted(g, x1, x2, [x1.rank - 1], [max(x2.rank - from_end, 0)])


_text = "The products over the last axis of ``x1`` and the last but one of ``x2``, float32; a scalar multiplies."
add_row(__name__, "dot", partial(_products, 2), _text)
add_row(__name__, "inner", partial(_products, 1), "The products over the last axis of both, float32.")


@operation
def vdot(g: Builder, x1: Value, x2: Value) -> Value:
    """The sum of all products of elements at the same place, float32."""
    return contracted(g, g.reshape(x1, [-1]), g.reshape(x2, [-1]), [0], [0])


@operation
def outer(g: Builder, x1: Value, x2: Value) -> Value:
    """The products of all pairs of elements of two inputs, each as one vector: (a,), (b,) → (a, b)."""
    a, b = base.numbers(g, x1, x2)
    return g.reshape(a, [-1, 1]) * g.reshape(b, [1, -1])


@operation
def tensordot(
    g: Builder,
    x1: Value,
    x2: Value,
    *,
    axes: Annotated[
        int | tuple[int | Ints, int | Ints],
        FROM_LIST,
        described("A number: so many last axes of the first and first of the second; or the axes of both."),
    ] = 2,
) -> Value:
    """The sum of products over axes of both inputs, float32."""
    if isinstance(axes, int):
        return contracted(g, x1, x2, list(range(x1.rank - axes, x1.rank)), list(range(axes)))
    return contracted(g, x1, x2, axes_of(axes[0], x1), axes_of(axes[1], x2))


@operation
def einsum(g: Builder, *operands: Value, subscripts: Annotated[str, described("Such as ``bij,bjk->bik``.")]) -> Value:
    """Einstein's sum of products, float32: letters that the output lacks are summed over."""
    equation = subscripts.replace(" ", "")
    terms = list(zip(equation.partition("->")[0].split(","), operands, strict=False))
    for term, X in terms:
        need(
            len(term) != X.rank + 1 or has_rows(X.shape),
            f"has the term '{term}' for data of shape {show(X.shape)}, which has no batch axis",
            code=Code.WRONG_RANK,
            key="subscripts",
            hint=f"write `{term[1:]}`",
        )
    return g.Einsum(*(as_float(g, X) for X in operands), equation=equation)


@operation
def cross(g: Builder, x1: Value, x2: Value, *, axis: Axis = -1) -> Value:
    """The cross product of vectors of three elements along an axis."""
    a, b = base.numbers(g, x1, x2)
    at, other = normalize_axis(axis, a.rank), normalize_axis(axis, b.rank)
    need(a.fixed(at) == b.fixed(other) == 3, "needs vectors of three elements", key="axis")
    turned = (g.constant([1, 2, 0]), g.constant([2, 0, 1]))
    first = g.Gather(a, turned[0], axis=at) * g.Gather(b, turned[1], axis=other)
    return first - g.Gather(a, turned[1], axis=at) * g.Gather(b, turned[0], axis=other)


@operation
def norm(
    g: Builder,
    x: Value,
    *,
    ord: Annotated[  # noqa: A002
        int | Literal["fro"] | None, described("1: sum of absolute values; 2, fro, null: the root of squares.")
    ] = None,
    axis: Axes = None,
    keepdims: KeepDims = False,
) -> Value:
    """The length of vectors along an axis, or of all elements, float32. Of a matrix it is Frobenius's norm."""
    X, axes = as_float(g, x), axes_of(axis, x)
    vector = len(axes) == 1
    need(ord is None or (vector and ord in (1, 2)) or (ord == "fro" and len(axes) == 2), "has no such norm", key="ord")
    reduce = g.ReduceL1 if ord == 1 else g.ReduceL2
    return reduce(X, axes=tuple(axes), keepdims=int(keepdims)) if axes else abs(X)


# Further operations of NumPy's: roots and signs, diagonals, quantiles, segments, parts that are replaced.
Diagonal = Annotated[int, described("The diagonal: 0 is the main one, 1 the one above.")]
Segments = Annotated[PositiveInt, described("The number of segments.")]


@operation
def ptp(g: Builder, x: Value, *, axis: Axes = None, keepdims: KeepDims = False) -> Value:
    """The largest less the smallest element over axes."""
    X, axes = number(g, x), tuple(axes_of(axis, x))
    kept = int(keepdims)
    return g.ReduceMax(X, axes=axes, keepdims=kept) - g.ReduceMin(X, axes=axes, keepdims=kept)


@operation
def stop_gradient(g: Builder, variable: Value) -> Value:
    """The same values; nothing in front of them gets a gradient from here."""
    return g.StopGradient(variable)


@operation
def cdist(g: Builder, x1: Value, x2: Value) -> Value:
    """The distances of all pairs of points on the last axis: (…, a, d), (…, b, d) → (…, a, b), float32."""
    a, b = as_float(g, x1), as_float(g, x2)
    apart = g.Unsqueeze(a, g.constant([a.rank - 1])) - g.Unsqueeze(b, g.constant([b.rank - 2]))
    return g.ReduceL2(apart, axes=(max(a.rank, b.rank),), keepdims=0)


@operation
def isin(g: Builder, x1: Value, x2: Value) -> Value:
    """Whether each element of x1 is one of the numbers of x2, bool."""
    a, b = base.numbers(g, x1, x2)
    same = g.Equal(g.Unsqueeze(a, g.constant([a.rank])), g.reshape(b, [-1]))
    return g.Cast(g.ReduceMax(cast_to(g, same, "int64"), axes=(a.rank,), keepdims=0), to="bool")


@operation
def searchsorted(
    g: Builder,
    sorted_sequence: Value,
    values: Value,
    *,
    side: Annotated[
        Literal["left", "right"], described("Whether equal ones are behind the place, or before.")
    ] = "left",
) -> Value:
    """Where each value belongs in an ascending vector without a batch axis, int64."""
    need(sorted_sequence.rank == 1, f"needs a vector, got {show(sorted_sequence.shape)}")
    edges, x = base.numbers(g, sorted_sequence, values)
    wide = g.Unsqueeze(x, g.constant([x.rank]))
    before = edges < wide if side == "left" else edges <= wide
    return g.ReduceSum(cast_to(g, before, "int64"), g.constant([x.rank]), keepdims=0)


@operation
def trapezoid(
    g: Builder, y: Value, *, dx: Annotated[float, described("The distance of neighbours.")] = 1.0, axis: Axis = -1
) -> Value:
    """The integral along the axis by the trapezoidal rule, float32."""
    Y, at = as_float(g, y), normalize_axis(axis, y.rank)
    where = g.constant([at])
    later, earlier = neighbours(g, Y, where)
    return g.ReduceSum(later + earlier, where, keepdims=0) * (dx / 2)


def _diagonal(g: Builder, x: Value, *, offset: int, axis1: int, axis2: int) -> Value:
    a, b = normalize_axis(axis1, x.rank), normalize_axis(axis2, x.rank)
    need(a != b, "needs two axes", key="axis2")
    rows, columns = x.fixed(a), x.fixed(b)
    kept = [k for k in range(x.rank) if k not in (a, b)]
    first, count = max(-offset, 0), min(rows, columns - offset) - max(-offset, 0)
    need(count > 0, f"has no diagonal {offset} in {rows} × {columns}", code=Code.SIZES_DO_NOT_FIT, key="offset")
    flat = g.reshape(g.transpose(x, [*kept, a, b]), [*(g.size(x, k) for k in kept), rows * columns])
    places = [i * columns + i + offset for i in range(first, first + count)]
    return g.Gather(flat, g.constant(places), axis=len(kept))


def _trace(g: Builder, x: Value, **where: int) -> Value:
    line = _diagonal(g, number(g, x), **where)
    return g.ReduceSum(line, g.constant([line.rank - 1]), keepdims=0)


_diagonals = {"offset": (Diagonal, 0), "axis1": (Axis, 0), "axis2": (Axis, 1)}
_text = "The diagonal over two axes of fixed size, as a new last axis."
add_row(__name__, "diagonal", _diagonal, _text, _diagonals)
add_row(__name__, "trace", _trace, "The sum of the diagonal over two axes of fixed size.", _diagonals)


Quantile = Annotated[
    float | tuple[float, ...],
    FROM_LIST,
    described("A part of the elements, or a list of parts, which then are the first axis."),
]
Method = Annotated[Literal["linear", "lower", "higher", "midpoint"], described("What is taken between two elements.")]


def _quantile(g: Builder, x: Value, *, q: float | tuple[float, ...], axis: Axes, method: str, keepdims: bool) -> Value:
    X, axes = as_float(g, x), axes_of(axis, x)
    parts = np.atleast_1d(np.asarray(q, np.float64))
    need(bool(((parts >= 0) & (parts <= 1)).all()), "has parts outside 0 to 1", code=Code.VALUE_NOT_ALLOWED, key="q")
    values, at, count = ordered_over(g, X, axes)
    places = parts * (count - 1)
    low, high = np.floor(places).astype(np.int64), np.ceil(places).astype(np.int64)
    weights = {"linear": places - low, "lower": 0 * places, "higher": 0 * places + 1, "midpoint": 0 * places + 0.5}
    below, above = (g.Gather(values, g.constant(k), axis=at) for k in (low, high))
    quantiles = below + (above - below) * np.asarray(weights[method], np.float32)
    quantiles = g.transpose(quantiles, [at, *range(at)])
    if keepdims and axes:
        quantiles = g.Unsqueeze(quantiles, g.constant([k + 1 for k in sorted(axes)]))
    return quantiles if isinstance(q, tuple) else g.Squeeze(quantiles, g.constant([0]))


def _percentile(g: Builder, x: Value, *, q: float | tuple[float, ...], **how: Any) -> Value:
    return _quantile(g, x, q=tuple(part / 100 for part in q) if isinstance(q, tuple) else q / 100, **how)


_how = {"q": (Quantile, ...), "axis": (Axes, None), "method": (Method, "linear"), "keepdims": (KeepDims, False)}
_text = "The element below which {}, over axes of fixed size, float32."
add_row(__name__, "quantile", _quantile, _text.format("a part ``q`` of the elements is"), _how)
add_row(__name__, "percentile", _percentile, _text.format("``q`` percent of the elements are"), _how)


@operation
def select(g: Builder, *inputs: Value) -> Value:
    """Where the first condition is true, the first choice, else by the second one: conditions, as many choices; then 0."""
    count = len(inputs) // 2
    need(len(inputs) == 2 * count, "needs as many choices as conditions", code=Code.WRONG_INPUT_COUNT, key="inputs")
    choices = base.promoted(g, *inputs[count:])
    chosen = g.constant(0, choices[0].dtype)
    for condition, choice in zip(inputs[:count][::-1], choices[::-1], strict=True):
        chosen = g.Where(cast_to(g, condition, "bool"), choice, chosen)
    return chosen


@operation
def slice_(
    g: Builder,
    inputs: Value,
    *,
    start_indices: Annotated[Ints, described("Where the part begins, on each axis; 0 on that of the batch.")],
    shape: Annotated[Ints, described("The size of the part on each axis; -1 for the rest.")],
) -> Value:
    """A part of the input: on each axis, ``shape`` elements from ``start_indices`` on."""
    need(len(start_indices) == len(shape) == inputs.rank, "needs a number for each axis", key="shape")
    for k, (start, size, whole) in enumerate(zip(start_indices, shape, inputs.shape, strict=True)):
        fits = not isinstance(whole, int) or (0 <= start < whole and start + max(size, 1) <= whole)
        text = f"has no {size} elements from {start} on along axis {k}, whose size is {whole}"
        need(fits, text, code=Code.SIZES_DO_NOT_FIT, key="shape")
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
    start_indices: Annotated[Ints, described("Where the part begins, on each axis; 0 on that of the batch.")],
) -> Value:
    """The input with a part of it, from ``start_indices`` on, replaced by ``updates``."""
    x, part = base.promoted(g, inputs, updates)
    need(len(start_indices) == x.rank == part.rank, "needs a number for each axis", key="start_indices")
    before, after, inside = [0] * x.rank, [0] * x.rank, np.ones([1] * x.rank, bool)
    for k, start in enumerate(start_indices):
        if x.shape[k] == part.shape[k] and start == 0:
            continue
        whole, size = x.fixed(k), part.fixed(k)
        text = f"cannot replace {size} elements from {start} on along axis {k}, whose size is {whole}"
        need(0 <= start <= whole - size, text, code=Code.SIZES_DO_NOT_FIT, key="start_indices")
        before[k], after[k] = start, whole - size - start
        line = (np.arange(whole) >= start) & (np.arange(whole) < start + size)
        inside = inside & line.reshape([-1 if axis == k else 1 for axis in range(x.rank)])
    return g.Where(g.constant(inside), g.Pad(part, g.constant([*before, *after])), x)


def _by_segment(op: str, g: Builder, data: Value, segment_ids: Value, *, num_segments: int) -> Value:
    x, ids = number(g, data) if op == "ReduceSum" else as_float(g, data), as_indices(g, segment_ids)
    need(ids.rank == 1 and x.rank >= 1, f"needs data (n, …) and ids (n,), got {show(x.shape)}, {show(ids.shape)}")
    segments = g.Unsqueeze(g.constant(np.arange(num_segments)), g.constant([1]))
    member = g.Equal(segments, g.Unsqueeze(ids, g.constant([0])))
    if x.rank > 1:
        member = g.Unsqueeze(member, g.constant([*range(2, x.rank + 1)]))
    rows = g.Unsqueeze(x, g.constant([0]))
    if op == "ReduceSum":
        return total(g, g.Where(member, rows, g.constant(0, x.dtype)), [1], False)
    outside = g.constant(-math.inf if op == "ReduceMax" else math.inf)
    extremes: Value = g.emit(op, (g.Where(member, rows, outside),), {"axes": (1,), "keepdims": 0})
    return extremes


_SEGMENTED = "(n, …), (n,) → (num_segments, …)."
SEGMENTS = {
    "segment_sum": (
        "ReduceSum",
        f"The sums of rows with the same id: {_SEGMENTED} There are none of the batch axis behind it.",
    ),
    "segment_max": ("ReduceMax", f"The largest of rows with the same id, float32, -∞ without any: {_SEGMENTED}"),
    "segment_min": ("ReduceMin", f"The smallest of rows with the same id, float32, ∞ without any: {_SEGMENTED}"),
}
for _name, (_op, _text) in SEGMENTS.items():
    add_row(__name__, _name, partial(_by_segment, _op), _text, {"num_segments": (Segments, ...)})
