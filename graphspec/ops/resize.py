"""Resize: resampling by nearest neighbours or linear interpolation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.codes import Code
from graphspec.ir.dims import Dim, mul, show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.channels import contiguous
from graphspec.kernels.common import copy_rows
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import Op, op

# From the index o of an output element to the coordinate of the input that it reads.
COORDINATES: dict[str, Callable[[Array, float, int, int], Array]] = {
    "half_pixel": lambda o, scale, size, out: (o + 0.5) / scale - 0.5,
    "asymmetric": lambda o, scale, size, out: o / scale,
    "align_corners": lambda o, scale, size, out: o * (size - 1) / max(out - 1, 1),
}
# How mode nearest rounds a coordinate to an index.
NEAREST: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@op
class Resize(Op):
    """X resampled to ``⌊size · scale⌋`` (or to ``sizes``) along each axis, by nearest neighbours or linear interpolation.

    Output element ``o`` reads coordinate ``(o + ½) / scale - ½`` (half_pixel), ``o / scale`` (asymmetric) or
    ``o · (size - 1) / (out - 1)`` (align_corners) of the input. Scales and sizes must be constants; ``roi`` is not used.
    """

    keeps_in, keeps_out = (), False

    coordinate_transformation_mode: str = "half_pixel"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    def infer(
        self, X: Value, roi: Value | None = None, scales: Value | None = None, sizes: Value | None = None
    ) -> Type:
        need_float(X)
        for name, value, implemented in (
            ("mode", self.mode, ("nearest", "linear")),
            ("coordinate_transformation_mode", self.coordinate_transformation_mode, COORDINATES),
            ("nearest_mode", self.nearest_mode, NEAREST),
        ):
            need(
                value in implemented,
                f"has {name} {value!r}, which is not implemented",
                code=Code.VALUE_NOT_ALLOWED,
                hint=f"use {' or '.join(implemented)}",
            )
        if sizes is not None:
            requested = sizes.known()
            need(requested is not None and len(requested) == X.rank, f"needs {X.rank} constant sizes")
            assert requested is not None
            return Type(X.dtype, requested)
        data = None if scales is None else scales.data
        need(data is not None, "needs constant scales or sizes")
        assert data is not None
        factors = [float(s) for s in data.reshape(-1)]
        need(len(factors) == X.rank, f"has {len(factors)} scales for the axes of {show(X.shape)}")
        need(all(s > 0 for s in factors), f"has scales {factors}, which must be positive", code=Code.VALUE_NOT_ALLOWED)
        shape: list[Dim] = []
        for k, s in enumerate(factors):
            shape.append(mul(X.shape[k], int(s)) if s == int(s) else int(np.floor(X.fixed(k) * np.float32(s))))
        not_empty = all(d != 0 or n == 0 for d, n in zip(shape, X.shape, strict=True))
        need(not_empty, f"leaves an axis of {show(X.shape)} empty, scaled by {factors}", code=Code.WINDOW_TOO_LARGE)
        return Type(X.dtype, tuple(shape))

    def bind(
        self, ctx: Context, X: Array, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None
    ) -> Bound:
        out = ctx.shape()
        factors = [o / max(n, 1) for o, n in zip(out, X.shape, strict=True)] if scales is None else scales.reshape(-1)
        axes = [k for k in range(X.ndim) if out[k] != X.shape[k] or factors[k] != 1]
        weights = {
            k: resampling_matrix(
                X.shape[k], out[k], float(factors[k]), self.coordinate_transformation_mode, self.mode, self.nearest_mode
            )
            for k in axes
        }
        repeats = {k: out[k] // X.shape[k] for k in axes if X.shape[k] and out[k] % X.shape[k] == 0}
        if len(repeats) == len(axes) and all(
            np.array_equal(weights[k], np.repeat(np.eye(X.shape[k]), n, axis=0)) for k, n in repeats.items()
        ):
            Y = ctx.out(like=X)
            return (
                Y,
                [copy_rows(Y[taps], X) for taps in phases(X.ndim, repeats)],
                lambda dY: sum_of_repeats(ctx, dY, repeats),
            )
        return separable(ctx, X, weights)


def separable(ctx: Context, X: Array, weights: dict[int, Array]) -> Bound:
    """Bind the product of X with the matrix ``weights[k]`` (out, size) along each axis k."""
    order = axis_order(X)
    Y = ctx.out(order=order)
    dense, calls = contiguous(ctx, X, order)
    matrices = {order.index(k): ctx.constant(w) for k, w in weights.items()}
    calls += resample(ctx, dense, Y.transpose(order), list(matrices.items()))

    def backward(dY: Array) -> Calls:
        dX = ctx.grad(0)
        assert dX is not None
        dense_gradient, calls = contiguous(ctx, dY, order)
        return calls + resample(
            ctx, dense_gradient, dX.transpose(order), [(k, w.T) for k, w in reversed(matrices.items())]
        )

    return Y, calls, backward


def resampling_matrix(size: int, out: int, scale: float, coordinates: str, mode: str, nearest: str) -> Array:
    """Return the matrix (out, size) that resamples one axis."""
    x = COORDINATES[coordinates](np.arange(out, dtype=np.float64), scale, size, out)
    rows, W = np.arange(out), np.zeros((out, size))
    if mode == "nearest":
        W[rows, np.clip(NEAREST[nearest](x), 0, size - 1).astype(np.intp)] = 1
        return W
    x = np.clip(x, 0, size - 1)
    low = np.minimum(np.floor(x).astype(np.intp), max(size - 2, 0))
    W[rows, low] = 1 - (x - low)
    W[rows, np.minimum(low + 1, size - 1)] += x - low
    return W


def phases(rank: int, repeats: dict[int, int]) -> list[tuple[slice, ...]]:
    """Return the indices that select one copy each of X from an array that repeats it ``repeats[k]`` times along axis k."""
    steps = [repeats.get(k, 1) for k in range(rank)]
    return [tuple(slice(p, None, s) for p, s in zip(at, steps, strict=True)) for at in product(*map(range, steps))]


def sum_of_repeats(ctx: Context, dY: Array, repeats: dict[int, int]) -> Calls:
    """Return the calls that write the gradient of an input that is repeated ``repeats[k]`` times along axis k."""
    dX = ctx.grad(0)
    assert dX is not None
    first, *others = (dY[taps] for taps in phases(dY.ndim, repeats))
    if not others:
        return [(np.copyto, dX, first)]
    return [(np.add, first, others[0], dX), *((np.add, dX, part, dX) for part in others[1:])]


def resample(ctx: Context, X: Array, Y: Array, matrices: list[tuple[int, Array]]) -> Calls:
    """Return the calls that multiply C-contiguous X by a matrix along each listed axis, into C-contiguous Y."""
    calls: Calls = []
    for n, (axis, W) in enumerate(matrices):
        shape = (*X.shape[:axis], len(W), *X.shape[axis + 1 :])
        result = Y if n == len(matrices) - 1 else ctx.scratch(shape)
        outer = int(np.prod(X.shape[:axis], dtype=np.int64))
        inner = int(np.prod(X.shape[axis + 1 :], dtype=np.int64))
        if inner == 1:
            calls.append((np.dot, X.reshape(outer, X.shape[axis]), W.T, result.reshape(outer, len(W))))
        else:
            source, target = X.reshape(outer, X.shape[axis], inner), result.reshape(outer, len(W), inner)
            calls.append((np.matmul, W, source, target))
        X = result
    return calls if matrices else [(np.copyto, Y, X)]
