"""Operators of ONNX that are made of others here: pictures at computed places, and pooling that is undone.

A file that has them trains, and a file that is written has their parts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from math import prod
from typing import Annotated, Any, Literal

import numpy as np

from graphspec.base.config import FROM_LIST
from graphspec.graph.ir.dims import show
from graphspec.graph.kernels.context import need
from graphspec.graph.kernels.windows import per_axis, window_axes
from graphspec.graph.ops.pooling import MaxPool
from graphspec.vocabulary import Builder, Value
from graphspec.vocabulary.layers.layer import cast_to, positions

Ints = Annotated[tuple[int, ...], FROM_LIST]
IntsOrNone = Annotated[tuple[int, ...] | None, FROM_LIST]


def affine_grid(g: Builder, theta: Value, size: Value, *, align_corners: int = 0) -> Value:
    """The places that affine maps read, for GridSample: from −1, the left or upper end, to 1.

    theta (N, 2, 3), size [N, C, H, W] → (N, H, W, 2); theta (N, 3, 4), size [N, C, D, H, W] → (N, D, H, W, 3). The sizes
    are constants; that of the batch is not read. With ``align_corners`` the ends are the centres of the outer pixels, else
    their edges.
    """
    need.float(theta)
    sizes = [d for d in (size.known() or ())[2:] if isinstance(d, int)]
    n = len(sizes)
    fits = n in (2, 3) and theta.shape[1:] == (n, n + 1)
    need(fits, f"needs theta (N, 2, 3) and constant sizes [N, C, H, W], got {show(theta.shape)} and {size.known()}")
    ends = [1.0 - (0 if align_corners else 1 / d) if d > 1 else 0.0 for d in sizes]
    steps = [np.linspace(-end, end, d) for end, d in zip(ends, sizes, strict=True)]
    places = np.stack([*np.meshgrid(*steps, indexing="ij")[::-1], np.ones(sizes)], -1)
    flat = g.MatMul(g.constant(places.reshape(-1, n + 1), "float32"), g.transpose(theta, (0, 2, 1)))
    return g.reshape(flat, (0, *sizes, n))


def grid_sample(
    g: Builder,
    X: Value,
    grid: Value,
    *,
    align_corners: int = 0,
    mode: Literal["linear", "nearest", "cubic", "bilinear", "bicubic"] = "linear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
) -> Value:
    """Pictures at computed places: each output reads X at ``grid[…]``, (x, y) or (x, y, z) from −1 to 1.

    X (N, C, H, W), grid (N, h, w, 2) → (N, C, h, w); X (N, C, D, H, W), grid (N, d, h, w, 3) → (N, C, d, h, w). Mode
    linear (bilinear) weights the 2 pixels at each axis around the place, cubic (bicubic) the 4 by Keys' kernel with −0.75.
    Beyond the ends is 0, the nearest pixel, or the mirror image. Both inputs have gradients.

    Jaderberg et al., *Spatial Transformer Networks*, NIPS 2015.
    """
    need.float(X, grid)
    n = X.rank - 2
    fits = n in (2, 3) and grid.rank == X.rank and grid.shape[-1] == n
    need(fits, f"needs X (N, C, H, W) and a grid (N, h, w, 2), got {show(X.shape)} and {show(grid.shape)}")
    need.shapes(grid.shape[0] == X.shape[0], f"has a grid for {grid.shape[0]} rows, and {X.shape[0]} rows")
    sizes = [g.size(X, k + 2) for k in range(n)]
    at = [g.Gather(grid, g.constant(n - 1 - k), axis=n + 1) for k in range(n)]
    taps = [_taps(g, x, size, bool(align_corners), mode, padding_mode) for x, size in zip(at, sizes, strict=True)]
    rows = g.reshape(g.transpose(X, (0, *range(2, n + 2), 1)), (0, -1, g.size(X, 1)))
    parts: list[Value] = []
    for chosen in product(*taps):
        flat, weight = chosen[0]
        for size, (index, factor) in zip(sizes[1:], chosen[1:], strict=True):
            flat = flat * size + index
            weight = factor if weight is None or factor is None else weight * factor
        part = g.GatherND(rows, g.Unsqueeze(flat, g.constant([n + 1])), batch_dims=1)
        parts.append(part if weight is None else part * g.Unsqueeze(weight, g.constant([n + 1])))
    return g.transpose(reduce(g.Add, parts), (0, n + 1, *range(1, n + 1)))


def _taps(
    g: Builder, at: Value, size: int | Value, align: bool, mode: str, padding: str
) -> list[tuple[Value, Value | None]]:
    """Return the indices that a place from −1 to 1 on an axis reads, and their weights, None for 1."""
    count: Value = g.constant(float(size)) if isinstance(size, int) else g.Cast(size, to="float32")
    last = count - 1.0
    x = (at + 1.0) * (last * 0.5) if align else ((at + 1.0) * count - 1.0) * 0.5

    def inside(x: Value) -> Value:
        if padding == "reflection":  # about the centres of the outer pixels, or about their edges
            low, span = (0.0, g.Max(last, g.constant(1e-6))) if align else (-0.5, count)
            far = g.Abs(x - low)
            x = span - g.Abs(span - (far - g.Floor(far / (span * 2.0)) * (span * 2.0))) + low
        return g.Min(g.Max(x, g.constant(0.0)), last)

    weights: list[Value | None] = [None]
    if mode == "nearest":
        places = [g.Round(x)]
    elif mode in ("linear", "bilinear"):
        x = x if padding == "zeros" else inside(x)
        places = [g.Floor(x), g.Floor(x) + 1.0]
        weights = [places[1] - x, x - places[0]]
    else:
        places = [g.Floor(x) + k for k in (-1.0, 0.0, 1.0, 2.0)]
        weights = [_cubic(g.Abs(x - place), far=k in (0, 3)) for k, place in enumerate(places)]
    found: list[tuple[Value, Value | None]] = []
    for place, weight in zip(places, weights, strict=True):
        index = inside(place)
        if padding == "zeros":
            valid = g.Cast(g.Equal(index, place), to="float32")
            weight = valid if weight is None else weight * valid
        found.append((cast_to(g, index, "int64"), weight))
    return found


def _cubic(d: Value, *, far: bool, a: float = -0.75) -> Value:
    """Return Keys' kernel at the distance d, up to 1, or from 1 to 2 if ``far``."""
    return ((d * a - 5 * a) * d + 8 * a) * d - 4 * a if far else (d * (a + 2) - (a + 3)) * d * d + 1.0


def max_pool(g: Builder, X: Value, *, storage_order: int = 0, **windows: Any) -> Value | tuple[Value, Value]:
    """The largest element under each window, and where it is: its index in the flat X, as MaxUnpool takes it.

    Shapes: X (N, C, …) → Y (N, C, …), Indices (N, C, …), int64. The gradient of a window goes to its first largest element
    in row-major order. Padding is never the maximum, so ``pads`` must be smaller than the window. With ``storage_order`` 1
    indices count with the first axis of a picture as the fastest. Without fixed sizes there are no indices.
    """
    Y, op, n = g.MaxPool(X, **windows), MaxPool(**windows), X.rank - 2
    spatial = [d for d in X.shape[2:] if isinstance(d, int)]
    if len(spatial) != n:
        return Y
    out = [Y.fixed(k + 2) for k in range(n)]
    axes = window_axes(spatial, out, op.kernel_shape, *op.steps(n), op.pads, op.auto_pad)
    numbers = np.arange(prod(spatial)).reshape(spatial, order="F" if storage_order else "C")
    found: Value = g.constant(np.zeros((1,) * X.rank, np.int64))
    for tap in reversed(list(product(*map(range, op.kernel_shape)))):  # the first largest element counts
        reads = [np.arange(a.out) * a.stride - a.begin + k * a.dilation for a, k in zip(axes, tap, strict=True)]
        kept = [np.clip(at, 0, a.size - 1) for at, a in zip(reads, axes, strict=True)]
        valid = reduce(np.logical_and.outer, [at == inside for at, inside in zip(reads, kept, strict=True)])
        taken = reduce(lambda V, k: g.Gather(V, g.constant(kept[k]), axis=k + 2), range(n), X)
        largest = g.And(g.Equal(taken, Y), g.constant(valid))
        found = g.Where(largest, g.constant(numbers[np.ix_(*kept)]), found)
    planes = g.constant(np.arange(X.fixed(1)).reshape(-1, *(1,) * n) * prod(spatial))
    rows = positions(g, g.ints([g.size(X, 0)]))
    rows = g.Mul(g.reshape(rows, (-1, *(1,) * (n + 1))), g.constant(X.fixed(1) * prod(spatial)))
    return Y, g.Add(g.Add(found, planes), rows)


def max_unpool(
    g: Builder,
    X: Value,
    indices: Value,
    output_shape: Value | None = None,
    *,
    kernel_shape: Ints,
    pads: IntsOrNone = None,
    strides: IntsOrNone = None,
) -> Value:
    """What MaxPool has taken, put back where it was, with 0 around it.

    X (N, C, …), Indices (N, C, …) of MaxPool → Y (N, C, …), whose sizes undo the windows, or are those of ``output_shape``,
    a constant with N, which is not read, in front. Indices count in a tensor of Y's shape, as in onnxruntime and PyTorch.
    """
    need.float(X)
    need.shapes(X.shape == indices.shape, f"has values {show(X.shape)} and indices {show(indices.shape)}")
    n, channels = X.rank - 2, X.fixed(1)
    if output_shape is not None:
        sizes = [d for d in (output_shape.known() or ())[2:] if isinstance(d, int)]
        need(len(sizes) == n, f"needs a constant output_shape of {n + 2} sizes", key="inputs")
    else:
        steps, ends = per_axis(strides, n, 1, "strides"), pads or (0,) * (2 * n)
        sizes = [(X.fixed(k + 2) - 1) * steps[k] + kernel_shape[k] - ends[k] - ends[n + k] for k in range(n)]
    row = channels * prod(sizes)
    ids = g.Mod(cast_to(g, indices, "int64"), g.constant(row))
    zeros = g.Expand(g.constant(0.0), g.ints([g.size(X, 0), row]))
    Y = g.ScatterElements(zeros, g.reshape(ids, (0, -1)), g.reshape(X, (0, -1)), axis=1)
    return g.reshape(Y, (0, channels, *sizes))


COMPOSED: dict[str, Callable[..., Any]] = {
    "AffineGrid": affine_grid, "GridSample": grid_sample, "MaxPool": max_pool, "MaxUnpool": max_unpool,
}  # fmt: skip
"""By the name of the operator: what emits it."""
