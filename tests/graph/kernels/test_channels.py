"""Vectors that broadcast to each row in memory: the same bits, whether or not they are tiled. Sums of columns."""

from __future__ import annotations

from typing import Any

import graphs
import numpy as np
import pytest
from bits import FOUND, needs_kernels
from graphs import run
from layouts import both_layouts, lying, normal

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.kernels import channels, compiled
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels.channels import gradient_sums, square_sums

Array = np.ndarray[Any, Any]
FUNCTIONS = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}
SHAPES = [
    ((40, 7, 5, 3), (3,)),
    ((40, 7, 5, 3), (1, 1, 3)),
    ((40, 7, 5, 3), (5, 1)),
    ((40, 7, 1, 1), (7, 1, 1)),
    ((40, 1), (1,)),
    ((900, 5), (5,)),
    ((0, 5), (5,)),
    ((2, 600), (600,)),
    ((3,), (40, 3)),
    ((), ()),
]


@pytest.fixture(params=[True, False], ids=["fast", "plain"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", request.param)
    monkeypatch.setattr(channels, "_WIDTH", 16)
    monkeypatch.setattr(channels, "BLOCK_ELEMENTS", 64)


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize(("shape", "vector"), SHAPES)
def test_bits_are_those_of_numpy(op: str, shape: tuple[int, ...], vector: tuple[int, ...]) -> None:
    A, B = normal(0, *shape), normal(1, *vector)
    np.testing.assert_array_equal(run(op, [A, B])[0], FUNCTIONS[op](A, B))
    a, b = (np.round(9 * X).astype(np.int64) for X in (A, B))
    np.testing.assert_array_equal(run(op, [a, b])[0], FUNCTIONS[op](a, b))


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize(("shape", "vector"), SHAPES[:5])
def test_gradients_in_any_order_of_axes(op: str, shape: tuple[int, ...], vector: tuple[int, ...]) -> None:
    both_layouts(op, [normal(0, *shape), normal(1, *vector)], [0, 1])


@pytest.mark.usefixtures("calls_of_numpy")
@pytest.mark.parametrize("op", FUNCTIONS)
def test_a_vector_of_channels_is_spread(op: str) -> None:
    X, vector = normal(0, 20, 4, 6, 3), normal(1, 3, 1, 1)
    with lying((0, 3, 1, 2)):
        np.testing.assert_array_equal(run(op, [X, vector])[0], FUNCTIONS[op](X.transpose(0, 3, 1, 2), vector))
        graph, _ = graphs.build(op, [X, vector])
    program = build_program(graph, Parameters(graph), Target({"x0": X.shape, "x1": vector.shape}))
    widths = {call[2].shape for call in program.calls if call[0] is FUNCTIONS[op]}
    assert widths == ({(15,)} if choice.FAST else {(3, 1, 1)})


def in_order(*factors: Array) -> Array:
    """The sums of the columns of a matrix, or of a product of two, added row by row to 0."""
    total = np.zeros(factors[0].shape[1:], factors[0].dtype)
    for rows in zip(*factors, strict=True):
        total = total + np.prod(rows, axis=0)
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (2, 513), (3, 700), (64, 1024), (51, 1280), (5, 4096)])
def test_numpy_adds_columns_row_by_row(size: tuple[int, int], dtype: Any) -> None:
    """So the order is one that a kernel can have. Products may be rounded once, where NumPy is built so."""
    x, dy = np.random.default_rng(2).standard_normal((2, *size)).astype(dtype)
    sums, squares, gradients, products = np.full((4, size[1]), np.nan, dtype)
    for f, *operands in square_sums.numpy(x, sums, squares) + gradient_sums.numpy(
        x, dy, gradients, products, None, None
    ):
        f(*operands)
    np.testing.assert_array_equal(sums, in_order(x))
    np.testing.assert_array_equal(gradients, in_order(dy))
    for found, factors in ((squares, (x, x)), (products, (x, dy))):
        bound = size[0] * np.finfo(dtype).eps * in_order(*map(np.abs, factors))
        assert np.all(np.abs(found - in_order(*factors)) <= bound)


class Memory:
    """What sums ask of a node's context."""

    def save_for_backward(self, shape: Any) -> Array:
        return np.zeros(shape, np.float32)

    def constant(self, value: Any) -> Array:
        return np.array(value, np.float32)


class RoundsOnce:
    """A library whose products are not rounded before they are added."""

    Call = type(None)

    def operands(self) -> dict[str, tuple[str, ...]]:
        return {twin.name: twin.operands for twin in (square_sums, gradient_sums)}

    def bind(self, name: str, *operands: Any) -> Any:
        factors = [a.astype(np.longdouble) for a in ([operands[0]] * 2 if name == "square_sums" else operands[:2])]
        sums, products = operands[1:3] if name == "square_sums" else operands[2:4]

        def run() -> None:
            sums[...] = in_order(operands[0] if name == "square_sums" else operands[1])
            products[...] = in_order(*factors)

        return run


def test_kernels_that_round_in_another_way_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIBRARY", RoundsOnce())
    assert square_sums.compiled
    assert gradient_sums.compiled
    context: Any = Memory()
    parts = channels.Channels(context, (40, 16), (0, 1))
    x = np.ones((40, 16), np.float32)
    first, second = parts.sums(), parts.sums()
    calls = [call for (block,) in parts.blocks(x) for call in first.add_squares(second, block)]
    second.restart()
    calls += [call for a, dy in parts.blocks(x, x + 1) for call in second.add_products(a, dy, None)]
    assert {getattr(call[0], "func", call[0]) for call in calls} == {np.add.reduce, np.einsum}


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_round_as_numpy_does(dtype: Any) -> None:
    """Where they do not, the choice above leaves them out, and batch normalization is slower: tell us."""
    assert channels.same_roundings(FOUND, np.dtype(dtype))
