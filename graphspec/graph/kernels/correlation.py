"""Cross-correlation and its gradients. The forward pass of Conv is the input gradient of ConvTranspose, and vice versa.

A kernel is (groups, out, in, k…), where out and in are the channels of one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import gcd
from typing import Protocol

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels import depthwise_rows, one_filter
from graphspec.graph.kernels.channels import contiguous
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.depthwise import Depthwise, compiled_pays
from graphspec.graph.kernels.depthwise_rows import DepthwiseRows
from graphspec.graph.kernels.fast import use_fast_kernel
from graphspec.graph.kernels.one_axis import OneAxis, long_axis
from graphspec.graph.kernels.one_filter import OneFilter
from graphspec.graph.kernels.patches import Patches, patches
from graphspec.graph.kernels.windows import Axis
from graphspec.graph.kernels.winograd import Winograd, fits, pays


class Correlation(Protocol):
    """``Y[n, o, y…] = Σ kernel[o, c, k…] · X[n, c, y·stride + k·dilation - begin…]`` for one X, by some algorithm."""

    order: tuple[int, ...]
    """The memory order of Y that is cheapest to write: its axes, slowest first, channels last."""

    def forward(self, kernel: Array, Y: Array) -> Calls:
        """Return calls that write Y, which may have any memory order."""

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        """Return calls that write ``dK[o, c, k…] = Σ dY[n, o, y…] · X[n, c, …]``."""


def correlation(
    ctx: Context, X: Array, kernel: Sequence[int], axes: Sequence[Axis], *, gradient: bool = False
) -> Correlation:
    """Return the algorithm for X (N, C, …) and a kernel of that shape, or for the kernel's gradient with ``gradient``."""
    groups, outs, ins = kernel[:3]
    if groups > 1 and outs * ins == 1:
        by_rows = depthwise_rows.fits(X, axes) and not compiled_pays(X)
        if by_rows and use_fast_kernel(depthwise_rows.pays(X, axes)):
            return DepthwiseRows(ctx, X, axes)
        return Depthwise(ctx, X, axes)
    if one_filter.fits(X, kernel, axes) and use_fast_kernel(one_filter.pays(kernel, gradient=gradient)):
        return OneFilter(ctx, X, axes)
    if fits(axes, groups) and use_fast_kernel(pays(axes, ins, outs)):
        return Winograd(ctx, X, axes, outs, gradient=gradient)
    if groups == 1 and (index := long_axis(axes)) is not None:
        start = ctx.mark()
        along = OneAxis(ctx, X, axes, index)
        if use_fast_kernel(along.pays(outs, gradient=gradient)):
            return along
        ctx.reset(start)
    least = 16 * int(np.prod(kernel, dtype=np.int64)) if gradient else 0  # each chunk adds a sum of the kernel's size
    return PatchProducts(ctx, patches(ctx, X, axes, groups, least=least))


class PatchProducts:
    """Correlation by matrix products with the patches of X."""

    def __init__(self, ctx: Context, patches: Patches) -> None:
        self._ctx, self._patches, self.order = ctx, patches, patches.order

    def forward(self, kernel: Array, Y: Array) -> Calls:
        patches = self._patches
        packed, calls = _pack(self._ctx, kernel, (0, *range(3, kernel.ndim), 2, 1))
        if packed.strides[-1] != packed.itemsize and patches.untransposed(packed):
            packed, calls = contiguous(self._ctx, packed, (0, 1, 2))
        try:
            return calls + patches.multiply(packed, patches.rows(Y))
        except ValueError:  # Y has another memory order
            ordered = Y.transpose(patches.order)
            result = self._ctx.scratch(ordered.shape)
            rows = patches.rows(result.transpose(np.argsort(patches.order)))
            return [*calls, *patches.multiply(packed, rows), (np.copyto, ordered, result)]

    def kernel_gradient(self, dY: Array, dK: Array) -> Calls:
        ordered, calls = contiguous(self._ctx, dY, self.order)
        rows = self._patches.rows(ordered.transpose(np.argsort(self.order)))
        target = dK.transpose(0, *range(3, dK.ndim), 2, 1)
        if target.flags.c_contiguous:
            return calls + self._patches.multiply_transposed(self._ctx, rows, target)
        total = self._ctx.scratch(target.shape)
        return [*calls, *self._patches.multiply_transposed(self._ctx, rows, total), (np.copyto, target, total)]


def _pack(ctx: Context, kernel: Array, order: Sequence[int]) -> tuple[Array, Calls]:
    """Return a kernel with axes in ``order`` as (g, …, n) matrices: a view if possible, else a copy in scratch."""
    view = kernel.transpose(order)
    shape = (view.shape[0], -1, view.shape[-1])
    try:
        return view.reshape(shape, copy=False), []
    except ValueError:
        copy = ctx.scratch(view.shape)
        return copy.reshape(shape), [(np.copyto, copy, view)]


def input_gradient(ctx: Context, dY: Array, kernel: Array, dX: Array, axes: Sequence[Axis]) -> Calls:
    """Return calls that write dX: correlations of dY with the flipped kernel, one for each phase of the strides.

    Inputs with the same index modulo the stride (a phase) meet the same taps of the kernel.
    """
    phases = [[phase for f in range(a.stride) if (phase := _phase(a, f)) is not None] for a in axes]
    swapped = kernel.swapaxes(1, 2)
    complete = all(len(found) == a.stride for found, a in zip(phases, axes, strict=True))
    calls: Calls = [] if complete else [(dX.fill, 0.0)]
    for parts in product(*phases):
        target = dX[(slice(None), slice(None), *(inputs for inputs, _, _ in parts))]
        if target.size == 0:
            continue
        inner = [axis for _, axis, _ in parts]
        flipped = swapped[(slice(None), slice(None), slice(None), *(taps for _, _, taps in parts))]
        calls += correlation(ctx, dY, flipped.shape, inner).forward(flipped, target)
    return calls


def _phase(axis: Axis, f: int) -> tuple[slice, Axis, slice] | None:
    """Return the inputs ``x`` with ``(x + begin) % stride == f``, their windows over the output, and the taps, last first.

    Return None if no tap reads these inputs.
    """
    first = (f - axis.begin) % axis.stride
    inputs = slice(first, None, axis.stride)
    count = len(range(first, axis.size, axis.stride))
    period = axis.stride // gcd(axis.dilation, axis.stride)
    start = next((k for k in range(min(period, axis.kernel)) if (k * axis.dilation - f) % axis.stride == 0), None)
    if start is None:
        return None
    taps = range(start, axis.kernel, period)
    dilation = period * axis.dilation // axis.stride
    ahead = (first + axis.begin - start * axis.dilation) // axis.stride
    begin = (len(taps) - 1) * dilation - ahead
    backwards = slice(taps[-1], start - period if start >= period else None, -period)
    return inputs, Axis(axis.out, count, len(taps), 1, dilation, begin), backwards
