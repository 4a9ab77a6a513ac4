"""Small Gemm: the bias becomes the last row of the matrix, and one product computes both gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.compiler.fetches import TOTAL
from graphspec.engine.runtime.program import Program
from graphspec.engine.training.observers import Silent
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.ops import linalg

Array = np.ndarray[Any, Any]
SHARED = [
    {"name": "one", "type": "Dense", "units": 5, "inputs": "x"},
    {"name": "two", "share": "one", "inputs": "z"},
    {"name": "both", "type": "Add", "inputs": ["one", "two"]},
    {"name": "y", "type": "Dense", "units": 2},
]
LAYERS: dict[str, list[dict[str, Any]]] = {
    "chain": [
        {"name": "a", "type": "Dense", "units": 16, "activation": "relu", "inputs": "x"},
        {"name": "b", "type": "Dense", "units": 8, "activation": "tanh"},
        {"name": "y", "type": "Dense", "units": 2},
    ],
    "shared": SHARED,
    "frozen": [
        {"name": "a", "type": "Dense", "units": 16, "trainable": False, "inputs": "x"},
        {"name": "y", "type": "Dense", "units": 2, "kernel_regularizer": "l2"},
    ],
}


def computed(layers: list[dict[str, Any]]) -> tuple[Program, Array, float]:
    spec = {
        "graphspec": 1,
        "name": "small",
        "inputs": {"x": {"shape": [8]}} | ({"z": {"shape": [8]}} if layers is SHARED else {}),
        "layers": layers,
        "outputs": {"y": {"loss": "mse"}},
        "training": {"seed": 3, "batch_size": 4},
    }
    model = gs.compile(spec)
    rng = np.random.default_rng(1)
    model.set_weights({n: rng.standard_normal(w.shape) for n, w in model.weights.items()})
    x = {name: rng.standard_normal((4, 8)) for name in model.graph.inputs}
    trainer = prepare_fit(model, FitData(x, rng.standard_normal((4, 2))), observer=Silent())
    trainer.loader.start(0)
    _, program = trainer.steps.compute(0, 0)
    return program, trainer.optimizer_state.gradient.copy(), float(program.fetches[TOTAL])


@pytest.mark.parametrize("name", LAYERS)
def test_bias_as_a_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", True)
    program, gradient, loss = computed(LAYERS[name])
    monkeypatch.setattr(choice, "FAST", False)
    plain, expected, expected_loss = computed(LAYERS[name])
    np.testing.assert_allclose(gradient, expected, rtol=2e-5, atol=1e-6)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert np.abs(expected).max() > 0.1
    assert name != "chain" or len(program.calls) == len(plain.calls) - 3


def test_only_where_the_bias_lies_behind_the_matrix() -> None:
    memory = np.arange(20.0)
    B, C = memory[:12].reshape(3, 4), memory[12:16]
    rows = linalg.with_last_row(B, C)
    assert rows is not None
    np.testing.assert_array_equal(rows, memory[:16].reshape(4, 4))
    assert linalg.with_last_row(B, memory[16:]) is None
    assert linalg.with_last_row(B, C.copy()) is None
    assert linalg.with_last_row(B.T, C[:3]) is None
    assert linalg.with_last_row(memory[:16].reshape(4, 4), np.arange(4.0)) is None
