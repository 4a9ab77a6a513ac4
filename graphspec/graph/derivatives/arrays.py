"""Rules of matrix products, reductions and of operators that move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.graph.builder import Builder
from graphspec.graph.derivatives.walk import RULES, Rule, derivative, sum_to
from graphspec.graph.expressions import Expression, emit
from graphspec.graph.ir.graph import Dim, Node, Value
from graphspec.graph.kernels.context import need
from graphspec.graph.ops import elementwise as tables
from graphspec.graph.ops.formulas import Gated
from graphspec.graph.ops.reduce import reduction_axes
from graphspec.graph.ops.shape import as_slice, elements_of, slices_by_axis


def swapped(g: Builder, X: Value) -> Value:
    """Return X with its last two axes swapped."""
    return g.transpose(X, (*range(X.rank - 2), X.rank - 1, X.rank - 2))


@derivative("MatMul")
def matmul(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """``dA = dY Bᵀ``, ``dB = Aᵀ dY``; the rows of all matrices of A together, if B is one matrix."""
    (A, B), (d,) = node.sources, dYs
    a = g.Unsqueeze(A, g.constant([0])) if A.rank == 1 else A
    b = g.Unsqueeze(B, g.constant([1])) if B.rank == 1 else B
    if A.rank == 1:
        d = g.Unsqueeze(d, g.constant([max(d.rank - 1, 0)]))
    if B.rank == 1:
        d = g.Unsqueeze(d, g.constant([d.rank]))
    dA = dB = None
    if wants[0]:
        dA = sum_to(g, d @ swapped(g, b), a)
        dA = g.Squeeze(dA, g.constant([0])) if A.rank == 1 else dA
    if wants[1]:
        if b.rank == 2 < a.rank:
            rows, of_rows = (g.reshape(X, (-1, X.features)) for X in (a, d))
            dB = g.transpose(rows, (1, 0)) @ of_rows
        else:
            dB = sum_to(g, swapped(g, a) @ d, b)
        dB = g.Squeeze(dB, g.constant([1])) if B.rank == 1 else dB
    return [dA, dB]


@derivative("Gemm")
def gemm(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Emit the gradients of ``alpha · A' B' + beta · C`` as two products and a sum."""
    (A, B, *_), (d,) = node.inputs, dYs
    a, b, result = op.transA, op.transB, list[Value | None]([None] * len(wants))
    if wants[0]:
        pair, turned = ((B, d), (b, 1)) if a else ((d, B), (0, 1 - b))
        result[0] = g.Gemm(*pair, transA=turned[0], transB=turned[1], alpha=op.alpha)
    if wants[1]:
        pair, turned = ((d, A), (1, a)) if b else ((A, d), (1 - a, 0))
        result[1] = g.Gemm(*pair, transA=turned[0], transB=turned[1], alpha=op.alpha)
    if len(wants) > 2 and wants[2] and (C := node.inputs[2]) is not None:
        result[2] = sum_to(g, d if op.beta == 1.0 else d * op.beta, C)
    return result


def in_shape(g: Builder, d: Value, X: Value) -> Value:
    """Return a gradient in the shape of X."""
    symbols = sum(not isinstance(n, int) for n in X.shape)
    sizes = g.constant([n if isinstance(n, int) else -1 for n in X.shape]) if symbols < 2 else g.Shape(X)
    return d if d.shape == X.shape else g.Reshape(d, sizes)


@derivative("Tile")
def tile(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Add up the repetitions."""
    X, repeats = node.sources
    times = [g.Slice(repeats, g.constant([k]), g.constant([k + 1])) for k in range(X.rank)]
    sizes = [size for k, n in enumerate(times) for size in (n, g.size(X, k))]
    return [g.ReduceSum(g.reshape(dYs[0], sizes), g.constant(list(range(0, 2 * X.rank, 2))), keepdims=0), None]


@derivative("Concat")
def concat(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Split the gradient."""
    if len(wants) == 1:
        return [*dYs]
    parts = g.Split(dYs[0], g.ints([g.size(X, op.axis) for X in node.sources]), axis=op.axis)
    return [part if want else None for part, want in zip(parts, wants, strict=True)]


def zeros_like(g: Builder, X: Value) -> Value:
    """Return zeros of X's shape."""
    return g.Expand(g.constant(0.0), g.Shape(X))


@derivative("Slice")
def slices(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Put zeros around the gradient along each sliced axis in turn: in place of the parts that were cut off."""
    inputs: Any = node.inputs
    (X, starts, ends, *optional), (d,) = inputs, dYs
    for k, (axis, start, stop, step) in enumerate(slices_by_axis(X, starts, ends, *(*optional, None, None)[:2])):
        if step != 1:
            d = _scattered(g, d, X.shape[axis], axis, (start, stop, step))
            continue
        bounds = [(g.constant([0]), _at(g, starts, start, k)), (_at(g, ends, stop, k), g.constant([2**31]))]
        cut = [g.Slice(X, *both, g.constant([axis])) for both in bounds]
        parts = [d if part is d else _zeros(g, part, d, axis) for part in (cut[0], d, cut[1])]
        d = g.Concat(*(part for part in parts if part.shape[axis] != 0), axis=axis)
    return [d]


def _at(g: Builder, vector: Value, element: Dim, k: int) -> Value:
    """Return element k of a vector, whose value may be known, as a value of shape (1,)."""
    return g.constant([element]) if isinstance(element, int) else g.Slice(vector, g.constant([k]), g.constant([k + 1]))


def _zeros(g: Builder, part: Value, other: Value, axis: int) -> Value:
    """Return zeros of the shape of ``other``, with the size of ``part`` along an axis."""
    sizes = [g.size(part if k == axis else other, k) for k in range(other.rank)]
    return g.Expand(g.constant(0.0), g.ints(sizes))


def _scattered(g: Builder, d: Value, size: Dim, axis: int, cut: tuple[Dim, Dim, int]) -> Value:
    """Return the elements of ``d`` at the places along an axis that a slice with a step chose, zeros elsewhere."""
    need.fixed(all(isinstance(n, int) for n in (size, *cut)), "needs fixed sizes")
    chosen = np.arange(size)[as_slice(*cut, size)]  # type: ignore[arg-type]
    source = np.full(len(np.arange(size)), len(chosen))
    source[chosen] = np.arange(len(chosen))
    zero = zeros_like(g, g.Slice(d, g.constant([0]), g.constant([1]), g.constant([axis])))
    return g.Gather(g.Concat(d, zero, axis=axis), g.constant(source), axis=axis)


@derivative("Pad")
def pad(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Crop the gradient; borders that repeat elements are first added to these, by a matrix of 0 and 1."""
    (X, pads, *_), (d,) = node.sources, dYs
    numbers = [int(n) for n in elements_of(pads, "pads")]
    low, high = numbers[: X.rank], numbers[X.rank :]
    if op.mode == "constant":
        d = g.Pad(d, g.constant([-n for n in numbers]))
    for axis, (a, b) in enumerate(zip(low, high, strict=True)) if op.mode != "constant" else ():
        if a or b:
            places = np.pad(np.arange(X.fixed(axis)), (a, b), mode=op.mode)
            order = [*(k for k in range(X.rank) if k != axis), axis]
            moved = g.transpose(d, order) @ g.constant(np.eye(X.fixed(axis))[places])
            d = g.transpose(moved, [order.index(k) for k in range(X.rank)])
    return [d]


@derivative("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1", "ReduceL2")
@derivative("ReduceLogSum", "ReduceLogSumExp")
def reduction(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Spread the gradient over the reduced elements, each with its own factor."""
    (X, *axes), (Y,), (d,) = node.sources, node.outputs, dYs
    reduced = op.reduced(X, axes[0] if axes else None) if node.op == "ReduceSum" else reduction_axes(op.axes, X.rank)
    d, y = (v if op.keepdims or not reduced else g.Unsqueeze(v, g.constant(list(reduced))) for v in (d, Y))
    dX: Value
    if node.op == "ReduceMean":
        d = d / elements(g, X, reduced)
    if node.op in ("ReduceSum", "ReduceMean"):
        dX = g.Expand(d, g.Shape(X))
    elif node.op in ("ReduceMax", "ReduceMin"):  # shared by equals
        equal = g.Cast(g.Equal(X, y), to="float32")
        dX = equal * (d / g.ReduceSum(equal, g.constant(list(reduced), "int64"), keepdims=1))
    elif node.op == "ReduceSumSquare":
        dX = X * (d + d)
    elif node.op == "ReduceL1":
        dX = g.Sign(X) * d
    elif node.op == "ReduceL2":  # 0 at 0
        dX = X * (d / g.Max(y, g.constant(float(np.finfo(np.float32).tiny))))
    else:
        dX = d * g.Exp((X if node.op == "ReduceLogSumExp" else zeros_like(g, X)) - y)
    return [dX]


def elements(g: Builder, X: Value, axes: Sequence[int]) -> Value:
    """Return how many elements the axes have together, a float32 scalar."""
    fixed = math.prod(int(X.shape[k]) for k in axes if isinstance(X.shape[k], int))
    number = g.constant(float(fixed))
    for k in axes:
        if isinstance(size := g.size(X, k), Value):
            number = number * g.Cast(g.Squeeze(size, g.constant([0])), to="float32")
    return number


@derivative("Softmax", "LogSoftmax")
def softmax(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """``Y · (d - Σ d · Y)``, or ``d - exp(Y) · Σ d``."""
    (Y,), (d,), axis = node.outputs, dYs, g.constant([op.axis])
    if node.op == "LogSoftmax":
        return [d - g.Exp(Y) * g.ReduceSum(d, axis, keepdims=1)]
    return [Y * (d - g.ReduceSum(d * Y, axis, keepdims=1))]


@derivative("Einsum")
def einsum(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Emit the product of the gradient with the other operands, summed to each operand's letters."""
    (left, out), result = op.equation.replace(" ", "").split("->"), list[Value | None]()
    terms = left.split(",")
    for k, want in enumerate(wants):
        others = [(t, v) for j, (t, v) in enumerate(zip(terms, node.sources, strict=True)) if j != k]
        letters = out + "".join(t for t, _ in others)
        plain = len(set(terms[k])) == len(terms[k]) and "." not in op.equation
        need.value(not want or (plain and set(terms[k]) <= set(letters)), f"has no gradient of '{op.equation}'")
        equation = f"{','.join([out, *(t for t, _ in others)])}->{terms[k]}"
        result.append(g.Einsum(dYs[0], *(v for _, v in others), equation=equation) if want else None)
    return result


SHORT: dict[str, Rule] = {
    **dict.fromkeys(
        ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
        lambda g, op, node, dYs, wants: [in_shape(g, dYs[0], node.sources[0])],
    ),
    "Transpose": lambda g, op, node, dYs, wants: [
        g.Transpose(dYs[0], perm=tuple(np.argsort(op.order(node.sources[0].rank)).tolist()))
    ],
    "Expand": lambda g, op, node, dYs, wants: [sum_to(g, dYs[0], node.sources[0])],
    "Split": lambda g, op, node, dYs, wants: [
        g.Concat(*(zeros_like(g, Y) if d is None else d for Y, d in zip(node.outputs, dYs, strict=True)), axis=op.axis)
    ],
    "CumSum": lambda g, op, node, dYs, wants: [
        g.CumSum(dYs[0], node.inputs[1], exclusive=op.exclusive, reverse=1 - op.reverse)
    ],
    "Trilu": lambda g, op, node, dYs, wants: [g.Trilu(dYs[0], *node.inputs[1:], upper=op.upper)],
}
"""Rules of the first input; the others say where its elements are."""
RULES |= SHORT


# Rules of elementwise operators: from their formulas, where they have one.
_TINY = float(np.finfo(np.float32).tiny)


def _of_formula(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Emit the gradient of a function of one input that a row of a table describes."""
    (X,), (Y,), (d,) = node.sources, node.outputs, dYs
    x, y, dy = (Expression(None) for _ in range(3))
    values = {id(x): X, id(y): Y, id(dy): d}
    result = op.formula(x, **op.attributes)[1] if isinstance(op, Gated) else op.gradient(x, y, dy, **op.attributes)
    return [emit(g, dy * result if isinstance(op, Gated) else result, values)]


def _of_formulas(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Emit the gradients of the two operands of a :class:`Binary`."""
    (d,), leaves = dYs, [Expression(None) for _ in range(4)]
    values = dict(zip(map(id, leaves), (*node.sources, *node.outputs, d), strict=True))
    result: list[Value | None] = [None, None]
    for k, gradient in op.gradients:
        if wants[k]:
            result[k] = sum_to(g, emit(g, gradient(*leaves), dict(values)), node.sources[k])
    return result


_ROWS = (tables.FUNCTIONS | tables.ACTIVATIONS).items()
RULES |= {name: _of_formula for name, row in _ROWS if row.gradient or row.of is Gated}
RULES |= dict.fromkeys(("Mul", "Div", "PRelu"), _of_formulas)


@derivative("Add", "Sub", "Sum", "Mean")
def terms(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on to each term: negated to a subtrahend, a share to each term of a mean."""
    (d,) = dYs
    d = d / float(len(wants)) if node.op == "Mean" else d
    signed = [-d if node.op == "Sub" and k == 1 and want else d for k, want in enumerate(wants)]
    return [sum_to(g, s, X) if want else None for s, X, want in zip(signed, node.sources, wants, strict=True)]


@derivative("Pow")
def power(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """``dX = d · Y · X ** (Y - 1)``; ``dY = d · Z · log X``, 0 where X ≤ 0."""
    (X, Y), (Z,), (d,) = node.sources, node.outputs, dYs
    y = Y if Y.dtype == "float32" else g.Cast(Y, to="float32")
    dX = sum_to(g, d * (g.Pow(X, y - 1.0) * y), X) if wants[0] else None
    return [dX, sum_to(g, d * Z * g.Log(g.Max(X, g.constant(_TINY))), Y) if wants[1] else None]


@derivative("Where")
def where(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on to the operand that was chosen."""
    (condition, A, B), (d,), zero = node.sources, dYs, g.constant(0.0)
    dA = sum_to(g, g.Where(condition, d, zero), A) if wants[1] else None
    return [None, dA, sum_to(g, g.Where(condition, zero, d), B) if wants[2] else None]


@derivative("Max", "Min")
def extremum(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on to the first operand that attains the extremum."""
    (Y,), (d,), result = node.outputs, dYs, list[Value | None]()
    for X, want in zip(node.sources, wants, strict=True):
        here = g.Where(g.Equal(X, Y), d, g.constant(0.0))
        result.append(sum_to(g, here, X) if want else None)
        d = d - here
    return result


@derivative("Clip")
def clip(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on where Y is at no bound."""
    (Y,), (dX,) = node.outputs, dYs
    low, high = (*node.inputs[1:], None, None)[:2]
    for outside in ([] if low is None else [low >= Y]) + ([] if high is None else [high <= Y]):
        dX = g.Where(outside, g.constant(0.0), dX)
    return [dX]


@derivative("Cast")
def cast(g: Builder, op: Any, node: Node, dYs: Sequence[Any], wants: Sequence[bool]) -> Sequence[Any]:
    """Pass the gradient on from floats to floats."""
    return dYs
