"""Operators that see the whole batch; their shares over workers are in losses/test_golden.py."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import check_gradients, run

_random = np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(4,), (3, 2), (2, 3, 4)])
def test_batch_sum(shape: tuple[int, ...]) -> None:
    X = _random.standard_normal(shape).astype(np.float32)
    (Y,) = run("BatchSum", [X])
    np.testing.assert_allclose(Y, X.sum(0), rtol=1e-5, atol=1e-6)
    check_gradients("BatchSum", [X.astype(np.float64)], [0])
