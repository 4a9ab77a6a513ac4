"""Drift between samples: the index by hand, its distribution under chance, and the words for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphspec.show.report.columns import (
    binned,
    binned_categories,
    binned_numbers,
    by_chance,
    drift_word,
    edges,
    stability,
)


def test_the_index_by_hand() -> None:
    before, after = np.array([50, 30, 20]), np.array([10, 20, 70])
    expected = sum((q - p) * math.log(q / p) for p, q in [(0.5, 0.1), (0.3, 0.2), (0.2, 0.7)])
    assert stability(before, after) == pytest.approx(expected)
    assert stability(before, before * 3) == pytest.approx(0)
    assert stability(before, after) == pytest.approx(stability(after, before))


def test_a_bin_that_one_sample_lacks_is_half_an_element_there() -> None:
    before, after = np.array([10, 10, 0]), np.array([10, 0, 0])
    expected = (1 - 0.5) * math.log(1 / 0.5) + (0.05 - 0.5) * math.log(0.05 / 0.5)
    assert stability(before, after) == pytest.approx(expected)
    assert stability(np.zeros(3, int), np.zeros(3, int)) == 0


def test_bins_have_equally_many_values_and_missing_ones_their_own() -> None:
    values = np.arange(100.0)
    assert binned(values, edges(values)).tolist() == [10] * 10
    before, after = binned_numbers(values, np.array([np.nan, 0.0, 99.0, 1000.0, -5.0]))
    assert before.tolist() == [10] * 10 + [0]
    assert after.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]
    assert binned_numbers(np.zeros(5), np.array([0.0, 1.0]))[1].tolist() == [0, 2, 0]
    assert binned_numbers(np.zeros(0), np.array([1.0]))[1].tolist() == [1, 0]


def test_categories_beyond_the_most_frequent_share_a_bin() -> None:
    before = {f"c{k}": 100 - k for k in range(60)}
    counts = binned_categories(before, {"c0": 3, "c59": 2, "new": 5})
    assert counts[0].shape == (51,)
    assert counts[0][-1] == sum(100 - k for k in range(50, 60))
    assert counts[1][0] == 3
    assert counts[1][-1] == 7


def test_chance_explains_most_samples_of_one_distribution() -> None:
    random, above = np.random.default_rng(0), 0
    for _ in range(400):
        before, after = random.normal(size=300), random.normal(size=80)
        index, chance = stability(*binned_numbers(before, after)), by_chance(300, 80, 10)
        above += index > chance
    assert above <= 400 * 0.06  # the formula is for large samples; 1 % then
    shifted = stability(*binned_numbers(before, after + 1))
    assert drift_word(shifted, by_chance(300, 80, 10)) == "large"


def test_words() -> None:
    assert [drift_word(i, 0.05) for i in (0.01, 0.06, 0.1, 0.24, 0.25, 3)] == [
        "none",
        "small",
        "moderate",
        "moderate",
        "large",
        "large",
    ]
    assert by_chance(0, 10, 10) == 0
    assert by_chance(10, 10, 1) == 0
