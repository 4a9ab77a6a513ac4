"""The area under a curve, by its definition."""

from __future__ import annotations

import numpy as np
import pytest
from heads import result


def test_auc_is_the_fraction_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(4)
    y_true, y_pred = rng.integers(0, 2, 60), np.round(rng.random(60), 1)
    ahead, behind = y_pred[y_true == 1, None], y_pred[None, y_true == 0]
    expected = np.mean((ahead > behind) + 0.5 * (ahead == behind))
    limits = [round(0.05 + k / 10, 2) for k in range(10)]
    assert result({"type": "AUC", "thresholds": limits}, y_true, y_pred[:, None]) == pytest.approx(expected)
