"""The angle of a point, infinity by its sign, sums of powers of two, triangles of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from graphspec.vocabulary.operations.base import number, operation

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Diagonal = Annotated[int, Field(description="The diagonal: 0 is the main one, 1 the one above.")]


def _triangle(g: Builder, x: Value, k: int, upper: int) -> Value:
    x = x if x.dtype == "bool" else number(g, x)
    return g.Trilu(x, g.constant(k), upper=upper)


@operation
def tril(g: Builder, x: Value, *, k: Diagonal = 0) -> Value:
    """The lower triangle of the matrices on the last two axes, up to diagonal ``k``; 0 elsewhere."""
    return _triangle(g, x, k, 0)


@operation
def triu(g: Builder, x: Value, *, k: Diagonal = 0) -> Value:
    """The upper triangle of the matrices on the last two axes, from diagonal ``k`` on; 0 elsewhere."""
    return _triangle(g, x, k, 1)
