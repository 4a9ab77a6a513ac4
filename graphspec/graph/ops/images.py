"""Images: Resize, blocks of pixels as channels and back; augmentation and affine warping, only in training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, ClassVar

import numpy as np

from graphspec.base.arrays.layout import axis_order, pieces
from graphspec.base.codes import Code
from graphspec.graph.expressions import number, write
from graphspec.graph.ir.dims import Dim, mul, quotient, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.channels import contiguous
from graphspec.graph.kernels.common import clip, copy_cast, copy_rows, sum_axes, within
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.ops.dropout import identity, random_words
from graphspec.graph.ops.op import Memoryless, TrainingOnly, in_place, into_gradient

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


class Resize(Memoryless):
    """X resampled to ``⌊size · scale⌋`` (or to ``sizes``) along each axis, by nearest neighbours or interpolation.

    Output element ``o`` reads coordinate ``(o + ½) / scale - ½`` (half_pixel), ``o / scale`` (asymmetric) or
    ``o · (size - 1) / (out - 1)`` (align_corners) of the input; pytorch_half_pixel is half_pixel, but 0 for one element.
    Mode cubic weights four elements by Keys' kernel with ``cubic_coeff_a``; those outside repeat the border, or are left out
    with ``exclude_outside``. Scales and sizes must be constants; ``roi`` is not used.
    """

    rows, takes_sizes = "in_front", True
    keeps_channels = True

    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    def infer(
        self, X: Value, roi: Value | None = None, scales: Value | None = None, sizes: Value | None = None
    ) -> Type:
        need.float(X)
        for name, value, implemented in (
            ("mode", self.mode, ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", self.coordinate_transformation_mode, COORDINATES),
            ("nearest_mode", self.nearest_mode, NEAREST),
        ):
            text = f"has {name} {value!r}, which is not implemented"
            need.value(value in implemented, text, hint=f"use {' or '.join(implemented)}")
        if sizes is not None:
            requested = sizes.known()
            need(requested is not None and len(requested) == X.rank, f"needs {X.rank} constant sizes")
            return Type(X.dtype, requested or ())
        data = None if scales is None else scales.data
        need(data is not None, "needs constant scales or sizes")
        assert data is not None
        factors = [float(s) for s in data.reshape(-1)]
        need(len(factors) == X.rank, f"has {len(factors)} scales for the axes of {show(X.shape)}")
        need.value(all(s > 0 for s in factors), f"has scales {factors}, which must be positive")
        shape: list[Dim] = []
        for k, s in enumerate(factors):
            shape.append(mul(X.shape[k], int(s)) if s == int(s) else int(np.floor(X.fixed(k) * np.float32(s))))
        not_empty = all(d != 0 or n == 0 for d, n in zip(shape, X.shape, strict=True))
        need(not_empty, f"leaves an axis of {show(X.shape)} empty, scaled by {factors}", code=Code.WINDOW_TOO_LARGE)
        return Type(X.dtype, tuple(shape))

    def bind(self, ctx: Context, X: Array, _: Array | None = None, scales: Array | None = None, *sizes: Array) -> Bound:
        out = ctx.shape()
        factors = [o / max(n, 1) for o, n in zip(out, X.shape, strict=True)] if scales is None else scales.reshape(-1)
        axes = [k for k in range(X.ndim) if out[k] != X.shape[k] or factors[k] != 1]
        weights = {k: resampling_matrix(self, X.shape[k], out[k], float(factors[k])) for k in axes}
        repeats = {k: out[k] // X.shape[k] for k in axes if X.shape[k] and out[k] % X.shape[k] == 0}
        equal = (np.array_equal(weights[k], np.repeat(np.eye(X.shape[k]), n, axis=0)) for k, n in repeats.items())
        if len(repeats) == len(axes) and all(equal):
            Y = ctx.out(like=X)
            calls = [copy_rows(Y[taps], X) for taps in phases(X.ndim, repeats)]
            return Y, calls, into_gradient(ctx)(lambda dY, dX: sum_of_repeats(dY, dX, repeats))
        return separable(ctx, X, weights)


def separable(ctx: Context, X: Array, weights: dict[int, Array]) -> Bound:
    """Bind the product of X with the matrix ``weights[k]`` (out, size) along each axis k."""
    order = axis_order(X)
    Y = ctx.out(order=order)
    dense, calls = contiguous(ctx, X, order)
    matrices = {order.index(k): ctx.constant(w) for k, w in weights.items()}
    calls += resample(ctx, dense, Y.transpose(order), list(matrices.items()))

    @into_gradient(ctx)
    def backward(dY: Array, dX: Array) -> Calls:
        dense_gradient, calls = contiguous(ctx, dY, order)
        transposed = [(k, w.T) for k, w in reversed(matrices.items())]
        return calls + resample(ctx, dense_gradient, dX.transpose(order), transposed)

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


def sum_of_repeats(dY: Array, dX: Array, repeats: dict[int, int]) -> Calls:
    """Return the calls that write the gradient of an input that is repeated ``repeats[k]`` times along axis k."""
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
        outer, inner = math.prod(X.shape[:axis]), math.prod(X.shape[axis + 1 :])
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


def divided(size: Dim, by: int, text: str) -> Dim:
    """Return the quotient of a size; raise ShapeError with this text if there is none."""
    result = quotient(size, by)
    need.sizes(result is not None, text)
    return 0 if result is None else result


class Rearrangement(Memoryless):
    """The elements of X (N, C, H, W) in another shape: a block of b² pixels is b² channels on the other side."""

    rows = "in_front"
    copied_inputs = slice(1)
    to_space: ClassVar[bool]

    blocksize: int

    def need_image(self, X: Value) -> int:
        """Return the block's size; raise :class:`ShapeError` unless X is a batch of images with channels first."""
        need(X.rank == 4, f"needs images (N, C, H, W), got {show(X.shape)}")
        need.value(self.blocksize >= 1, f"has blocksize {self.blocksize}")
        return self.blocksize

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y, b = ctx.out(), self.blocksize
        deep, wide = (X, Y) if self.to_space else (Y, X)
        n, c, h, w = wide.shape[0], wide.shape[1], deep.shape[2], deep.shape[3]
        sizes = {"n": n, "c": c, "h": h, "w": w, "r": b, "s": b}
        channels_first = CHANNELS_FIRST[getattr(self, "mode", "DCR")]
        order = [channels_first.index(name) for name in SPACE]

        def as_wide(A: Array) -> Array:
            """A view of the array with more channels, with its axes as :data:`SPACE` names them."""
            split: Any = A.reshape([sizes[name] for name in channels_first], copy=False)
            return np.asarray(split.transpose(order))

        def as_blocks(A: Array) -> Array:
            return A.reshape([sizes[name] for name in SPACE], copy=False)

        def copy(target: Array, source: Array, to_space: bool) -> Calls:
            if to_space:
                return [(np.copyto, as_blocks(target), as_wide(source))]
            return [(np.copyto, as_wide(target), as_blocks(source))]

        return Y, copy(Y, X, self.to_space), into_gradient(ctx)(lambda dY, dX: copy(dX, dY, not self.to_space))


class DepthToSpace(Rearrangement):
    """``Y[n, c, h·b + r, w·b + s] = X[n, (r·b + s)·C + c, h, w]``; with mode CRD ``X[n, (c·b + r)·b + s, h, w]``.

    X (N, C·b², H, W) → Y (N, C, H·b, W·b), where b is ``blocksize``.
    """

    to_space = True

    blocksize: int
    mode: str = "DCR"

    def infer(self, X: Value) -> Type:
        b = self.need_image(X)
        need.value(self.mode in CHANNELS_FIRST, f"has mode {self.mode!r}", hint="use DCR or CRD")
        n, c, h, w = X.shape
        channels = divided(c, b * b, f"cannot split {c} channels into blocks of {b * b}")
        return Type(X.dtype, (n, channels, mul(h, b), mul(w, b)))


class SpaceToDepth(Rearrangement):
    """``Y[n, (r·b + s)·C + c, h, w] = X[n, c, h·b + r, w·b + s]``.

    X (N, C, H·b, W·b) → Y (N, C·b², H, W), where b is ``blocksize``.
    """

    to_space = False

    def infer(self, X: Value) -> Type:
        b = self.need_image(X)
        n, c, h, w = X.shape
        text = f"cannot split {show((h, w))} pixels into blocks of {b} × {b}"
        height, width = (divided(size, b, text) for size in (h, w))
        return Type(X.dtype, (n, mul(c, b * b), height, width))


# Image augmentation, only in training: random numbers per row, contrast and brightness, random crops.
class RowUniform(TrainingOnly):
    """Uniform random numbers: X (N, …) → Y (N, k), where column i is drawn from [``low[i]``, ``high[i]``).

    With ``same`` the batch shares one row: Y (1, k). Outside training Y is 0. No gradient.
    """

    rows = "in_front"
    varies_in_training = True

    low: Sequence[float]
    high: Sequence[float]
    same: bool = False
    seed: int | None = None

    def infer(self, X: Value) -> Type:
        need(X.rank >= 1, "needs a batch axis")
        text = f"needs as many lower bounds as upper bounds, got {len(self.low)} and {len(self.high)}"
        need(len(self.low) == len(self.high) > 0, text)
        return Type("float32", (1 if self.same else X.shape[0], len(self.low)))

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        if not ctx.training:
            return Y, [(Y.fill, 0)], None
        bits, calls = random_words(ctx, Y.shape, np.uint32, "uniform", self.seed, same=self.same)
        integers = ctx.scratch(Y.shape, np.uint32)  # of 24 bits, exact in float32: the quotient stays below 1
        width = np.subtract(self.high, self.low) * 2.0**-24
        scale, least = ctx.constant(width), ctx.constant(self.low)
        calls.append((np.right_shift, bits, ctx.constant(8, np.uint32), integers))
        uniform = write(ctx, Y, lambda k, scale, least: number(k) * scale + least, integers, scale, least)
        return Y, calls + uniform, None


class MixRows(TrainingOnly):
    """In training ``Y = X · kept + Z · (1 - kept)``, where Z has rows 0 and 1, 2 and 3, … of X exchanged.

    X (N, …), kept (N, …), which broadcasts to X → Y (N, …). A last row without a partner stays; the rows are those of one
    worker. Only X has a gradient.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (1,), False
    identity_in_inference = True

    def infer(self, X: Value, kept: Value) -> Type:
        need.float(X, kept)
        need(X.rank == kept.rank, f"needs weights that broadcast to {show(X.shape)}, got {show(kept.shape)}")
        return X.type

    def bind(self, ctx: Context, X: Array, kept: Array) -> Bound:
        if not ctx.training:
            return identity(ctx, X)
        Y, even = ctx.out(like=X), len(X) // 2 * 2

        def in_pairs(A: Array) -> Array:
            return A[:even].reshape(even // 2, 2, *A.shape[1:], copy=False)

        def mixed(out: Array, x: Array, z: Array, k: Array, zk: Array) -> Calls:
            return write(ctx, out, lambda x, z, k, zk: x * k + z * (1 - zk), x, z, k, zk)

        x, k = in_pairs(X), in_pairs(kept)
        calls = [*mixed(in_pairs(Y), x, x[:, ::-1], k, k), (np.copyto, Y[even:], X[even:])]

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            d = in_pairs(dY)
            return [*mixed(in_pairs(dX), d, d[:, ::-1], k, k[:, ::-1]), (np.copyto, dX[even:], dY[even:])]

        return Y, calls, backward


class Recolor(TrainingOnly):
    """In training ``Y = clip(mean + scale · (X - mean) + shift, low, high)``; at inference the identity.

    X (N, …), optional scale and shift (N, 1) → Y (N, …), with the mean over ``axes``. Only X has a gradient; it is 0 where Y
    is clipped.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (1,), True
    identity_in_inference = True

    low: float
    high: float
    axes: Sequence[int] = (1, 2)

    def infer(self, X: Value, scale: Value | None = None, shift: Value | None = None) -> Type:
        need.float(X, scale, shift)
        for value in (scale, shift):
            need(value is None or value.shape == (X.shape[0], 1), f"needs a number for each row of {show(X.shape)}")
        return X.type

    def bind(self, ctx: Context, X: Array, scale: Array | None = None, shift: Array | None = None) -> Bound:
        if not ctx.training:
            return identity(ctx, X)
        per_row = (len(X), *[1] * (X.ndim - 1))
        Y = X if ctx.may_overwrite(0) else ctx.out(like=X)
        calls = [] if scale is None else scale_deviations(ctx, X, scale.reshape(per_row), self.axes, Y)
        if shift is not None:
            calls.append((np.add, Y if calls else X, shift.reshape(per_row), Y))
        low, high = ctx.constant(self.low), ctx.constant(self.high)
        calls.append(clip(Y if calls else X, low, high, Y))

        @in_place(ctx)
        def backward(dY: Array) -> Calls:
            calls = within(ctx, Y, low, high, dY)
            return calls if scale is None else calls + scale_deviations(ctx, dY, scale.reshape(per_row), self.axes, dY)

        return Y, calls, backward


def scale_deviations(ctx: Context, X: Array, scale: Array, axes: Sequence[int], Y: Array) -> Calls:
    """Calls for ``Y = mean + scale · (X - mean)``. The map is linear and symmetric, so its gradient is the same map."""
    reduced = [1 if k in axes else n for k, n in enumerate(X.shape)]
    mean = ctx.scratch(reduced)
    count = max(math.prod(X.shape[k] for k in axes), 1)
    tiled = ctx.scratch([*reduced[:-2], *X.shape[-2:]])  # over the last two axes: NumPy is slow on narrow rows
    return [
        *sum_axes(ctx, X, axes, mean),
        *write(ctx, mean, lambda mean, scale: mean * (1 / count) * (1 - scale), mean, scale),
        (np.copyto, tiled, mean),
        *write(ctx, Y, lambda X, scale, tiled: X * scale + tiled, X, scale, tiled),
    ]


class RandomCrop(TrainingOnly):
    """In training the window of X at upper left corner ``⌊corner · (H - h + 1, W - w + 1)⌋``, else ``rows @ X @ columns``.

    X (N, C, H, W), corner (1, 2) in [0, 1), constant rows (h, H) and columns (W, w) → Y (N, C, h, w). The matrices resize X
    outside training. Only X has a gradient.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (1,), False
    varies_in_training = True

    def infer(self, X: Value, corner: Value, rows: Value, columns: Value) -> Type:
        need.float(X, corner, rows, columns)
        need(X.rank == 4 and corner.shape == (1, 2), f"needs images and a corner, got {X.type} and {corner.type}")
        need(rows.data is not None and columns.data is not None, "needs constant matrices")
        (h, height), (width, w) = rows.shape, columns.shape
        need((height, width) == X.shape[2:], f"has matrices for images of {show((height, width))}, got {show(X.shape)}")
        fits = all(isinstance(n, int) and isinstance(d, int) and n <= d for n, d in ((h, height), (w, width)))
        need(fits, f"cannot crop {show((h, w))} from {show(X.shape)}", code=Code.WINDOW_TOO_LARGE)
        return Type(X.dtype, (*X.shape[:2], h, w))

    def bind(self, ctx: Context, X: Array, corner: Array, rows: Array, columns: Array) -> Bound:
        if not ctx.training:
            return separable(ctx, X, {2: rows, 3: columns.T})
        Y = ctx.out(like=X)
        (height, width), (h, w) = X.shape[2:], Y.shape[2:]

        def window(image: Array) -> Array:
            top, left = int(corner[0, 0] * (height - h + 1)), int(corner[0, 1] * (width - w + 1))
            return image[:, :, top : top + h, left : left + w]

        def crop() -> None:
            Y[...] = window(X)

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            def scatter() -> None:
                dX.fill(0)
                window(dX)[...] = dY

            return [(scatter,)]

        return Y, [(crop,)], backward


# Affine warping of images: each output pixel is interpolated at the point that the map assigns to it. Training only.
_PIXELS = 1 << 15  # pixels per block of rows
FILL_MODES = ("constant", "nearest", "reflect", "wrap")


class AffineWarp(TrainingOnly):
    """Images X (batch, height, width, channels), each warped by its affine map (batch, 6): ``a₀, a₁, a₂, b₀, b₁, b₂``.

    The pixel at (x, y) from the centre is read from ``(a₀x + a₁y + a₂·width, b₀x + b₁y + b₂·height)``. Beyond the border
    this is ``fill_value`` (constant), the edge (nearest), the mirror image ``d c b a | a b c d | d c b a`` (reflect) or the
    opposite side (wrap), as in ``jax.scipy.ndimage.map_coordinates``. Keras uses that on JAX and reimplements it for
    PyTorch; on TensorFlow, ``reflect`` and ``wrap`` differ from Keras's documentation by fractions of a pixel. The map has
    no gradient.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (1,), False
    identity_in_inference = True

    interpolation: str = "bilinear"
    fill_mode: str = "reflect"
    fill_value: float = 0.0

    def infer(self, X: Value, matrix: Value) -> Type:
        need.float(X, matrix)
        need(X.rank == 4, f"needs images (batch, height, width, channels), got {show(X.shape)}")
        need(matrix.shape == (X.shape[0], 6), f"needs a map of shape {show((X.shape[0], 6))}, got {show(matrix.shape)}")
        need.value(self.interpolation in ("nearest", "bilinear"), f"has no interpolation {self.interpolation!r}")
        need.value(self.fill_mode in FILL_MODES, f"has no fill_mode {self.fill_mode!r}")
        return X.type

    def bind(self, ctx: Context, X: Array, matrix: Array) -> Bound:
        if not ctx.training:
            return identity(ctx, X)
        Y, channels = ctx.out(like=X), X.shape[3]
        lookup = Lookup(ctx, X.shape, matrix, self.interpolation, self.fill_mode)
        calls: Calls = []
        for rows, count, (P, S, T) in lookup.blocks():
            calls += [(np.copyto, as_images(P, X[rows]), X[rows]), *lookup.locate(rows)]
            for k, (indices, weight, tap_calls) in enumerate(lookup.taps(count)):
                A = T if k else S
                calls += [*tap_calls, (np.take, P, indices, 1, A, "clip")]
                if weight is not None:
                    calls.append((np.multiply, A, weight, A))
                if k:
                    calls.append((np.add, S, T, S))
            if self.fill_mode == "constant" and self.fill_value:
                calls += [*lookup.missing(count, self.fill_value), (np.add, S, lookup.weight[:count], S)]
            calls.append((np.copyto, Y[rows], as_images(S, X[rows])))

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            lookup = Lookup(ctx, X.shape, matrix, self.interpolation, self.fill_mode)
            calls: Calls = []
            for rows, count, (P, S, T) in lookup.blocks():
                calls += [(np.copyto, as_images(P, X[rows]), dY[rows]), (S.fill, 0), *lookup.locate(rows)]
                for indices, weight, tap_calls in lookup.taps(count):
                    calls += tap_calls
                    if weight is not None:
                        calls.append((np.multiply, P, weight, T))
                    source = P if weight is None else T
                    calls += [(np.add.at, S[c], indices, source[c]) for c in range(channels)]
                calls.append((np.copyto, dX[rows], as_images(S, X[rows])))
            return calls

        return Y, calls, backward


def as_images(planes: Array, images: Array) -> Array:
    """Return ``planes`` (channels, pixels) as a view in the shape of ``images`` (rows, height, width, channels)."""
    return planes.reshape(images.shape[3], *images.shape[:3]).transpose(1, 2, 3, 0)


class Lookup:
    """The source indices and weights of the pixels of a block of rows: temporaries, and the calls that fill them."""

    def __init__(self, ctx: Context, shape: tuple[int, ...], matrix: Array, interpolation: str, fill_mode: str) -> None:
        self._ctx, self._matrix, self._mode, self._linear = ctx, matrix, fill_mode, interpolation == "bilinear"
        self._rows, self._height, self._width = shape[:3]
        self._size = self._height * self._width
        self._step = max(min(_PIXELS // max(self._size, 1), self._rows), 1)
        self.pixels = self._step * self._size  # of the largest block

        def of_pixels(dtype: Any = None) -> Array:
            return ctx.scratch((self.pixels,), dtype)

        self.weight, self._flat_index, self._buffer = of_pixels(), of_pixels(np.int64), of_pixels(np.int64)
        self._valid = of_pixels(np.bool_)
        count = 2 if self._linear else 1
        self._index = [[of_pixels(np.int64) for _ in range(count)] for _ in range(2)]
        self._across = ctx.scratch((self._step, 1, self._width))
        self._down, self._offset = ctx.scratch((self._step, self._height, 1)), ctx.scratch((self._step, 1, 1))
        self._x = ctx.constant(np.arange(self._width) - (self._width - 1) / 2)
        self._y = ctx.constant(np.arange(self._height)[:, None] - (self._height - 1) / 2)
        self._starts = ctx.constant(np.arange(self._step)[:, None] * self._size, np.int64)
        weighted = self._linear or fill_mode == "constant"
        self._weights = [[of_pixels() for _ in range(count)] if weighted else [] for _ in range(2)]
        self._planes = [ctx.scratch((shape[3], self.pixels)) for _ in range(3)]

    def blocks(self) -> Iterator[tuple[slice, int, list[Array]]]:
        """Yield the rows of each block, its number of pixels, and three temporaries (channels, pixels)."""
        for rows in pieces(0, self._rows if self._size else 0, self._step):
            count = (rows.stop - rows.start) * self._size
            yield rows, count, [plane[:, :count] for plane in self._planes]

    def locate(self, rows: slice) -> Calls:
        """Return the calls that fill the indices and weights along both axes for these rows."""
        ctx, count = self._ctx, rows.stop - rows.start
        pixels = count * self._size
        across, down, offset = self._across[:count], self._down[:count], self._offset[:count]
        coordinates = self.weight[:pixels].reshape(count, self._height, self._width)
        calls: Calls = []
        for axis, size in enumerate((self._height, self._width)):
            a, b, shift = (self._matrix[rows, 3 * (1 - axis) + k].reshape(count, 1, 1) for k in range(3))
            calls += [
                *write(ctx, offset, partial(lambda s, size: s * size + (size - 1) / 2, size=size), shift),
                (np.multiply, a, self._x, across),
                (np.multiply, b, self._y, down),
                (np.add, down, offset, down),
                (np.add, across, down, coordinates),
                *self._along(axis, size, pixels),
            ]
        for index in self._index[0]:
            down = index[:pixels].reshape(count, self._size)
            calls += [
                (np.multiply, down, ctx.constant(self._width, np.int64), down),
                (np.add, down, self._starts[:count], down),
            ]
        return calls

    def _along(self, axis: int, size: int, count: int) -> Calls:
        """Return the calls that turn the coordinates in ``weight`` into indices and weights along an axis of ``size``."""
        ctx, coordinates = self._ctx, self.weight[:count]
        indices = [index[:count] for index in self._index[axis]]
        weights = [weight[:count] for weight in self._weights[axis]]
        if self._linear:
            low, high = weights
            calls: Calls = [
                (np.floor, coordinates, low),
                (copy_cast, indices[0], low),
                (np.add, indices[0], ctx.constant(1, np.int64), indices[1]),
                (np.subtract, coordinates, low, high),
                (np.subtract, ctx.constant(1.0), high, low),
            ]
        else:  # halves away from zero, as JAX rounds
            half = self._buffer[:count].view(coordinates.dtype)[:count]
            calls = [
                (np.copysign, ctx.constant(0.5), coordinates, half),
                (np.add, coordinates, half, coordinates),
                (copy_cast, indices[0], coordinates),
                *((weight.fill, 1) for weight in weights),
            ]
        for k, index in enumerate(indices):
            if self._mode == "constant":
                valid = self._valid[:count]
                calls += [
                    (np.greater_equal, index, ctx.constant(0, np.int64), valid),
                    (np.multiply, weights[k], valid, weights[k]),
                    (np.less, index, ctx.constant(size, np.int64), valid),
                    (np.multiply, weights[k], valid, weights[k]),
                ]
            calls += self._inside(index, size)
        return calls

    def _inside(self, index: Array, size: int) -> Calls:
        """Return the calls that map indices into an axis of ``size``, in place."""
        ctx, spare = self._ctx, self._buffer[: len(index)]
        at_least, at_most = partial(np.maximum, out=index), partial(np.minimum, out=index)
        if self._mode == "wrap":
            return [(np.remainder, index, ctx.constant(size, np.int64), index)]
        if self._mode == "reflect":
            return [
                (np.remainder, index, ctx.constant(2 * size, np.int64), index),
                (np.subtract, ctx.constant(2 * size - 1, np.int64), index, spare),
                (at_most, index, spare),
            ]
        return [(at_least, index, ctx.constant(0, np.int64)), (at_most, index, ctx.constant(size - 1, np.int64))]

    def taps(self, count: int) -> Iterator[tuple[Array, Array | None, Calls]]:
        """Yield the source pixels of all pixels, tap by tap: indices, weights, and the calls that fill both."""
        indices, weight = self._flat_index[:count], self.weight[:count]
        for k, down in enumerate(self._index[0]):
            for j, across in enumerate(self._index[1]):
                calls: Calls = [(np.add, down[:count], across[:count], indices)]
                if not self._weights[0]:
                    yield indices, None, calls
                else:
                    calls.append((np.multiply, self._weights[0][k][:count], self._weights[1][j][:count], weight))
                    yield indices, weight, calls

    def missing(self, count: int, value: float) -> Calls:
        """Return the calls that write ``value · (1 - Σ weights)`` into ``weight``."""
        weight, spare = self.weight[:count], self._buffer[:count].view(self.weight.dtype)[:count]
        sums: Calls = []
        for weights, out in zip(self._weights, (weight, spare), strict=True):
            parts = [w[:count] for w in weights]
            sums.append((np.add, *parts, out) if len(parts) == 2 else (np.copyto, out, parts[0]))
        return [*sums, *write(self._ctx, weight, lambda down, across: (1 - down * across) * value, weight, spare)]
