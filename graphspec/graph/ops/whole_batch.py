"""Operators on the whole batch, over all workers: training only, never exported."""

from __future__ import annotations

import numpy as np

from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import sum_axes
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.ops.op import TrainingOnly, into_gradient


class BatchSum(TrainingOnly):
    """``Y = Σ X`` over axis 0, for the rows of all workers. Shapes: X (batch, …) → Y (…)."""

    def infer(self, X: Value) -> Type:
        need.float(X)
        need(X.rank > 0, "needs a batch axis")
        return Type(X.dtype, X.shape[1:])

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        calls: Calls = [*sum_axes(ctx, X, (0,), Y), *ctx.all_reduce(Y)]

        return Y, calls, into_gradient(ctx)(lambda dY, dX: [*ctx.all_reduce(dY), (np.copyto, dX, dY)])


class AllRows(TrainingOnly):
    """The rows of all workers. Shapes: X (batch, …) → Y (rows of all workers, …).

    Inferred is X's type: sizes are those of all rows where a program is bound (:func:`.analysis.infer_shapes`).
    """

    def infer(self, X: Value) -> Type:
        need(X.rank > 0, "needs a batch axis")
        return X.type

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y, own = ctx.out(), ctx.rows

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            return [*ctx.all_reduce(dY), (np.copyto, dX, dY[own])]

        return Y, [(Y.fill, 0), (np.copyto, Y[own], X), *ctx.all_reduce(Y)], backward


class RowNumbers(TrainingOnly):
    """The number of each row in the batch of all workers. Shapes: X (batch, …) → Y (batch,), int64."""

    rows, stops_gradient = "all_in_front", True

    def infer(self, X: Value) -> Type:
        need(X.rank > 0, "needs a batch axis")
        return Type("int64", X.shape[:1])

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        return Y, [(np.copyto, Y, ctx.constant(np.arange(ctx.rows.start, ctx.rows.stop), np.int64))], None
