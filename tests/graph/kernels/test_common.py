"""Operators on strided views, such as every fourth element, return the same results as on contiguous copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target
from graphspec.graph.kernels.common import negate

STEPS = (1, 2, 3, 4, 5, 8, -1, -2, -4)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int32", "int64"])
def test_negate_with_any_steps(dtype: str) -> None:
    """``np.negative`` itself fails this with some versions of NumPy on some processors."""
    for step in STEPS:
        for to in STEPS:
            X = np.arange(1, 2 * 17 * abs(step) + 1).astype(dtype).reshape(2, -1)[:, ::step]
            wanted = -1 * X
            Y = np.zeros((2, 17 * abs(to)), dtype)[:, ::to]
            function, *operands = negate(X, Y)
            function(*operands)
            np.testing.assert_array_equal(Y, wanted)
            function, *operands = negate(X, X)
            function(*operands)
            np.testing.assert_array_equal(X, wanted)


def test_only_negate_calls_numpys_negative() -> None:
    package = Path(gs.__file__).parent
    files = [path for folder in ("ops", "kernels") for path in (package / "graph" / folder).glob("*.py")]
    assert [path.name for path in files if "np.negative" in path.read_text(encoding="utf-8")] == ["common.py"]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus", "gelu", "silu", "elu"])
@pytest.mark.parametrize("source", ["ConvLSTM1D", "Split"])
def test_gates_of_one_filter(source: str, activation: str) -> None:
    """Each gate of a single filter is every fourth element: float32 and float64 agree."""
    conv = {"type": "ConvLSTM1D", "filters": 1, "kernel_size": 1, "activation": activation, "inputs": "x"}
    crop = {"type": "Cropping1D", "cropping": [0, 3], "inputs": "wide"}
    layers: list[dict[str, Any]] = [{"name": "y", **conv}]
    if source == "Split":
        layers = [
            {"name": "wide", "type": "Permute", "dims": [2, 1], "inputs": "flat"},
            {"name": "one", **crop},
            {"name": "y", "type": "Activation", "activation": activation, "inputs": "one"},
        ]
        layers.insert(0, {"name": "flat", "type": "Reshape", "target_shape": [3, 4], "inputs": "x"})
    spec = {
        "graphspec": 1,
        "name": "gaps",
        "inputs": {"x": {"shape": [2, 3, 2]}},
        "layers": layers,
        "outputs": {"y": {}},
    }
    model = gs.compile(spec)
    x = np.random.default_rng(0).normal(size=(5, 2, 3, 2)).astype(np.float32)
    parameters = Parameters(model.graph, np.float64)
    parameters.set(model.weights)
    exact = build_program(model.graph, parameters, Target({"x": x.shape}))
    exact.feeds["x"][...] = x
    exact.run()
    np.testing.assert_allclose(model.predict(x), exact.fetches["y"], rtol=1e-4, atol=1e-5)
