"""Bootstrap intervals against known ones: of a share, of a mean, and by hand with NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.data.batches import Times
from graphspec.data.series import Series
from graphspec.data.signature import user_arrays
from graphspec.show.report import kinds as scored
from graphspec.show.report import verdicts as module
from graphspec.show.report.kinds import Scored, score
from graphspec.show.report.verdicts import RESAMPLES, deal, intervals, wilson

NUMBERS = {
    "graphspec": 1,
    "name": "numbers",
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mse", "metrics": ["mae"]}},
    "training": {"batch_size": 100, "seed": 3},
}
KINDS = {
    **NUMBERS,
    "layers": [{"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"}],
    "outputs": {"y": {"loss": "binary_crossentropy", "metrics": ["accuracy", "auc"]}},
}


def judged(spec: dict[str, Any], x: np.ndarray, y: np.ndarray, weight: Any = None) -> tuple[gs.Model, Scored]:
    """A model whose answer is its input, judged on some rows."""
    model = gs.compile(spec)
    model.set_weights({"y/kernel": np.ones((1, 1), "f4"), "y/bias": np.zeros(1, "f4")})
    rows = user_arrays(model.needed, {"x": x.astype("f4")}, {"y": y}, weight)
    return model, score(model, rows, "test")


def test_a_share_has_the_interval_of_the_binomial_distribution() -> None:
    rng, n = np.random.default_rng(0), 4000
    truth = rng.integers(0, 2, (n, 1))
    right = rng.random((n, 1)) < 0.9
    model, found = judged(KINDS, np.where(right == truth, 2.0, -2.0), truth)
    share = found.results["accuracy"]
    low, high = intervals(model, found)["accuracy"]
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    np.testing.assert_allclose([low, high], [share - half, share + half], atol=0.15 * half)


def test_a_mean_has_the_interval_of_the_normal_distribution() -> None:
    rng, n = np.random.default_rng(1), 3000
    y = rng.normal(size=(n, 1)).astype("f4")
    model, found = judged(NUMBERS, np.zeros((n, 1)), y)
    for key, values in (("loss", y**2), ("mae", np.abs(y))):
        half = 1.96 * values.std() / np.sqrt(n)
        low, high = intervals(model, found)[key]
        np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.15 * half)


def test_small_data_are_the_bootstrap_of_single_rows() -> None:
    rng, n = np.random.default_rng(2), 40
    y = rng.normal(size=(n, 1)).astype("f4")
    model, found = judged(NUMBERS, np.zeros((n, 1)), y)
    group = deal(found, np.random.default_rng(model.seed))
    assert sorted(group) == list(range(n))
    rng = np.random.default_rng(model.seed)
    deal(found, rng)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    means = drawn @ np.abs(y[np.argsort(group), 0].astype(float)) / n
    np.testing.assert_allclose(intervals(model, found)["mae"], np.quantile(means, [0.025, 0.975]), rtol=1e-5)


def test_they_are_the_same_each_time_and_another_seed_gives_others() -> None:
    y = np.random.default_rng(2).normal(size=(500, 1)).astype("f4")
    model, found = judged(NUMBERS, np.zeros((500, 1)), y)
    first = intervals(model, found)
    assert first == intervals(model, found)
    other, _ = judged({**NUMBERS, "training": {"batch_size": 100, "seed": 4}}, np.zeros((500, 1)), y)
    assert first != intervals(other, found)
    assert set(first) == {"loss", "mae"}


def test_a_sample_of_the_rows_is_narrowed_to_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(5).normal(size=(8000, 1)).astype("f4")
    whole = dict(intervals(*judged(NUMBERS, np.zeros((8000, 1)), y)))
    monkeypatch.setattr(scored, "MAX_ROWS", 2000)
    model, found = judged(NUMBERS, np.zeros((8000, 1)), y)
    assert len(found.rows) == 2000
    part = intervals(model, found)["mae"]
    wide = whole["mae"].high - whole["mae"].low
    assert part.high - part.low == pytest.approx(wide, rel=0.2)
    assert part.low < found.results["mae"] < part.high


def test_what_has_no_interval() -> None:
    ones = np.ones((9, 1), np.int64)
    assert intervals(*judged(KINDS, 2.0 * ones, ones)) == {}
    ones = np.ones((50, 1), np.int64)
    perfect = intervals(*judged(KINDS, 2.0 * ones, ones))["accuracy"]
    assert perfect == pytest.approx((50 / (50 + 1.959964**2), 1.0)), "all resamples are equal, and yet it may be chance"
    y = np.random.default_rng(5).normal(size=(50, 1)).astype("f4")
    weighted = judged(NUMBERS, np.zeros((50, 1)), y, np.arange(50.0))
    assert set(intervals(*weighted)) == {"mae"}
    summed = {**NUMBERS, "outputs": {"y": {"loss": {"type": "mse", "reduction": "sum"}, "metrics": ["mae"]}}}
    assert set(intervals(*judged(summed, np.zeros((50, 1)), y))) == {"mae"}


def test_too_many_counters_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(5).integers(0, 2, (50, 1))
    monkeypatch.setattr(module, "_MAX_NUMBERS", 10)
    assert set(intervals(*judged(KINDS, y - 0.4, y))) == {"loss"}


def test_windows_are_dealt_by_time() -> None:
    y = np.random.default_rng(5).normal(size=(300, 1)).astype("f4")
    _, found = judged(NUMBERS, np.zeros((300, 1)), y)
    first = np.random.default_rng(6).permutation(300)
    steps = np.arange(310)
    times = Times(first, first + 5, first + 9, 310, Series(steps, steps < 0, 0 * steps, [""], steps), 5, 5, first)
    timed = replace(found, raw=replace(found.raw, times=times))
    group = deal(timed, np.random.default_rng(0))
    assert group.max() + 1 == 30
    assert (np.diff(group[np.argsort(first)]) >= 0).all(), "neighbours in time are in one group"


def test_losses_of_heads_with_masks_are_those_of_evaluate() -> None:
    spec = {
        "graphspec": 1,
        "name": "two",
        "inputs": {"x": {"shape": [3]}, "s": {"shape": [None], "dtype": "int32"}},
        "layers": [
            {"name": "e", "type": "Embedding", "input_dim": 9, "output_dim": 3, "mask_zero": True, "inputs": "s"},
            {"name": "tag", "type": "Dense", "units": 3, "activation": "softmax"},
            {"name": "price", "type": "Dense", "units": 1, "inputs": "x", "kernel_regularizer": "l2"},
        ],
        "outputs": {
            "tag": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "weight": 3},
            "price": {"loss": "mse", "metrics": ["mae"]},
        },
        "training": {"batch_size": 200},
    }
    model, rng = gs.compile(spec), np.random.default_rng(0)
    x = {"x": rng.normal(size=(120, 3)).astype("f4"), "s": rng.integers(1, 9, (120, 6))}
    x["s"][::3, 4:] = 0
    y = {"tag": rng.integers(0, 3, (120, 6)), "price": rng.normal(size=(120, 1)).astype("f4")}
    found = score(model, user_arrays(model.needed, x, y, None), "test")
    group = deal(found, np.random.default_rng(0))
    drawn = np.ones((1, int(group.max()) + 1), np.int64)
    losses = module._losses(model, found, group, drawn)
    for key in ("tag_loss", "price_loss"):
        assert losses[key][0] == pytest.approx(found.results[key], rel=1e-5)
        assert losses[key][1][0] == pytest.approx(found.results[key], rel=1e-5)
    low, high = intervals(model, found)["loss"]
    assert low < found.results["loss"] < high, "the penalty shifts the interval"
    metrics, _ = module._interval_metrics(model, found, group, drawn)
    for key in ("tag_accuracy", "price_mae"):
        assert metrics[key][0] == pytest.approx(found.results[key], rel=1e-9)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [  # proportion_confint(…, method="wilson") of statsmodels 0.14
        (90, 90, 0.95906377, 1.0),
        (8, 10, 0.49016247, 0.94331784),
        (45, 50, 0.78639763, 0.95652433),
        (0, 20, 0.0, 0.16112516),
    ],
)
def test_a_share_has_the_interval_of_wilson(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits / of, of) == pytest.approx((low, high), abs=1e-6)
