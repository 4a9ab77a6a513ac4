"""Counts above thresholds equal those of direct comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from heads import result

from graphspec.vocabulary.metrics.thresholds import confusion


def test_only_larger_values_exceed_a_threshold() -> None:
    y_pred = [[0.3], [0.30000001192092896], [np.nan], [1.0]]
    metric = {"type": "TruePositives", "thresholds": [1.0, 0.0, 0.3]}
    assert result(metric, np.ones((4, 1)), y_pred).tolist() == [0, 3, 1]


def test_top_k_uses_the_first_of_equal_values() -> None:
    y_true = np.array([[0, 1, 0], [1, 0, 0]])
    assert result({"type": "Precision", "top_k": 1}, y_true, np.full((2, 3), 0.5)) == 0.5


@pytest.mark.parametrize("even", [True, False])
def test_counts_above_many_thresholds_equal_those_of_comparisons(even: bool) -> None:
    rng = np.random.default_rng(6)
    limits = np.linspace(0, 1, 50, dtype=np.float32) if even else np.sort(rng.random(50, np.float32))
    near = np.concatenate([np.nextafter(limits, d, dtype=np.float32) for d in (-9, 9)])
    y_pred = np.concatenate(
        [limits, near, rng.random(100, np.float32), np.array([-3, 7, np.inf, -np.inf, np.nan], np.float32)]
    )
    y_true = rng.integers(0, 2, len(y_pred)) > 0
    tp, fp, tn, fn = confusion(y_true[:, None], y_pred[:, None], limits)[:, 0]
    above = y_pred[:, None] > limits
    assert tp.tolist() == (above & y_true[:, None]).sum(0).tolist()
    assert fp.tolist() == (above & ~y_true[:, None]).sum(0).tolist()
    assert fn.tolist() == (~above & y_true[:, None]).sum(0).tolist()
    assert tn.tolist() == (~above & ~y_true[:, None]).sum(0).tolist()
