"""Accuracy follows the loss; top-k accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from heads import loss, value

from graphspec.vocabulary.metrics import METRICS
from graphspec.vocabulary.metrics.metric import Average


@pytest.mark.parametrize(
    ("name", "shape", "resolved"),
    [
        ("BinaryCrossentropy", ("N", 3), "BinaryAccuracy"),
        ("BinaryCrossentropy", ("N", 1), "BinaryAccuracy"),
        ("CategoricalCrossentropy", ("N", 3), "CategoricalAccuracy"),
        ("SparseCategoricalCrossentropy", ("N", "time", 3), "SparseCategoricalAccuracy"),
        ("MeanSquaredError", ("N", 1), "BinaryAccuracy"),
        ("MeanSquaredError", ("N", 4), "CategoricalAccuracy"),
    ],
)
def test_accuracy_follows_the_loss(name: str, shape: tuple[int | str, ...], resolved: str) -> None:
    assert type(METRICS.parse("accuracy").resolve(loss(name), value(*shape))).__name__ == resolved


def test_a_score_that_is_nan_is_never_in_the_top_k() -> None:
    metric: Average = METRICS.parse({"type": "SparseTopKCategoricalAccuracy", "k": 2})
    y_pred = np.array([[np.nan, 1, 2], [0, 1, 2]], np.float32)
    assert metric.values(np.array([0, 1]), y_pred).tolist() == [False, True]
    ids: Average = METRICS.parse({"type": "SparseTopKCategoricalAccuracy", "k": 2, "from_sorted_ids": True})
    assert ids.values(np.array([7, 7]), np.array([[3, 7, 1], [3, 1, 7]])).tolist() == [True, False]
