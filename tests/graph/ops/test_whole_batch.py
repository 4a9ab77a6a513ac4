"""Operators that see the whole batch; their shares over workers are in losses/test_golden.py."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import build, check_gradients, run

from graphspec.base.errors import ShapeError

_random = np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(4,), (3, 2), (2, 3, 4)])
def test_batch_sum(shape: tuple[int, ...]) -> None:
    X = _random.standard_normal(shape).astype(np.float32)
    (Y,) = run("BatchSum", [X])
    np.testing.assert_allclose(Y, X.sum(0), rtol=1e-5, atol=1e-6)
    check_gradients("BatchSum", [X.astype(np.float64)], [0])


@pytest.mark.parametrize("remove_diagonal", [0, 1])
def test_circle_loss_gradients(remove_diagonal: int) -> None:
    X, ids = _random.standard_normal((6, 3)), np.array([0, 1, 2, 0, 1, 3])
    check_gradients("CircleLoss", [X, ids], [0], gamma=2.0, margin=0.3, remove_diagonal=remove_diagonal)


def test_circle_loss_of_rows_without_partners_is_0() -> None:
    X = _random.standard_normal((3, 2)).astype(np.float32)
    (Y,) = run("CircleLoss", [X, np.array([0, 1, 2])])
    assert (Y == 0).all()


def test_circle_loss_is_strict() -> None:
    for X, ids in ((np.zeros((2, 3, 4)), np.zeros(2, np.int64)), (np.zeros((2, 3)), np.zeros((2, 1), np.int64))):
        with pytest.raises(ShapeError):
            build("CircleLoss", [X.astype(np.float32), ids])
