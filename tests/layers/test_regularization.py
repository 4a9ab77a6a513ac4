"""StochasticDepth and LayerScale, at the end of residual branches."""

from __future__ import annotations

from typing import Any

import numpy as np
from lowering import lower, source, weights

import graphspec as gs
from graphspec.graph.target import Target
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters


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
