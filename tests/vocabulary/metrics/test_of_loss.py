"""The mean of a loss over batches of any length."""

from __future__ import annotations

import numpy as np
import pytest
from heads import value

from graphspec.engine.runtime.bind import Compute
from graphspec.vocabulary.metrics import METRICS


@pytest.mark.parametrize("name", ["mse", "bce", "CosineSimilarity", "SparseCategoricalCrossentropy"])
def test_the_mean_of_a_loss_over_batches_of_any_length(name: str) -> None:
    rng = np.random.default_rng(7)
    y_pred = rng.random((6, 4, 3)).astype(np.float32)
    y_true = rng.integers(0, 3, (6, 4)) if name.startswith("Sparse") else rng.random((6, 4, 3)).round()
    mask = rng.random((6, 4)) > 0.4
    state = METRICS.parse(name).start(value("N", "time", 3), Compute())
    each: list[float] = []
    for row, step in np.argwhere(mask):
        state.reset()
        state.update(y_true[row, [step]], y_pred[row, [step]])
        each.append(float(state.result()))
    y_true[~mask], y_pred[~mask] = 99, np.nan  # masked values are never used
    state.reset()
    state.update(y_true[:0], y_pred[:0], mask[:0])
    assert state.result() == 0
    state.update(y_true[:2], y_pred[:2], mask[:2])
    state.update(y_true[2:], y_pred[2:], mask[2:])
    state.update(y_true, y_pred, np.zeros_like(mask))
    assert state.result() == pytest.approx(np.mean(each), rel=1e-12)
