"""Metrics against Keras's golden values; edit distance against the textbook; exactness over batches; checks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from heads import loss, value
from paths import TESTS
from safetensors.numpy import load_file

from graphspec.ir.graph import Value
from graphspec.metrics import METRICS, Metric, MetricState
from graphspec.metrics.base import Average
from graphspec.metrics.sequences import edits, greedy_decode
from graphspec.runtime.compute import Compute

GOLDEN = TESTS / "golden"
CASES = json.loads((GOLDEN / "metrics.json").read_text())
ARRAYS = load_file(GOLDEN / "metrics.safetensors")
rng = np.random.default_rng(0)
LOSS = {"ids": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy", "like": "mse"}


def resolve(case: str) -> tuple[Metric, Value]:
    """The metric of a golden case, and its head."""
    y_pred = value("N", *ARRAYS[f"{case}/y_pred"].shape[1:])
    given = CASES[case]["targets"] if CASES[case]["metric"] != "accuracy" or CASES[case]["targets"] == "ids" else None
    metric: Metric = METRICS.parse(CASES[case]["metric"]).resolve(loss(given and LOSS[given]), y_pred)
    return metric, y_pred


def fill(state: MetricState, case: str, parts: list[slice]) -> MetricState:
    """``state`` after some batches of the case's rows."""
    y_true, y_pred, mask = ARRAYS[f"{case}/y_true"], ARRAYS[f"{case}/y_pred"], ARRAYS.get(f"{case}/mask")
    for rows in parts:
        state.update(y_true[rows], y_pred[rows], None if mask is None else mask[rows])
    return state


WHOLE = [slice(None)]


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_keras(case: str) -> None:
    metric, y_pred = resolve(case)
    assert type(metric).__name__ == CASES[case]["resolved"]
    result = fill(metric.start(y_pred, Compute()), case, WHOLE).result()
    assert np.shape(result) == ARRAYS[f"{case}/result"].shape or np.size(result) == 1
    np.testing.assert_allclose(np.ravel(result), ARRAYS[f"{case}/result"].ravel(), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_results_do_not_depend_on_batches_and_workers(case: str) -> None:
    metric, y_pred = resolve(case)
    rows = len(ARRAYS[f"{case}/y_true"])
    whole = fill(metric.start(y_pred, Compute()), case, WHOLE).result()
    alone = fill(metric.start(y_pred, Compute()), case, [slice(k, k + 1) for k in range(rows)]).result()
    np.testing.assert_allclose(alone, whole, rtol=1e-9, atol=1e-12)
    cut = rows // 3
    first, second = (fill(metric.start(y_pred, Compute()), case, [part]) for part in (slice(cut), slice(cut, None)))
    first.counters += second.counters  # as two workers, the first of which may have no rows
    np.testing.assert_allclose(first.result(), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_state_goes_into_a_checkpoint_and_back(case: str) -> None:
    metric, y_pred = resolve(case)
    state, other = metric.start(y_pred, Compute()), metric.start(y_pred, Compute())
    empty = state.result()
    assert not np.any(empty)
    assert state.state() == []
    other.load(json.loads(json.dumps(fill(state, case, WHOLE).state())))
    assert np.array_equal(other.result(), state.result(), equal_nan=True)
    other.load([])
    state.reset()
    assert np.array_equal(state.result(), empty)
    assert np.array_equal(other.result(), empty)


def test_every_metric_has_two_golden_cases_and_every_option_one() -> None:
    written = [case["metric"] for case in CASES.values() if isinstance(case["metric"], dict)]
    for cls in METRICS:
        if cls.__name__ in ELSEWHERE:
            continue
        mine = [config for config in written if METRICS.get(config["type"]) is cls]
        assert len(mine) >= 2, cls.__name__
        assert {key for config in mine for key in config} >= {"type", *cls.model_fields} - {"name"}, cls.__name__


ELSEWHERE = {
    *("AccuracyOfLoss", "CrossentropyOfLoss", "ConfusionMatrix", "EditDistance", "CharacterErrorRate", "WordErrorRate"),
}
"""Without a class of their own in Keras."""


def test_root_mean_squared_error_is_exact_over_batches() -> None:
    state = METRICS.parse("RootMeanSquaredError").start(value("N", 1), Compute())
    for true, found in ((0.0, 1.0), (0.0, 3.0)):
        state.update(np.array([[true]], np.float32), np.array([[found]], np.float32))
    assert state.result() == pytest.approx(5**0.5)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("accuracy", "accuracy"),
        ("acc", "acc"),
        ("mae", "mae"),
        ({"type": "mae"}, "mean_absolute_error"),
        ({"type": "MeanAbsoluteError", "name": "error"}, "error"),
        ({"type": "Accuracy"}, "accuracy"),
    ],
)
def test_names_in_logs(written: Any, key: str) -> None:
    metric = METRICS.parse(written)
    assert metric.key == key
    assert metric.resolve(loss("MeanSquaredError"), value("N", 1)).key == key


@pytest.mark.parametrize(
    ("name", "shape", "resolved"),
    [
        ("BinaryCrossentropy", ("N", 3), "BinaryAccuracy"),
        ("BinaryCrossentropy", ("N", 1), "BinaryAccuracy"),
        ("CategoricalCrossentropy", ("N", 3), "CategoricalAccuracy"),
        ("SparseCategoricalCrossentropy", ("N", "time", 3), "SparseCategoricalAccuracy"),
        ("MeanSquaredError", ("N", 1), "BinaryAccuracy"),
        ("MeanSquaredError", ("N", 4), "CategoricalAccuracy"),
    ],
)
def test_accuracy_follows_the_loss(name: str, shape: tuple[int | str, ...], resolved: str) -> None:
    assert type(METRICS.parse("accuracy").resolve(loss(name), value(*shape))).__name__ == resolved


@pytest.mark.parametrize(
    ("metric", "name", "shape", "severities"),
    [
        ("accuracy", "BinaryCrossentropy", ("N", 1), []),
        ("accuracy", "SparseCategoricalCrossentropy", ("N", 3), []),
        ("accuracy", "CTC", ("N", "time", 3), ["error"]),
        ("accuracy", "MeanSquaredError", ("N", 1), ["warning"]),
        ("mae", "MeanSquaredError", ("N", 1), []),
        ("mae", "SparseCategoricalCrossentropy", ("N", 3), ["error"]),
        ("mae", "CTC", ("N", "time", 3), ["error"]),
        ("binary_accuracy", "SparseCategoricalCrossentropy", ("N", 3), ["error"]),
        ("categorical_accuracy", "SparseCategoricalCrossentropy", ("N", 3), ["error"]),
        ("categorical_accuracy", "BinaryCrossentropy", ("N", 1), ["error"]),
        ("categorical_accuracy", "BinaryCrossentropy", ("N", 3), []),
        ("sparse_categorical_accuracy", "CategoricalCrossentropy", ("N", 3), ["error"]),
        ("sparse_top_k_categorical_accuracy", "SparseCategoricalCrossentropy", ("N", 3), ["warning"]),
        ("sparse_top_k_categorical_accuracy", "SparseCategoricalCrossentropy", ("N", 6), []),
        ("edit_distance", "CTC", ("N", "time", 3), []),
        ("edit_distance", "SparseCategoricalCrossentropy", ("N", "time", 3), ["error"]),
        ("mae", None, ("N", 1), ["error"]),
        ("mean", None, ("N", 1), []),
        ("precision", "SparseCategoricalCrossentropy", ("N", 3), ["error"]),
        ("precision", "CategoricalCrossentropy", ("N", 3), []),
        ("precision", "BinaryCrossentropy", ("N", 1), []),
        ("auc", "SparseCategoricalCrossentropy", ("N", 3), ["error"]),
        ("f1_score", "SparseCategoricalCrossentropy", ("N", "time", 3), []),
        ("f1_score", "CategoricalCrossentropy", ("N", 3), []),
        ("f1_score", "BinaryCrossentropy", ("N", 1), ["error"]),
        ("f1_score", "mse", ("N", "units"), ["error"]),
        ("r2_score", "mse", ("N", 1), []),
        ("r2_score", "mse", ("N", 4, "units"), ["error"]),
        ("pearson_correlation", "mse", ("N", 4), []),
        ("pearson_correlation", "mse", ("N",), []),
        ("hinge", "Hinge", ("N", 1), []),
        ("categorical_hinge", "CategoricalHinge", ("N", 3), []),
        ("kl_divergence", "CategoricalCrossentropy", ("N", 3), []),
        ("binary_io_u", "BinaryCrossentropy", ("N", 8, 8, 1), []),
        ("confusion_matrix", "SparseCategoricalCrossentropy", ("N", 3), []),
        ("confusion_matrix", "BinaryCrossentropy", ("N", 3), ["error"]),
        ("ce", "SparseCategoricalCrossentropy", ("N", 3), []),
        ("ce", "CTC", ("N", "time", 3), ["error"]),
        ("cer", "CTC", ("N", "time", 3), []),
        ("wer", "CTC", ("N", "time", 3), ["warning"]),
        ("Accuracy", "mse", ("N", 1), []),
    ],
)
def test_metrics_are_checked_against_the_head(
    metric: str, name: str | None, shape: tuple[int | str, ...], severities: list[str]
) -> None:
    found = METRICS.parse(metric).check(value(*shape), None if name is None else loss(name))
    assert [problem.severity for problem in found] == severities
    assert all(problem.code == "GS403" for problem in found)


def test_a_score_that_is_nan_is_never_in_the_top_k() -> None:
    metric: Average = METRICS.parse({"type": "SparseTopKCategoricalAccuracy", "k": 2})
    y_pred = np.array([[np.nan, 1, 2], [0, 1, 2]], np.float32)
    assert metric.values(np.array([0, 1]), y_pred).tolist() == [False, True]
    ids: Average = METRICS.parse({"type": "SparseTopKCategoricalAccuracy", "k": 2, "from_sorted_ids": True})
    assert ids.values(np.array([7, 7]), np.array([[3, 7, 1], [3, 1, 7]])).tolist() == [True, False]


def distance(a: list[int], b: list[int]) -> int:
    """Levenshtein's distance by its definition."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, old = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(old[j] + 1, row[-1] + 1, old[j - 1] + (x != y)))
    return row[-1]


def test_edits_are_levenshteins() -> None:
    a, b = rng.integers(1, 4, (200, 7)), rng.integers(1, 4, (200, 5))
    n, m = rng.integers(0, 8, 200), rng.integers(0, 6, 200)
    expected = [distance(list(x[:i]), list(y[:j])) for x, i, y, j in zip(a, n, b, m, strict=True)]
    assert edits(a, n, b, m).tolist() == expected


def test_greedy_decoding_collapses_then_drops_blanks() -> None:
    best = np.array([[1, 1, 0, 1, 2, 2, 0, 3], [0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 2, 2, 1, 1, 3, 3]])
    answers, lengths = greedy_decode(np.eye(4)[best], np.array([8, 8, 6]))
    assert [list(row[:k]) for row, k in zip(answers, lengths, strict=True)] == [[1, 1, 2, 3], [], [2, 2, 1]]


def test_edit_distance_takes_lengths_from_data_mask_or_padding() -> None:
    y_pred = np.eye(4)[np.array([[1, 2, 3, 3], [1, 1, 2, 0]])]
    y_true = np.array([[1, 2, 0], [1, 2, 3]])
    state = METRICS.parse("edit_distance").start(value("N", 4, 4), Compute())
    state.update(y_true, y_pred)
    assert state.result() == (1 + 1) / 5
    state.reset()
    state.update(y_true, y_pred, mask=np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool))
    assert state.result() == (0 + 1) / 5
    state.reset()
    state.update(y_true, y_pred, lengths={"length": np.array([2, 2]), "input_length": np.array([2, 4])})
    assert state.result() == 0
