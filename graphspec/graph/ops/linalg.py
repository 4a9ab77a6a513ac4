"""Operators on matrices: the products Gemm and MatMul, Trilu, which keeps a triangle, and EyeLike, a diagonal of ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import root
from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.ir.ranges import Range
from graphspec.graph.kernels.common import as_words, output_for, reduce_to, sum_axes
from graphspec.graph.kernels.context import Bound, Context, broadcast, need, need_float
from graphspec.graph.kernels.fast import use_fast_kernel
from graphspec.graph.kernels.matmul import batched, matmul
from graphspec.graph.ops.base import Op, op
from graphspec.graph.ops.shape import NUMBERS, integer

_SMALL = 2048  # elements of A: up to here a copy of A costs less than adding C and summing C's gradient


@op
class Gemm(Op):
    """``Y = alpha · op(A) · op(B) + beta · C`` for matrices; ``op`` transposes if ``transA`` or ``transB`` is 1.

    Shapes: op(A) (M, K), op(B) (K, N), C broadcasts to (M, N) → Y (M, N).
    """

    rows = "gemm"
    weights_at, vectors_at, channels = (0, 1), (2,), -1
    activation = "linear"
    keeps_in, keeps_out = (0, 1), False

    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0
    transB: int = 0

    def infer(self, A: Value, B: Value, C: Value | None = None) -> Type:
        need_float(A, B, C)
        if A.rank != 2 or B.rank != 2:
            raise ShapeError(Code.WRONG_RANK, f"needs two matrices, got {show(A.shape)} and {show(B.shape)}")
        m, k = A.shape[::-1] if self.transA else A.shape
        k2, n = B.shape[::-1] if self.transB else B.shape
        if k != k2:
            raise ShapeError(Code.SIZES_DO_NOT_FIT, f"has inner sizes that differ: {show(A.shape)} and {show(B.shape)}")
        if C is not None and broadcast(C.shape, (m, n)) != (m, n):
            raise ShapeError(Code.SHAPES_DIFFER, f"has C {show(C.shape)}, which does not fit {show((m, n))}")
        return Type(A.dtype, (m, n))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(shapes[0]) * fixed_size(output[1:])

    def bind(self, ctx: Context, A: Array, B: Array, C: Array | None = None) -> Bound:
        Y = ctx.out()
        has_defaults = (self.alpha, self.beta, self.transA, self.transB) == (1.0, 1.0, 0, 0)
        if (
            has_defaults
            and C is not None
            and use_fast_kernel(A.size <= _SMALL)
            and (stacked := with_last_row(B, C)) is not None
        ):
            return _with_ones(ctx, A, B, stacked, Y)
        a, b = (A.T if self.transA else A), (B.T if self.transB else B)
        calls = matmul(ctx, a, b, Y)
        if self.alpha != 1.0:
            calls.append((np.multiply, Y, ctx.constant(self.alpha), Y))
        if C is not None and self.beta != 0.0:
            bias = C
            if self.beta != 1.0:
                bias = ctx.scratch(C.shape)
                calls.append((np.multiply, C, ctx.constant(self.beta), bias))
            calls.append((np.add, Y, bias, Y))

        def backward(dY: Array) -> Calls:
            calls: Calls = []
            if C is not None and ctx.wants(2):
                calls += reduce_to(ctx, 2, dY, C, self.beta)
            if self.alpha != 1.0:
                calls.append((np.multiply, dY, ctx.constant(self.alpha), dY))
            if (dA := ctx.grad(0)) is not None:
                calls += matmul(ctx, dY, b.T, dA.T if self.transA else dA)
            if (dB := ctx.grad(1)) is not None:
                calls += matmul(ctx, a.T, dY, dB.T if self.transB else dB)
            return calls

        return Y, calls, backward


def with_last_row(B: Array, C: Array) -> Array | None:
    """Return a view of the matrix B with the vector C as an additional last row; None unless C follows B in memory.

    The weights of a layer are stored like that.
    """
    if C.ndim != 1 or not (B.flags.c_contiguous and C.flags.c_contiguous) or root(B) != root(C):
        return None
    if B.ctypes.data + B.nbytes != C.ctypes.data:
        return None
    return np.lib.stride_tricks.as_strided(B, (B.shape[0] + 1, B.shape[1]))


def _with_ones(ctx: Context, A: Array, B: Array, stacked: Array, Y: Array) -> Bound:
    """Bind ``Y = [A 1] · [B; C]`` with one product for both gradients: for small matrices every call counts."""
    augmented = ctx.constant(np.ones((A.shape[0], A.shape[1] + 1)))
    calls: Calls = [(augmented[:, :-1].__setitem__, ..., A), *matmul(ctx, augmented, stacked, Y)]

    def backward(dY: Array) -> Calls:
        calls: Calls = []
        if (dA := ctx.grad(0)) is not None:
            calls += matmul(ctx, dY, B.T, dA)
        dB, dC = ctx.grad(1), ctx.grad(2)
        dBC = None if dB is None or dC is None else with_last_row(dB, dC)
        if dBC is not None:
            return [*calls, *matmul(ctx, augmented.T, dY, dBC)]
        if dB is not None:
            calls += matmul(ctx, augmented[:, :-1].T, dY, dB)
        if dC is not None:
            calls += sum_axes(ctx, dY, (0,), dC)
        return calls

    return Y, calls, backward


def matmul_type(A: Value, B: Value) -> Type:
    """Return the type of ``A @ B`` by NumPy's rules."""
    need(A.rank > 0 and B.rank > 0, f"needs operands of rank 1 or more, got {show(A.shape)} and {show(B.shape)}")
    left = A.shape if A.rank > 1 else (1, *A.shape)
    right = B.shape if B.rank > 1 else (*B.shape, 1)
    need(
        left[-1] == right[-2],
        f"has inner sizes that differ: {show(A.shape)} and {show(B.shape)}",
        code=Code.SIZES_DO_NOT_FIT,
    )
    lead = broadcast(left[:-2], right[:-2]) if A.rank > 2 or B.rank > 2 else ()
    rows = left[-2:-1] if A.rank > 1 else ()
    columns = right[-1:] if B.rank > 1 else ()
    return Type(A.dtype, (*lead, *rows, *columns))


@op
class MatMul(Op):
    """``Y = A @ B`` over the last two axes; the leading axes broadcast.

    Shapes: A (…, M, K), B (…, K, N) → Y (…, M, N). A vector is a row on the left and a column on the right.
    """

    rows = "product_of_matrices"
    weights_at, channels = (0, 1), -1
    activation = "linear"
    keeps_in, keeps_out = (0, 1), False

    def infer(self, A: Value, B: Value) -> Type:
        need_float(A, B)
        return matmul_type(A, B)

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(output) * fixed_size(shapes[0][-1:])

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        Y = ctx.out()
        a = A if A.ndim > 1 else A[None, :]
        b = B if B.ndim > 1 else B[:, None]
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        y = Y.reshape(shape, copy=False)
        if b.ndim == 2 and (rows := as_matrix(a)) is not None:
            calls = matmul(ctx, rows, b, y.reshape(len(rows), y.shape[-1], copy=False))
        else:
            calls = batched(ctx, a, b, y)

        def backward(dY: Array) -> Calls:
            calls: Calls = []
            dy = dY.reshape(shape, copy=False)
            if b.ndim == 2 and a.ndim > 2:  # a single product over all rows
                flat, copies = rows_of(ctx, dy)
                calls += copies
                if (dA := ctx.grad(0)) is not None:
                    if (target := as_matrix(dA)) is not None:
                        calls += matmul(ctx, flat, b.T, target)
                    else:
                        calls += batched(ctx, dy, b.T, dA)
                if (dB := ctx.grad(1)) is not None:
                    left, copies = rows_of(ctx, a)
                    calls += [*copies, *matmul(ctx, left.T, flat, dB.reshape(b.shape, copy=False))]
                return calls
            for i, X, x, left, right in ((0, A, a, dy, b.mT), (1, B, b, a.mT, dy)):
                if not ctx.wants(i):
                    continue
                batch_axes = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
                if (*batch_axes, *x.shape[-2:]) == x.shape:
                    if (dX := ctx.grad(i)) is not None:
                        calls += batched(ctx, left, right, dX.reshape(x.shape, copy=False))
                else:
                    unreduced = ctx.scratch((*batch_axes, *x.shape[-2:]))
                    calls += batched(ctx, left, right, unreduced)
                    squeezed = (
                        unreduced if x.shape == X.shape else unreduced.reshape((*batch_axes, *X.shape), copy=False)
                    )
                    calls += reduce_to(ctx, i, squeezed, X)
            return calls

        return Y, calls, backward


def as_matrix(X: Array) -> Array | None:
    """Return X with its leading axes merged into one, or None if the result is not a view."""
    try:
        return X.reshape(math.prod(X.shape[:-1]), X.shape[-1], copy=False)
    except ValueError:
        return None


def rows_of(ctx: Context, X: Array) -> tuple[Array, Calls]:
    """Return X as a matrix, and the calls that copy it if the matrix is not a view."""
    if (rows := as_matrix(X)) is not None:
        return rows, []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy.reshape(math.prod(X.shape[:-1]), X.shape[-1]), [(np.copyto, copy, X)]


@op
class Trilu(Op):
    """The upper triangle of each matrix on the last two axes, from diagonal ``k`` on; the lower one if ``upper`` is 0.

    All other elements are 0. Selects on the bits of the elements, so NaN and infinity outside the triangle become 0 too.
    """

    rows, foldable = "matrix", True
    keeps_in, keeps_out = (), False

    upper: int = 1

    def infer(self, X: Value, k: Value | None = None) -> Type:
        need(X.rank >= 2, f"needs matrices on the last two axes, got {X.type}")
        if k is not None:
            integer(k, "k")
        return X.type

    def bind(self, ctx: Context, X: Array, k: Array | None = None) -> Bound:
        known_k = None if k is None else ctx.known(1)
        diagonal = 0 if known_k is None else int(known_k.reshape(()))
        rows, columns = X.shape[-2:]
        chosen = np.tri(rows, columns, diagonal - self.upper, np.int8)
        words = as_words(X)
        mask = ctx.constant(-(1 - chosen if self.upper else chosen), words.dtype)
        Y = output_for(ctx, (0, X))

        def backward(dY: Array) -> Calls:
            ctx.give_grad(0, dY)
            d = as_words(dY)
            return [(np.bitwise_and, d, mask, d)]

        return Y, [(np.bitwise_and, words, mask, as_words(Y))], backward


@op
class EyeLike(Op):
    """Ones on diagonal ``k`` and zeros elsewhere, in the shape of the matrix X; ``dtype`` by name, by default that of X."""

    keeps_in, keeps_out, piecewise_constant = (), False, True
    value_range = Range(0, 1)

    dtype: str | None = None
    k: int = 0

    def infer(self, X: Value) -> Type:
        need(X.rank == 2, f"needs a matrix, got {X.type}")
        dtype = X.dtype if self.dtype is None else self.dtype
        need(dtype in NUMBERS, f"does not support {dtype}", code=Code.WRONG_DTYPE)
        return Type(dtype, X.shape)

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        rows, columns = X.shape
        return Y, [(np.copyto, Y, ctx.constant(np.eye(rows, columns, self.k), Y.dtype))], None
