"""Formulas of values: they emit into the builder of the innermost `with` statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sketching import sketch

from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value


@pytest.mark.parametrize(
    ("formula", "op", "names"),
    [
        (lambda x, y: -x, "Neg", "x"),
        (lambda x, y: abs(x), "Abs", "x"),
        (lambda x, y: x + y, "Add", "x y"),
        (lambda x, y: x - y, "Sub", "x y"),
        (lambda x, y: x * y, "Mul", "x y"),
        (lambda x, y: x / y, "Div", "x y"),
        (lambda x, y: x**y, "Pow", "x y"),
        (lambda x, y: x < y, "Less", "x y"),
        (lambda x, y: x <= y, "LessOrEqual", "x y"),
        (lambda x, y: x > y, "Greater", "x y"),
        (lambda x, y: x >= y, "GreaterOrEqual", "x y"),
        (lambda x, y: 1 + x, "Add", "const x"),
        (lambda x, y: 1 - x, "Sub", "const x"),
        (lambda x, y: 2 * x, "Mul", "const x"),
        (lambda x, y: 1 / x, "Div", "const x"),
        (lambda x, y: np.ones(3) * x, "Mul", "const x"),
        (lambda x, y: x - np.float32(1), "Sub", "x const"),
    ],
)
def test_operators(formula: Callable[..., Value], op: str, names: str) -> None:
    g, x, y = sketch({"x": ("N", 3), "y": ("N", 3)})
    with g:
        value = formula(x, y)
    (node,) = g.graph.nodes
    assert node.op == op
    assert value is node.outputs[0]
    assert [v.name.removeprefix("sketch/") for v in node.inputs if v is not None] == names.split()


def test_matrices_and_logic() -> None:
    g = Builder(Graph("test"), "y")
    A, p, q = Value("A", Type("float32", (3, 3))), Value("p", Type("bool", (3,))), Value("q", Type("bool", (3,)))
    with g:
        outputs = [A @ A, p & q | ~p]
    assert [node.op for node in g.graph.nodes] == ["MatMul", "And", "Not", "Or"]
    assert [value.dtype for value in outputs] == ["float32", "bool"]


@pytest.mark.parametrize(
    ("dtype", "number", "expected"), [("float32", 1, "float32"), ("int64", 1, "int64"), ("float32", 0.5, "float32")]
)
def test_dtype_of_numbers(dtype: str, number: Any, expected: str) -> None:
    with Builder(Graph("test"), "y"):
        total = Value("x", Type(dtype, ("N",))) + number
    assert total.node is not None
    assert total.node.inputs[1] is not None
    assert total.node.inputs[1].dtype == expected


def test_a_float_is_not_cut_to_an_integer() -> None:
    from graphspec.base.errors import ShapeError

    with Builder(Graph("test"), "y"), pytest.raises(ShapeError):
        Value("x", Type("int64", ("N",))) * 0.5


def test_innermost_builder() -> None:
    graph = Graph("test")
    x = Value("x", Type("float32", ("N",)))
    with Builder(graph, "outer"):
        with Builder(graph, "inner"):
            _ = x + x
        _ = x * x
    assert [node.name for node in graph.nodes] == ["inner/Add", "outer/Mul"]
    with pytest.raises(TypeError, match=r"inside `with g:`, or use g\.Add"):
        _ = x + x
