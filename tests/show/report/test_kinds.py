"""Heads are told apart by their losses, shapes and targets; what does not count is left out and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from judged import SEQUENCES, dense, judge, network, numbers, per_step, sequences

from graphspec.show.report.kinds import Flat, flatten, sigmoid, softmax

X = numbers(30, 5)
RNG = np.random.default_rng(2)
IDS = RNG.integers(0, 3, 30)
ZERO_ONE = RNG.integers(0, 2, (30, 3)).astype("f4")
LOGITS = {"type": "sparse_categorical_crossentropy", "from_logits": True}


def flat(layers: list[dict[str, Any]], head: Any, y: Any, x: np.ndarray = X, inputs: Any = None) -> Flat:
    _, judged, _ = judge(network(layers, head, inputs), x, y)
    return flatten(judged.heads[layers[-1]["name"]])


@pytest.mark.parametrize(
    ("units", "activation", "loss", "targets", "kind", "probabilities"),
    [
        (3, "softmax", "sparse_categorical_crossentropy", IDS, "classes", True),
        (3, None, LOGITS, IDS, "classes", True),
        (3, "softmax", "categorical_crossentropy", np.eye(3)[IDS].astype("f4"), "classes", True),
        (3, None, "categorical_hinge", np.eye(3)[IDS].astype("f4"), "classes", False),
        (3, "softmax", "kl_divergence", np.eye(3)[IDS].astype("f4"), "classes", True),
        (1, "sigmoid", "binary_crossentropy", ZERO_ONE[:, 0], "binary", True),
        (1, None, {"type": "binary_crossentropy", "from_logits": True}, ZERO_ONE[:, :1], "binary", True),
        (1, None, "hinge", ZERO_ONE[:, :1] * 2 - 1, "binary", False),
        (3, "sigmoid", "binary_crossentropy", ZERO_ONE, "labels", True),
        (3, "sigmoid", "dice", ZERO_ONE, "labels", True),
        (3, "sigmoid", "binary_crossentropy", ZERO_ONE * 0.7, "numbers", False),
        (1, None, "mse", ZERO_ONE[:, :1], "numbers", False),
        (2, None, "mae", numbers(30, 2), "numbers", False),
    ],
)
def test_the_kind_follows_loss_units_and_targets(
    units: int, activation: str | None, loss: Any, targets: np.ndarray, kind: str, probabilities: bool
) -> None:
    found = flat(dense(units, activation), {"loss": loss}, targets)
    assert (found.kind, found.probabilities) == (kind, probabilities)
    assert len(found.true) == len(found.scores) == 30
    if probabilities:
        assert found.scores.min() >= 0
        assert found.scores.max() <= 1


def test_logits_become_probabilities() -> None:
    z = numbers(4, 3)
    np.testing.assert_allclose(softmax(z), np.exp(z) / np.exp(z).sum(1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z)), rtol=1e-6)
    assert sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]


def test_masked_steps_do_not_count() -> None:
    x = sequences()
    found = flat(
        per_step(3, "softmax"), {"loss": "sparse_categorical_crossentropy"}, RNG.integers(0, 3, x.shape), x, SEQUENCES
    )
    assert found.noun == "time step"
    assert len(found.true) == (x > 0).sum()
    assert found.notes == (f"{(x == 0).sum()} time steps hidden by the mask do not count",)


def test_a_class_that_the_loss_ignores_does_not_count() -> None:
    head = {"loss": {"type": "sparse_categorical_crossentropy", "ignore_class": 0}, "labels": ["none", "b", "c"]}
    found = flat(dense(3, "softmax"), head, IDS)
    assert len(found.true) == (IDS > 0).sum()
    assert found.notes[0].startswith(f"{(IDS == 0).sum()} rows are of the class 'none', which the loss ignores")


def test_answers_that_are_no_numbers_do_not_count() -> None:
    x = X.copy()
    x[3] = 3e38
    found = flat(dense(3, "softmax"), {"loss": "sparse_categorical_crossentropy"}, IDS, x)
    assert len(found.true) == 29
    assert found.notes == ("1 row has an answer that is no finite number, and does not count here",)


def test_distributions_as_targets_count_as_their_likeliest_class() -> None:
    soft = RNG.dirichlet([1, 1, 1], 30).astype("f4")
    found = flat(dense(3, "softmax"), {"loss": "categorical_crossentropy"}, soft)
    assert found.true.tolist() == soft.argmax(1).tolist()
    assert "the likeliest class counts as the true one" in found.notes[0]


def test_labels_name_the_classes() -> None:
    head = {"loss": "sparse_categorical_crossentropy", "labels": ["a", "b", "c"]}
    assert flat(dense(3, "softmax"), head, IDS).labels == ["a", "b", "c"]
    head["labels"] = ["", "x" * 300, "c"]
    assert flat(dense(3, "softmax"), head, IDS).labels == ["(empty)", "x" * 39 + "…", "c"]


def test_classes_along_another_axis() -> None:
    softmax = {"name": "h", "type": "Softmax", "axis": 1}
    layers = [
        {"name": "c", "type": "Conv2D", "filters": 3, "kernel_size": 1},
        {"name": "p", "type": "Permute", "dims": [3, 1, 2]},
    ]
    x, ids = numbers(4, 5, 6, 1), RNG.integers(0, 3, (4, 5, 6))
    sparse = {"loss": {"type": "sparse_categorical_crossentropy", "axis": 1}}
    one_hot = {"loss": {"type": "categorical_crossentropy", "axis": 1}}
    shape = {"x": {"shape": [5, 6, 1]}}
    found = flat([*layers, softmax], sparse, ids, x, shape)
    assert found.noun == "pixel"
    assert found.true.tolist() == ids.reshape(-1).tolist()
    np.testing.assert_allclose(found.scores.sum(1), 1, rtol=1e-5)
    other = flat([*layers, softmax], one_hot, np.moveaxis(np.eye(3, dtype="f4")[ids], -1, 1), x, shape)
    assert other.true.tolist() == found.true.tolist()
    np.testing.assert_array_equal(other.scores, found.scores)
