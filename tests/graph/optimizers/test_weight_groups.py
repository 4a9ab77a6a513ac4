"""Groups of weights with rates and decays of their own: against PyTorch, alone, with workers, resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import GOLDEN
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.graph.optimizers.optimizer import Settings, WeightGroup, settings_of

TORCH = json.loads((GOLDEN / "torch_groups.json").read_text(encoding="utf-8"))
X = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
Y = X[:, :1] ** 2
LAYERS: list[dict[str, Any]] = [
    {"name": "a", "type": "Dense", "units": 5, "activation": "tanh"},
    {"name": "b", "type": "Dense", "units": 4},
    {"name": "y", "type": "Dense", "units": 1},
]
OWN = [{"weights": "b/*", "learning_rate_scale": 0.5}, {"weights": "*/bias", "weight_decay": 0.1}]


def network(optimizer: dict[str, Any], **training: Any) -> gs.Model:
    keys = {"optimizer": optimizer, "seed": 1, "epochs": 2, "batch_size": 8, **training}
    spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": [6]}}, "layers": LAYERS}
    return gs.compile(spec | {"outputs": {"y": {"loss": "mse"}}, "training": keys})


def trained(optimizer: dict[str, Any], **training: Any) -> dict[str, NDArray[Any]]:
    model = network(optimizer, **training)
    model.fit(X, Y, verbose=0)
    return model.weights


@pytest.mark.parametrize("case", TORCH["cases"])
def test_groups_match_pytorch(case: str) -> None:
    layers = [
        {"name": "a", "type": "Dense", "units": 4, "activation": "tanh"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    training = {"optimizer": TORCH["cases"][case]["optimizer"], "batch_size": 8}
    spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3]}}, "layers": layers, "training": training}
    model = gs.compile(spec | {"outputs": {"y": {"loss": "mse"}}})
    model.set_weights({name: np.array(value, np.float32) for name, value in TORCH["start"].items()})
    model.fit(np.array(TORCH["x"], np.float32), np.array(TORCH["y"], np.float32), epochs=TORCH["steps"], verbose=0)
    for name, value in TORCH["cases"][case]["end"].items():
        np.testing.assert_allclose(model.weights[name], value, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", OPTIMIZERS.primary())
def test_groups_that_change_nothing(name: str) -> None:
    """Cut into parts, an update makes the bits of a whole one; a rate of 0 leaves weights as they are."""
    plain = trained({"type": name})
    cut = trained({"type": name, "groups": [{"weights": "b/*", "learning_rate_scale": 1.0}]})
    stays = trained({"type": name, "groups": [{"weights": "b/kernel", "learning_rate": 0.0}]})
    assert all(np.array_equal(plain[n], cut[n]) for n in plain)
    before = network({"type": name}).weights
    if name != "Ftrl":  # it computes weights anew from what its rate has accumulated
        np.testing.assert_allclose(
            stays["b/kernel"], before["b/kernel"], rtol=1e-6 if name.startswith("Schedule") else 0
        )
    assert not np.array_equal(stays["a/kernel"], before["a/kernel"])
    assert not np.array_equal(stays["b/bias"], before["b/bias"])


@pytest.mark.parametrize(
    "more", [{"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"use_ema": True}, {"gradient_accumulation_steps": 2}]
)
def test_with_other_arguments(more: dict[str, Any]) -> None:
    plain = trained({"type": "Adam", **more})
    cut = trained({"type": "Adam", **more, "groups": [{"weights": "b/*", "learning_rate_scale": 1.0}]})
    assert all(np.array_equal(plain[n], cut[n]) for n in plain)


def test_the_schema_knows_the_keys_of_a_group() -> None:
    schema = OPTIMIZERS.get("Adam").model_json_schema()["properties"]["groups"]["items"]  # type: ignore[union-attr]
    assert Draft202012Validator(schema).is_valid({"weights": "b/*", "learning_rate_scale": 0.5})
    assert not Draft202012Validator(schema).is_valid({"weights": "b/*", "learning_rate_scal": 0.5})


def test_settings() -> None:
    """Of each setting, the last group that matches and sets it."""
    groups = [
        WeightGroup(weights="encoder/*", learning_rate=0.5, weight_decay=0.1),
        WeightGroup(weights=["*/bias", "*/gamma"], weight_decay=0.0),
        WeightGroup(weights="encoder/0/*", learning_rate_scale=0.25),
    ]
    assert settings_of(groups, "encoder/0/kernel") == Settings(None, 0.25, 0.1)
    assert settings_of(groups, "encoder/1/bias") == Settings(0.5, None, 0.0)
    assert settings_of(groups, "head/kernel") == Settings()


def test_what_changes_the_rate_changes_all_in_proportion() -> None:
    adam = OPTIMIZERS.parse({"type": "Adam", "learning_rate": 0.01})
    cosine = {"type": "CosineDecay", "initial_learning_rate": 0.2, "decay_steps": 10}
    scheduled = OPTIMIZERS.parse({"type": "Adam", "learning_rate": cosine})
    assert Settings(learning_rate=0.5).rate(adam.learning_rate, 3, 0.01) == 0.5
    assert Settings(learning_rate=0.5).rate(adam.learning_rate, 3, 0.001) == pytest.approx(0.05)
    assert Settings(scale=0.5).rate(adam.learning_rate, 3, 0.001) == 0.0005
    assert Settings(learning_rate=0.5).rate(scheduled.learning_rate, 3, 0.1) == 0.5
    assert Settings(learning_rate=scheduled.learning_rate).rate(adam.learning_rate, 10, 0.01) == pytest.approx(0.0)


def test_a_rate_lowered_by_a_callback() -> None:
    """Rates that a callback sets to 0 from the second epoch on: the weights of a group stay, too."""
    stairs = {"type": "PiecewiseConstantDecay", "boundaries": [0], "values": [0.01, 0.0]}
    callbacks = [{"type": "LearningRateScheduler", "schedule": stairs}]
    optimizer = {"type": "SGD", "learning_rate": 0.01, "groups": [{"weights": "b/*", "learning_rate": 0.05}]}
    one, three = (trained(optimizer, callbacks=callbacks, epochs=epochs) for epochs in (1, 3))
    assert all(np.array_equal(one[n], three[n]) for n in one)


def test_resumed(tmp_path: Path) -> None:
    """A second half of the epochs, from a saved model, gives the bits of one training."""
    optimizer = {"type": "Adam", "groups": [*OWN, {"weights": "a/*", "learning_rate": {"type": "Noam", "d_model": 4}}]}
    whole = trained(optimizer, epochs=4)
    model = network(optimizer)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "half")
    again = gs.load(tmp_path / "half")
    again.fit(X, Y, verbose=0)
    assert all(np.array_equal(whole[n], again.weights[n]) for n in whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adam", "Muon"])
def test_workers(name: str) -> None:
    """Shards that end within weights, and shards of whole weights, give the same bits for any number of workers."""
    alone, together = (trained({"type": name, "groups": OWN}, shards=2, workers=n) for n in (1, 2))
    assert all(np.array_equal(alone[n], together[n]) for n in alone)


def test_embeddings_by_rows() -> None:
    """A sparse embedding has the rate of its group; a decay, which changes all rows, is refused."""

    def spec(group: dict[str, Any]) -> dict[str, Any]:
        layers = [
            {"name": "e", "type": "Embedding", "input_dim": 9, "output_dim": 2, "sparse": True},
            {"name": "flat", "type": "Flatten"},
            {"name": "y", "type": "Dense", "units": 1},
        ]
        optimizer = {"type": "SGD", "learning_rate": 0.1, "groups": [{"weights": "e/*", **group}]}
        inputs = {"x": {"shape": [1], "dtype": "int64"}}
        training = {"optimizer": optimizer, "batch_size": 4, "epochs": 1, "shuffle": False, "seed": 2}
        return {
            "graphspec": 1, "name": "m", "inputs": inputs, "layers": layers,
            "outputs": {"y": {"loss": "mse"}}, "training": training,
        }  # fmt: skip

    ids, target = np.array([[1], [4], [1], [7]]), np.ones((4, 1), np.float32)
    changes = []
    for scale in (1.0, 0.5):
        model = gs.compile(spec({"learning_rate_scale": scale}))
        before = model.weights["e/embeddings"]
        model.fit(ids, target, verbose=0)
        changes.append(model.weights["e/embeddings"] - before)
    np.testing.assert_allclose(changes[1], changes[0] * 0.5, atol=1e-7)
    assert np.abs(changes[0][[1, 4, 7]]).min() > 0 == np.abs(changes[0][[0, 2, 3, 5, 6, 8]]).max()
    with pytest.raises(SpecError, match="changes all rows"):
        gs.compile(spec({"weight_decay": 0.1}))
