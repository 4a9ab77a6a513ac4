"""Einsum: products summed over named axes, computed by matrix products of views."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import Dim, Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import sum_axes
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.kernels.matmul import batched
from graphspec.graph.ops.base import Op, op

_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")
_ELLIPSIS = 0x100  # the axes of an ellipsis get the characters from this code point on, which no equation may contain

Named = tuple[Array, str]
"""An array, and a string with one letter per axis."""


def parse_equation(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand's axes, and the output's letters; ``...`` becomes reserved letters.

    Raises:
        ShapeError: ``GS105`` for an invalid equation, ``GS301`` for one that does not fit the ranks.
    """

    def bad_equation(text: str, hint: str | None = None, code: str = Code.VALUE_NOT_ALLOWED) -> ShapeError:
        return ShapeError(code, f"has the equation '{equation}', {text}", key="equation", hint=hint)

    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    for term in (*operands, right):
        if not _TERM.fullmatch(term):
            raise bad_equation(f"whose term '{term}' is not letters with at most one '...'", "such as 'ab,bc->ac'")
    if len(operands) != len(ranks):
        hint = "write one term for each, with commas between them"
        raise bad_equation(f"with {len(operands)} terms for {len(ranks)} operands", hint)
    dots: int | None = None
    for term, rank in zip(operands, ranks, strict=True):
        letters = len(term.replace("...", ""))
        if letters > rank or ("..." not in term and letters < rank):
            raise bad_equation(
                f"whose term '{term}' does not fit data of rank {rank}", "one letter for each axis", Code.WRONG_RANK
            )
        if "..." in term:
            if dots is not None and dots != rank - letters:
                raise bad_equation("whose '...' stands for different numbers of axes", code=Code.WRONG_RANK)
            dots = rank - letters
    ellipsis = "".join(chr(_ELLIPSIS + k) for k in range(dots or 0))
    if not arrow:
        used = left.replace("...", "").replace(",", "")
        right = "..." + "".join(sorted(c for c in set(used) if used.count(c) == 1))
    if ellipsis and "..." not in right:
        raise bad_equation("whose output has no '...'", "write '...' in the output too")
    out_letters = right.replace("...", "")
    if len(set(out_letters)) < len(out_letters):
        raise bad_equation("whose output names an axis twice")
    if missing := [c for c in out_letters if c not in left]:
        raise bad_equation(f"whose output has '{missing[0]}', which no operand has")
    return [term.replace("...", ellipsis) for term in operands], right.replace("...", ellipsis)


def axis_sizes(equation: str, names: Sequence[str], shapes: Sequence[Shape]) -> dict[str, Dim]:
    """The size of each letter. Axes of ``...`` broadcast; all other sizes must agree (GS304)."""
    sizes: dict[str, Dim] = {}
    for name, shape in zip(names, shapes, strict=True):
        for letter, d in zip(name, shape, strict=True):
            known = sizes.setdefault(letter, d)
            if known == d or (ord(letter) >= _ELLIPSIS and d == 1):
                continue
            if ord(letter) >= _ELLIPSIS and known == 1:
                sizes[letter] = d
                continue
            axis = f"'{letter}'" if ord(letter) < _ELLIPSIS else "an axis of '...'"
            found = " and ".join(map(show, shapes))
            text = f"has the equation '{equation}', where {axis} has sizes {known} and {d}: {found}"
            raise ShapeError(
                Code.SIZES_DO_NOT_FIT, text, key="equation", hint="use one letter only for axes of equal size"
            )
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
    try:
        return array, shape, array.reshape(shape, copy=False)
    except ValueError:
        return array, shape, None


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
        array, shape, view = as_matrices(X, batch, first, second)
        if view is None:
            copy = ctx.scratch(array.shape)
            calls.append((np.copyto, copy, array))
            view = copy.reshape(shape)
        factors.append(view)
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


@op
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
        need_float(*Inputs)
        names, out = parse_equation(self.equation, [X.rank for X in Inputs])
        sizes = axis_sizes(self.equation, names, [X.shape for X in Inputs])
        return Type(Inputs[0].dtype, tuple(sizes[c] for c in out))

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        names, _ = parse_equation(self.equation, [len(shape) for shape in shapes])
        return fixed_size(tuple(axis_sizes(self.equation, names, shapes).values())) * (len(shapes) - 1)

    def bind(self, ctx: Context, *Inputs: Array) -> Bound:
        names, out = parse_equation(self.equation, [X.ndim for X in Inputs])
        known = axis_sizes(self.equation, names, [X.shape for X in Inputs])
        sizes = {c: int(d) for c, d in known.items()}
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
        total = sum_out(ctx, view, out, calls)
        calls.append((np.copyto, Y, align(total, out)))

    def backward(dY: Array) -> Calls:
        if is_transpose:
            ctx.give_grad(0, align((dY, out), name))
            return []
        dX = ctx.grad(0)
        if dX is None:
            return []
        zero: Calls = [(dX.fill, 0.0)] if len(set(name)) < len(name) else []
        array, letters = as_named(dX, name, sizes)
        return [*zero, (np.copyto, array, align((dY, out), letters))]

    return Y, calls, backward
