"""Reductions over axes, the cumulative sum, and comparisons along an axis: ArgMax, ArgMin, TopK.

``axes`` is an input of ReduceSum and an attribute of the other reductions, as in opset 17.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.graph.expressions import exp, maximum, write
from graphspec.graph.ir.dims import Shape, fixed_size
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.ir.ranges import ANY, Range
from graphspec.graph.kernels.common import copy_cast, saved_like, scratch_like, sum_axes
from graphspec.graph.kernels.context import Bound, Calls, Context, need, normalize_axis
from graphspec.graph.ops.indexing import scatter_rows
from graphspec.graph.ops.op import Memoryless, Op, into_gradient, known_numbers, variants
from graphspec.graph.ops.shape import integer


def reduction_axes(axes: Sequence[Any] | None, rank: int) -> tuple[int, ...]:
    """Return the axes to reduce, counted from the front; all axes if ``axes`` is empty or None."""
    return tuple(sorted({normalize_axis(int(k), rank) for k in axes})) if axes else tuple(range(rank))


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: int) -> Shape:
    """Return ``shape`` without ``axes``, or with size 1 there if ``keepdims``."""
    return tuple(1 if k in axes else d for k, d in enumerate(shape) if keepdims or k not in axes)


def reduced_out(ctx: Context, X: Array, axes: Sequence[int]) -> tuple[Array, Array]:
    """Return the output buffer, in X's memory order, and a view of it with the reduced axes as size 1."""
    kept = [k for k in axis_order(X) if k not in axes]
    if len(ctx.shape()) == X.ndim:
        Y = ctx.out(like=X)
    else:
        rank = sorted(kept)
        Y = ctx.out(order=[rank.index(k) for k in kept])
    return Y, with_unit_axes(Y, X.shape, axes)


def with_unit_axes(Y: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
    """Return Y with the reduced axes as size 1."""
    return Y.reshape([1 if k in axes else n for k, n in enumerate(shape)], copy=False)


Gradient = Callable[[Array, Array, Array], Calls]
"""A function of (dY, dY with the reduced axes as size 1, dX); it returns the calls that write dX, and may overwrite dY."""
Reduced = tuple[Calls, Gradient]  # the calls that write Y, and the gradient


class Reduction(Op):
    """A reduction whose axes are an attribute.

    Shapes: X → Y without ``axes``, or with size 1 there if ``keepdims``; without ``axes`` all axes are reduced.
    """

    rows, foldable = "reduced", True

    float_only: ClassVar[bool] = True  # whether integers are refused
    reduce: ClassVar[Callable[..., Reduced]]  # of the context, X, Y, Y with the reduced axes as size 1, and the axes

    axes: Sequence[int] | None = None
    keepdims: int = 1

    def infer(self, X: Value) -> Type:
        if self.float_only:
            need.float(X)
        return Type(X.dtype, reduced_shape(X.shape, reduction_axes(self.axes, X.rank), self.keepdims))

    def bind(self, ctx: Context, X: Array) -> Bound:
        axes = reduction_axes(self.axes, X.ndim)
        Y, kept = reduced_out(ctx, X, axes)
        calls, gradient = self.reduce(ctx, X, Y, kept, axes)
        return with_backward(ctx, X, Y, axes, calls, gradient)


def with_backward(ctx: Context, X: Array, Y: Array, axes: Sequence[int], calls: Calls, gradient: Gradient) -> Bound:
    """Return a reduction's output, calls and backward function."""
    return Y, calls, into_gradient(ctx)(lambda dY, dX: gradient(dY, with_unit_axes(dY, X.shape, axes), dX))


def total(ctx: Context, X: Array, Y: Array, axes: Sequence[int], scale: float = 1.0) -> Reduced:
    """Return the calls for ``Y = scale · Σ X``, and the gradient."""

    def scaled(A: Array) -> Calls:
        return [] if scale == 1.0 else [(np.multiply, A, ctx.constant(scale), A)]

    return [*sum_axes(ctx, X, axes, Y), *scaled(Y)], lambda dY, dY_kept, dX: [*scaled(dY), (np.copyto, dX, dY_kept)]


def sum_of_function(function: np.ufunc, ctx: Context, X: Array, Y: Array, axes: Sequence[int]) -> Calls:
    """Return the calls for ``Y = Σ function(X)``."""
    t = scratch_like(ctx, X)
    return [(function, X, t), *sum_axes(ctx, t, axes, Y)]


def mean(ctx: Context, X: Array, Y: Array, axes: Sequence[int]) -> Reduced:
    """Return the calls for ``Y = Σ X / n``, and the gradient."""
    return total(ctx, X, Y, axes, 1.0 / max(math.prod(X.shape[k] for k in axes), 1))


class ReduceSum(Memoryless):
    """``Y = Σ X`` over ``axes``, an input. Without axes all are reduced, or none if ``noop_with_empty_axes``.

    Shapes: X → Y without the axes, or with size 1 there if ``keepdims``.
    """

    rows, foldable = "reduced", True

    keepdims: int = 1
    noop_with_empty_axes: int = 0

    def infer(self, X: Value, axes: Value | None = None) -> Type:
        need.dtype(X.dtype != "bool", "needs a numeric tensor, got bool")
        reduced = self.reduced(X, axes)
        need.fixed(reduced is not None, "needs axes known when building")
        return Type(X.dtype, reduced_shape(X.shape, reduced or (), self.keepdims))

    def reduced(self, X: Value, axes: Value | None) -> tuple[int, ...] | None:
        """Return the axes to reduce, counted from the front; None if they are not known."""
        listed = axes.known() if axes is not None else ()
        if listed is None:
            return None
        return () if not listed and self.noop_with_empty_axes else reduction_axes(listed, X.rank)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        node = output.node
        assert node is not None
        X, axes = (*node.inputs, None)[:2]
        if X is None or not (reduced := self.reduced(X, axes)):
            return ranges[0]
        sizes = tuple(X.shape[k] for k in reduced)
        count = fixed_size(sizes) if all(isinstance(d, int) for d in sizes) else math.inf
        return ranges[0].times(Range(count, count))

    def bind(self, ctx: Context, X: Array, axes: Array | None = None) -> Bound:
        listed = [] if axes is None else known_numbers(ctx, 1)
        reduced = () if not listed and self.noop_with_empty_axes else reduction_axes(listed, X.ndim)
        Y, _ = reduced_out(ctx, X, reduced)
        return with_backward(ctx, X, Y, reduced, *total(ctx, X, Y, reduced))


def extremum(choose: np.ufunc, ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for the largest or smallest element, and the gradient, shared by equals as in TensorFlow."""

    def gradient(dY: Array, dY_kept: Array, dX: Array) -> Calls:
        is_extremum, count = scratch_like(ctx, X, np.bool_), ctx.scratch(Y.shape)
        return [
            (np.equal, X, kept, is_extremum),
            (copy_cast, dX, is_extremum),
            *sum_axes(ctx, dX, axes, count),
            (np.divide, dY, count, dY),
            (np.multiply, dX, dY_kept, dX),
        ]

    return [(choose.reduce, X, axes, None, Y, Y.ndim == X.ndim)], gradient


def sum_of_squares(ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for ``Y = Σ X²``, and the gradient."""
    flat = X.T if X.flags.f_contiguous else X
    if X.dtype.kind == "f" and len(axes) == X.ndim and X.ndim > 0 and flat.flags.c_contiguous:
        vector = flat.reshape(-1, copy=False)
        calls: Calls = [(np.dot, vector, vector, Y.reshape((), copy=False))]
    else:
        calls = sum_of_function(np.square, ctx, X, Y, axes)
    return calls, lambda dY, dY_kept, dX: [(np.add, dY, dY, dY), (np.multiply, X, dY_kept, dX)]


def sum_of_magnitudes(ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for ``Y = Σ |X|``, and the gradient."""
    calls = sum_of_function(np.absolute, ctx, X, Y, axes)
    return calls, lambda dY, dY_kept, dX: [(np.sign, X, dX), (np.multiply, dX, dY_kept, dX)]


def norm(ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for ``Y = √(Σ X²)``, and the gradient."""
    tiny = float(np.finfo(X.dtype).tiny)
    calls = [*sum_of_function(np.square, ctx, X, Y, axes), (np.sqrt, Y, Y)]
    return calls, lambda dY, dY_kept, dX: [
        *write(ctx, dY, lambda d, Y: d / maximum(Y, tiny), dY, Y),
        (np.multiply, X, dY_kept, dX),
    ]


def product(ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for ``Y = Π X``, and the gradient."""

    def gradient(dY: Array, dY_kept: Array, dX: Array) -> Calls:
        order = [*(k for k in range(X.ndim) if k not in axes), *axes]
        moved = [X.shape[k] for k in order]
        rows = math.prod(moved[: X.ndim - len(axes)])
        flat, before, after = (ctx.scratch((rows, X.size // max(rows, 1))) for _ in range(3))
        return [
            (np.copyto, flat.reshape(moved), X.transpose(order)),
            (before[:, :1].fill, 1.0),
            (after[:, -1:].fill, 1.0),
            (np.multiply.accumulate, flat[:, :-1], 1, None, before[:, 1:]),
            (np.multiply.accumulate, flat[:, :0:-1], 1, None, after[:, -2::-1]),
            (np.multiply, before, after, before),
            (np.copyto, dX.transpose(order), before.reshape(moved)),
            (np.multiply, dX, dY_kept, dX),
        ]

    return [(np.multiply.reduce, X, axes, Y.dtype, Y, Y.ndim == X.ndim)], gradient


def log_of_sum(ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for ``Y = log(Σ X)``, and the gradient."""
    if not X.size:
        return of_nothing(Y)
    total = saved_like(ctx, Y)
    calls: Calls = [*sum_axes(ctx, X, axes, total), (np.log, total, Y)]
    return calls, lambda dY, dY_kept, dX: [(np.divide, dY, total, dY), (np.copyto, dX, dY_kept)]


def log_of_sum_of_exp(ctx: Context, X: Array, Y: Array, kept: Array, axes: tuple[int, ...]) -> Reduced:
    """Return the calls for ``Y = log(Σ exp(X)) = m + log(Σ exp(X - m))`` with ``m = max X``, and the gradient."""
    if not X.size:
        return of_nothing(Y)
    limits = np.finfo(X.dtype)
    largest, lowest = ctx.constant(limits.max, X.dtype), ctx.constant(limits.min, X.dtype)
    maxima, t = scratch_like(ctx, kept), scratch_like(ctx, X)
    calls: Calls = [
        (partial(np.maximum.reduce, keepdims=True, initial=lowest), X, axes, None, maxima),
        (partial(np.minimum, out=maxima), maxima, largest),
        (np.subtract, X, maxima, t),
        (np.exp, t, t),
        *sum_axes(ctx, t, axes, kept),
        (np.log, kept, kept),
        (np.add, kept, maxima, kept),
    ]
    least = float(limits.min)  # dX = exp(X - Y) · dY
    return calls, lambda dY, dY_kept, dX: write(
        ctx, dX, lambda X, Y, d: exp(X - maximum(Y, least)) * d, X, kept, dY_kept
    )


def of_nothing(Y: Array) -> Reduced:
    """Return the call for ``Y = log 0``, and the gradient of an input without elements."""
    return [(Y.fill, -np.inf)], lambda dY, dY_kept, dX: []


def _facts(reduce: Callable[..., Reduced], **facts: Any) -> dict[str, Any]:
    return {"reduce": staticmethod(reduce), **facts}


_OVERFLOW = """``Y = log(Σ exp(X)) = m + log(Σ exp(X - m))`` with ``m = max X``, so that nothing overflows.

m is bounded by the finite numbers: then Y of infinite numbers is infinite, and not NaN"""
_OF_X: dict[str, Any] = {"keeps_in": (0,), "keeps_out": False, "float_only": False}
_CHOICE: dict[str, Any] = {"float_only": False, "copied_inputs": slice(1), "drops_elements": True}
_BLIND: dict[str, Any] = {"keeps_in": (), "keeps_out": False}
variants(
    Reduction,
    "{}.",
    {
        "ReduceMean": (
            "``Y = Σ X / n`` for the n elements that are reduced to one",
            _facts(lambda ctx, X, Y, kept, axes: mean(ctx, X, Y, axes), **_BLIND),
        ),
        "ReduceMax": ("``Y = max X``", _facts(partial(extremum, np.maximum), **_CHOICE)),
        "ReduceMin": ("``Y = min X``", _facts(partial(extremum, np.minimum), **_CHOICE)),
        "ReduceSumSquare": ("``Y = Σ X²``", _facts(sum_of_squares, **_OF_X)),
        "ReduceL1": ("``Y = Σ |X|``", _facts(sum_of_magnitudes, **_OF_X)),
        "ReduceL2": ("``Y = √(Σ X²)``; the gradient at 0 is 0", _facts(norm)),
        "ReduceProd": ("``Y = Π X``; the gradient is exact even if elements are 0", _facts(product, **_OF_X)),
        "ReduceLogSum": ("``Y = log(Σ X)``", _facts(log_of_sum, **_BLIND)),
        "ReduceLogSumExp": (_OVERFLOW, _facts(log_of_sum_of_exp)),
    },
)


class CumSum(Memoryless):
    """``Y[k] = Σ X[0 … k]`` along ``axis``; from the end if ``reverse``, without ``X[k]`` itself if ``exclusive``.

    Shapes: X and Y are equal; axis is a constant scalar.
    """

    rows, foldable = "cumulated", True

    exclusive: int = 0
    reverse: int = 0

    def infer(self, X: Value, axis: Value) -> Type:
        need.dtype(X.dtype != "bool", "needs a numeric tensor, got bool")
        listed = axis.known() or ()
        need.fixed(len(listed) == 1, "needs one axis, known when building")
        normalize_axis(int(listed[0]), X.rank)
        return X.type

    def bind(self, ctx: Context, X: Array, axis: Array) -> Bound:
        (at,) = (k % X.ndim for k in known_numbers(ctx, 1))
        Y = ctx.out(like=X)

        def accumulate(A: Array, out: Array, backwards: bool) -> Calls:
            if backwards:
                A, out = np.flip(A, at), np.flip(out, at)
            if not self.exclusive:
                return [(np.add.accumulate, A, at, A.dtype, out)]
            lead = (slice(None),) * at
            head, tail, summed = out[*lead, :1], out[*lead, 1:], A[*lead, :-1]
            return [(head.fill, 0), (np.add.accumulate, summed, at, A.dtype, tail)]

        backward = into_gradient(ctx)(lambda dY, dX: accumulate(dY, dX, not self.reverse))
        return Y, accumulate(X, Y, bool(self.reverse)), backward


# Operators that compare the elements along an axis: ArgMax, ArgMin, TopK.
def index_range(output: Value) -> Range:
    """The valid indices along ``axis`` of the first input of the node that computes ``output``."""
    node = output.node
    assert node is not None
    X = node.inputs[0]
    size = None if X is None else X.shape[node.attrs["axis"]]
    return Range(0, size - 1) if isinstance(size, int) else ANY


class ArgExtremum(Memoryless):
    """The index of an extreme element along ``axis``, int64; that axis has size 1, or is removed if ``keepdims`` is 0.

    Among equal elements the first is selected, or the last with ``select_last_index``. No gradient.
    """

    rows = "along_axis"
    find: ClassVar[Literal["argmax", "argmin"]]

    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0

    def infer(self, X: Value) -> Type:
        return Type("int64", reduced_shape(X.shape, (normalize_axis(self.axis, X.rank),), self.keepdims))

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return index_range(output)

    def bind(self, ctx: Context, X: Array) -> Bound:
        at = self.axis % X.ndim
        Y = ctx.out()
        flat = Y.reshape([n for k, n in enumerate(X.shape) if k != at], copy=False)
        source = np.flip(X, at) if self.select_last_index else X
        calls: Calls = [(getattr(source, self.find), at, flat)]
        if self.select_last_index:
            calls.append((np.subtract, ctx.constant(X.shape[at] - 1, np.int64), flat, flat))
        return Y, calls, None


_POSITIONS = {"ArgMax": ("argmax", {"find": "argmax"}), "ArgMin": ("argmin", {"find": "argmin"})}
variants(ArgExtremum, "``Y = {}(X)`` along ``axis``.", _POSITIONS)


def sort_keys(ctx: Context, X: Array, largest: bool, keys: Array) -> Calls:
    """Calls that fill the int64 ``keys`` (rows, n) and sort each row: elements of X in order, equal ones by index.

    The upper 32 bits of a key are X as an integer with the same order (the bits of a negative float are inverted); the
    lower 32 bits are the index. The sort works in place, whereas argsort allocates an array.
    """
    rows, n = keys.shape
    index = ctx.constant(np.arange(n), np.int64)
    flip, shift = ctx.constant(0x7FFFFFFF, np.int64), ctx.constant(32, np.int64)
    calls: Calls = []
    if X.dtype.kind == "f":
        sign = ctx.scratch(keys.shape, np.int64)
        no_negative_zero = ctx.scratch(X.shape, X.dtype)
        bits = no_negative_zero.view(np.int32).reshape(rows, n)
        calls += [
            (np.add, X, ctx.constant(0.0, X.dtype), no_negative_zero),  # -0.0 becomes 0.0
            (np.copyto, keys, bits),
            (np.right_shift, keys, ctx.constant(63, np.int64), sign),
            (np.bitwise_and, sign, flip, sign),
            (np.bitwise_xor, keys, sign, keys),
        ]
    else:
        calls.append((np.copyto, keys.reshape(X.shape), X))
    if largest:
        calls.append((np.invert, keys, keys))
    return [*calls, (np.left_shift, keys, shift, keys), (np.bitwise_or, keys, index, keys), (keys.sort, 1)]


def argsort(X: Array, largest: bool, order: Array) -> None:
    """Write a stable argsort of each row of X into ``order``, for dtypes too wide for :func:`sort_keys`. Allocates."""
    if largest:
        n = X.shape[1]
        np.subtract(n - 1, np.argsort(X[:, ::-1], 1, "stable")[:, ::-1], out=order)
    else:
        order[...] = np.argsort(X, 1, "stable")


class TopK(Memoryless):
    """The ``K`` largest (or smallest) elements along ``axis``, in order, and their int64 indices.

    X (…, n, …) → values (…, K, …), indices (…, K, …). Equal elements are ordered by index. The gradient of the values
    goes to the selected elements.
    """

    rows, takes_sizes = "along_axis", True

    axis: int = -1
    largest: int = 1
    sorted: int = 1

    def infer(self, X: Value, K: Value) -> tuple[Type, Type]:
        at = normalize_axis(self.axis, X.rank)
        size = X.shape[at]
        k = size if K.known() == (size,) else integer(K, "K")  # a symbolic K is supported if it is the whole axis
        unknown = not isinstance(size, int) or not isinstance(k, int)
        need.sizes(k == size or unknown or 0 <= int(k) <= int(size), f"cannot select {k} of {size} elements")
        shape = (*X.shape[:at], k, *X.shape[at + 1 :])
        return Type(X.dtype, shape), Type("int64", shape)

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return index_range(output) if output.index else ranges[0]

    def bind(self, ctx: Context, X: Array, K: Array) -> Bound:
        at = self.axis % X.ndim
        last = np.moveaxis(X, at, -1)
        n, k = X.shape[at], ctx.shape()[at]
        rows = X.size // max(n, 1)
        values, indices = ctx.out(0), ctx.out(1)
        order = ctx.scratch((rows, n), np.int64)
        flat = ctx.scratch(last.shape, X.dtype)
        calls: Calls = [(np.copyto, flat, last)]
        if X.dtype == np.float32 or np.can_cast(X.dtype, np.int32):
            calls += [
                *sort_keys(ctx, flat, bool(self.largest), order),
                (np.bitwise_and, order, ctx.constant(0xFFFFFFFF, np.int64), order),
            ]
        else:
            calls.append((argsort, flat.reshape(rows, n), bool(self.largest), order))
        best, positions = order[:, :k], ctx.save_for_backward((rows, k), np.int64)
        elements, shape = ctx.scratch((rows, k), X.dtype), (*last.shape[:-1], k)
        calls += [
            (np.copyto, np.moveaxis(indices, at, -1), best.reshape(shape, copy=False)),
            (np.copyto, positions, best),
            (np.add, positions, ctx.constant(np.arange(rows)[:, None] * n, np.int64), positions),
            (np.take, flat.reshape(-1), positions, None, elements, "clip"),
            (np.copyto, np.moveaxis(values, at, -1), elements.reshape(shape)),
        ]

        @into_gradient(ctx)
        def backward(dV: Array, dX: Array) -> Calls:
            source = ctx.scratch(shape)
            scattered = scatter_rows(ctx, np.moveaxis(dX, at, -1), positions, source, 1)
            return [(np.copyto, source, np.moveaxis(dV, at, -1)), *scattered]

        return (values, indices), calls, backward
