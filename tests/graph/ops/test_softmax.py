"""Softmax and LogSoftmax of large numbers."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import run


@pytest.mark.parametrize("classes", [3, 100])
def test_softmax_of_large_numbers(classes: int) -> None:
    x = np.zeros((4, classes), np.float32)
    x[0, 1], x[1], x[2, 0] = 1e4, -1e4, -1e30
    (y,) = run("Softmax", [x])
    (log,) = run("LogSoftmax", [x])
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
    assert y[0, 1] == 1
    assert log[0, 0] == -1e4
    np.testing.assert_allclose(y[1], 1 / classes, rtol=1e-6)
