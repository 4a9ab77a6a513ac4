"""Cross-entropy follows the loss; ``ignore_class``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from heads import loss, result, value

from graphspec.vocabulary.metrics import METRICS


@pytest.mark.parametrize(
    ("given", "shape", "resolved"),
    [
        ({"type": "bce"}, ("N", 1), {"from_logits": False}),
        ({"type": "bce", "from_logits": True}, ("N", 3), {"from_logits": True}),
        ({"type": "CategoricalCrossentropy"}, ("N", 3), {"axis": -1}),
        ({"type": "CategoricalCrossentropy", "axis": 1}, ("N", 3, 2), {"axis": -2}),
        ({"type": "SparseCategoricalCrossentropy", "ignore_class": 0}, ("N", 3), {"ignore_class": 0}),
        ({"type": "mse"}, ("N", 1), {"from_logits": False}),
    ],
)
def test_crossentropy_follows_the_loss(given: Any, shape: Any, resolved: dict[str, Any]) -> None:
    head = value(*shape)
    metric = METRICS.parse("ce").resolve(loss(given.pop("type"), **given), head)
    assert metric.key == "ce"
    assert type(metric).__name__.endswith("Crossentropy")
    assert {key: getattr(metric, key) for key in resolved} == resolved


def test_a_class_that_does_not_count_under_a_mask() -> None:
    y_pred = np.array([[[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]])
    metric = {"type": "SparseCategoricalCrossentropy", "ignore_class": 0}
    mask = np.array([[True, True, False]])
    assert result(metric, np.array([[0, 1, 1]]), y_pred, mask=mask) == pytest.approx(-np.log(0.75))
