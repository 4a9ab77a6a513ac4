"""LpNormalization."""

from __future__ import annotations

from functools import partial

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import scratch_like, sum_axes
from graphspec.kernels.context import Bound, Context, need, need_float, normalize_axis
from graphspec.ops.base import Op, op


@op
class LpNormalization(Op):
    """``Y = X / ‖X‖ₚ`` along ``axis``, p 1 or 2. What is all zeros stays so and has the gradient zero."""

    keeps_in, keeps_out = (), True

    @staticmethod
    def infer(X: Value, *, axis: int = -1, p: int = 2) -> Type:
        need_float(X)
        need(p in (1, 2), f"needs p 1 or 2, got {p}", code="GS105")
        normalize_axis(axis, X.rank)
        return X.type

    @staticmethod
    def bind(ctx: Context, X: Array, *, axis: int = -1, p: int = 2) -> Bound:
        axis %= X.ndim
        Y = ctx.out(like=X)
        reduced = [1 if k == axis else n for k, n in enumerate(X.shape)]
        inverse, zero = ctx.save(reduced), ctx.scratch(reduced, np.bool_)
        calls: Calls = [(np.abs, X, Y) if p == 1 else (np.multiply, X, X, Y), *sum_axes(ctx, Y, (axis,), inverse)]
        if p == 2:
            calls.append((np.sqrt, inverse, inverse))
        calls += [
            (np.equal, inverse, ctx.zeros_like(inverse), zero),
            (np.add, inverse, zero, inverse),
            (np.reciprocal, inverse, inverse),
            (partial(np.copyto, where=zero), inverse, ctx.zeros_like(inverse)),
            (np.multiply, X, inverse, Y),
        ]

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            t, total = scratch_like(ctx, Y), ctx.scratch(reduced)
            calls: Calls = [(np.multiply, dY, Y, t), *sum_axes(ctx, t, (axis,), total)]
            calls.append((np.multiply, Y, total, t) if p == 2 else (np.sign, Y, t))
            if p == 1:
                calls.append((np.multiply, t, total, t))
            return [*calls, (np.subtract, dY, t, dY), (np.multiply, dY, inverse, dY)]

        return Y, calls, backward
