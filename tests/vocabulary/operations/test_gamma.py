"""`ops.lgamma` and `ops.digamma`: values and gradients are those of the standard library, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graphspec as gs

POINTS = [1e-3, 0.1, 0.3, 0.5, 0.9, 1.0, 1.5, 2.0, 3.7, 10.0, 123.4, 1e4, -0.5, -1.5, -2.25, -7.75]


def digamma(x: float) -> float:
    """By the recurrence up to 30, then the asymptotic series."""
    if x < 0:
        return digamma(1 - x) - math.pi / math.tan(math.pi * x)
    total = 0.0
    while x < 30:
        total, x = total - 1 / x, x + 1
    return total + math.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4) - 1 / (252 * x**6)


def model(formula: str) -> Any:
    layers = [
        {
            "name": "w",
            "type": "Parameter",
            "shape": [len(POINTS)],
            "initializer": {"type": "Constant", "value": POINTS},
        },
        {"name": "y", "type": "Formula", "value": formula},
        {"name": "cost", "type": "Formula", "value": f"x * {formula}"},
    ]
    return gs.compile({
        "graphspec": 1, "name": "s", "inputs": {"x": {"shape": [len(POINTS)]}}, "layers": layers,
        "outputs": {"z": {"layer": "cost"}, "loss": {"layer": "cost", "loss": "value"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}},
    })  # fmt: skip


@pytest.mark.parametrize(("name", "reference"), [("ops.lgamma", math.lgamma), ("ops.digamma", digamma)])
def test_values_are_those_of_float64(name: str, reference: Any) -> None:
    found = model(f"{name}(w)").predict({"x": np.ones((1, len(POINTS)), np.float32)})[0]
    expected = [reference(float(np.float32(x))) for x in POINTS]
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=3e-6)


def test_the_gradient_of_one_is_the_other() -> None:
    fitted = model("lgamma(w)")
    before = fitted.weights["w/value"].copy()
    scale = np.where(np.abs(POINTS) < 0.01, 1e-6, 1e-3).astype(np.float32)  # small steps keep their digits near 0
    fitted.fit({"x": np.tile(scale, (4, 1))}, verbose=0, epochs=1, batch_size=4)
    gradient = (before - fitted.weights["w/value"]).astype(np.float64) * len(POINTS) / scale
    expected = np.array([digamma(float(np.float32(x))) for x in POINTS])
    near = np.abs(np.array(POINTS)) < 1000  # a step of larger numbers has few digits
    np.testing.assert_allclose(gradient[near], expected[near], rtol=2e-2, atol=2e-2)


def test_the_file_is_equal(tmp_path: Any) -> None:
    assert "equal to the runtime" in str(model("lgamma(w) + digamma(w)").export(tmp_path / "m.onnx"))
