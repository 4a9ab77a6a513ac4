"""Metrics: their names in logs, and their checks of a head."""

from __future__ import annotations

from typing import Any

import pytest
from heads import loss, value

from graphspec.vocabulary.metrics import METRICS, Metric


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


@pytest.mark.parametrize("metric", ["F1Score", {"type": "R2Score", "class_aggregation": None}], ids=str)
def test_one_result_for_each_of_too_many_units_is_refused_before_any_is_named(metric: Any) -> None:
    head = value("N", 10**9)
    parsed: Metric = METRICS.parse(metric)
    assert "one result for each of 1,000,000,000 units" in parsed.check_shape(head)[0].message
    assert len(parsed.keys(head)) == 1
