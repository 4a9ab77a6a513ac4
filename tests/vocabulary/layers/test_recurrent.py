"""Dropout inside recurrent layers: in training alone, the same at every step, gone from the exported graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case
from golden_run import compiled, cotangent_loss, run, store_of

from graphspec.base.arrays.random import Clock
from graphspec.engine.runtime.bind import build_program
from graphspec.export.onnx import to_model
from graphspec.graph.builder import Target
from graphspec.graph.kernels.context import LocalGroup, Shard

STEPS = 6
LAYERS: dict[str, dict[str, Any]] = {
    "LSTM": {"type": "LSTM", "units": 4},
    "GRU": {"type": "GRU", "units": 4},
    "GRU before": {"type": "GRU", "units": 4, "reset_after": False},
    "SimpleRNN": {"type": "SimpleRNN", "units": 4},
    "written out": {"type": "LSTM", "units": 4, "activation": "gelu"},
    "written out GRU": {"type": "GRU", "units": 4, "activation": "gelu", "reset_after": False},
    "cells": {"type": "RNN", "cell": [{"type": "GRUCell", "units": 3}, {"type": "SimpleRNNCell", "units": 4}]},
    "ConvLSTM1D": {"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2},
    "ConvLSTM2D": {"type": "ConvLSTM2D", "filters": 1, "kernel_size": 2, "data_format": "channels_first"},
}
SHAPES: dict[str, list[int]] = {"ConvLSTM1D": [STEPS, 4, 2], "ConvLSTM2D": [STEPS, 2, 3, 3]}


def case(name: str, **rates: float) -> Case:
    layer = LAYERS[name]
    if layer["type"] == "RNN":
        layer = {**layer, "cell": [{**cell, **rates} for cell in layer["cell"]]}
    else:
        layer = {**layer, **rates}
    inputs = {"x": {"shape": SHAPES.get(name, [STEPS, 3])}}
    spec = {"graphspec": 1, "name": "n", "inputs": inputs, "layers": [{"name": "y", **layer}], "outputs": {"y": {}}}
    return Case(name, {"spec": spec})


def weights(graph: Any) -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {name: 0.6 * random.normal(size=param.shape) for name, param in graph.params.items()}


def outputs(made: Case, x: Any, *, training: bool = True) -> Any:
    _, graph = compiled(made)
    return run(graph, store_of(graph, weights(graph)), {"x": x}, graph.outputs, training=training)[0]["y"]


def data(name: str, rows: int = 3) -> Any:
    return np.random.default_rng(2).normal(size=(rows, *SHAPES.get(name, [STEPS, 3])))


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_a_rate_of_0_and_inference_are_the_layer_without_dropout(name: str) -> None:
    plain, x = outputs(case(name), data(name)), data(name)
    np.testing.assert_array_equal(outputs(case(name, dropout=0.0, recurrent_dropout=0.0), x), plain)
    some = case(name, dropout=0.4, recurrent_dropout=0.3)
    np.testing.assert_allclose(outputs(some, x, training=False), plain, rtol=1e-6, atol=1e-7)
    assert np.abs(outputs(some, x) - plain).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("rates", [{"recurrent_dropout": 0.5}, {"dropout": 0.3, "recurrent_dropout": 0.5}])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_with_the_masks_of_a_step(name: str, rates: dict[str, float]) -> None:
    """Finite differences: the masks of a step are the same in every program."""
    _, graph = compiled(case(name, **rates))
    given, x = weights(graph), data(name)
    cotangent = np.random.default_rng(3).normal(size=(3, *[int(d) for d in graph.outputs["y"].shape[1:]]))
    loss = cotangent_loss(graph)
    arrays = {"x": x, "y/cotangent": cotangent}

    def value(at: dict[str, Any], inputs: dict[str, Any]) -> float:
        return float(run(graph, store_of(graph, at), inputs, {"loss": loss}, training=True)[0]["loss"])

    _, gradients, of_input = run(graph, store_of(graph, given), arrays, {}, loss=loss, training=True, input_grads=["x"])
    random, step = np.random.default_rng(4), 1e-6
    for key, gradient in {**gradients, "x": of_input["x"]}.items():
        move = random.normal(size=gradient.shape)

        def at(sign: int, key: str = key, move: Any = move) -> float:
            if key == "x":
                return value(given, {**arrays, "x": x + sign * step * move})
            return value({**given, key: given[key] + sign * step * move}, arrays)

        numeric, exact = (at(1) - at(-1)) / (2 * step), float((gradient * move).sum())
        assert abs(numeric - exact) < 1e-5 * max(1.0, abs(numeric)), key


def test_masks_have_their_rate_scale_and_last_for_all_steps() -> None:
    """A linear layer of identities, so that outputs are sums of masked inputs: h₂ = m·x₁ + x₂, h₃ = m·h₂ + x₃, …"""
    layer = {"type": "SimpleRNN", "units": 50, "activation": None, "recurrent_dropout": 0.25, "return_sequences": True}
    spec = {
        "graphspec": 1,
        "name": "n",
        "inputs": {"x": {"shape": [None, 50]}},
        "layers": [{"name": "y", **layer}],
        "outputs": {"y": {}},
    }
    _, graph = compiled(Case("identity", {"spec": spec}))
    given = {"y/kernel": np.eye(50), "y/recurrent_kernel": np.eye(50), "y/bias": np.zeros(50)}
    x = np.ones((200, 3, 50))
    y = run(graph, store_of(graph, given), {"x": x}, graph.outputs, training=True)[0]["y"]
    mask = y[:, 1] - 1
    np.testing.assert_allclose(np.unique(mask.round(6)), [0, 4 / 3], rtol=1e-6)
    np.testing.assert_allclose(y[:, 2], mask * (mask + 1) + 1, rtol=1e-6)
    assert abs((mask == 0).mean() - 0.25) < 0.02


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN", "cells"])
def test_the_exported_graph_has_the_plain_operators(name: str) -> None:
    _, graph = compiled(case(name, dropout=0.2, recurrent_dropout=0.2))
    model = to_model(graph, store_of(graph, weights(graph), np.float32), labels={}, metadata={})
    assert {node.op_type for node in model.graph.node} <= {"LSTM", "GRU", "RNN", "Transpose", "Squeeze", "Unsqueeze"}


@pytest.mark.parametrize("name", ["written out", "written out GRU", "ConvLSTM2D"])
def test_the_exported_graph_has_no_masks_of_ones(name: str) -> None:
    _, graph = compiled(case(name, dropout=0.2, recurrent_dropout=0.2))
    model = to_model(graph, store_of(graph, weights(graph), np.float32), labels={}, metadata={})
    zeros = 0 if name == "ConvLSTM2D" else 1  # to start from; a ConvLSTM's first step does not convolve them
    assert [node.op_type for node in model.graph.node].count("Expand") == zeros


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_workers_draw_the_masks_of_their_rows(name: str) -> None:
    _, graph = compiled(case(name, dropout=0.2, recurrent_dropout=0.3))
    x, parts = data(name, 5), []
    for rows in (slice(0, 2), slice(2, 5), slice(5, 5)):
        parameters = store_of(graph, weights(graph))
        found = run(graph, parameters, {"x": x[rows]}, graph.outputs, training=True, shard=Shard(LocalGroup(), rows, 5))
        parts.append(found[0]["y"])
    whole = run(graph, store_of(graph, weights(graph)), {"x": x}, graph.outputs, training=True)[0]["y"]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-9, atol=1e-12)


def test_masks_differ_by_step() -> None:
    _, graph = compiled(case("LSTM", recurrent_dropout=0.5))
    x = data("LSTM")
    clock, parameters = Clock(), store_of(graph, weights(graph))
    program = build_program(graph, parameters, Target({"x": x.shape}), training=True, clock=clock)
    program.feeds["x"][...] = x
    seen = []
    for step in (0, 1, 0):
        clock.step = step
        program.run()
        seen.append(program.fetches["y"].copy())
    assert not np.array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
