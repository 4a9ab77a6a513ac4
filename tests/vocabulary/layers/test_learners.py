"""Learners: exact statistics, whatever the batches are, and what they cannot learn from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from adapting import adapted, in_both, learn
from golden_cases import Case, load
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS

from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.vocabulary.layers import learners
from graphspec.vocabulary.layers.learners import Extremes, Learner, Moments, Quantiles

Array = np.ndarray[Any, Any]
PROBABILITIES = (0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.99, 1.0)
CASES = load("adapted")


def numbers(rows: int, *sizes: int, seed: int = 0, missing: float = 0.2) -> Array:
    """Positive and negative numbers of all magnitudes, some of them equal, some missing; one of each column is there."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, *sizes)) * 10.0 ** random.integers(-30, 30, (rows, *sizes))
    X = np.where(random.random(X.shape) < 0.2, random.choice([-1.5, -0.0, 0.0, 2.0], X.shape), X)
    X[random.random(X.shape) < missing] = np.nan
    X[0] = 1.0
    return X.astype(np.float32)


def cut(X: Array, *ends: int) -> list[Array]:
    return np.split(X, sorted(min(end, len(X)) for end in ends))


CUTS = st.lists(st.integers(0, 500), max_size=8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_golden(case: Case) -> None:
    """What Keras and scikit-learn learn from the same rows, and what they make of them."""
    layer = adapted(case.args["layer"], case["rows"]) if case["learnt"] else case.args["layer"]
    for name, learnt in case["learnt"].items():
        np.testing.assert_allclose(getattr(layer, name), learnt, rtol=2e-6, err_msg=name)
    expected = case["outputs"]
    for k, output in enumerate(in_both(layer, case["rows"])):
        np.testing.assert_allclose(output, expected[str(k)], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 2**20), CUTS)
@SETTINGS
def test_quantiles_are_those_of_numpy(rows: int, columns: int, seed: int, ends: list[int]) -> None:
    X = numbers(rows, columns, seed=seed)
    found = learn(Quantiles(PROBABILITIES, "q", columns=columns), cut(X, *ends), most=2)["q"]
    expected = np.nanquantile(X.astype(np.float64), PROBABILITIES, axis=0).T.astype(np.float32)
    np.testing.assert_array_equal(np.float32(found), expected)
    median = learn(Quantiles(0.5, "q"), cut(X, *ends), most=2)["q"]
    assert np.float32(median) == np.float32(np.nanmedian(X.astype(np.float64)))


@pytest.mark.slow
@given(st.integers(1, 300), st.integers(0, 2**20), CUTS)
@SETTINGS
def test_a_single_column_counts_as_one_of_several(rows: int, seed: int, ends: list[int]) -> None:
    """One column has its own, quicker way of counting, with the same results for zeros, infinities and NaN of all kinds."""
    odd = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7F800000, 0xFF800000, 0x80000000, 0, 1, 0x80000001])
    random = np.random.default_rng(seed)
    X = numbers(rows, 1, seed=seed)
    X = np.where(random.random(X.shape) < 0.5, random.choice(odd.astype(np.uint32).view(np.float32), X.shape), X)
    X = X.astype(np.float32)
    X[:5] = 1.0
    probabilities = (0.2, 0.5, 0.6)
    one, two = Quantiles(probabilities, "q", columns=1), Quantiles(probabilities, "q", columns=2)
    one._kept = two._kept = None  # they count
    done = False
    while not done:
        for batch in cut(X, *ends):
            one.add(batch)
            two.add(np.repeat(batch, 2, axis=1))
        np.testing.assert_array_equal(one._counts.sum(0), two._counts[: len(two._counts) // 2].sum(0))
        done = one.end_pass()
        assert two.end_pass() == done
    np.testing.assert_array_equal(one._keys, two._keys.reshape(2, 2, -1)[:, 0].reshape(-1))


def test_quantiles_in_small_memory_take_more_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    X = numbers(300, 5)
    expected = learn(Quantiles(PROBABILITIES, "q", columns=5), [X])
    monkeypatch.setattr(learners, "_COUNTERS", 512)
    assert learn(Quantiles(PROBABILITIES, "q", columns=5), [X], most=32) == expected
    with pytest.raises(AssertionError, match="more than 2 passes"):
        learn(Quantiles(PROBABILITIES, "q", columns=5), [X], most=2)


@pytest.mark.parametrize("kept", [5, 100, 1499, 1500])
def test_kept_numbers_have_the_quantiles_of_counted_ones(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few numbers are sorted after one pass, many are counted in several; on the way to many, the first ones were kept."""
    X = numbers(300, 5)
    monkeypatch.setattr(learners, "_COUNTERS", kept)
    passes = 1 if kept >= X.size else 32
    found = learn(Quantiles(PROBABILITIES, "q", columns=5), cut(X, 0, 7, 90, 200), most=passes)["q"]
    expected = np.nanquantile(X.astype(np.float64), PROBABILITIES, axis=0).T.astype(np.float32)
    np.testing.assert_array_equal(np.float32(found), expected)


@pytest.mark.parametrize("kept", [1, 100])
def test_quantiles_of_a_column_without_a_number(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "_COUNTERS", kept)
    for X in (np.full((3, 2), np.nan, np.float32), np.zeros((0, 2), np.float32)):
        with pytest.raises(ShapeError, match="has no number to learn from at index 0"):
            learn(Quantiles(PROBABILITIES, "q", columns=2), [X])


def test_quantiles_use_memory_that_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "_COUNTERS", 2 * 2**16)
    learner = Quantiles(0.5, "q", columns=2)
    size = learner._counts.nbytes
    for seed in range(20):
        learner.add(numbers(5000, 2, seed=seed))
    assert learner._counts.nbytes == size == 2 * 2**16 * 8
    assert learner._kept is None


@pytest.mark.slow
@given(st.integers(1, 400), st.integers(0, 2**20), CUTS)
@SETTINGS
def test_moments_are_the_same_however_rows_are_cut(rows: int, seed: int, ends: list[int]) -> None:
    X = np.random.default_rng(seed).normal(3.0, 2.0, (rows, 2, 3)).astype(np.float32)
    X[1:][np.random.default_rng(seed + 1).random((rows - 1, 2, 3)) < 0.3] = np.nan
    found = learn(Moments([2], [3], skip_missing=True), cut(X, *ends))
    assert found == learn(Moments([2], [3], skip_missing=True), [X])
    exact = X.astype(np.float64)
    np.testing.assert_allclose(found["mean"], np.nanmean(exact, (0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found["variance"], np.nanvar(exact, (0, 1)), rtol=1e-9, atol=1e-12)


def test_moments_of_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are as large as the memory allows; merged, they have the statistics of all rows."""
    monkeypatch.setattr(learners, "_BLOCK", 30)
    X = np.random.default_rng(0).normal(1e4, 1.0, (1001, 3)).astype(np.float32)
    found = learn(Moments([1], [3]), [X])
    assert found == learn(Moments([1], [3]), cut(X, 1, 2, 9, 10, 11, 500))
    np.testing.assert_allclose(found["mean"], X.astype(np.float64).mean(0), rtol=1e-13)
    np.testing.assert_allclose(found["variance"], X.astype(np.float64).var(0), rtol=1e-9)


def test_a_constant_column_has_variance_zero() -> None:
    X = np.full((1000, 2), [0.1, 1e30], np.float32)
    assert learn(Moments([1], [2]), cut(X, 3, 700)) == {"mean": X[0].astype(float).tolist(), "variance": [0.0, 0.0]}


@pytest.mark.parametrize("axes", [[], [1], [2], [1, 2], [1, 3], [1, 2, 3]])
def test_moments_of_axes(axes: list[int]) -> None:
    X = np.random.default_rng(0).normal(size=(7, 2, 3, 4)).astype(np.float32)
    others = tuple(axis for axis in range(4) if axis not in axes)
    found = learn(Moments(axes, [X.shape[axis] for axis in axes], mean="m", variance="v"), cut(X, 3))
    np.testing.assert_allclose(found["m"], X.astype(np.float64).mean(others), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["v"], X.astype(np.float64).var(others), rtol=1e-12)


@given(st.integers(1, 400), st.integers(0, 2**20), CUTS)
@SETTINGS
@pytest.mark.slow
def test_extremes(rows: int, seed: int, ends: list[int]) -> None:
    X = numbers(rows, 3, seed=seed)
    found = learn(Extremes(3), cut(X, *ends))
    np.testing.assert_array_equal(np.float32(found["minimum"]), np.nanmin(X, 0))
    np.testing.assert_array_equal(np.float32(found["maximum"]), np.nanmax(X, 0))
    assert learn(Extremes(None, minimum="a", maximum="b"), [X]) == {
        "a": min(found["minimum"]),
        "b": max(found["maximum"]),
    }


def test_what_is_learnt_is_json_of_few_digits() -> None:
    X = np.array([[0.1], [0.2], [0.3]], np.float32)
    assert json.dumps(learn(Quantiles(0.5, "fill_value", columns=1), [X])) == '{"fill_value": [0.2]}'
    assert json.dumps(learn(Extremes(None), [X])) == '{"minimum": 0.1, "maximum": 0.3}'
    for learner in (Moments([], []), Moments([1], [1]), Quantiles(PROBABILITIES, "q", columns=1)):
        state = learn(learner, [X])
        assert json.loads(json.dumps(state)) == state


def test_integers_are_float32_and_the_smallest_is_missing() -> None:
    X = np.array([[3], [MISSING_INTEGER], [2**24 + 1], [5]], np.int64)
    assert learn(Extremes(1), [X]) == {"minimum": [3.0], "maximum": [2.0**24]}
    assert learn(Quantiles(0.5, "q"), [X]) == {"q": 5.0}
    assert learn(Moments([], [], skip_missing=True), [X[:2]]) == {"mean": 3.0, "variance": 0.0}
    assert learn(Extremes(1), [np.array([[True], [False]])]) == {"minimum": [0.0], "maximum": [1.0]}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Moments([1], [3], skip_missing=True),
        lambda: Quantiles(0.5, "fill_value", columns=3),
        lambda: Extremes(3),
    ],
)
@pytest.mark.parametrize("rows", [0, 5])
def test_a_column_without_numbers(make: Callable[[], Learner], rows: int) -> None:
    X = np.ones((rows, 3), np.float32)
    X[:, 1] = np.nan
    where = 1 if rows else 0
    with pytest.raises(ShapeError, match=f"has no number to learn from at index {where}") as error:
        learn(make(), [X])
    assert error.value.code == "GS505"
    one = re.escape("has no number to learn from") + "$"
    with pytest.raises(ShapeError, match="has no number"):
        learn(Quantiles(0.5, "q"), [X[:0]])
    with pytest.raises(ShapeError) as alone:
        learn(Moments([], [], skip_missing=True), [X[:, 1:2]])
    assert re.search(one, alone.value.problem.message)


def test_nan_that_is_not_skipped() -> None:
    with pytest.raises(ShapeError, match="has NaN among the numbers to learn from") as error:
        learn(Moments([1], [1]), cut(np.array([[1.0], [np.nan], [2.0]], np.float32), 1))
    assert error.value.code == "GS505"


@pytest.mark.parametrize("learner", [Moments([1], [1], skip_missing=True), Quantiles(0.9, "q"), Extremes(1)])
def test_infinite_numbers(learner: Learner) -> None:
    with pytest.raises(ShapeError, match="has infinite numbers to learn from") as error:
        learn(learner, cut(np.array([[1.0], [np.inf], [2.0]], np.float32), 1))
    assert error.value.code == "GS505"
