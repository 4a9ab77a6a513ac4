"""Quantiles that do not cross: values and gradients by hand, in both runtimes, in order whatever comes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from adapting import graph_of, in_both
from golden_run import run

from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder

R = np.random.default_rng(0)


def expected(x: Any) -> Any:
    """The quantiles, one after the other."""
    middle = (x.shape[-1] - 1) // 2
    found = x.astype(np.float64).copy()
    for k in range(middle + 1, x.shape[-1]):
        found[..., k] = found[..., k - 1] + np.logaddexp(0, x[..., k])
    for k in range(middle - 1, -1, -1):
        found[..., k] = found[..., k + 1] - np.logaddexp(0, x[..., k])
    return found


@pytest.mark.parametrize("shape", [(5, 1), (5, 2), (5, 3), (4, 6, 9)])
def test_values(shape: tuple[int, ...]) -> None:
    x = R.normal(0, 3, shape).astype(np.float32)
    np.testing.assert_allclose(in_both("QuantileSteps", x)[0], expected(x), rtol=1e-5, atol=1e-5)


def test_they_never_cross() -> None:
    x = (R.normal(0, 1, (300, 7)) * 10.0 ** R.integers(-6, 9, (300, 7))).astype(np.float32)
    assert (np.diff(in_both("QuantileSteps", x)[0], axis=-1) >= 0).all()


def test_gradients() -> None:
    x, weight = R.normal(size=(3, 5)), R.normal(size=5)
    graph = graph_of("QuantileSteps", x.astype(np.float32))
    with Builder(graph, "loss") as g:
        scalar = g.ReduceSum(graph.outputs["0"] * g.constant(weight.astype(np.float32)), None, keepdims=0)
    _, _, gradients = run(graph, Parameters(graph, np.float64), {"x": x}, {}, loss=scalar, input_grads=["x"])
    for index in np.ndindex(*x.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = x.copy()
            moved[index] += step
            ends.append((expected(moved) * weight.astype(np.float32)).sum())
        assert gradients["x"][index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)
