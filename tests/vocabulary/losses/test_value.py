"""A node that is minimised: its mean, with weights and masks, and what cannot be minimised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.errors import SpecError

X = np.random.default_rng(0).uniform(-1, 1, (30, 5, 4)).astype(np.float32)


def network(**head: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "energy",
        "inputs": {"x": {"shape": [5, 4]}},
        "layers": [
            {"name": "mask", "type": "Masking"},
            {"name": "e", "type": "Dense", "units": 2, "activation": "softplus"},
            {"name": "y", "type": "Activation", "activation": "linear"},
        ],
        "outputs": {"y": {}, "energy": {"layer": "e", "loss": "value", **head}},
    }


def test_it_is_the_mean_of_the_node() -> None:
    model = gs.compile(network())
    values = model.predict(X)
    assert values.shape == (30, 5, 2)
    assert model.evaluate(X)["loss"] == pytest.approx(values.mean(), rel=1e-5)
    weights = np.arange(30, dtype=np.float32)
    weighted = (values * weights[:, None, None]).mean()
    assert model.evaluate(X, sample_weight={"energy": weights})["loss"] == pytest.approx(weighted, rel=1e-5)
    hidden = X.copy()
    hidden[::2, 3:] = 0
    kept = np.ones((30, 5), bool)
    kept[::2, 3:] = False
    assert model.evaluate(hidden)["loss"] == pytest.approx(model.predict(hidden)[kept].mean(), rel=1e-5)
    before = model.evaluate(X)["loss"]
    history = model.fit(X, epochs=5, verbose=0).history
    assert [*history] == ["loss", "energy_loss"]
    assert model.evaluate(X)["loss"] < before


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ({"metrics": ["mae"]}, "cannot have `metrics`: with Value it is a term of the loss, without an output"),
        ({"labels": ["a", "b"]}, "cannot have `labels`"),
        ({"class_weight": "balanced"}, "cannot have `class_weight`"),
        ({"scale": "standard"}, "cannot have `scale`"),
        ({"target": "x"}, "has a `target`, but Value compares with nothing"),
        ({"layer": ["e", "y"]}, "has 2 nodes, but Value compares one node with a target"),
    ],
)
def test_what_makes_no_sense_is_refused(head: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match="head 'energy'") as error:
        gs.compile(network(**head))
    assert says in str(error.value)
