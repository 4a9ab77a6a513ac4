"""Activations: all of Keras's, finite far from 0, usable in recurrent operators, and refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import Array, feed, run_poisoned, scalar_loss

import graphspec as gs
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels.recurrence import parse_activations
from graphspec.vocabulary.activations import ACTIVATIONS

KERAS = [
    *("linear", "relu", "sigmoid", "softmax", "tanh", "elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu"),
    *(
        "log_softmax",
        "mish",
        "relu6",
        "selu",
        "silu",
        "softplus",
        "softsign",
        "celu",
        "glu",
        "hard_shrink",
        "hard_silu",
    ),
    *("hard_tanh", "log_sigmoid", "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus"),
    *("tanh_shrink", "threshold"),
]
ARGUMENTS = {"threshold": {"threshold": 0.5, "default_value": 0.25}}
FAR = [3e38, 1e30, 1e19, 1e9, 1000, 88, 20, 1e-8, 1e-30]


def test_all_of_keras_are_there() -> None:
    assert sorted(KERAS) == sorted(ACTIVATIONS.primary())
    assert {"swish", "hard_swish"} <= set(ACTIVATIONS.names())


def both(name: str, x: Array, dtype: Any = np.float32, **more: Any) -> tuple[Array, Array]:
    """Return the value and its derivative."""
    graph = Graph("test")
    value = Value("x0", Type("float32", x.shape), "input")
    graph.inputs["x0"] = value
    activation = ACTIVATIONS.parse({"type": name, **ARGUMENTS.get(name, {}), **more})
    with Builder(graph, "node") as g:
        graph.outputs["y0"] = activation.lower(g, value)
    loss = scalar_loss(graph, {"y0": np.ones(graph.outputs["y0"].shape)})
    program = build_program(
        graph.with_outputs({**graph.outputs, "loss": loss}, loss),
        Parameters(graph, dtype),
        Target({"x0": x.shape}, input_grads=["x0"]),
    )
    feed(graph, program, {"x0": x})
    with np.errstate(all="ignore"):  # as in a step; the results are checked for finite values
        run_poisoned(program)
    return program.fetches["y0"].copy(), program.grads["x0"].copy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in KERAS if name != "exponential"])
def test_far_from_0_values_and_derivatives_are_finite(name: str, dtype: Any) -> None:
    x = np.array([[-v for v in FAR] + [0.0] + FAR[::-1] + [0.5]])
    x = np.clip(x, -1e38, 1e38) if name == "log_softmax" else x  # the difference must fit in float32
    y, slope = both(name, x, dtype)
    assert np.isfinite(y).all(), y
    assert np.isfinite(slope).all(), slope


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "hard_silu", "softplus", "squareplus", "sparse_plus"])
def test_relatives_of_relu_are_relu_far_from_0(name: str) -> None:
    y, slope = both(name, np.array([[-1e30, -1e4, 1e4, 1e30]]))
    np.testing.assert_allclose(y, [[0, 0, 1e4, 1e30]], rtol=1e-6, atol=1.1e-4)
    np.testing.assert_allclose(slope, [[0, 0, 1, 1]], atol=1e-6)


def test_squareplus_without_a_bend_is_relu() -> None:
    y, slope = both("squareplus", np.array([[-2.0, 0.0, 3.0]]), b=0)
    assert (y.tolist(), slope.tolist()) == ([[0, 0, 3]], [[0, 0, 1]])


def test_sparsemax_sums_to_1_where_softmax_does() -> None:
    x = np.random.default_rng(0).normal(0, 3, (50, 7))
    x[0], x[1] = 1e6, [1, 0.9, -1, -1, -1, -1, -1]
    y, slope = both("sparsemax", x)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(y[1], [0.55, 0.45, 0, 0, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(slope, 0, atol=1e-6)


@pytest.mark.parametrize("name", KERAS)
def test_in_cells_they_are_onnx_functions(name: str) -> None:
    """If ONNX's recurrent operators have the function, ``in_cell`` returns its name and parameters there."""
    known = ACTIVATIONS.parse({"type": name, **ARGUMENTS.get(name, {})}).in_cell()
    expected = {"linear", "relu", "sigmoid", "tanh", "elu", "hard_sigmoid", "leaky_relu", "softplus", "softsign"}
    assert (known is not None) == (name in expected | {"sparse_sigmoid"})
    if known is not None:
        function, numbers = known
        parse_activations([function], numbers[:1], numbers[1:])


def test_a_threshold_in_a_cell() -> None:
    for made in ({"type": "relu", "threshold": 0.5}, {"type": "threshold", "threshold": 0.5, "default_value": 0.0}):
        assert ACTIVATIONS.parse(made).in_cell() == ("ThresholdedRelu", (0.5,))
    assert ACTIVATIONS.parse({"type": "threshold", "threshold": 0.5, "default_value": 1.0}).in_cell() is None


def test_glu_halves_the_features_of_a_layer() -> None:
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [None, 3]}},
        "layers": [{"name": "y", "type": "Dense", "units": 8, "activation": "glu"}],
        "outputs": {"y": {}},
    }
    model = gs.compile(spec)
    assert model.graph.outputs["y"].shape == ("N", "x_1", 4)
    assert model.predict(np.ones((2, 5, 3), np.float32)).shape == (2, 5, 4)


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_over_several_axes_a_file_gives_the_same(name: str, opset: int, tmp_path: Path) -> None:
    made: dict[str, Any] = {
        "graphspec": 1,
        "name": "t",
        "inputs": {"x": {"shape": [4, None, 3]}},
        "layers": [{"name": "y", "type": "Activation", "activation": {"type": name, "axis": [1, -1]}}],
        "outputs": {"y": {}},
    }
    model = gs.compile(made)
    x = np.random.default_rng(0).normal(0, 30, (2, 4, 5, 3)).astype(np.float32)
    y = model.predict(x).astype(np.float64)
    np.testing.assert_allclose((np.exp(y) if name == "log_softmax" else y).sum((1, 3)), 1, rtol=1e-5)
    made["layers"][0]["activation"]["axis"] = [3, 1]
    np.testing.assert_array_equal(gs.compile(made).predict(x), y)
    model.export(tmp_path / "m.onnx", opset=opset)


@pytest.mark.parametrize(
    ("axis", "code", "said"),
    [
        ([1, -3], "GS301", "has an axis of (N, 4, 5, 3) twice"),
        ([1, 4], "GS301", "needs an axis from 1 to 3, got 4"),
        ([0, 1], "GS301", "got 0"),
        ([], "GS105", "at least 1"),
        ([1.5], "GS104", "an integer"),
    ],
)
@pytest.mark.parametrize("layer", ["Activation", "Softmax", "Dense", "LayerNormalization", "UnitNormalization"])
def test_axes_that_are_none(layer: str, axis: list[Any], code: str, said: str) -> None:
    node: dict[str, Any] = {"name": "y", "type": layer, "axis": axis}
    if layer in ("Activation", "Dense"):
        node = {"name": "y", "type": layer, "activation": {"type": "softmax", "axis": axis}}
        node |= {"units": 3} if layer == "Dense" else {}
    found = gs.validate(
        {"graphspec": 1, "name": "t", "inputs": {"x": {"shape": [4, 5, 3]}}, "layers": [node], "outputs": {"y": {}}}
    )
    assert [(d.code, said in d.message) for d in found if d.severity == "error"] == [(code, True)], found
