"""StopGradient: the same values, no gradient to what it depends on, and nothing in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

import graphspec as gs

X = np.random.default_rng(0).uniform(-1, 1, (20, 4)).astype(np.float32)


def network(stop: bool) -> dict[str, Any]:
    between = [{"name": "stop", "type": "StopGradient"}] if stop else []
    return {
        "graphspec": 1,
        "name": "stopped",
        "inputs": {"x": {"shape": [4]}},
        "layers": [{"name": "a", "type": "Dense", "units": 3}, *between, {"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
    }


def test_what_is_before_it_is_not_trained(tmp_path: Path) -> None:
    stopped, plain = gs.compile(network(True)), gs.compile(network(False))
    np.testing.assert_array_equal(stopped.predict(X), plain.predict(X))
    before = stopped.weights
    for model in (stopped, plain):
        model.fit(X, X[:, :1], epochs=2, verbose=0)
    assert (stopped.weights["a/kernel"] == before["a/kernel"]).all()
    assert (stopped.weights["y/kernel"] != before["y/kernel"]).all()
    assert (plain.weights["a/kernel"] != before["a/kernel"]).all()
    stopped.export(tmp_path / "y.onnx")
    assert [node.op_type for node in onnx.load(tmp_path / "y.onnx").graph.node] == ["Gemm", "Gemm"]
