"""Products of vectors and matrices, and norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST
from graphspec.graph.ir.dims import has_rows, show
from graphspec.graph.kernels.context import need, normalize_axis
from graphspec.vocabulary.layers.base import as_float
from graphspec.vocabulary.operations.base import Axes, Axis, KeepDims, numbers, operation
from graphspec.vocabulary.operations.reduction import axes_of

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def contracted(g: Builder, A: Value, B: Value, left: list[int], right: list[int]) -> Value:
    """Emit the sum of products over the axes ``left`` of A and ``right`` of B, with the other axes of both."""
    need(len(left) == len(right), f"sums over {len(left)} axes of one input and {len(right)} of the other", key="axes")
    a = list(_LETTERS[: A.rank])
    b = list(_LETTERS[A.rank : A.rank + B.rank])
    for i, j in zip(left, right, strict=True):
        b[j] = a[i]
    out = [c for k, c in enumerate(a) if k not in left] + [c for k, c in enumerate(b) if k not in right]
    return g.Einsum(as_float(g, A), as_float(g, B), equation=f"{''.join(a)},{''.join(b)}->{''.join(out)}")


@operation
def matmul(g: Builder, x1: Value, x2: Value) -> Value:
    """The matrix product over the last two axes, float32; the axes before broadcast. A vector is a row or a column."""
    return g.MatMul(as_float(g, x1), as_float(g, x2))


@operation
def dot(g: Builder, x1: Value, x2: Value) -> Value:
    """The products over the last axis of ``x1`` and the last but one of ``x2``, float32; a scalar multiplies."""
    if 0 in (x1.rank, x2.rank):
        return g.Mul(as_float(g, x1), as_float(g, x2))
    return contracted(g, x1, x2, [x1.rank - 1], [max(x2.rank - 2, 0)])


@operation
def inner(g: Builder, x1: Value, x2: Value) -> Value:
    """The products over the last axis of both, float32."""
    if 0 in (x1.rank, x2.rank):
        return g.Mul(as_float(g, x1), as_float(g, x2))
    return contracted(g, x1, x2, [x1.rank - 1], [x2.rank - 1])


@operation
def vdot(g: Builder, x1: Value, x2: Value) -> Value:
    """The sum of all products of elements at the same place, float32."""
    return contracted(g, g.reshape(x1, [-1]), g.reshape(x2, [-1]), [0], [0])


@operation
def outer(g: Builder, x1: Value, x2: Value) -> Value:
    """The products of all pairs of elements of two inputs, each as one vector: (a,), (b,) → (a, b)."""
    a, b = numbers(g, x1, x2)
    return g.Mul(g.reshape(a, [-1, 1]), g.reshape(b, [1, -1]))


@operation
def tensordot(
    g: Builder,
    x1: Value,
    x2: Value,
    *,
    axes: Annotated[
        int | tuple[int | Annotated[tuple[int, ...], FROM_LIST], int | Annotated[tuple[int, ...], FROM_LIST]],
        FROM_LIST,
        Field(description="A number: so many last axes of the first and first of the second; or the axes of both."),
    ] = 2,
) -> Value:
    """The sum of products over axes of both inputs, float32."""
    if isinstance(axes, int):
        return contracted(g, x1, x2, list(range(x1.rank - axes, x1.rank)), list(range(axes)))
    return contracted(g, x1, x2, axes_of(axes[0], x1), axes_of(axes[1], x2))


@operation
def einsum(
    g: Builder, *operands: Value, subscripts: Annotated[str, Field(description="The equation: ``bij,bjk->bik``.")]
) -> Value:
    """Einstein's sum of products, float32: letters that the output lacks are summed over."""
    equation = subscripts.replace(" ", "")
    terms = list(zip(equation.partition("->")[0].split(","), operands, strict=False))
    rows = {term[:1] for term, X in terms if X.shape[:1] == ("N",)}
    for term, X in terms:
        need(
            len(term) != X.rank + 1 or has_rows(X.shape) or term[:1] not in rows,
            f"has the term '{term}' for data of shape {show(X.shape)}, which has no batch axis",
            code=Code.WRONG_RANK,
            key="subscripts",
            hint=f"write `{term[1:]}`",
        )
    return g.Einsum(*(as_float(g, X) for X in operands), equation=equation)


@operation
def cross(g: Builder, x1: Value, x2: Value, *, axis: Axis = -1) -> Value:
    """The cross product of vectors of three elements along an axis."""
    a, b = numbers(g, x1, x2)
    at, other = normalize_axis(axis, a.rank), normalize_axis(axis, b.rank)
    need(a.fixed(at) == b.fixed(other) == 3, "needs vectors of three elements", key="axis")
    turned = (g.constant([1, 2, 0]), g.constant([2, 0, 1]))
    first = g.Mul(g.Gather(a, turned[0], axis=at), g.Gather(b, turned[1], axis=other))
    return g.Sub(first, g.Mul(g.Gather(a, turned[1], axis=at), g.Gather(b, turned[0], axis=other)))


@operation
def norm(
    g: Builder,
    x: Value,
    *,
    ord: Annotated[  # noqa: A002
        int | Literal["fro"] | None, Field(description="1: sum of absolute values; 2, fro, null: the root of squares.")
    ] = None,
    axis: Axes = None,
    keepdims: KeepDims = False,
) -> Value:
    """The length of vectors along an axis, or of all elements, float32. Of a matrix it is Frobenius's norm."""
    X, axes = as_float(g, x), axes_of(axis, x)
    vector = len(axes) == 1
    need(ord is None or (vector and ord in (1, 2)) or (ord == "fro" and len(axes) == 2), "has no such norm", key="ord")
    reduce = g.ReduceL1 if ord == 1 else g.ReduceL2
    return reduce(X, axes=tuple(axes), keepdims=int(keepdims)) if axes else g.Abs(X)
