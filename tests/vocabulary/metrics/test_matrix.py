"""The confusion matrix of one unit, of one-hot rows, under a mask."""

from __future__ import annotations

import numpy as np
from heads import result


def test_confusion_matrix_of_one_unit_and_of_one_hot_rows() -> None:
    assert result("confusion_matrix", [0, 1, 1], [[0.2], [0.5], [0.7]]).tolist() == [[1, 0], [1, 1]]
    metric = {"type": "ConfusionMatrix", "threshold": 0.0}
    assert result(metric, [[0], [1], [1]], [[-0.2], [0.5], [0.7]]).tolist() == [[1, 0], [0, 2]]
    rows = result("confusion_matrix", np.eye(3)[[2, 2, 0]], np.eye(3)[[1, 2, 0]])
    assert rows.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    mask = np.array([[True, False], [True, True]])
    steps = result("confusion_matrix", [[0, 1], [1, 1]], np.eye(2)[[[0, 0], [1, 0]]], mask=mask)
    assert steps.tolist() == [[1, 0], [1, 1]]
