"""Reductions over axes, and sums along one. ``axes`` is an input of ReduceSum and an attribute of the others (opset 17)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.dims import Dim, Shape
from graphspec.ir.graph import Array, Type, Value
from graphspec.ir.ranges import Range
from graphspec.kernels.common import copy_cast, scratch_like, sum_axes
from graphspec.kernels.context import Bound, Context, need, need_float, normalize_axis
from graphspec.ops.base import Op, op


def chosen_axes(axes: Sequence[Any] | None, rank: int) -> tuple[int, ...]:
    """The axes to reduce, counted from the front: all of them where none are given."""
    return tuple(sorted({normalize_axis(int(k), rank) for k in axes})) if axes else tuple(range(rank))


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: int) -> Shape:
    out: list[Dim] = []
    for k, d in enumerate(shape):
        if k not in axes:
            out.append(d)
        elif keepdims:
            out.append(1)
    return tuple(out)


def reduced_out(ctx: Context, X: Array, axes: Sequence[int]) -> tuple[Array, Array]:
    """The output buffer, in X's memory order, and the same with the reduced axes kept as 1."""
    kept = [k for k in axis_order(X) if k not in axes]
    if len(ctx.shape()) == X.ndim:
        Y = ctx.out(like=X)
    else:
        rank = sorted(kept)
        Y = ctx.out(order=[rank.index(k) for k in kept])
    return Y, expanded(Y, X.shape, axes)


def expanded(Y: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
    """Y with the reduced axes as size 1."""
    return Y.reshape([1 if k in axes else n for k, n in enumerate(shape)], copy=False)


Gradient = Callable[[Array, Array, Array], Calls]
"""Calls for dX, given dY, the same with the reduced axes kept, and dX. They may overwrite dY."""


class Reduction(Op):
    """Reduces the axes of an attribute."""

    floats: ClassVar[bool] = True

    axes: Sequence[int] | None = None
    keepdims: int = 1

    def infer(self, X: Value) -> Type:
        if self.floats:
            need_float(X)
        return Type(X.dtype, reduced_shape(X.shape, chosen_axes(self.axes, X.rank), self.keepdims))

    def bind(self, ctx: Context, X: Array) -> Bound:
        over = chosen_axes(self.axes, X.ndim)
        Y, wide = reduced_out(ctx, X, over)
        calls, gradient = self.reduce(ctx, X, Y, wide, over)
        return bound(ctx, X, Y, over, calls, gradient)

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        """Calls that write Y, and the gradient; ``wide`` is Y with the reduced axes kept."""
        raise NotImplementedError


def bound(ctx: Context, X: Array, Y: Array, axes: Sequence[int], calls: Calls, gradient: Gradient) -> Bound:
    """An operator's output, calls and backward."""

    def backward(dY: Array) -> Calls:
        dX = ctx.grad(0)
        return [] if dX is None else gradient(dY, expanded(dY, X.shape, axes), dX)

    return Y, calls, backward


def total(ctx: Context, X: Array, Y: Array, axes: Sequence[int], scale: float = 1.0) -> tuple[Calls, Gradient]:
    """``Y = scale · Σ X``."""

    def scaled(A: Array) -> Calls:
        return [] if scale == 1.0 else [(np.multiply, A, ctx.constant(scale), A)]

    return [*sum_axes(ctx, X, axes, Y), *scaled(Y)], lambda dY, wide, dX: [*scaled(dY), (np.copyto, dX, wide)]


def total_of(function: np.ufunc, ctx: Context, X: Array, Y: Array, axes: Sequence[int]) -> Calls:
    """``Y = Σ function(X)``."""
    t = scratch_like(ctx, X)
    return [(function, X, t), *sum_axes(ctx, t, axes, Y)]


def mean(ctx: Context, X: Array, Y: Array, axes: Sequence[int]) -> tuple[Calls, Gradient]:
    """``Y = Σ X / n``."""
    return total(ctx, X, Y, axes, 1.0 / max(int(np.prod([X.shape[k] for k in axes], dtype=np.int64)), 1))


@op
class ReduceSum(Op):
    """``Y = Σ X`` over ``axes``, an input; all of them, or none with ``noop_with_empty_axes``, where it is absent."""

    keeps_in, keeps_out = (), False

    keepdims: int = 1
    noop_with_empty_axes: int = 0

    def infer(self, X: Value, axes: Value | None = None) -> Type:
        need(X.dtype != "bool", "needs numbers, got bool tensors", code="GS306")
        held = axes.known() if axes is not None else ()
        need(held is not None, "needs axes that are known when building", code="GS305")
        if not held and self.noop_with_empty_axes:
            return X.type
        return Type(X.dtype, reduced_shape(X.shape, chosen_axes(held, X.rank), self.keepdims))

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        node = output.node
        assert node is not None
        X, axes = (*node.inputs, None)[:2]
        held = axes.known() if axes is not None else ()
        if X is None or held is None or (not held and self.noop_with_empty_axes):
            return ranges[0]
        sizes = [X.shape[k] for k in chosen_axes(held, X.rank)]
        count = (
            math.prod(d for d in sizes if isinstance(d, int)) if all(isinstance(d, int) for d in sizes) else math.inf
        )
        return ranges[0].times(Range(count, count))

    def bind(self, ctx: Context, X: Array, axes: Array | None = None) -> Bound:
        held = ctx.known(1) if axes is not None else None
        listed = [] if held is None else held.tolist()
        over = () if not listed and self.noop_with_empty_axes else chosen_axes(listed, X.ndim)
        Y, _ = reduced_out(ctx, X, over)
        return bound(ctx, X, Y, over, *total(ctx, X, Y, over))


@op
class ReduceMean(Reduction):
    """``Y = Σ X / n``."""

    keeps_in, keeps_out = (), False

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        return mean(ctx, X, Y, axes)


class Extremum(Reduction):
    """The largest or smallest element; the gradient is shared evenly by those that reach it, as in TensorFlow."""

    floats = False
    choose: ClassVar[np.ufunc]
    copied_inputs, drops_elements = slice(1), True

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        def gradient(dY: Array, share: Array, dX: Array) -> Calls:
            won, count = scratch_like(ctx, X, np.bool_), ctx.scratch(Y.shape)
            return [
                (np.equal, X, wide, won),
                (copy_cast, dX, won),
                *sum_axes(ctx, dX, axes, count),
                (np.divide, dY, count, dY),
                (np.multiply, dX, share, dX),
            ]

        return [(self.choose.reduce, X, axes, None, Y, Y.ndim == X.ndim)], gradient


@op
class ReduceMax(Extremum):
    """``Y = max X``."""

    choose = np.maximum


@op
class ReduceMin(Extremum):
    """``Y = min X``."""

    choose = np.minimum


@op
class ReduceSumSquare(Reduction):
    """``Y = Σ X²``."""

    keeps_in, keeps_out = (0,), False
    floats = False

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        flat = X.T if X.flags.f_contiguous else X
        calls: Calls
        if X.dtype.kind == "f" and len(axes) == X.ndim and X.ndim > 0 and flat.flags.c_contiguous:
            line = flat.reshape(-1, copy=False)
            calls = [(np.dot, line, line, Y.reshape((), copy=False))]
        else:
            calls = total_of(np.square, ctx, X, Y, axes)

        def gradient(dY: Array, share: Array, dX: Array) -> Calls:
            return [(np.add, dY, dY, dY), (np.multiply, X, share, dX)]

        return calls, gradient


@op
class ReduceL1(Reduction):
    """``Y = Σ |X|``."""

    keeps_in, keeps_out = (0,), False
    floats = False

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        def gradient(dY: Array, share: Array, dX: Array) -> Calls:
            return [(np.sign, X, dX), (np.multiply, dX, share, dX)]

        return total_of(np.absolute, ctx, X, Y, axes), gradient


@op
class ReduceL2(Reduction):
    """``Y = √(Σ X²)``; the gradient at 0 is 0."""

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        def gradient(dY: Array, share: Array, dX: Array) -> Calls:
            norm = scratch_like(ctx, Y)
            least = ctx.constant(np.finfo(X.dtype).tiny)
            return [
                (partial(np.maximum, out=norm), Y, least),
                (np.divide, dY, norm, dY),
                (np.multiply, X, share, dX),
            ]

        return [*total_of(np.square, ctx, X, Y, axes), (np.sqrt, Y, Y)], gradient


@op
class ReduceProd(Reduction):
    """``Y = Π X``; the gradient is exact where elements are 0."""

    keeps_in, keeps_out = (0,), False
    floats = False

    def reduce(self, ctx: Context, X: Array, Y: Array, wide: Array, axes: tuple[int, ...]) -> tuple[Calls, Gradient]:
        def gradient(dY: Array, share: Array, dX: Array) -> Calls:
            order = [*(k for k in range(X.ndim) if k not in axes), *axes]
            lead = [X.shape[k] for k in order[: X.ndim - len(axes)]]
            moved = [X.shape[k] for k in order]
            rows = int(np.prod(lead, dtype=np.int64))
            flat, before, after = (ctx.scratch((rows, X.size // max(rows, 1))) for _ in range(3))
            return [
                (np.copyto, flat.reshape(moved), X.transpose(order)),
                (before[:, :1].fill, 1.0),
                (after[:, -1:].fill, 1.0),
                (np.multiply.accumulate, flat[:, :-1], 1, None, before[:, 1:]),
                (np.multiply.accumulate, flat[:, :0:-1], 1, None, after[:, -2::-1]),
                (np.multiply, before, after, before),
                (np.copyto, dX.transpose(order), before.reshape(moved)),
                (np.multiply, dX, share, dX),
            ]

        return [(np.multiply.reduce, X, axes, Y.dtype, Y, Y.ndim == X.ndim)], gradient


@op
class CumSum(Op):
    """``Y[k] = Σ X[…k]`` along an axis; from the end with ``reverse``, without ``X[k]`` itself with ``exclusive``."""

    keeps_in, keeps_out = (), False

    exclusive: int = 0
    reverse: int = 0

    def infer(self, X: Value, axis: Value) -> Type:
        need(X.dtype != "bool", "needs numbers, got bool tensors", code="GS306")
        held = axis.known()
        need(held is not None and len(held) == 1, "needs one axis, known when building", code="GS305")
        normalize_axis(int((held or (0,))[0]), X.rank)
        return X.type

    def bind(self, ctx: Context, X: Array, axis: Array) -> Bound:
        held = ctx.known(1)
        assert held is not None
        at = int(held.reshape(())) % X.ndim
        Y = ctx.out(like=X)

        def accumulate(A: Array, out: Array, backwards: bool) -> Calls:
            if backwards:
                A, out = np.flip(A, at), np.flip(out, at)
            if not self.exclusive:
                return [(np.add.accumulate, A, at, A.dtype, out)]
            lead = (slice(None),) * at
            head, tail, rest = out[*lead, :1], out[*lead, 1:], A[*lead, :-1]
            return [(head.fill, 0), (np.add.accumulate, rest, at, A.dtype, tail)]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            return [] if dX is None else accumulate(dY, dX, not self.reverse)

        return Y, accumulate(X, Y, bool(self.reverse)), backward
