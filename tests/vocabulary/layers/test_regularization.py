"""Random values: what they are in training and otherwise, and in files; StopGradient, StochasticDepth, LayerScale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from lowering import lower, source, weights

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).uniform(-1, 1, (400, 6)).astype(np.float32)


def network(*layers: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    nodes = [*layers, {"name": "y", "type": "Dense", "units": 2}]
    last = layers[-1]["name"]
    return {
        "graphspec": 1,
        "name": "random",
        "inputs": inputs or {"x": {"shape": [6]}},
        "layers": nodes,
        "outputs": {"y": {"loss": "mse"}, "values": {"layer": last}},
        **more,
    }


def values(model: Any, feeds: dict[str, Array], *, training: bool) -> Array:
    """The values of the layer under test."""
    shapes = {name: array.shape for name, array in feeds.items()}
    program = build_program(model.graph, model.parameters, Target(shapes), training=training, seed=3)
    for name, array in feeds.items():
        program.feeds[name][...] = array
    program.run()
    return program.fetches["values"].copy()


MOMENTS = [
    ({"type": "RandomNormal", "mean": 2.0, "stddev": 0.5}, 2.0, 2.0, 0.25),
    ({"type": "RandomUniform", "minval": -1.0, "maxval": 3.0}, 1.0, 1.0, 4 / 3),
]


@pytest.mark.parametrize(("layer", "otherwise", "mean", "variance"), MOMENTS)
def test_values_in_the_shape_of_the_input(
    layer: dict[str, Any], otherwise: float, mean: float, variance: float
) -> None:
    model = gs.compile(network({"name": "r", **layer}))
    assert (values(model, {"x": X}, training=False) == otherwise).all()
    found = values(model, {"x": X}, training=True)
    assert found.shape == X.shape
    assert abs(found.mean() - mean) < 0.06
    assert abs(found.var() - variance) < 0.06
    np.testing.assert_array_equal(values(model, {"x": X * 0}, training=True), found)


def test_sampling_is_the_mean_or_a_sample() -> None:
    half = [
        {"name": f"h{k}", "type": "Dense", "units": 6, "kernel_initializer": "zeros", "inputs": "x"} for k in (0, 1)
    ]
    half[0]["bias_initializer"] = {"type": "Constant", "value": 3.0}
    half[1]["bias_initializer"] = {"type": "Constant", "value": float(np.log(4))}
    model = gs.compile(network(*half, {"name": "z", "type": "Sampling", "inputs": ["h0", "h1"]}))
    assert (values(model, {"x": X}, training=False) == 3).all()
    found = values(model, {"x": X}, training=True)
    assert abs(found.mean() - 3) < 0.1
    assert abs(found.std() - 2) < 0.1


def test_sampling_with_the_callers_noise(tmp_path: Path) -> None:
    inputs = {"x": {"shape": [6]}, "noise": {"shape": [3]}}
    layers = [{"name": n, "type": "Dense", "units": 3, "inputs": "x"} for n in ("mean", "log_variance")]
    model = gs.compile(
        network(*layers, {"name": "z", "type": "Sampling", "inputs": ["mean", "log_variance", "noise"]}, inputs=inputs)
    )
    noise = np.random.default_rng(1).standard_normal((len(X), 3)).astype(np.float32)
    w = model.weights
    mean, log_variance = (X @ w[f"{n}/kernel"] + w[f"{n}/bias"] for n in ("mean", "log_variance"))
    expected = mean + np.exp(log_variance / 2) * noise
    found = model.predict({"x": X, "noise": noise})["values"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(values(model, {"x": X, "noise": noise}, training=True), found)
    assert "batch sizes" in str(model.export(tmp_path / "z.onnx"))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(hard: bool, tmp_path: Path) -> None:
    logits = np.tile(np.log(np.array([0.1, 0.2, 0.7], np.float32)), (3000, 1))
    layer = {"name": "choice", "type": "GumbelSoftmax", "temperature": 0.2, "hard": hard}
    model = gs.compile(network(layer, inputs={"x": {"shape": [3]}}))
    powers = np.array([0.1, 0.2, 0.7]) ** 5
    expected = np.array([0, 0, 1]) if hard else powers / powers.sum()
    np.testing.assert_allclose(values(model, {"x": logits}, training=False)[0], expected, atol=1e-6)
    found = values(model, {"x": logits}, training=True)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (set(np.unique(found)) == {0.0, 1.0}) == hard
    chosen = np.bincount(found.argmax(1), minlength=3) / len(found)
    np.testing.assert_allclose(
        chosen, [0.1, 0.2, 0.7], atol=0.03
    )  # the Gumbel-max trick draws with these probabilities
    model.export(tmp_path / "choice.onnx")
    ops = {node.op_type for node in onnx.load(tmp_path / "choice.onnx").graph.node}
    assert not any("Random" in op or "Noise" in op for op in ops)


def test_training_is_repeated_and_resumed_exactly() -> None:
    layers = [{"name": n, "type": "Dense", "units": 3, "inputs": "x"} for n in ("a", "b")]
    layers += [
        {"name": "z", "type": "Sampling", "inputs": ["a", "b"]},
        {"name": "g", "type": "GumbelSoftmax", "hard": True},
    ]
    spec = network(*layers, training={"optimizer": "adam", "batch_size": 100})
    y = X[:, :2]
    whole, again, parts = (gs.compile(spec) for _ in range(3))
    whole.fit(X, y, epochs=3, verbose=0)
    again.fit(X, y, epochs=3, verbose=0)
    for _ in range(3):
        parts.fit(X, y, epochs=1, verbose=0)
    for name, weight in whole.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)
        np.testing.assert_array_equal(parts.weights[name], weight)
    assert np.abs(whole.weights["a/kernel"] - gs.compile(spec).weights["a/kernel"]).max() > 0.01
    assert np.abs(whole.weights["b/kernel"] - gs.compile(spec).weights["b/kernel"]).max() > 0.001


@pytest.mark.parametrize(
    ("layer", "code", "says"),
    [
        ({"type": "Sampling"}, "GS203", "takes 2 to 3 inputs, got 1"),
        ({"type": "Sampling", "inputs": ["x", "wide"]}, "GS302", "needs inputs of one shape, got (N, 6) and (N, 7)"),
        ({"type": "RandomUniform", "minval": 2.0}, "GS105", "has a maxval of 1 below its minval of 2"),
        ({"type": "GumbelSoftmax", "temperature": 0.0}, "GS105", "temperature"),
        ({"type": "GumbelSoftmax", "axis": 0}, "GS301", "has no axis 0"),
    ],
)
def test_bad_arguments(layer: dict[str, Any], code: str, says: str) -> None:
    wide = {"name": "wide", "type": "Dense", "units": 7, "inputs": "x"}
    with pytest.raises(SpecError) as error:
        gs.compile(network(wide, {"name": "r", "inputs": "x", **layer}))
    errors = [d for d in error.value.diagnostics if d.is_error]
    assert [d.code for d in errors] == [code], errors
    assert says in str(errors[0])


def stopped_network(stop: bool) -> dict[str, Any]:
    between = [{"name": "stop", "type": "StopGradient"}] if stop else []
    return {
        "graphspec": 1,
        "name": "stopped",
        "inputs": {"x": {"shape": [4]}},
        "layers": [{"name": "a", "type": "Dense", "units": 3}, *between, {"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
    }


def test_what_is_before_it_is_not_trained(tmp_path: Path) -> None:
    stopped, plain = gs.compile(stopped_network(True)), gs.compile(stopped_network(False))
    np.testing.assert_array_equal(stopped.predict(X[:20, :4]), plain.predict(X[:20, :4]))
    before = stopped.weights
    for model in (stopped, plain):
        model.fit(X[:20, :4], X[:20, :1], epochs=2, verbose=0)
    assert (stopped.weights["a/kernel"] == before["a/kernel"]).all()
    assert (stopped.weights["y/kernel"] != before["y/kernel"]).all()
    assert (plain.weights["a/kernel"] != before["a/kernel"]).all()
    stopped.export(tmp_path / "y.onnx")
    assert [node.op_type for node in onnx.load(tmp_path / "y.onnx").graph.node] == ["Gemm", "Gemm"]


def test_some_samples_are_left_out() -> None:
    """In training a sample is 0 or scaled as a whole; the share is about the rate. Otherwise nothing changes."""
    graph, (Y,) = lower({"type": "StochasticDepth", "rate": 0.25}, ("N", 3, 2))
    x = np.random.default_rng(0).standard_normal((4000, 3, 2)).astype(np.float32)
    graph.inputs["x0"] = source("x0", ("N", 3, 2))

    def run(training: bool) -> Any:
        program = build_program(
            graph.with_outputs({"y": Y}), Parameters(graph), Target({"x0": x.shape}), training=training
        )
        program.feeds["x0"][...] = x
        program.run()
        return program.fetches["y"].copy()

    trained = run(training=True)
    kept = trained[:, 0, 0] != 0
    assert 0.72 < kept.mean() < 0.78
    np.testing.assert_allclose(trained[kept], x[kept] / 0.75, rtol=1e-6)
    assert not trained[~kept].any()
    np.testing.assert_array_equal(run(training=False), x)
    assert type(gs.layers.DropPath(rate=0.1)) is type(gs.layers.StochasticDepth())


def test_factors_of_features() -> None:
    graph, (Y,) = lower({"type": "LayerScale", "init_values": 0.1}, ("N", 5, 3))
    assert (Y.shape, weights(graph)) == (("N", 5, 3), {"gamma": (3,)})
    start = graph.params["y/gamma"].initializer((3,), np.random.default_rng(0))
    np.testing.assert_allclose(start, 0.1, rtol=1e-6)
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "s",
            "inputs": {"x": {"shape": [2, 3]}},
            "layers": [{"name": "y", "type": "LayerScale"}],
            "outputs": {"y": {}},
        }
    )
    model.set_weights({"y/gamma": np.array([1.0, 2, 3])})
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(model.run({"x": x})["y"], x * [1, 2, 3], rtol=1e-6)
