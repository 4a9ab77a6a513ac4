"""Errors of numbers agree with scikit-learn 1.9: ``mean_absolute_error``, ``root_mean_squared_error``, ``r2_score``, …"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from graphspec.show.report.scores import boxes, determination, number_errors

K = np.arange(200)
TRUE = (K * 37 % 101) / 7
PREDICTED = TRUE + (K * 53 % 23 - 10) / 4


def test_errors_are_those_of_scikit_learn() -> None:
    e = number_errors(TRUE, PREDICTED)
    found = (e.size, e.mae, e.rmse, e.median, e.r2, e.bias)
    assert found == pytest.approx((200, 1.44625, 1.6782617495492174, 1.5, 0.8385589829880866, 0.24625))


def test_the_mean_as_answer_has_the_score_zero() -> None:
    assert number_errors(TRUE, np.asarray(TRUE.mean())).r2 == pytest.approx(0, abs=1e-12)


def test_equal_targets_have_no_score() -> None:
    assert math.isnan(number_errors(np.full(3, 0.1), np.array([0.1, 0.2, 0.3])).r2)
    assert math.isnan(number_errors(np.array([5.0]), np.array([4.0])).r2)


def test_groups_by_predicted_value_have_all_rows() -> None:
    found = boxes(PREDICTED, PREDICTED - TRUE)
    assert len(found) == 10
    assert sum(b.size for b in found) == 200
    assert all(a.high <= b.low for a, b in pairwise(found))
    middle = found[4]
    own = (PREDICTED - TRUE)[(middle.low <= PREDICTED) & (middle.high >= PREDICTED)]
    assert (middle.p25, middle.p50) == tuple(np.quantile(own, [0.25, 0.5]))


@pytest.mark.parametrize("predicted", [np.full(9, 2.0), np.array([1.0]), np.array([1.0, 1, 1, 2])])
def test_equal_predictions_share_a_group(predicted: np.ndarray) -> None:
    found = boxes(predicted, np.zeros(len(predicted)))
    assert sum(b.size for b in found) == len(predicted)
    assert len(found) <= len(np.unique(predicted))


def test_each_output_has_its_own_score() -> None:
    true = np.stack([TRUE, TRUE[::-1], np.full(200, 3.0)], 1)
    predicted = np.stack([PREDICTED, PREDICTED, TRUE], 1)
    found = determination(true, predicted)
    assert found[:2].tolist() == pytest.approx([number_errors(true[:, k], predicted[:, k]).r2 for k in (0, 1)])
    assert math.isnan(found[2])
    assert determination(true, true.mean(0))[:2].tolist() == pytest.approx([0, 0], abs=1e-12)
