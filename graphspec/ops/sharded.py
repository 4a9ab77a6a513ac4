"""Wide matrix products that workers divide by columns, where the others divide them by rows of the batch.

A worker that computes its rows of the batch reads every matrix whole, and writes a whole gradient, to which those of the
others are added. Where a matrix has many more numbers than the rows that it is multiplied with, the workers lay these open
to each other instead: each computes its columns of the result for the rows of all, and later the gradient of those weights
that it updates. The products are as many, the memory that a worker goes through is half (of two), and nothing is added.
"""

from __future__ import annotations

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.split import shard_slice
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import sum_axes
from graphspec.kernels.context import Bound, Context
from graphspec.kernels.matmul import matmul
from graphspec.ops.base import Op, op


@op
class ShardedGemm(Op):
    """``Y = A · B + C`` of the rows of all workers, of which each has some rows or, of all rows, some columns.

    Its shape says so: ``rows`` of the batch or ``columns``, that is the whole batch and its share of the columns.
    """

    keeps_in, keeps_out = (1,), False
    exported = False

    takes: str
    gives: str
    shape: tuple[int, ...]

    def infer(self, A: Value, B: Value, C: Value | None = None) -> Type:
        return Type(A.dtype, self.shape)

    def bind(self, ctx: Context, A: Array, B: Array, C: Array | None = None) -> Bound:
        (k, n), rows, total, group = B.shape, ctx.rows, ctx.total, ctx.group
        taken, given = (shard_slice(width, group.rank, group.size) for width in (k, n))
        matrix = ctx.sharded(1)
        X, dX = matrix.inputs[:total], matrix.input_gradients[:total]
        Y, dY = matrix.outputs[:total], matrix.output_gradients[:total]
        meet = (group.barrier,)
        calls: Calls = [*_copy(X[rows] if self.takes == "rows" else X[:, taken], A), meet]
        own = ctx.out() if self.gives == "columns" else ctx.scratch((total, given.stop - given.start))
        calls += matmul(ctx, X, B[:, given], own)
        if C is not None:
            calls.append((np.add, own, C[given], own))
        if self.gives == "rows":
            calls += [(np.copyto, Y[:, given], own), meet]

        def backward(gradient: Array) -> Calls:
            calls = _copy(dY[rows] if self.gives == "rows" else dY[:, given], gradient)
            if (dC := ctx.grad(2)) is not None:
                if self.gives == "rows":
                    calls += sum_axes(ctx, gradient, (0,), dC)
                else:
                    calls += [(dC.fill, 0.0), *sum_axes(ctx, gradient, (0,), dC[given])]
            if matrix.own.start < matrix.own.stop:
                ctx.after_barrier(matmul(ctx, X[:, matrix.own].T, dY, matrix.gradient[matrix.own]))
            if not ctx.wants(0):
                return calls
            calls.append(meet)
            if self.takes == "columns":
                dA = ctx.grad(0)
                assert dA is not None
                return [*calls, *matmul(ctx, dY, B[taken].T, dA)]
            calls += [*matmul(ctx, dY, B[taken].T, dX[:, taken]), meet]
            ctx.give_grad(0, dX[rows])
            return calls

        return (own if self.gives == "columns" else Y[rows]), calls, backward


def _copy(to: Array, X: Array) -> Calls:
    """The call that copies X, unless it lies there already."""
    lies = to.ctypes.data == X.ctypes.data and to.strides == X.strides
    return [] if lies else [(np.copyto, to, X)]
