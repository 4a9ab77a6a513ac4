"""Dtypes of operations: Keras's promotion, with all integers as int64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.vocabulary.layers.base import cast_to

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def is_integer(X: Value) -> bool:
    """Return whether the elements are integers; bools are not."""
    return X.dtype not in ("float32", "bool")


def number(g: Builder, X: Value) -> Value:
    """Return X as float32 or int64: bools and smaller integers become int64."""
    return X if X.type.is_float else cast_to(g, X, "int64")


def promoted(g: Builder, *inputs: Value) -> list[Value]:
    """Return the inputs in their common dtype: float32 if one is, else int64 if one is an integer, else bool."""
    dtypes = {X.dtype for X in inputs}
    common = "float32" if "float32" in dtypes else "bool" if dtypes == {"bool"} else "int64"
    return [cast_to(g, X, common) for X in inputs]


def numbers(g: Builder, *inputs: Value) -> list[Value]:
    """Return the inputs in their common dtype, with bools as int64."""
    return promoted(g, *(number(g, X) for X in inputs))


def truth(g: Builder, X: Value) -> Value:
    """Return whether each element is not 0."""
    return X if X.dtype == "bool" else g.Not(g.Equal(X, g.constant(0, X.dtype)))
