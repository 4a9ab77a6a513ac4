"""A schedule as the weight decay: against updates by hand in float64, equal to a number's bits, resumed, with workers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.graph.optimizers import OPTIMIZERS

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = (X[:, :1] - 0.5 * X[:, 1:2] ** 2).astype(np.float32)
# Half of the steps as they are, then to 0 as a cosine: RealMLP's `flat_cos`.
FLAT_COS = {
    "type": "Sequential",
    "schedules": [0.3, {"type": "CosineDecay", "initial_learning_rate": 0.3, "decay_steps": 3}],
    "boundaries": [3],
}


def flat_cos(step: int) -> float:
    return 0.3 if step < 3 else 0.15 * (1 + math.cos(math.pi * min(step - 3, 3) / 3))


def network(optimizer: dict[str, Any], **training: Any) -> gs.Model:
    layer = {"name": "y", "type": "Dense", "units": 1}
    keys = {"optimizer": optimizer, "seed": 1, "epochs": 2, "batch_size": 4, "shuffle": False, **training}
    spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": [3]}}, "layers": [layer]}
    return gs.compile(spec | {"outputs": {"y": {"loss": "mse"}}, "training": keys})


def trained(optimizer: dict[str, Any], **training: Any) -> dict[str, NDArray[Any]]:
    model = network(optimizer, **training)
    model.fit(X, Y, verbose=0)
    return model.weights


def gradients(w: NDArray[Any], b: NDArray[Any], step: int) -> list[NDArray[Any]]:
    """The gradients of the mean squared error of ``x w + b`` for the rows of a step, in float64."""
    rows = slice(4 * (step % 3), 4 * (step % 3) + 4)
    x, error = X[rows].astype(np.float64), X[rows] @ w + b - Y[rows]
    return [2 * x.T @ error / 4, 2 * error.sum(0) / 4]


def start() -> list[NDArray[Any]]:
    weights = network({"type": "SGD"}).weights
    return [weights["y/kernel"].astype(np.float64), weights["y/bias"].astype(np.float64)]


def same(found: dict[str, NDArray[Any]], expected: list[NDArray[Any]]) -> None:
    for name, values in zip(("y/kernel", "y/bias"), expected, strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def test_sgd_by_hand_with_a_group_and_a_scheduled_rate() -> None:
    """``p ← p − η(t) λ(t) p − η(t) g``; the bias, in a group, has a number."""
    rate = {"type": "InverseTimeDecay", "initial_learning_rate": 0.1, "decay_steps": 2, "decay_rate": 0.5}
    groups = [{"weights": "*/bias", "weight_decay": 0.05}]
    found = trained({"type": "SGD", "learning_rate": rate, "weight_decay": FLAT_COS, "groups": groups})
    p = start()
    for step in range(6):
        eta = 0.1 / (1 + 0.5 * step / 2)
        decays = flat_cos(step), 0.05
        p = [w * (1 - eta * d) - eta * g for w, d, g in zip(p, decays, gradients(*p, step), strict=True)]
    same(found, p)


def test_adamw_by_hand() -> None:
    found = trained({"type": "AdamW", "learning_rate": 0.02, "weight_decay": FLAT_COS})
    p = start()
    m, v = ([np.zeros_like(w) for w in p] for _ in range(2))
    for step in range(6):
        for k, g in enumerate(gradients(*p, step)):
            p[k] = p[k] * (1 - 0.02 * flat_cos(step))
            m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.999 * v[k] + 0.001 * g**2
            first, second = m[k] / (1 - 0.9 ** (step + 1)), v[k] / (1 - 0.999 ** (step + 1))
            p[k] = p[k] - 0.02 * first / (np.sqrt(second) + 1e-7)
    same(found, p)


def test_steps_are_counted_where_updates_are_not() -> None:
    """With ``gradient_accumulation_steps`` a decay is that of the step, as a rate is; Muon's for Adam, too."""
    stairs = {"type": "PiecewiseConstantDecay", "boundaries": [0, 2, 4], "values": [9.0, 0.5, 9.0, 0.25]}
    more = {"learning_rate": 0.1, "gradient_accumulation_steps": 2}
    found = trained({"type": "SGD", "weight_decay": stairs, **more})  # updates at steps 1, 3, 5
    p = start()
    for k in range(3):
        both = [gradients(*p, 2 * k + j) for j in range(2)]
        p = [w * (1 - 0.1 * (0.5, 9.0, 0.25)[k]) - 0.1 * (g + h) / 2 for w, g, h in zip(p, *both, strict=True)]
    same(found, p)
    by_adam = {"type": "Muon", "exclude_layers": ["."], **more}
    decays = {"weight_decay": 0.0, "adam_weight_decay": stairs}
    whole = trained({**by_adam, **decays})
    adam = trained({"type": "Adam", "weight_decay": stairs, **more})
    assert all(np.allclose(whole[n], adam[n], rtol=1e-5, atol=1e-6) for n in adam)


@pytest.mark.parametrize("name", OPTIMIZERS.primary())
def test_a_constant_schedule_has_the_bits_of_its_number(name: str) -> None:
    constant = {"type": "Sequential", "schedules": [0.01, 0.01], "boundaries": [2]}
    group = {"weights": "*/bias"}
    number, schedule = (
        trained({"type": name, "weight_decay": d, "groups": [{**group, "weight_decay": d}]}) for d in (0.01, constant)
    )
    assert all(np.array_equal(number[n], schedule[n]) for n in number)
    without = trained({"type": name} | ({"weight_decay": 0.0} if name in ("AdamW", "Muon") else {}))
    assert not np.array_equal(number["y/kernel"], without["y/kernel"])


def test_resumed(tmp_path: Path) -> None:
    """A second half of the epochs, from a saved model, gives the bits of one training."""
    optimizer = {"type": "AdamW", "learning_rate": 0.02, "weight_decay": FLAT_COS}
    whole = trained(optimizer, epochs=4)
    model = network(optimizer)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "half")
    again = gs.load(tmp_path / "half")
    again.fit(X, Y, verbose=0)
    assert all(np.array_equal(whole[n], again.weights[n]) for n in whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AdamW", "Muon"])
def test_workers(name: str) -> None:
    optimizer = {"type": name, "weight_decay": FLAT_COS}
    alone, together = (trained(optimizer, shards=2, workers=n) for n in (1, 2))
    assert all(np.array_equal(alone[n], together[n]) for n in alone)


@pytest.mark.parametrize(
    ("decay", "code", "text"),
    [
        (-0.1, "GS105", "weight_decay"),
        ("0.1", "GS104", "must be a number or a schedule"),
        (None, "GS105", "must be a number or a schedule"),
        ({"type": "CosineDecays", "initial_learning_rate": 1, "decay_steps": 2}, "GS111", "CosineDecay"),
        ({"type": "CosineDecay", "initial_learning_rate": 1}, "GS103", "decay_steps"),
    ],
)
def test_wrong_decays(decay: Any, code: str, text: str) -> None:
    with pytest.raises(SpecError, match=text) as caught:
        network({"type": "AdamW", "weight_decay": decay})
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert "weight_decay" in str(caught.value)


EMBEDDING = {"type": "Embedding", "input_dim": 9, "output_dim": 2, "sparse": True}


@pytest.mark.parametrize(
    ("layer", "optimizer", "says"),
    [
        (EMBEDDING, {"type": "Adam", "weight_decay": FLAT_COS}, "the `weight_decay` of Adam changes all rows"),
        (
            EMBEDDING,
            {"type": "Adam", "gradient_accumulation_steps": 2},
            "`gradient_accumulation_steps` adds up gradients",
        ),
        (EMBEDDING, {"type": "Muon"}, "Muon updates whole weights"),
        (
            {"type": "SpectralNormalization", "layer": EMBEDDING},
            {"type": "Adam"},
            "weights are not only looked up by ids",
        ),
    ],
)
def test_a_sparse_embedding_refuses_what_changes_all_rows(
    layer: dict[str, Any], optimizer: dict[str, Any], says: str
) -> None:
    layers = [
        {"name": "e", **layer},
        {"name": "flat", "type": "Flatten"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    spec = {"graphspec": 1, "name": "m", "inputs": {"x": {"shape": [1], "dtype": "int64"}}, "layers": layers}
    with pytest.raises(SpecError, match=f"'e' is sparse, but .*{says}"):
        gs.compile(spec | {"outputs": {"y": {"loss": "mse"}}, "training": {"optimizer": optimizer}})
