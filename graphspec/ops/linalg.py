"""Matrix products: Gemm, MatMul."""

from __future__ import annotations

import numpy as np

from graphspec.compiler.dims import show
from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, broadcast, need, need_float, op


@op
class Gemm(Op):
    """``Y = alpha · op(A) · op(B) + beta · C`` for matrices; op transposes where ``transA`` / ``transB`` is 1."""

    keeps_in, keeps_out = (0, 1), False

    @staticmethod
    def infer(
        A: Value,
        B: Value,
        C: Value | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        transA: int = 0,
        transB: int = 0,
    ) -> Type:
        need_float(A, B, C)
        need(A.rank == 2 and B.rank == 2, f"Gemm needs two matrices, got {show(A.shape)} and {show(B.shape)}")
        m, k = A.shape[::-1] if transA else A.shape
        k2, n = B.shape[::-1] if transB else B.shape
        need(k == k2, f"inner sizes differ: {show(A.shape)} and {show(B.shape)}", code="GS304")
        if C is not None:
            need(broadcast(C.shape, (m, n)) == (m, n), f"C {show(C.shape)} does not fit {show((m, n))}", code="GS302")
        return Type(A.dtype, (m, n))

    @staticmethod
    def bind(
        ctx: Context,
        A: Array,
        B: Array,
        C: Array | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        transA: int = 0,
        transB: int = 0,
    ) -> Bound:
        Y = ctx.out()
        a, b = (A.T if transA else A), (B.T if transB else B)
        calls: Calls = [(np.dot, a, b, Y)]
        if alpha != 1.0:
            calls.append((np.multiply, Y, ctx.constant(alpha), Y))
        if C is not None and beta != 0.0:
            bias = C
            if beta != 1.0:
                bias = ctx.scratch(C.shape)
                calls.append((np.multiply, C, ctx.constant(beta), bias))
            calls.append((np.add, Y, bias, Y))

        def backward(dY: Array) -> Calls:
            calls: Calls = []
            if C is not None and ctx.wants(2):
                calls += reduce_to(ctx, 2, dY, C, beta)
            if alpha != 1.0:
                calls.append((np.multiply, dY, ctx.constant(alpha), dY))
            if (dA := ctx.grad(0)) is not None:
                calls.append((np.dot, b, dY.T, dA) if transA else (np.dot, dY, b.T, dA))
            if (dB := ctx.grad(1)) is not None:
                calls.append((np.dot, dY.T, a, dB) if transB else (np.dot, a.T, dY, dB))
            return calls

        return Y, calls, backward


def reduce_to(ctx: Context, i: int, dY: Array, X: Array, scale: float = 1.0) -> Calls:
    """Calls that write the gradient of input ``i``, which was broadcast from X's shape to dY's, as a sum of ``scale · dY``.

    Sums over leading axes are products with a row of ones: ten times as fast as ``np.add.reduce``.
    """
    dX = ctx.grad(i)
    if dX is None:
        return []
    lead = dY.ndim - X.ndim
    axes = tuple(range(lead)) + tuple(k + lead for k in range(X.ndim) if X.shape[k] == 1 and dY.shape[k + lead] != 1)
    calls: Calls
    if not axes:
        calls = [(np.copyto, dX.reshape(dY.shape), dY)]
    elif axes == tuple(range(len(axes))) and dY.flags.c_contiguous and dX.flags.c_contiguous:
        rows = int(np.prod(dY.shape[: len(axes)], dtype=np.int64))
        calls = [(np.dot, ctx.constant(np.ones(rows)), dY.reshape(rows, -1), dX.reshape(-1))]
    else:
        total = dX.reshape([dY.shape[k] if k not in axes else 1 for k in range(dY.ndim)])
        calls = [(np.add.reduce, dY, axes, None, total, True)]
    if scale != 1.0:
        calls.append((np.multiply, dX, ctx.constant(scale), dX))
    return calls
