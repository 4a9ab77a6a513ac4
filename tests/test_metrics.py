"""Metrics against Keras's golden values; edit distance against the textbook; exactness over batches; checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from graphspec.compiler.ir import Type, Value
from graphspec.config import Config
from graphspec.metrics import METRICS, Metric, edits, greedy_decode

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "metrics.json").read_text())
ARRAYS = load_file(GOLDEN / "metrics.safetensors")
rng = np.random.default_rng(0)


def loss(name: str) -> Any:
    """A loss of this class, as far as metrics look at it."""
    return type(name, (Config,), {})()


def value(*shape: int | str) -> Value:
    return Value("y", Type("float32", shape))


def golden_loss(case: str) -> Any:
    y_true, y_pred = ARRAYS[f"{case}/y_true"], ARRAYS[f"{case}/y_pred"]
    sparse = y_pred.shape[-1] > 1 and (y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1)
    return loss("SparseCategoricalCrossentropy") if sparse else None


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_keras(case: str) -> None:
    y_true, y_pred, mask = ARRAYS[f"{case}/y_true"], ARRAYS[f"{case}/y_pred"], ARRAYS.get(f"{case}/mask")
    metric = METRICS.parse(CASES[case]["metric"]).resolve(golden_loss(case), value("N", *y_pred.shape[1:]))
    assert type(metric).__name__ == CASES[case]["resolved"]
    whole, parts = metric.start(), metric.start()
    whole.update(y_true, y_pred, mask)
    for rows in (slice(0, 1), slice(1, None)):
        parts.update(y_true[rows], y_pred[rows], None if mask is None else mask[rows])
    assert whole.result() == pytest.approx(float(ARRAYS[f"{case}/result"]), rel=1e-6)
    assert parts.result() == pytest.approx(whole.result(), rel=1e-12)


def test_state_goes_into_a_checkpoint_and_back() -> None:
    metric = METRICS.parse("mae")
    state = metric.start()
    assert state.result() == 0
    state.update(np.float32([0, 1]), np.float32([[0.3], [0.9]]))
    saved = json.loads(json.dumps(state.state()))
    other = metric.start()
    other.load(saved)
    assert other.result() == state.result()
    state.reset()
    assert state.result() == 0


def test_root_mean_squared_error_is_exact_over_batches() -> None:
    state = METRICS.parse("RootMeanSquaredError").start()
    for true, found in ((0.0, 1.0), (0.0, 3.0)):
        state.update(np.float32([[true]]), np.float32([[found]]))
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
    ],
)
def test_metrics_are_checked_against_the_head(
    metric: str, name: str | None, shape: tuple[int | str, ...], severities: list[str]
) -> None:
    found = METRICS.parse(metric).check(value(*shape), None if name is None else loss(name))
    assert [severity for severity, *_ in found] == severities
    assert all(code == "GS403" for _, code, *_ in found)


def test_a_score_that_is_nan_is_never_in_the_top_k() -> None:
    metric: Metric = METRICS.parse({"type": "SparseTopKCategoricalAccuracy", "k": 2})
    y_pred = np.float32([[np.nan, 1, 2], [0, 1, 2]])
    assert metric.values(np.array([0, 1]), y_pred).tolist() == [False, True]
    ids: Metric = METRICS.parse({"type": "SparseTopKCategoricalAccuracy", "k": 2, "from_sorted_ids": True})
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
    state = METRICS.parse("edit_distance").start()
    state.update(y_true, y_pred)
    assert state.result() == (1 + 1) / 5
    state.reset()
    state.update(y_true, y_pred, mask=np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool))
    assert state.result() == (0 + 1) / 5
    state.reset()
    state.update(y_true, y_pred, lengths={"length": np.array([2, 2]), "input_length": np.array([2, 4])})
    assert state.result() == 0
