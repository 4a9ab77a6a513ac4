"""What targets are: classes with their shares, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphspec.data.batches import Dataset
from graphspec.engine.compiler.check import check
from graphspec.engine.training import advice as target_summary
from graphspec.engine.training.advice import ClassShares, LabelSequences, Numbers, summarize


def summary_of(target: Any, units: int, chosen: Any = None, **head: Any) -> Any:
    document = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [4]}},
        "layers": [{"name": "y", "type": "Dense", "units": units, "activation": head.pop("activation", "linear")}],
        "outputs": {"y": head},
    }
    spec, lowered = check(document).require()
    data = Dataset({"x": np.zeros((len(target), 4), np.float32)}, {"y": np.asarray(target)}, chosen=chosen)
    return summarize(spec.heads["y"], lowered.graph.outputs["y"], data)


def test_class_ids() -> None:
    found = summary_of(
        np.array([0, 0, 1, -1, 7]),
        3,
        loss="sparse_categorical_crossentropy",
        activation="softmax",
        labels=["a", "b", "c"],
    )
    assert isinstance(found, ClassShares)
    assert found.counts.tolist() == [2, 1, 0]
    assert found.labels == ["a", "b", "c"]
    assert found.share(0) == pytest.approx(2 / 3)


def test_chosen_rows_only() -> None:
    found = summary_of(
        np.array([0, 0, 1, 2]), 3, np.array([2, 3]), loss="sparse_categorical_crossentropy", activation="softmax"
    )
    assert found.counts.tolist() == [0, 1, 1]
    assert found.labels == ["0", "1", "2"]


def test_one_hot_rows() -> None:
    found = summary_of(np.eye(3, dtype=np.float32)[[0, 2, 2]], 3, loss="categorical_crossentropy", activation="softmax")
    assert found.counts.tolist() == [1, 0, 2]


def test_two_classes() -> None:
    found = summary_of(
        np.array([[0], [1], [1]]), 1, loss="binary_crossentropy", activation="sigmoid", labels=["no", "yes"]
    )
    assert found.counts.tolist() == [1, 2]
    assert found.labels == ["no", "yes"]


def test_several_classes_of_a_row() -> None:
    found = summary_of(np.array([[1, 0], [1, 1], [0, 0], [1, 0]]), 2, loss="binary_crossentropy", activation="sigmoid")
    assert found.several
    assert [found.share(k) for k in (0, 1)] == [0.75, 0.25]


def test_numbers() -> None:
    found = summary_of(np.array([[1.0], [2.0], [3.0], [np.nan]]), 1, loss="mse")
    assert found == Numbers(2.0, pytest.approx((2 / 3) ** 0.5), 1.0, 3.0, True)
    assert summary_of(np.array([[0.0], [1.0]]), 1, loss="mse").mean == 0.5, "numbers, though they are 0 and 1"


def test_probabilities_are_no_classes() -> None:
    assert summary_of(np.array([[0.2], [0.9]]), 1, loss="binary_crossentropy", activation="sigmoid") is None


def test_large_targets_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_summary, "_VALUES", 128)
    ids = np.arange(10000) % 2
    found = summary_of(ids, 2, loss="sparse_categorical_crossentropy", activation="softmax")
    assert not found.exact
    assert found.counts.tolist() == [64, 64]
    chosen = summary_of(ids, 2, np.arange(9000), loss="sparse_categorical_crossentropy", activation="softmax")
    assert chosen.counts.sum() == 128


def test_sequences_of_labels() -> None:
    document = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [6, 4]}},
        "layers": [{"name": "y", "type": "Dense", "units": 5, "activation": "softmax"}],
        "outputs": {"y": {"loss": "ctc"}},
    }
    spec, lowered = check(document).require()
    data = Dataset({"x": np.zeros((2, 6, 4), np.float32)}, {"y": np.array([[1, 2, 0], [3, 0, 0]])})
    assert summarize(spec.heads["y"], lowered.graph.outputs["y"], data) == LabelSequences(3, 4)


def test_classes_that_others_have() -> None:
    few, many = ClassShares(["a", "b"], np.array([3, 0]), True), ClassShares(["a", "b"], np.array([1, 2]), True)
    assert few.missing_in(many) == ["b"]
    assert many.missing_in(few) == []
    assert ClassShares(["a", "b"], np.array([3, 0]), False).missing_in(many) == []
