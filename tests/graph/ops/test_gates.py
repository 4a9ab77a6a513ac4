"""The gates of an LSTM that is written out, as one operator: against single operators, formulas and its kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, numbers, run
from graphs import Array, check_gradients, check_refusal
from graphs import run as run_operator
from layouts import both_layouts, normal

import graphspec as gs
from graphspec.engine.runtime import bind as building
from graphspec.graph.ir.graph import Graph
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.one_call import give_tanh
from graphspec.graph.ops.recurrent import lstm_gates, lstm_gates_gradient
from graphspec.graph.passes import FOR_PROGRAM
from graphspec.graph.passes.for_export import legalize
from graphspec.graph.target import Target

LAYERS: dict[str, dict[str, Any]] = {
    "ConvLSTM2D": {"type": "ConvLSTM2D", "filters": 3, "kernel_size": 3, "return_sequences": True},
    "channels first": {"type": "ConvLSTM2D", "filters": 2, "kernel_size": 2, "data_format": "channels_first"},
    "dropped states": {"type": "ConvLSTM1D", "filters": 3, "kernel_size": 2, "recurrent_dropout": 0.25, "seed": 1},
}
SHAPES = {"ConvLSTM2D": [4, 5, 6, 2], "channels first": [3, 2, 5, 6], "dropped states": [3, 7, 2]}


def network(name: str, **options: Any) -> gs.Model:
    spec = {
        "graphspec": 1,
        "name": "n",
        "inputs": {"x": {"shape": SHAPES[name]}},
        "layers": [
            {"name": "cell", **LAYERS[name], **options},
            {"type": "Flatten"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
    }
    return gs.compile(spec)


@pytest.mark.parametrize("name", LAYERS)
def test_a_step_is_that_of_single_operators(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(1, 4, *SHAPES[name]), normal(2, 4, 1)

    def trained() -> dict[str, Array]:
        model = network(name)
        model.fit({"x": x}, {"y": y}, epochs=3, batch_size=2, verbose=False)
        return dict(model.weights)

    found = trained()

    def decomposed(graph: Graph, target: Target) -> Graph:
        return legalize(graph, Target(opset=26))

    monkeypatch.setattr(building, "FOR_PROGRAM", (decomposed, *FOR_PROGRAM))
    expected = trained()
    assert found.keys() == expected.keys()
    for weight, value in expected.items():
        np.testing.assert_allclose(found[weight], value, rtol=2e-5, atol=2e-6, err_msg=weight)


def counted(graph: Graph) -> dict[str, int]:
    return {op: sum(node.op == op for node in graph.nodes) for op in ("LSTMGates", "Sigmoid", "HardSigmoid", "Tanh")}


@pytest.mark.parametrize("name", LAYERS)
def test_every_step_is_one_operator(name: str) -> None:
    steps, graph = SHAPES[name][0], network(name).graph
    assert counted(graph) == {"LSTMGates": steps, "Sigmoid": 0, "HardSigmoid": 0, "Tanh": 0}
    in_file = counted(legalize(graph, Target(opset=17)))
    assert in_file == {"LSTMGates": 0, "Sigmoid": 3 * steps - 1, "HardSigmoid": 0, "Tanh": 2 * steps}


def test_only_the_usual_gates_are_one_operator() -> None:
    found = counted(network("ConvLSTM2D", recurrent_activation="hard_sigmoid").graph)
    assert (found["LSTMGates"], found["HardSigmoid"]) == (0, 12)
    assert counted(network("ConvLSTM2D", activation="relu").graph)["LSTMGates"] == 0


def test_the_formula() -> None:
    z, state = normal(3, 4, 8).astype(np.float64), normal(4, 4, 2).astype(np.float64)
    h, c = run_operator("LSTMGates", [z, None, state], frozenset(), np.float64, axis=1)
    i, f, new, o = np.split(z, 4, 1)
    expected = np.tanh(new) / (1 + np.exp(-i)) + state / (1 + np.exp(-f))
    np.testing.assert_allclose(c, expected, rtol=1e-12)
    np.testing.assert_allclose(h, np.tanh(expected) / (1 + np.exp(-o)), rtol=1e-12)


def test_wrong_shapes_are_refused() -> None:
    check_refusal("LSTMGates", [(2, 7)], {}, "GS304", "needs four gates of one size, got 7 channels")
    check_refusal("LSTMGates", [(2, 8), (2, 4)], {}, "GS302", "needs terms of one shape")


def test_no_layout_changes_the_values() -> None:
    both_layouts("LSTMGates", [normal(0, 3, 8, 4, 5), normal(1, 3, 8, 4, 5), normal(2, 3, 2, 4, 5)], [0, 1, 2])
    both_layouts("LSTMGates", [normal(0, 3, 8, 4), None, normal(2, 3, 2, 4)], [0, 2])


@pytest.mark.parametrize("outputs", [[0], [1], [0, 1]])
def test_a_gradient_may_come_from_one_output(outputs: list[int]) -> None:
    check_gradients("LSTMGates", [normal(0, 3, 8), None, normal(2, 3, 2)], [0, 2], outputs=outputs)
    check_gradients("LSTMGates", [normal(0, 3, 8), normal(1, 3, 8)], [1], outputs=outputs)


SIZES = [(1, 1), (7, 3), (40, 33), (2, 1500), (0, 4), (3, 1024)]
"""Rows and numbers in a row: less than a tile of the kernels and more."""
GIVEN = [(), ("y",), ("before",), ("y", "before")]


def arrays(random: np.random.Generator, dtype: Any, *shapes: tuple[int, ...]) -> list[Array]:
    return [numbers(random, shape, dtype) for shape in shapes]


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize(("rows", "n"), SIZES)
def test_the_kernels_give_numpy_s_bits(
    rows: int, n: int, given: tuple[str, ...], dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    give_tanh()
    whole, state = (rows, 4, n), (rows, n)
    x, y, before, dh, dc = arrays(np.random.default_rng(5), dtype, whole, whole, state, state, state)
    terms = y if "y" in given else None, before if "before" in given else None

    def forward(twin: Any) -> list[Array]:
        results = [np.zeros(shape, dtype) for shape in ((4, rows, n), state, state, state)]
        calls = twin(x, *terms, np.array(0.5, dtype), *results)
        assert (len(calls) == 1) == (twin is lstm_gates)
        run(calls)
        return results

    expected = forward(lstm_gates.numpy)
    for a, b in zip(forward(lstm_gates), expected, strict=True):
        assert_same_bits(a, b)
    gates, _, u, _ = expected

    def backward(twin: Any, *given_gradients: Array | None) -> list[Array]:
        results = [np.zeros(shape, dtype) for shape in (whole, whole, state)]
        copy, scratch = results[1] if "y" in given else None, np.zeros((2, *state), dtype)
        calls = twin(gates, u, terms[1], *given_gradients, results[0], copy, results[2], scratch=scratch)
        assert (len(calls) == 1) == (twin is lstm_gates_gradient)
        run(calls)
        return results

    for pair in ((dh, dc), (dh, None), (None, dc)):
        for a, b in zip(backward(lstm_gates_gradient, *pair), backward(lstm_gates_gradient.numpy, *pair), strict=True):
            assert_same_bits(a, b)


@needs_kernels
def test_wrong_arrays_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    give_tanh()
    x, gates, c = np.ones((2, 4, 3)), np.ones((4, 2, 3)), np.ones((2, 3))
    half, dx = np.array(0.5), np.ones((2, 4, 3))
    with pytest.raises(ValueError, match="gates do not fit the state"):
        lstm_gates.bound([x, None, None, half, gates, c, np.ones((2, 2)), c.copy()])
    with pytest.raises(ValueError, match="states differ in size"):
        lstm_gates_gradient.bound([gates, c, np.ones(3), c, None, dx, None, None])
    with pytest.raises(ValueError, match="needs a gradient"):
        lstm_gates_gradient.bound([gates, c, None, None, None, dx, None, None])
