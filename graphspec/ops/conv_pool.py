"""ConvPool, a convolution and the max pooling behind it, which takes each tap of a window for itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import as_words, fold, negate
from graphspec.kernels.context import Bound, Context, need
from graphspec.kernels.correlation import correlation
from graphspec.kernels.windows import ceil, output_dims, spread, window_axes
from graphspec.ops.base import Op, op
from graphspec.ops.convolution import Conv

_BLOCK = 1 << 18  # numbers of all taps: they stay in the second-level cache from the products to the maxima


@op
class ConvPool(Op):
    """``MaxPool(Conv(X, W))`` with windows that lie side by side; X gets no gradient.

    What one tap of all windows reads is a convolution with wider strides. So the outputs of the convolution are computed
    as a plane for each tap, and largest numbers and gradients are those of whole planes, not of every second column; they
    are made for some samples at a time, and only which tap is the largest is kept. That is the first one, row by row.
    """

    keeps_in, keeps_out = (0,), False
    exported = False

    window: Sequence[int]
    auto_pad: str = "NOTSET"
    dilations: Sequence[int] | None = None
    pads: Sequence[int] | None = None
    strides: Sequence[int] | None = None

    def infer(self, X: Value, W: Value) -> Type:
        conv = Conv(auto_pad=self.auto_pad, dilations=self.dilations, pads=self.pads, strides=self.strides)
        Y = conv.infer(X, W)
        spread(self.window, X.rank - 2, 1, "window")
        need(math.prod(self.window) > 1, f"window {show(tuple(self.window))} has one tap", code="GS105", key="window")
        ones = (1,) * len(self.window)
        return Type(Y.dtype, (*Y.shape[:2], *output_dims(Y.shape[2:], self.window, self.window, ones, None, "VALID")))

    def bind(self, ctx: Context, X: Array, W: Array) -> Bound:
        assert not ctx.wants(0), "the input of a ConvPool gets no gradient"
        rank = X.ndim - 2
        steps = spread(self.strides, rank, 1, "strides"), spread(self.dilations, rank, 1, "dilations")
        reached = [o * w for o, w in zip(ctx.shape()[2:], self.window, strict=True)]
        axes = window_axes(X.shape[2:], reached, W.shape[2:], *steps, self.pads, self.auto_pad)
        # A plane has all rows under its windows: several samples' rows are long enough to take every second one.
        rows, apart = (1, self.window) if rank == 1 else (self.window[0], (1, *self.window[1:]))
        planes = [
            [a.every(w, tap) for a, w, tap in zip(axes, apart, taps, strict=True)]
            for taps in product(*(range(w) for w in apart))
        ]
        kernel = W[None]
        start = ctx.mark()
        order = correlation(ctx, X, kernel.shape, planes[0]).order
        ctx.reset(start)
        Y = ctx.out(order=order)
        blocks = list(_blocks(len(X), math.prod(Y.shape[1:]) * math.prod(self.window)))
        won: list[list[Array]] = []
        calls: Calls = []
        for block in blocks:
            ctx.reset(start)
            y = Y[block]
            shape = (*y.shape[:2], y.shape[2] * rows, *y.shape[3:])
            results = [_taken(ctx.scratch, shape, order) for _ in planes]
            taken = ctx.mark()
            for plane, result in zip(planes, results, strict=True):
                ctx.reset(taken)
                calls += correlation(ctx, X[block], kernel.shape, plane).forward(kernel, result)
            values = _taps(results, rows)
            calls += fold(np.maximum, values, y)
            if ctx.wants(1):
                masks = [_taken(ctx.save_for_backward, shape, order, np.int8) for _ in planes]
                calls += _first_largest(values, y, _taps([mask.view(np.bool_) for mask in masks], rows))
                calls += [negate(mask, mask) for mask in masks]
                won.append(masks)

        def backward(dY: Array) -> Calls:
            dW = ctx.grad(1)
            assert dW is not None
            inner = (*dW.shape[2:], *dW.shape[1::-1])
            parts, total = ctx.scratch((len(blocks) * len(planes), dW.size)), ctx.scratch((dW.size,))
            start, left = ctx.mark(), iter(parts)
            calls: Calls = []
            for block, masks in zip(blocks, won, strict=True):
                dy = as_words(dY[block])[:, :, :, None]
                for plane, mask in zip(planes, masks, strict=True):
                    ctx.reset(start)
                    dP = _taken(ctx.scratch, mask.shape, order)
                    bits = _split(as_words(dP), rows)
                    calls += [(np.copyto, bits, _split(mask, rows)), (np.bitwise_and, bits, dy, bits)]
                    form = correlation(ctx, X[block], kernel.shape, plane, gradient=True)
                    calls += form.kernel_gradient(dP, _as_kernel(next(left).reshape(inner))[None])
            calls.append((np.dot, ctx.constant(np.ones(len(parts))), parts, total))
            return [*calls, (np.copyto, dW, _as_kernel(total.reshape(inner)))]

        return Y, calls, backward


def _blocks(samples: int, numbers: int) -> Iterator[slice]:
    """Blocks of samples, about as large as each other, of ``numbers`` a sample."""
    count = max(1, min(samples, ceil(samples * numbers, _BLOCK)))
    step = max(1, ceil(samples, count))
    for start in range(0, samples, step):
        yield slice(start, min(start + step, samples))


def _taken(take: Callable[..., Array], shape: Sequence[int], order: Sequence[int], dtype: object = None) -> Array:
    """An array of that shape whose axes lie in ``order``."""
    return take([shape[k] for k in order], dtype).transpose(np.argsort(order))


def _split(plane: Array, rows: int) -> Array:
    """A plane (N, O, rows of all windows, …) as (N, O, windows, rows of each, …)."""
    return plane.reshape(*plane.shape[:2], plane.shape[2] // rows, rows, *plane.shape[3:], copy=False)


def _taps(planes: Sequence[Array], rows: int) -> list[Array]:
    """What each tap of the windows has, row by row."""
    split = [_split(plane, rows) for plane in planes]
    return [plane[:, :, :, row] for row in range(rows) for plane in split]


def _first_largest(taps: Sequence[Array], Y: Array, won: Sequence[Array]) -> Calls:
    """Calls that write for each tap whether it is the first that has the number in Y; NaNs are the last one's."""
    found = won[0]
    *others, last = won
    calls: Calls = [(np.equal, taps[0], Y, found)]
    for tap, mine in zip(taps[1:], others[1:], strict=False):
        calls += [(np.equal, tap, Y, mine), (np.greater, mine, found, mine), (np.logical_or, found, mine, last)]
        found = last
    return [*calls, (np.logical_not, found, last)]


def _as_kernel(lying: Array) -> Array:
    """(k…, C, O) as (O, C, k…)."""
    rank = lying.ndim - 2
    return lying.transpose(rank + 1, rank, *range(rank))
