"""What an evaluation counts besides the metrics of a spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.data.signature import user_arrays
from graphspec.engine.runtime.running_metrics import ClassCounts, HeadCounts, NumberErrors

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 4)).astype(np.float32)


def found(y: np.ndarray, units: int, activation: str, loss: Any, **head: Any) -> tuple[gs.Model, Any]:
    """A model that is not trained, and what is counted for it."""
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "counted",
            "inputs": {"x": {"shape": [4]}},
            "layers": [{"name": "y", "type": "Dense", "units": units, "activation": activation}],
            "outputs": {"y": {"loss": loss, **head}},
            "training": {"batch_size": 16},
        }
    )
    running = model.evaluate_arrays(user_arrays(model.needed, X, y), 16, HeadCounts(model, model.cutoffs))
    assert running.heads is not None
    evaluated = model.evaluate(X, y)
    logs = running.logs()
    assert logs == pytest.approx({key: evaluated[key] for key in logs}), "the losses and metrics are the same"
    return model, running.heads.found()


def test_one_of_several_classes() -> None:
    y = RANDOM.integers(0, 3, 50)
    model, (counts,) = found(y, 3, "softmax", "sparse_categorical_crossentropy", labels=["a", "b", "c"])
    assert isinstance(counts, ClassCounts)
    answers = model.predict(X).argmax(-1)
    assert counts.pairs is not None
    assert counts.pairs.tolist() == [[np.sum((y == t) & (answers == k)) for k in range(3)] for t in range(3)]
    assert (counts.head, counts.labels) == ("y", ["a", "b", "c"])
    assert counts.true.tolist() == np.bincount(y, minlength=3).tolist()
    assert counts.answered.tolist() == np.bincount(answers, minlength=3).tolist()


@pytest.mark.parametrize(("activation", "logits", "threshold"), [("sigmoid", False, 0.5), ("linear", True, 0.0)])
def test_yes_or_no(activation: str, logits: bool, threshold: float) -> None:
    y = RANDOM.integers(0, 2, (50, 1))
    loss = {"type": "binary_crossentropy", "from_logits": logits}
    model, (counts,) = found(y, 1, activation, loss)
    answers = model.predict(X) > threshold
    assert counts.right.tolist() == [np.sum((y == 0) & ~answers), np.sum((y == 1) & answers)]
    assert counts.labels == ["0", "1"]


def test_a_threshold_of_the_spec() -> None:
    y = RANDOM.integers(0, 2, (50, 1))
    metric = {"type": "ConfusionMatrix", "threshold": 0.2}
    model, (counts,) = found(y, 1, "sigmoid", "binary_crossentropy", metrics=[metric])
    assert counts.answered[1] == np.sum(model.predict(X) > 0.2)


def test_labels_of_which_several_apply() -> None:
    y = RANDOM.integers(0, 2, (50, 4))
    model, (counts,) = found(y, 4, "sigmoid", "binary_crossentropy")
    answers = model.predict(X) > 0.5
    assert counts.pairs is None
    assert counts.right.tolist() == np.sum((y == 1) & answers, axis=0).tolist()
    assert counts.true.tolist() == y.sum(0).tolist()
    assert counts.answered.tolist() == answers.sum(0).tolist()


def test_many_classes_have_no_matrix() -> None:
    y = RANDOM.integers(0, 600, 50)
    model, (counts,) = found(y, 600, "softmax", "sparse_categorical_crossentropy")
    assert counts.pairs is None
    assert counts.right.sum() == np.sum(model.predict(X).argmax(-1) == y)
    assert counts.true.sum() == 50


def test_numbers() -> None:
    y = RANDOM.normal(size=(50, 2))
    model, (errors,) = found(y, 2, "linear", "huber", metrics=["mae"])
    assert isinstance(errors, NumberErrors)
    difference = model.predict(X) - y
    assert errors.mae == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert errors.rmse == pytest.approx(np.sqrt(np.square(difference).mean()), rel=1e-5)
    assert errors.known == {"mae"}


def test_heads_that_are_neither() -> None:
    assert found(RANDOM.normal(size=(50, 2)), 2, "linear", "cosine_similarity")[1] == []
    assert found(np.sign(RANDOM.normal(size=(50, 1))), 1, "linear", "hinge")[1] == []
