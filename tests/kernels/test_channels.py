"""Add, Sub and Mul with a vector that broadcasts to each row in memory: the same bits, whether or not it is tiled."""

from __future__ import annotations

from typing import Any

import graphs
import numpy as np
import pytest
from graphs import run
from layouts import both_layouts, lying, normal

from graphspec.graph.target import Target
from graphspec.kernels import channels
from graphspec.kernels import fast as choice
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters

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
