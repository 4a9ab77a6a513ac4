"""Image augmentation, only in training: random numbers per row, contrast and brightness, random crops.

The random numbers of a row depend on the seed, the node, the step and the row's index in the batch, not on the number of
workers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import clip, copy_cast, sum_axes, within
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.dropout import identity, random_words
from graphspec.graph.ops.resize import separable


@op
class RowUniform(Op):
    """Uniform random numbers: X (N, …) → Y (N, k), where column i is drawn from [``low[i]``, ``high[i]``).

    With ``same`` the batch shares one row: Y (1, k). Outside training Y is 0. No gradient.
    """

    rows = "in_front"
    keeps_in, keeps_out = (), False
    exported = False
    varies_in_training = True

    low: Sequence[float]
    high: Sequence[float]
    same: bool = False
    seed: int | None = None

    def infer(self, X: Value) -> Type:
        need(X.rank >= 1, "needs a batch axis")
        need(
            len(self.low) == len(self.high) > 0,
            f"needs as many lower bounds as upper bounds, got {len(self.low)} and {len(self.high)}",
        )
        return Type("float32", (1 if self.same else X.shape[0], len(self.low)))

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        if not ctx.training:
            return Y, [(Y.fill, 0)], None
        bits, calls = random_words(ctx, Y.shape, np.uint32, "uniform", self.seed, same=self.same)
        integers = ctx.scratch(Y.shape, np.uint32)  # of 24 bits, exact in float32: the quotient stays below 1
        width = np.subtract(self.high, self.low) * 2.0**-24
        return (
            Y,
            [
                *calls,
                (np.right_shift, bits, ctx.constant(8, np.uint32), integers),
                (copy_cast, Y, integers),
                (np.multiply, Y, ctx.constant(width), Y),
                (np.add, Y, ctx.constant(self.low), Y),
            ],
            None,
        )


@op
class Recolor(Op):
    """In training ``Y = clip(mean + scale · (X - mean) + shift, low, high)``; at inference the identity.

    X (N, …), optional scale and shift (N, 1) → Y (N, …), with the mean over ``axes``. Only X has a gradient; it is 0 where Y
    is clipped.
    """

    rows = "all_in_front"
    keeps_in = (1,)
    exported, identity_in_inference = False, True

    low: float
    high: float
    axes: Sequence[int] = (1, 2)

    def infer(self, X: Value, scale: Value | None = None, shift: Value | None = None) -> Type:
        need_float(X, scale, shift)
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

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            calls = within(ctx, Y, low, high, dY)
            return calls if scale is None else calls + scale_deviations(ctx, dY, scale.reshape(per_row), self.axes, dY)

        return Y, calls, backward


def scale_deviations(ctx: Context, X: Array, scale: Array, axes: Sequence[int], Y: Array) -> Calls:
    """Calls for ``Y = mean + scale · (X - mean)``. The map is linear and symmetric, so its gradient is the same map."""
    reduced = [1 if k in axes else n for k, n in enumerate(X.shape)]
    mean, complement = ctx.scratch(reduced), ctx.scratch(scale.shape)
    count = max(int(np.prod([X.shape[k] for k in axes])), 1)
    tiled = ctx.scratch([*reduced[:-2], *X.shape[-2:]])  # over the last two axes: NumPy is slow on narrow rows
    return [
        *sum_axes(ctx, X, axes, mean),
        (np.multiply, mean, ctx.constant(1 / count), mean),
        (np.subtract, ctx.constant(1.0), scale, complement),
        (np.multiply, mean, complement, mean),
        (np.copyto, tiled, mean),
        (np.multiply, X, scale, Y),
        (np.add, Y, tiled, Y),
    ]


@op
class RandomCrop(Op):
    """In training the window of X at upper left corner ``⌊corner · (H - h + 1, W - w + 1)⌋``, else ``rows @ X @ columns``.

    X (N, C, H, W), corner (1, 2) in [0, 1), constant rows (h, H) and columns (W, w) → Y (N, C, h, w). The matrices resize X
    outside training. Only X has a gradient.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (1,), False
    exported = False
    varies_in_training = True

    def infer(self, X: Value, corner: Value, rows: Value, columns: Value) -> Type:
        need_float(X, corner, rows, columns)
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

        def backward(dY: Array) -> Calls:
            dX = ctx.grad(0)

            def scatter() -> None:
                assert dX is not None
                dX.fill(0)
                window(dX)[...] = dY

            return [] if dX is None else [(scatter,)]

        return Y, [(crop,)], backward
