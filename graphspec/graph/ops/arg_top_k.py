"""Operators that compare the elements along an axis: ArgMax, ArgMin, TopK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.ir.ranges import ANY, Range
from graphspec.graph.kernels.context import Bound, Context, need, normalize_axis
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.indexing import scatter_add
from graphspec.graph.ops.reduce import reduced_shape
from graphspec.graph.ops.shape import integer


def index_range(output: Value) -> Range:
    """The valid indices along ``axis`` of the first input of the node that computes ``output``."""
    node = output.node
    assert node is not None
    X = node.inputs[0]
    size = None if X is None else X.shape[node.attrs["axis"]]
    return Range(0, size - 1) if isinstance(size, int) else ANY


class ArgExtremum(Op):
    """The index of an extreme element along ``axis``, int64; that axis has size 1, or is removed if ``keepdims`` is 0.

    Among equal elements the first is selected, or the last with ``select_last_index``. No gradient.
    """

    rows = "along_axis"
    keeps_in, keeps_out = (), False
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


@op
class ArgMax(ArgExtremum):
    """``Y = argmax(X)`` along ``axis``."""

    find = "argmax"


@op
class ArgMin(ArgExtremum):
    """``Y = argmin(X)`` along ``axis``."""

    find = "argmin"


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


@op
class TopK(Op):
    """The ``K`` largest (or smallest) elements along ``axis``, in order, and their int64 indices.

    X (…, n, …) → values (…, K, …), indices (…, K, …). Equal elements are ordered by index. The gradient of the values
    goes to the selected elements.
    """

    rows, takes_sizes = "along_axis", True
    keeps_in, keeps_out = (), False

    axis: int = -1
    largest: int = 1
    sorted: int = 1

    def infer(self, X: Value, K: Value) -> tuple[Type, Type]:
        at, size = normalize_axis(self.axis, X.rank), X.shape[normalize_axis(self.axis, X.rank)]
        known = K.known()
        k = size if known == (size,) else integer(K, "K")  # a symbolic K is supported if it is the whole axis
        unknown = not isinstance(size, int) or not isinstance(k, int)
        need(
            k == size or unknown or 0 <= int(k) <= int(size),
            f"cannot select {k} of {size} elements",
            code=Code.SIZES_DO_NOT_FIT,
        )
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
        found = ctx.scratch((rows, k), X.dtype)
        shape = (*last.shape[:-1], k)
        calls += [
            (np.copyto, np.moveaxis(indices, at, -1), best.reshape(shape, copy=False)),
            (np.copyto, positions, best),
            (np.add, positions, ctx.constant(np.arange(rows)[:, None] * n, np.int64), positions),
            (np.take, flat.reshape(-1), positions, None, found, "clip"),
            (np.copyto, np.moveaxis(values, at, -1), found.reshape(shape)),
        ]

        def backward(dV: Array | None, dI: Array | None = None) -> Calls:
            dX = ctx.grad(0)
            if dX is None or dV is None:
                return []
            source = ctx.scratch(shape)
            return [
                (np.copyto, source, np.moveaxis(dV, at, -1)),
                *scatter_add(ctx, np.moveaxis(dX, at, -1), positions, source),
            ]

        return (values, indices), calls, backward
