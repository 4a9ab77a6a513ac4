"""Matrix products whose kernel is divided among the workers by columns (tensor parallelism).

Normally a worker multiplies its rows of the batch by the whole kernel and writes a whole gradient, and the gradients are
summed over the workers. If the kernel has many more elements than the rows that are multiplied by it, the workers share
their rows instead: each computes its columns of the result for all rows, and later the gradient of the weights that it
updates. The number of multiply-adds stays the same. With two workers, each goes through half the memory; no gradient is
summed.
"""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.split import shard_slice
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import sum_axes
from graphspec.graph.kernels.context import Bound, Context
from graphspec.graph.kernels.matmul import matmul
from graphspec.graph.ops.base import Op, op


@op
class ShardedGemm(Op):
    """``Y = A · B + C`` for the rows of all workers.

    A worker has either its rows with all columns (``rows``), or its columns of all rows (``columns``): ``input_partition``
    is the partition of A, ``output_partition`` the partition of Y. ``shape`` is the shape of this worker's part of Y.
    """

    rows = "in_front"
    keeps_in, keeps_out = (1,), False
    exported = False

    input_partition: str
    output_partition: str
    shape: tuple[int, ...]

    def infer(self, A: Value, B: Value, C: Value | None = None) -> Type:
        return Type(A.dtype, self.shape)

    def bind(self, ctx: Context, A: Array, B: Array, C: Array | None = None) -> Bound:
        (k, n), rows, total, group = B.shape, ctx.rows, ctx.total, ctx.group
        in_columns, out_columns = (shard_slice(width, group.rank, group.size) for width in (k, n))
        matrix = ctx.sharded(1)
        X, dX = matrix.inputs[:total], matrix.input_gradients[:total]
        Y, dY = matrix.outputs[:total], matrix.output_gradients[:total]
        barrier = (group.barrier,)
        calls: Calls = [*_copy(X[rows] if self.input_partition == "rows" else X[:, in_columns], A), barrier]
        result = (
            ctx.out()
            if self.output_partition == "columns"
            else ctx.scratch((total, out_columns.stop - out_columns.start))
        )
        calls += matmul(ctx, X, B[:, out_columns], result)
        if C is not None:
            calls.append((np.add, result, C[out_columns], result))
        if self.output_partition == "rows":
            calls += [(np.copyto, Y[:, out_columns], result), barrier]

        def backward(gradient: Array) -> Calls:
            calls = _copy(dY[rows] if self.output_partition == "rows" else dY[:, out_columns], gradient)
            if (dC := ctx.grad(2)) is not None:
                if self.output_partition == "rows":
                    calls += sum_axes(ctx, gradient, (0,), dC)
                else:
                    calls += [(dC.fill, 0.0), *sum_axes(ctx, gradient, (0,), dC[out_columns])]
            if matrix.own.start < matrix.own.stop:
                ctx.after_barrier(matmul(ctx, X[:, matrix.own].T, dY, matrix.gradient[matrix.own]))
            if not ctx.wants(0):
                return calls
            calls.append(barrier)
            if self.input_partition == "columns":
                dA = ctx.grad(0)
                assert dA is not None
                return [*calls, *matmul(ctx, dY, B[in_columns].T, dA)]
            calls += [*matmul(ctx, dY, B[in_columns].T, dX[:, in_columns]), barrier]
            ctx.give_grad(0, dX[rows])
            return calls

        return (result if self.output_partition == "columns" else Y[rows]), calls, backward


def _copy(to: Array, X: Array) -> Calls:
    """Return the call that copies X, unless X is the same memory."""
    is_same = to.ctypes.data == X.ctypes.data and to.strides == X.strides
    return [] if is_same else [(np.copyto, to, X)]
