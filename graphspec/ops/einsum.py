"""Einsum: products summed over named axes, as matrix products of views."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.errors import ShapeError
from graphspec.ir.dims import Dim, Shape, show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import sum_axes
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.kernels.matmul import batched
from graphspec.ops.base import Op, op

_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")
_ELLIPSIS = 0x100
"""The axes of an ellipsis get letters from here on, which no equation may use."""

Named = tuple[Array, str]
"""An array with one letter for each axis."""


def terms(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """A letter for every axis of every operand, and those of the output; ``...`` becomes letters of its own.

    Raises:
        ShapeError: ``GS105`` for an equation that is wrong in itself, ``GS301`` where it does not fit the ranks.
    """

    def wrong(text: str, hint: str | None = None, code: str = "GS105") -> ShapeError:
        return ShapeError(code, f"has the equation '{equation}', {text}", key="equation", hint=hint)

    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    for term in (*operands, right):
        if not _TERM.fullmatch(term):
            raise wrong(f"whose term '{term}' is not letters with at most one '...'", "such as 'ab,bc->ac'")
    if len(operands) != len(ranks):
        hint = "write one term for each, with commas between them"
        raise wrong(f"with {len(operands)} terms for {len(ranks)} operands", hint)
    dots: int | None = None
    for term, rank in zip(operands, ranks, strict=True):
        letters = len(term.replace("...", ""))
        if letters > rank or ("..." not in term and letters < rank):
            raise wrong(f"whose term '{term}' does not fit data of rank {rank}", "one letter for each axis", "GS301")
        if "..." in term:
            if dots is not None and dots != rank - letters:
                raise wrong("whose '...' stands for different numbers of axes", code="GS301")
            dots = rank - letters
    ellipsis = "".join(chr(_ELLIPSIS + k) for k in range(dots or 0))
    if not arrow:
        letters_ = left.replace("...", "").replace(",", "")
        right = "..." + "".join(sorted(c for c in set(letters_) if letters_.count(c) == 1))
    if ellipsis and "..." not in right:
        raise wrong("whose output has no '...'", "write '...' in the output too")
    plain = right.replace("...", "")
    if len(set(plain)) < len(plain):
        raise wrong("whose output names an axis twice")
    if missing := [c for c in plain if c not in left]:
        raise wrong(f"whose output has '{missing[0]}', which no operand has")
    return [term.replace("...", ellipsis) for term in operands], right.replace("...", ellipsis)


def sizes_of(equation: str, names: Sequence[str], shapes: Sequence[Shape]) -> dict[str, Dim]:
    """The size of every letter; the axes of ``...`` broadcast, all others must agree (GS304)."""
    sizes: dict[str, Dim] = {}
    for name, shape in zip(names, shapes, strict=True):
        for letter, d in zip(name, shape, strict=True):
            known = sizes.setdefault(letter, d)
            if known == d or (ord(letter) >= _ELLIPSIS and d == 1):
                continue
            if ord(letter) >= _ELLIPSIS and known == 1:
                sizes[letter] = d
                continue
            what = f"'{letter}'" if ord(letter) < _ELLIPSIS else "an axis of '...'"
            text = f"has the equation '{equation}', where {what} is {known} and {d}: {' and '.join(map(show, shapes))}"
            raise ShapeError("GS304", text, key="equation", hint="name two axes alike only where their sizes agree")
    return sizes


def named(X: Array, name: str, sizes: dict[str, int]) -> Named:
    """X without axes that are broadcast; axes of one name become their diagonal. A view."""
    at: list[int | slice] = [0 if n == 1 != sizes[c] else slice(None) for c, n in zip(name, X.shape, strict=True)]
    X, name = X[(*at, ...)], "".join(c for c, k in zip(name, at, strict=True) if k != 0)
    unique = "".join(dict.fromkeys(name))
    if unique != name:
        X = np.einsum(X, [unique.index(c) for c in name], list(range(len(unique))))
    return X, unique


def along(X: Named, name: str) -> Array:
    """X with its axes where ``name`` has them, and axes of size 1 for the letters that it lacks. A view."""
    array, mine = X
    order = [mine.index(c) for c in name if c in mine]
    return array.transpose(order)[(*(slice(None) if c in mine else None for c in name), ...)]


def by_memory(letters: Iterable[str], X: Named) -> str:
    strides = dict(zip(X[1], X[0].strides, strict=True))
    return "".join(sorted(letters, key=lambda c: -abs(strides[c])))


def matrices(X: Named, batch: str, rows: str, columns: str) -> tuple[Array, tuple[int, ...], Array | None]:
    """X as matrices: its axes in that order, the shape with each group as one axis, and that view where there is one."""
    array, sizes = along(X, batch + rows + columns), dict(zip(X[1], X[0].shape, strict=True))
    shape = (*(sizes[c] for c in batch), *(math.prod(sizes[c] for c in group) for group in (rows, columns)))
    try:
        return array, shape, array.reshape(shape, copy=False)
    except ValueError:
        return array, shape, None


def only(ctx: Context, X: Named, keep: str, calls: Calls) -> Named:
    """X summed over the axes that are not in ``keep``."""
    array, name = X
    axes = [k for k, c in enumerate(name) if c not in keep]
    if not axes:
        return X
    kept = "".join(c for c in name if c in keep)
    total = ctx.scratch([n for k, n in enumerate(array.shape) if k not in axes])
    calls += sum_axes(ctx, array, axes, total)
    return total, kept


def contract(ctx: Context, A: Named, B: Named, C: Named) -> Calls:
    """Calls for ``C = Σ A · B`` over the letters that C lacks: a product of matrices for each entry of the shared ones."""
    calls: Calls = []
    A, B = only(ctx, A, B[1] + C[1], calls), only(ctx, B, A[1] + C[1], calls)
    shared = [c for c in A[1] if c in B[1]]
    inner, batch = [c for c in shared if c not in C[1]], "".join(c for c in C[1] if c in shared)
    rows, columns = [c for c in C[1] if c not in B[1]], [c for c in C[1] if c not in A[1]]
    if not inner:
        return [*calls, (np.multiply, along(A, C[1]), along(B, C[1]), C[0])]
    if batch and not rows and not columns:
        letters = {c: k for k, c in enumerate(dict.fromkeys(A[1] + B[1]))}
        a, b, c = ([letters[k] for k in X[1]] for X in (A, B, C))
        return [*calls, (partial(np.einsum, out=C[0]), A[0], a, B[0], b, c)]

    def copied(order: tuple[str, ...]) -> int:
        m, k, n = order
        seen = ((A, m, k), (B, k, n), (C, m, n))
        return sum(X[0].size for X, *pair in seen if matrices(X, batch, *pair)[2] is None)

    pairs = ((rows, A, C), (inner, A, B), (columns, B, C))
    m, k, n = min(product(*({by_memory(g, X): 0, by_memory(g, Y): 0} for g, X, Y in pairs)), key=copied)
    factors = []
    for X, first, second in ((A, m, k), (B, k, n)):
        array, shape, view = matrices(X, batch, first, second)
        if view is None:
            copy = ctx.scratch(array.shape)
            calls.append((np.copyto, copy, array))
            view = copy.reshape(shape)
        factors.append(view)
    left, right = factors
    array, shape, view = matrices(C, batch, m, n)
    if view is not None:
        return [*calls, *batched(ctx, left, right, view)]
    t = ctx.scratch(array.shape)
    return [*calls, *batched(ctx, left, right, t.reshape(shape)), (np.copyto, array, t)]


def adjoint(ctx: Context, dY: Named, other: Named, dX: Named) -> Calls:
    """Calls for the gradient of one factor of a product, whose other factor is given."""
    reached = "".join(c for c in dX[1] if c in dY[1] + other[1])
    if reached == dX[1]:
        return contract(ctx, dY, other, dX)
    sizes = dict(zip(dX[1], dX[0].shape, strict=True))
    t = ctx.scratch([sizes[c] for c in reached])
    return [*contract(ctx, dY, other, (t, reached)), (np.copyto, dX[0], along((t, reached), dX[1]))]


@op
class Einsum(Op):
    """``Y[out] = Σ Π X_i[term_i]`` over the letters that are not in ``out``: the equation ``term_1,term_2->out``.

    Without ``->`` the output has the letters that occur once, sorted, behind those of ``...``. Letters that are named
    alike must have one size; the axes of ``...`` broadcast.
    """

    keeps_out = False
    variadic = True

    equation: str

    def infer(self, *Inputs: Value) -> Type:
        need(len(Inputs) > 0, "Einsum needs at least one operand")
        need_float(*Inputs)
        names, out = terms(self.equation, [X.rank for X in Inputs])
        sizes = sizes_of(self.equation, names, [X.shape for X in Inputs])
        return Type(Inputs[0].dtype, tuple(sizes[c] for c in out))

    def bind(self, ctx: Context, *Inputs: Array) -> Bound:
        names, out = terms(self.equation, [X.ndim for X in Inputs])
        known = sizes_of(self.equation, names, [X.shape for X in Inputs])
        sizes = {c: int(d) for c, d in known.items()}
        views = [named(X, name, sizes) for X, name in zip(Inputs, names, strict=True)]
        if len(Inputs) == 1:
            return _alone(ctx, Inputs[0], names[0], views[0], out, sizes)
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
                calls += _write(ctx, k, names[k], sizes, d, partials[k - 1])
                if k == 1:
                    calls += _write(ctx, 0, names[0], sizes, d, views[1])
                elif any(ctx.wants(j) for j in range(k)):
                    before, letters = partials[k - 1]
                    t = ctx.scratch(before.shape)
                    calls += adjoint(ctx, d, views[k], (t, letters))
                    d = (t, letters)
                else:
                    break
            return calls

        return partials[-1][0], calls, backward


def _write(ctx: Context, i: int, name: str, sizes: dict[str, int], dY: Named, other: Named) -> Calls:
    """The gradient of input ``i``: off the diagonals that are taken it is zero."""
    dX = ctx.grad(i)
    if dX is None:
        return []
    zero: Calls = [(dX.fill, 0.0)] if len(set(name)) < len(name) else []
    return zero + adjoint(ctx, dY, other, named(dX, name, sizes))


def _alone(ctx: Context, X: Array, name: str, view: Named, out: str, sizes: dict[str, int]) -> Bound:
    """One operand: its axes in another order, summed, or their diagonals."""
    plain = len(name) == len(out) == len(view[1])
    if plain:
        Y, calls = along(view, out), list[tuple[object, ...]]()
    else:
        Y, calls = ctx.out(), []
        total = only(ctx, view, out, calls)
        calls.append((np.copyto, Y, along(total, out)))

    def backward(dY: Array) -> Calls:
        if plain:
            ctx.give_grad(0, along((dY, out), name))
            return []
        dX = ctx.grad(0)
        if dX is None:
            return []
        zero: Calls = [(dX.fill, 0.0)] if len(set(name)) < len(name) else []
        array, letters = named(dX, name, sizes)
        return [*zero, (np.copyto, array, along((dY, out), letters))]

    return Y, calls, backward
