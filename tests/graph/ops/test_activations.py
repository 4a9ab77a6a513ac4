"""Accuracy and extreme values: no overflow, no cancellation, no warning."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from graphs import run

from graphspec.graph.ops.elementwise import zero_with

EXTREME = np.array([-1e30, -1000, -88, -20, -1e-8, 0, 1e-8, 20, 88, 1000, 1e30], np.float32)


def test_sigmoid_keeps_its_relative_accuracy() -> None:
    (y,) = run("Sigmoid", [EXTREME])
    exact = [math.exp(v) / (1 + math.exp(v)) if v < 0 else 1 / (1 + math.exp(-v)) for v in EXTREME.tolist()[2:-2]]
    np.testing.assert_allclose(y[3:-2], exact[1:], rtol=3e-7)
    assert (y[:3] < 2e-38).all()
    assert (y[-2:] == 1).all()


def test_softplus_neither_overflows_nor_vanishes() -> None:
    (y,) = run("Softplus", [EXTREME[:-1]])
    exact = [max(v, 0) + math.log1p(math.exp(-abs(v))) for v in EXTREME.tolist()[:-1]]
    np.testing.assert_allclose(y, exact, rtol=3e-7, atol=1e-38)


@pytest.mark.parametrize("op", ["Tanh", "Elu", "Selu", "Celu", "HardSigmoid", "Softsign", "Relu", "LeakyRelu"])
def test_activations_of_large_numbers_are_finite(op: str) -> None:
    (y,) = run(op, [EXTREME])
    assert np.isfinite(y).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeroing_by_bits_is_exact(dtype: Any) -> None:
    context: Any = SimpleNamespace(scratch=np.empty)
    Y = np.array([[0, 1e-45 if dtype == np.float32 else 5e-324, 1], [0, np.inf, 0]], dtype)
    dY = np.array([[-np.inf, -2, 3], [np.nan, -4, 5]], dtype)
    for f, *a in zero_with(context, Y, dY):
        f(*a)
    np.testing.assert_array_equal(dY, [[0, -2, 3], [0, -4, 0]])
