"""Images of another size: Resize; DepthToSpace and SpaceToDepth, which turn channels into pixels and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, ClassVar

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, mul, quotient, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import contiguous
from graphspec.graph.kernels.common import copy_rows
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Op, op

# From the index o of an output element to the coordinate of the input that it reads.
COORDINATES: dict[str, Callable[[Array, float, int, int], Array]] = {
    "half_pixel": lambda o, scale, size, out: (o + 0.5) / scale - 0.5,
    "asymmetric": lambda o, scale, size, out: o / scale,
    "pytorch_half_pixel": lambda o, scale, size, out: (o + 0.5) / scale - 0.5 if out > 1 else np.zeros_like(o),
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
    """X resampled to ``⌊size · scale⌋`` (or to ``sizes``) along each axis, by nearest neighbours or interpolation.

    Output element ``o`` reads coordinate ``(o + ½) / scale - ½`` (half_pixel), ``o / scale`` (asymmetric) or
    ``o · (size - 1) / (out - 1)`` (align_corners) of the input; pytorch_half_pixel is half_pixel, but 0 for one element.
    Mode cubic weights four elements by Keys' kernel with ``cubic_coeff_a``; those outside repeat the border, or are left out
    with ``exclude_outside``. Scales and sizes must be constants; ``roi`` is not used.
    """

    rows, takes_sizes = "in_front", True
    keeps_channels = True
    keeps_in, keeps_out = (), False

    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    def infer(
        self, X: Value, roi: Value | None = None, scales: Value | None = None, sizes: Value | None = None
    ) -> Type:
        need_float(X)
        for name, value, implemented in (
            ("mode", self.mode, ("nearest", "linear", "cubic")),
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
        weights = {k: resampling_matrix(self, X.shape[k], out[k], float(factors[k])) for k in axes}
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


def resampling_matrix(op: Resize, size: int, out: int, scale: float) -> Array:
    """Return the matrix (out, size) that resamples one axis."""
    x = COORDINATES[op.coordinate_transformation_mode](np.arange(out, dtype=np.float64), scale, size, out)
    rows, W = np.arange(out), np.zeros((out, size))
    if op.mode == "nearest":
        W[rows, np.clip(NEAREST[op.nearest_mode](x), 0, size - 1).astype(np.intp)] = 1
        return W
    if op.mode == "cubic":
        taps = np.floor(x).astype(np.intp)[:, None] + np.arange(-1, 3)
        weights = keys_kernel(np.abs(x[:, None] - taps), op.cubic_coeff_a)
        if op.exclude_outside:
            weights = np.where((taps >= 0) & (taps < size), weights, 0)
            weights /= weights.sum(axis=1, keepdims=True)
        np.add.at(W, (rows[:, None], np.clip(taps, 0, size - 1)), weights)
        return W
    x = np.clip(x, 0, size - 1)
    low = np.minimum(np.floor(x).astype(np.intp), max(size - 2, 0))
    W[rows, low] = 1 - (x - low)
    W[rows, np.minimum(low + 1, size - 1)] += x - low
    return W


def keys_kernel(d: Array, a: float) -> Array:
    """Return the weight of an element at the distance ``d``, by R. Keys, *Cubic convolution interpolation*, 1981."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


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


# Names of the axes: n batch, r and s the row and column in a block, c channel, h and w the block's row and column.
CHANNELS_FIRST = {"DCR": "nrschw", "CRD": "ncrshw"}
SPACE = "nchrws"


class Rearrangement(Op):
    """The elements of X (N, C, H, W) in another shape: a block of b² pixels is b² channels on the other side."""

    rows = "in_front"
    keeps_in, keeps_out = (), False
    copied_inputs = slice(1)
    to_space: ClassVar[bool]

    blocksize: int

    @property
    def channels_first(self) -> str:
        """The order of a block's row, its column and the channel on the side with more channels."""
        return CHANNELS_FIRST["DCR"]

    def need_image(self, X: Value) -> int:
        """Return the block's size; raise :class:`ShapeError` unless X is a batch of images with channels first."""
        need(X.rank == 4, f"needs images (N, C, H, W), got {show(X.shape)}")
        need(self.blocksize >= 1, f"has blocksize {self.blocksize}", code=Code.VALUE_NOT_ALLOWED)
        return self.blocksize

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y, b = ctx.out(), self.blocksize
        deep, wide = (X, Y) if self.to_space else (Y, X)
        n, c, h, w = wide.shape[0], wide.shape[1], deep.shape[2], deep.shape[3]
        sizes = {"n": n, "c": c, "h": h, "w": w, "r": b, "s": b}
        order = [self.channels_first.index(name) for name in SPACE]

        def as_wide(A: Array) -> Array:
            """A view of the array with more channels, with its axes as :data:`SPACE` names them."""
            split: Any = A.reshape([sizes[name] for name in self.channels_first], copy=False)
            return np.asarray(split.transpose(order))

        def as_blocks(A: Array) -> Array:
            return A.reshape([sizes[name] for name in SPACE], copy=False)

        def copy(target: Array, source: Array, to_space: bool) -> Calls:
            return [
                (np.copyto, as_blocks(target), as_wide(source))
                if to_space
                else (np.copyto, as_wide(target), as_blocks(source))
            ]

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)
            return [] if dX is None else copy(dX, dY, not self.to_space)

        return Y, copy(Y, X, self.to_space), backward


@op
class DepthToSpace(Rearrangement):
    """``Y[n, c, h·b + r, w·b + s] = X[n, (r·b + s)·C + c, h, w]``; with mode CRD ``X[n, (c·b + r)·b + s, h, w]``.

    X (N, C·b², H, W) → Y (N, C, H·b, W·b), where b is ``blocksize``.
    """

    to_space = True

    blocksize: int
    mode: str = "DCR"

    @property
    def channels_first(self) -> str:
        return CHANNELS_FIRST[self.mode]

    def infer(self, X: Value) -> Type:
        b = self.need_image(X)
        need(self.mode in CHANNELS_FIRST, f"has mode {self.mode!r}", code=Code.VALUE_NOT_ALLOWED, hint="use DCR or CRD")
        n, c, h, w = X.shape
        channels = quotient(c, b * b)
        need(channels is not None, f"cannot split {c} channels into blocks of {b * b}", code=Code.SIZES_DO_NOT_FIT)
        assert channels is not None
        return Type(X.dtype, (n, channels, mul(h, b), mul(w, b)))


@op
class SpaceToDepth(Rearrangement):
    """``Y[n, (r·b + s)·C + c, h, w] = X[n, c, h·b + r, w·b + s]``.

    X (N, C, H·b, W·b) → Y (N, C·b², H, W), where b is ``blocksize``.
    """

    to_space = False

    def infer(self, X: Value) -> Type:
        b = self.need_image(X)
        n, c, h, w = X.shape
        height, width = quotient(h, b), quotient(w, b)
        need(
            height is not None and width is not None,
            f"cannot split {show((h, w))} pixels into blocks of {b} × {b}",
            code=Code.SIZES_DO_NOT_FIT,
        )
        assert height is not None
        assert width is not None
        return Type(X.dtype, (n, mul(c, b * b), height, width))
