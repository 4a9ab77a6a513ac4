"""`interval` of a head of quantiles: from the lowest one to the highest one, moved by the errors of held-out rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import graphspec as gs

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(600, 2)).astype(np.float32)
Y = (X[:, :1] * [1.0, 2.0] + RANDOM.normal(size=(600, 2)) * (1 + np.abs(X[:, 1:]))).astype(np.float32)


def document(quantiles: list[float], **head: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "q",
        "inputs": {"x": {"shape": [2]}},
        "layers": [
            {"type": "Dense", "units": 2 * len(quantiles)},
            {"type": "Reshape", "target_shape": [2, len(quantiles)]},
            {"name": "y", "type": "QuantileSteps"},
        ],
        "outputs": {"y": {"loss": {"type": "quantile", "quantiles": quantiles}, "interval": 0.9} | head},
        "training": {"optimizer": "adam", "epochs": 5, "seed": 1},
    }


@pytest.mark.parametrize("head", [{}, {"scale": "standard"}])
@pytest.mark.parametrize("quantiles", [[0.1, 0.5, 0.9], [0.9, 0.5, 0.3], [0.5]])
def test_the_ends_move_by_the_quantile_of_the_errors_beyond_them(
    quantiles: list[float], head: Any, tmp_path: Path
) -> None:
    if quantiles[0] > quantiles[-1]:  # in any order
        head = head | {"layer": "plain"}
    spec = document(quantiles, **head)
    spec["layers"][1]["name"] = "plain"
    if "layer" in head:
        del spec["layers"][2]
    model = gs.compile(spec)
    held = (X[:200], Y[:200])
    model.fit(X[200:400], Y[200:400], validation_data=held, verbose=0)
    found = {name: a.astype(np.float64) for name, a in model.predict(X).items()}
    low, high = (found["y"][..., quantiles.index(of(quantiles))] for of in (min, max))
    errors = np.maximum(np.maximum(low[:200] - Y[:200], Y[:200] - high[:200]), 0)
    width = np.sort(errors, axis=0)[math.ceil(201 * 0.9) - 1]
    if len(np.unique(model.weights[next(n for n in model.weights if n.endswith("widths"))][:, 0])) == 1:  # one level
        np.testing.assert_allclose(found["y_low"], low - width, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["y_high"], high + width, rtol=1e-4, atol=1e-4)
    new = Y[400:]
    share = np.mean((found["y_low"][400:] <= new) & (new <= found["y_high"][400:]))
    assert 0.84 < share < 0.96
    model.export(tmp_path / "q.onnx")
    names = ["y", "y_low", "y_high"]
    for name, array in zip(names, onnxruntime.InferenceSession(tmp_path / "q.onnx").run(names, {"x": X}), strict=True):
        np.testing.assert_allclose(array, found[name], rtol=1e-4, atol=1e-4)


def test_quantiles_that_are_wide_enough_are_the_interval() -> None:
    spec = document([0.001, 0.5, 0.999], interval=0.5)
    spec["training"] |= {"optimizer": {"type": "Adam", "learning_rate": 0.1}, "epochs": 30}
    model = gs.compile(spec)
    model.fit(X[:300], Y[:300], validation_data=(X[300:], Y[300:]), verbose=0)
    found = model.predict(X)
    share = np.mean((found["y"][300:, :, 0] <= Y[300:]) & (Y[300:] <= found["y"][300:, :, 2]))
    assert share > 0.5
    np.testing.assert_array_equal(found["y_low"], found["y"][..., 0])
