"""Matrices: the products Gemm, MatMul, Einsum and ShardedGemm, and Trilu and EyeLike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np

from graphspec.base.arrays.layout import root, shard_slice
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Range, Type, Value
from graphspec.graph.kernels.common import as_words, output_for, reduce_to, sum_axes
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.kernels.context import Bound, Calls, Context, broadcast, need
from graphspec.graph.kernels.matmul import batched, matmul
from graphspec.graph.ops.op import Memoryless, Op, TrainingOnly, as_shape, in_place, in_shape
from graphspec.graph.ops.shape import NUMBERS, integer

_INNER = "transpose one: (…, a, b) @ (…, b, c)"
_SMALL = 2048  # elements of A: up to here a copy of A costs less than adding C and summing C's gradient


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
        need.float(A, B, C)
        need(A.rank == B.rank == 2, f"needs two matrices, got {show(A.shape)} and {show(B.shape)}")
        m, k = A.shape[::-1] if self.transA else A.shape
        k2, n = B.shape[::-1] if self.transB else B.shape
        need.sizes(k == k2, f"has inner sizes that differ: {show(A.shape)} and {show(B.shape)}", hint=_INNER)
        fits = C is None or broadcast(C.shape, (m, n)) == (m, n)
        need.shapes(fits, f"has C {show(C.shape if C else ())}, which does not fit {show((m, n))}")
        return Type(A.dtype, (m, n))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(shapes[0]) * fixed_size(output[1:])

    def bind(self, ctx: Context, A: Array, B: Array, C: Array | None = None) -> Bound:
        Y = ctx.out()
        has_defaults = (self.alpha, self.beta, self.transA, self.transB) == (1.0, 1.0, 0, 0)
        one_product = has_defaults and use_fast_kernel(A.size <= _SMALL)
        if one_product and C is not None and (stacked := with_last_row(B, C)) is not None:
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


class MatMul(Op):
    """``Y = A @ B`` over the last two axes; the leading axes broadcast.

    Shapes: A (…, M, K), B (…, K, N) → Y (…, M, N). A vector is a row on the left and a column on the right.
    """

    rows = "product_of_matrices"
    weights_at, channels = (0, 1), -1
    activation = "linear"
    keeps_in, keeps_out = (0, 1), False

    def infer(self, A: Value, B: Value) -> Type:
        need.float(A, B)
        need(A.rank > 0 and B.rank > 0, f"needs operands of rank 1 or more, got {show(A.shape)} and {show(B.shape)}")
        left = A.shape if A.rank > 1 else (1, *A.shape)
        right = B.shape if B.rank > 1 else (*B.shape, 1)
        text = f"has inner sizes that differ: {show(A.shape)} and {show(B.shape)}"
        need.sizes(left[-1] == right[-2], text, hint=_INNER)
        lead = broadcast(left[:-2], right[:-2]) if A.rank > 2 or B.rank > 2 else ()
        rows, columns = left[-2:-1] if A.rank > 1 else (), right[-1:] if B.rank > 1 else ()
        return Type(A.dtype, (*lead, *rows, *columns))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        return fixed_size(output) * fixed_size(shapes[0][-1:])

    def bind(self, ctx: Context, A: Array, B: Array) -> Bound:
        Y = ctx.out()
        a = A if A.ndim > 1 else A[None, :]
        b = B if B.ndim > 1 else B[:, None]
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        y = Y.reshape(shape, copy=False)
        if b.ndim == 2 and (rows := as_shape(a, row_shape(a))) is not None:
            calls = matmul(ctx, rows, b, y.reshape(len(rows), y.shape[-1], copy=False))
        else:
            calls = batched(ctx, a, b, y)

        def backward(dY: Array) -> Calls:
            calls: Calls = []
            dy = dY.reshape(shape, copy=False)
            if b.ndim == 2 and a.ndim > 2:  # a single product over all rows
                flat, copies = in_shape(ctx, dy, row_shape(dy))
                calls += copies
                if (dA := ctx.grad(0)) is not None:
                    target = as_shape(dA, row_shape(dA))
                    calls += batched(ctx, dy, b.T, dA) if target is None else matmul(ctx, flat, b.T, target)
                if (dB := ctx.grad(1)) is not None:
                    left, copies = in_shape(ctx, a, row_shape(a))
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
                    same = x.shape == X.shape
                    squeezed = unreduced if same else unreduced.reshape((*batch_axes, *X.shape), copy=False)
                    calls += reduce_to(ctx, i, squeezed, X)
            return calls

        return Y, calls, backward


def row_shape(X: Array) -> tuple[int, int]:
    """Return X's shape with the leading axes merged into one."""
    return math.prod(X.shape[:-1]), X.shape[-1]


class Trilu(Memoryless):
    """The upper triangle of each matrix on the last two axes, from diagonal ``k`` on; the lower one if ``upper`` is 0.

    All other elements are 0. Selects on the bits of the elements, so NaN and infinity outside the triangle become 0 too.
    """

    rows, foldable = "matrix", True

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

        @in_place(ctx)
        def backward(dY: Array) -> Calls:
            d = as_words(dY)
            return [(np.bitwise_and, d, mask, d)]

        return Y, [(np.bitwise_and, words, mask, as_words(Y))], backward


class EyeLike(Op):
    """Ones on diagonal ``k`` and zeros elsewhere, in the shape of the matrix X; ``dtype`` by name, by default that of X."""

    keeps_in, keeps_out, piecewise_constant = (), False, True
    value_range = Range(0, 1)

    dtype: str | None = None
    k: int = 0

    def infer(self, X: Value) -> Type:
        need(X.rank == 2, f"needs a matrix, got {X.type}")
        dtype = X.dtype if self.dtype is None else self.dtype
        need.dtype(dtype in NUMBERS, f"does not support {dtype}")
        return Type(dtype, X.shape)

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        rows, columns = X.shape
        return Y, [(np.copyto, Y, ctx.constant(np.eye(rows, columns, self.k), Y.dtype))], None


# Einsum: products summed over named axes, computed by matrix products of views.
_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")
_ELLIPSIS = 0x100  # the axes of an ellipsis get the characters from this code point on, which no equation may contain

Named = tuple[Array, str]  # an array, and a string with one letter per axis


def parse_equation(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand's axes, and the output's letters; ``...`` becomes reserved letters.

    Raises:
        ShapeError: ``GS105`` for an invalid equation, ``GS301`` for one that does not fit the ranks.
    """

    def check(holds: object, text: str, hint: str | None = None, code: str = Code.VALUE_NOT_ALLOWED) -> None:
        need(bool(holds), f"has the equation '{equation}', {text}", code=code, key="equation", hint=hint)

    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    for term in (*operands, right):
        text = f"whose term '{term}' is not letters with at most one '...'"
        check(_TERM.fullmatch(term), text, "such as 'ab,bc->ac'")
    text = f"with {len(operands)} terms for {len(ranks)} operands"
    check(len(operands) == len(ranks), text, "write one term for each, with commas between them")
    dots: int | None = None
    for term, rank in zip(operands, ranks, strict=True):
        letters = len(term.replace("...", ""))
        has_dots = "..." in term
        text = f"whose term '{term}' does not fit data of rank {rank}"
        check(letters == rank or (has_dots and letters < rank), text, "one letter for each axis", Code.WRONG_RANK)
        if has_dots:
            text = "whose '...' stands for different numbers of axes"
            check(dots in (None, rank - letters), text, code=Code.WRONG_RANK)
            dots = rank - letters
    ellipsis = "".join(chr(_ELLIPSIS + k) for k in range(dots or 0))
    if not arrow:
        used = left.replace("...", "").replace(",", "")
        right = "..." + "".join(sorted(c for c in set(used) if used.count(c) == 1))
    check(not ellipsis or "..." in right, "whose output has no '...'", "write '...' in the output too")
    out_letters = right.replace("...", "")
    check(len(set(out_letters)) == len(out_letters), "whose output names an axis twice")
    for letter in out_letters:
        check(letter in left, f"whose output has '{letter}', which no operand has")
    return [term.replace("...", ellipsis) for term in operands], right.replace("...", ellipsis)


def axis_sizes(equation: str, names: Sequence[str], shapes: Sequence[Shape]) -> dict[str, Dim]:
    """The size of each letter. Axes of ``...`` broadcast; all other sizes must agree (GS304)."""
    sizes: dict[str, Dim] = {}
    for name, shape in zip(names, shapes, strict=True):
        for letter, d in zip(name, shape, strict=True):
            size = sizes.setdefault(letter, d)
            broadcasts = ord(letter) >= _ELLIPSIS
            if broadcasts and size == 1:
                sizes[letter] = d
            axis = "an axis of '...'" if broadcasts else f"'{letter}'"
            text = f"has the equation '{equation}', where {axis} has sizes {size} and {d}: {' and '.join(map(show, shapes))}"
            fits = size == d or (broadcasts and 1 in (size, d))
            need.sizes(fits, text, key="equation", hint="use one letter only for axes of equal size")
    return sizes


def as_named(X: Array, name: str, sizes: dict[str, int]) -> Named:
    """A view of X without broadcast axes, in which axes with equal letters become their diagonal."""
    index: list[int | slice] = [0 if n == 1 != sizes[c] else slice(None) for c, n in zip(name, X.shape, strict=True)]
    X, name = X[(*index, ...)], "".join(c for c, k in zip(name, index, strict=True) if k != 0)
    unique = "".join(dict.fromkeys(name))
    if unique != name:
        X = np.einsum(X, [unique.index(c) for c in name], list(range(len(unique))))
    return X, unique


def align(X: Named, name: str) -> Array:
    """A view of X with its axes in the order of ``name``, and axes of size 1 for letters that X lacks."""
    array, letters = X
    order = [letters.index(c) for c in name if c in letters]
    return array.transpose(order)[(*(slice(None) if c in letters else None for c in name), ...)]


def in_memory_order(letters: Iterable[str], X: Named) -> str:
    """``letters`` sorted by the strides of X's axes, slowest first."""
    strides = dict(zip(X[1], X[0].strides, strict=True))
    return "".join(sorted(letters, key=lambda c: -abs(strides[c])))


def as_matrices(X: Named, batch: str, rows: str, columns: str) -> tuple[Array, tuple[int, ...], Array | None]:
    """X with its axes in that order, its shape as a batch of matrices, and that view of X, or None without a copy."""
    array, sizes = align(X, batch + rows + columns), dict(zip(X[1], X[0].shape, strict=True))
    shape = (*(sizes[c] for c in batch), *(math.prod(sizes[c] for c in group) for group in (rows, columns)))
    return array, shape, as_shape(array, shape)


def sum_out(ctx: Context, X: Named, keep: str, calls: Calls) -> Named:
    """X summed over all axes that are not in ``keep``; appends to ``calls``."""
    array, name = X
    axes = [k for k, c in enumerate(name) if c not in keep]
    if not axes:
        return X
    remaining = "".join(c for c in name if c in keep)
    total = ctx.scratch([n for k, n in enumerate(array.shape) if k not in axes])
    calls += sum_axes(ctx, array, axes, total)
    return total, remaining


def contract(ctx: Context, A: Named, B: Named, C: Named) -> Calls:
    """Calls for ``C = Σ A · B`` over the letters that C lacks, as one matrix product per index of the batch letters."""
    calls: Calls = []
    A, B = sum_out(ctx, A, B[1] + C[1], calls), sum_out(ctx, B, A[1] + C[1], calls)
    shared = [c for c in A[1] if c in B[1]]
    inner, batch = [c for c in shared if c not in C[1]], "".join(c for c in C[1] if c in shared)
    rows, columns = [c for c in C[1] if c not in B[1]], [c for c in C[1] if c not in A[1]]
    if not inner:
        return [*calls, (np.multiply, align(A, C[1]), align(B, C[1]), C[0])]
    if batch and not rows and not columns:
        letters = {c: k for k, c in enumerate(dict.fromkeys(A[1] + B[1]))}
        a, b, c = ([letters[k] for k in X[1]] for X in (A, B, C))
        return [*calls, (partial(np.einsum, out=C[0]), A[0], a, B[0], b, c)]

    def copied_elements(order: tuple[str, ...]) -> int:
        m, k, n = order
        operands = ((A, m, k), (B, k, n), (C, m, n))
        return sum(X[0].size for X, *groups in operands if as_matrices(X, batch, *groups)[2] is None)

    groups = ((rows, A, C), (inner, A, B), (columns, B, C))
    orders = product(*({in_memory_order(g, X): 0, in_memory_order(g, Y): 0} for g, X, Y in groups))
    m, k, n = min(orders, key=copied_elements)
    factors = []
    for X, first, second in ((A, m, k), (B, k, n)):
        matrix, copies = in_shape(ctx, *as_matrices(X, batch, first, second)[:2])
        calls += copies
        factors.append(matrix)
    left, right = factors
    array, shape, view = as_matrices(C, batch, m, n)
    if view is not None:
        return [*calls, *batched(ctx, left, right, view)]
    t = ctx.scratch(array.shape)
    return [*calls, *batched(ctx, left, right, t.reshape(shape)), (np.copyto, array, t)]


def adjoint(ctx: Context, dY: Named, other: Named, dX: Named) -> Calls:
    """Calls that write the gradient dX of one factor of a contraction, from dY and the other factor."""
    letters = "".join(c for c in dX[1] if c in dY[1] + other[1])
    if letters == dX[1]:
        return contract(ctx, dY, other, dX)
    sizes = dict(zip(dX[1], dX[0].shape, strict=True))
    t = ctx.scratch([sizes[c] for c in letters])  # the gradient is constant along dX's other axes
    return [*contract(ctx, dY, other, (t, letters)), (np.copyto, dX[0], align((t, letters), dX[1]))]


class Einsum(Op):
    """``Y[out] = Σ Π X_i[term_i]`` over the letters that are not in ``out``, for the equation ``term_1,term_2->out``.

    Without ``->`` the output has the axes of ``...``, then the letters that occur once, sorted. Axes with equal letters must
    have equal sizes; the axes of ``...`` broadcast. All operands have gradients. As in ONNX and ``numpy.einsum``.
    """

    rows = "einsum"
    weights_at = (0, 1, 2)
    keeps_out = False
    variadic = True

    equation: str

    def infer(self, *Inputs: Value) -> Type:
        need(len(Inputs) > 0, "needs at least one operand")
        need.float(*Inputs)
        names, out = parse_equation(self.equation, [X.rank for X in Inputs])
        sizes = axis_sizes(self.equation, names, [X.shape for X in Inputs])
        return Type(Inputs[0].dtype, tuple(sizes[c] for c in out))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        names, _ = parse_equation(self.equation, [len(shape) for shape in shapes])
        return fixed_size(tuple(axis_sizes(self.equation, names, shapes).values())) * (len(shapes) - 1)

    def bind(self, ctx: Context, *Inputs: Array) -> Bound:
        names, out = parse_equation(self.equation, [X.ndim for X in Inputs])
        dims = axis_sizes(self.equation, names, [X.shape for X in Inputs])
        sizes = {c: int(d) for c, d in dims.items()}
        views = [as_named(X, name, sizes) for X, name in zip(Inputs, names, strict=True)]
        if len(Inputs) == 1:
            return _bind_single(ctx, Inputs[0], names[0], views[0], out, sizes)
        calls: Calls = []
        partials = [views[0]]  # the product of the first k + 1 operands
        for k, view in enumerate(views[1:], 1):
            if k == len(views) - 1:
                target = (ctx.out(), out)
            else:
                later = out + "".join(name for _, name in views[k + 1 :])
                letters = "".join(c for c in dict.fromkeys(partials[-1][1] + view[1]) if c in later)
                target = (ctx.save_for_backward([sizes[c] for c in letters]), letters)
            calls += contract(ctx, partials[-1], view, target)
            partials.append(target)

        def backward(dY: Array) -> Calls:
            calls: Calls = []
            d: Named = (dY, out)
            for k in range(len(views) - 1, 0, -1):
                calls += _input_gradient(ctx, k, names[k], sizes, d, partials[k - 1])
                if k == 1:
                    calls += _input_gradient(ctx, 0, names[0], sizes, d, views[1])
                elif any(ctx.wants(j) for j in range(k)):
                    partial_product, letters = partials[k - 1]
                    t = ctx.scratch(partial_product.shape)
                    calls += adjoint(ctx, d, views[k], (t, letters))
                    d = (t, letters)
                else:
                    break
            return calls

        return partials[-1][0], calls, backward


def _input_gradient(ctx: Context, i: int, name: str, sizes: dict[str, int], dY: Named, other: Named) -> Calls:
    """Calls that write the gradient of input ``i``; outside the diagonals that the product reads it is 0."""
    dX = ctx.grad(i)
    if dX is None:
        return []
    zero: Calls = [(dX.fill, 0.0)] if len(set(name)) < len(name) else []
    return zero + adjoint(ctx, dY, other, as_named(dX, name, sizes))


def _bind_single(ctx: Context, X: Array, name: str, view: Named, out: str, sizes: dict[str, int]) -> Bound:
    """Bind an equation of one operand: a transposition, a sum, or diagonals."""
    is_transpose = len(name) == len(out) == len(view[1])
    if is_transpose:
        Y, calls = align(view, out), list[tuple[object, ...]]()
    else:
        Y, calls = ctx.out(), []
        calls.append((np.copyto, Y, align(sum_out(ctx, view, out, calls), out)))

    def backward(dY: Array) -> Calls:
        if is_transpose:
            ctx.give_grad(0, align((dY, out), name))
            return []
        if (dX := ctx.grad(0)) is None:
            return []
        zero: Calls = [(dX.fill, 0.0)] if len(set(name)) < len(name) else []
        array, letters = as_named(dX, name, sizes)
        return [*zero, (np.copyto, array, align((dY, out), letters))]

    return Y, calls, backward


# Matrix products whose kernel is divided among the workers by columns (tensor parallelism).
#
# Normally a worker multiplies its rows of the batch by the whole kernel and writes a whole gradient, and the gradients are
# summed over the workers. If the kernel has many more elements than the rows that are multiplied by it, the workers share
# their rows instead: each computes its columns of the result for all rows, and later the gradient of the weights that it
# updates. The number of multiply-adds stays the same. With two workers, each goes through half the memory; no gradient is
# summed.
class ShardedGemm(TrainingOnly):
    """``Y = A · B + C`` for the rows of all workers.

    A worker has either its rows with all columns (``rows``), or its columns of all rows (``columns``): ``input_partition``
    is the partition of A, ``output_partition`` the partition of Y. ``shape`` is the shape of this worker's part of Y.
    """

    rows = "in_front"
    keeps_in, keeps_out = (1,), False

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
        barrier, by_rows = (group.barrier,), self.output_partition == "rows"
        calls: Calls = [*_copy(X[rows] if self.input_partition == "rows" else X[:, in_columns], A), barrier]
        result = ctx.scratch((total, out_columns.stop - out_columns.start)) if by_rows else ctx.out()
        calls += matmul(ctx, X, B[:, out_columns], result)
        if C is not None:
            calls.append((np.add, result, C[out_columns], result))
        if by_rows:
            calls += [(np.copyto, Y[:, out_columns], result), barrier]

        def backward(gradient: Array) -> Calls:
            calls = _copy(dY[rows] if by_rows else dY[:, out_columns], gradient)
            if (dC := ctx.grad(2)) is not None:
                calls += [] if by_rows else [(dC.fill, 0.0)]
                calls += sum_axes(ctx, gradient, (0,), dC if by_rows else dC[out_columns])
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

        return (Y[rows] if by_rows else result), calls, backward


def _copy(to: Array, X: Array) -> Calls:
    """Return the call that copies X, unless X is the same memory."""
    is_same = to.ctypes.data == X.ctypes.data and to.strides == X.strides
    return [] if is_same else [(np.copyto, to, X)]
