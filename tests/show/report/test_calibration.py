"""Bins of probabilities agree with scikit-learn 1.9, ``calibration_curve(n_bins=15)``."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphspec.show.report.scores import calibration_error, reliability

K = np.arange(200)
SCORES = (K * 37 % 101) / 100
POSITIVE = (K * 53 + 7) % 97 + (SCORES * 60).astype(int) > 75
SHARES = [
    1 / 7,
    2 / 7,
    3 / 7,
    1 / 3,
    5 / 13,
    8 / 14,
    0.5,
    5 / 14,
    8 / 14,
    7 / 11,
    10 / 14,
    9 / 14,
    0.75,
    10 / 14,
    12 / 14,
]
PROBABILITIES = [0.03, 0.1, 0.17, 0.235, 0.30230769230769233, 0.37, 0.435, 0.5, 0.57, 0.6345454545454546, 0.7, 0.77]


def test_bins_are_those_of_scikit_learn() -> None:
    bins = reliability(SCORES, POSITIVE)
    np.testing.assert_allclose([b.share for b in bins], SHARES)
    np.testing.assert_allclose([b.probability for b in bins], [*PROBABILITIES, 0.835, 0.9, 0.97])
    assert sum(b.size for b in bins) == 200


def test_the_error_is_the_weighted_mean_of_the_gaps() -> None:
    bins = reliability(np.array([0.95, 0.95, 0.65, 0.65]), np.array([True, False, True, True]))
    assert [(b.size, b.share) for b in bins] == [(2, 1.0), (2, 0.5)]
    assert calibration_error(bins) == pytest.approx(0.5 * 0.35 + 0.5 * 0.45)


def test_ends_of_bins_belong_to_the_lower_bin() -> None:
    bins = reliability(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), bins=2)
    assert [(b.low, b.high, b.size) for b in bins] == [(0, 0.5, 2), (0.5, 1, 1)]


def test_without_rows_the_error_is_not_defined() -> None:
    assert math.isnan(calibration_error(reliability(np.zeros(0), np.zeros(0, bool))))
