"""Metrics of regression over batches and masked time steps."""

from __future__ import annotations

import numpy as np
import pytest
from heads import loss, result, value

from graphspec.engine.runtime.bind import Compute
from graphspec.vocabulary.metrics import METRICS


def test_root_mean_squared_error_is_exact_over_batches() -> None:
    state = METRICS.parse("RootMeanSquaredError").start(value("N", 1), Compute())
    for true, found in ((0.0, 1.0), (0.0, 3.0)):
        state.update(np.array([[true]], np.float32), np.array([[found]], np.float32))
    assert state.result() == pytest.approx(5**0.5)


def test_an_axis_under_the_mask_is_refused() -> None:
    metric = METRICS.parse({"type": "CosineSimilarity", "axis": 1})
    assert [problem.code for problem in metric.check(value("N", 3, 4, mask=2), loss("mse"))] == ["GS403"]
    assert metric.check(value("N", 3, 4), loss("mse")) == []


def test_a_non_negative_axis_works_under_a_mask() -> None:
    y = np.random.default_rng(5).normal(size=(2, 3, 4))
    mask = np.array([[True, False, True], [True, True, False]])
    for name in ("CosineSimilarity", "PearsonCorrelation", "CategoricalCrossentropy"):
        front, back = (result({"type": name, "axis": axis}, y**2, y[..., ::-1] ** 2, mask=mask) for axis in (2, -1))
        assert front == back
