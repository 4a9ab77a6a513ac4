"""Scores of classes agree with scikit-learn 1.9: ``precision_recall_fscore_support``, ``top_k_accuracy_score``."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.show.report.scores import confused, of_matrix, top_k

K = np.arange(200)
TRUE = K * 31 % 5
COUNTS = np.array([[28, 4, 4, 4, 0], [4, 26, 5, 5, 0], [4, 4, 28, 4, 0], [4, 5, 5, 26, 0], [5, 4, 4, 4, 23]])


def test_scores_are_those_of_scikit_learn() -> None:
    scores = of_matrix(COUNTS)
    wanted = [0.6222222222222222, 0.6046511627906976, 0.6086956521739131, 0.6046511627906976, 1]
    np.testing.assert_allclose(scores.precision, wanted)
    np.testing.assert_allclose(scores.recall, [0.7, 0.65, 0.7, 0.65, 0.575])
    wanted = [0.6588235294117647, 0.6265060240963856, 0.6511627906976745, 0.6265060240963856, 0.7301587301587301]
    np.testing.assert_allclose(scores.f1, wanted)
    np.testing.assert_array_equal(scores.support, [40] * 5)
    assert scores.macro() == pytest.approx((0.6880440399955061, 0.655, 0.6586314196921881))


def test_what_is_not_defined_is_nan() -> None:
    scores = of_matrix(np.array([[3, 0, 1], [2, 0, 0], [0, 0, 0]]))
    assert np.isnan(scores.precision).tolist() == [False, True, False]
    assert np.isnan(scores.recall).tolist() == [False, False, True]
    assert np.isnan(scores.f1).tolist() == [False, False, False]
    assert np.isnan(of_matrix(np.zeros((2, 2))).macro()).all()


def test_the_most_frequent_mistakes_come_first() -> None:
    assert confused(COUNTS, 3) == [(1, 2, 5), (1, 3, 5), (3, 1, 5)]
    assert confused(np.eye(3), 3) == []


def test_top_k_accuracy_is_that_of_scikit_learn() -> None:
    scores = ((K[:, None] * 29 + np.arange(5) * 43) % 103) / 103
    assert [top_k(TRUE, scores, k) for k in (1, 2, 3)] == pytest.approx([0.2, 0.395, 0.59])
