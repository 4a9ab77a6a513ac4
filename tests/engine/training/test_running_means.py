"""`share` with `average`: weights that are running means of others, in a loop of NumPy, in runs, files and with workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import assert_same_files, assert_same_weights, interrupt, resume, whole
from safetensors.numpy import save_file

import graphspec as gs
from graphspec.base.errors import SpecError

DRAW = np.random.default_rng(0)
ROWS = {name: DRAW.normal(size=(16, 6)).astype(np.float32) for name in ("a", "b")}
ROLES = ("h/kernel", "h/bias", "z/kernel", "z/bias")
NET = [{"name": "h", "type": "Dense", "units": 5, "activation": "tanh"}, {"name": "z", "type": "Dense", "units": 3}]
LAYERS: list[dict[str, Any]] = [
    {"name": "online", "block": "net", "inputs": "a"},
    {"name": "guess", "type": "Dense", "units": 3},
    {"name": "mean", "share": "online", "average": 0.9, "inputs": "b"},
    {"name": "again", "share": "mean", "inputs": "a"},
    {"name": "cost", "type": "Formula", "value": "sum((guess - mean)**2, axis=-1)"},
]


def spec(*more: dict[str, Any], **training: Any) -> dict[str, Any]:
    return {
        "graphspec": 1, "name": "means", "inputs": {"a": {"shape": [6]}, "b": {"shape": [6]}},
        "blocks": {"net": {"inputs": ["x"], "layers": NET, "outputs": ["z"]}}, "layers": [*LAYERS, *more],
        "outputs": {"online": {}, "again": {}, "cost": {"loss": "value"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 0.3}, "batch_size": 4, "epochs": 2, "seed": 3,
                     "shuffle": False, **training},
    }  # fmt: skip


def network(weights: Any, x: Any, of: str = "") -> Any:
    hidden = np.tanh(x @ weights[of + "h/kernel"] + weights[of + "h/bias"])
    return hidden @ weights[of + "z/kernel"] + weights[of + "z/bias"]


def test_they_follow_after_each_step(tmp_path: Path) -> None:
    model = gs.compile(spec())
    mean = {role: model.weights[f"online/{role}"].astype(np.float64) for role in ROLES}
    assert all((model.weights[f"mean/{role}"] == mean[role]).all() for role in ROLES)
    for k in range(0, 16, 4):
        batch = {name: a[k : k + 4] for name, a in ROWS.items()}
        expected = (network(model.weights, batch["a"], "online/") @ model.weights["guess/kernel"]
                    + model.weights["guess/bias"] - network(mean, batch["b"])) ** 2  # fmt: skip
        found = model.fit(batch, epochs=1, verbose=0).history["loss"][0]
        np.testing.assert_allclose(found, expected.sum(-1).mean(), rtol=1e-5)
        mean = {role: 0.9 * array + 0.1 * model.weights[f"online/{role}"] for role, array in mean.items()}
        np.testing.assert_allclose(model.predict(ROWS)["again"], network(mean, ROWS["a"]), atol=1e-5)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))
    assert "10 steps" in str(model.export_training_step(tmp_path / "step.onnx"))


def test_runs_are_resumed_to_the_same_bits(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", **ROWS)
    filed = spec() | {"data": {"train": {"file": str(tmp_path / "rows.npz")}}}
    run = whole(filed, tmp_path / "whole")
    interrupt(filed, tmp_path / "run", 5)
    assert_same_weights(resume(filed, tmp_path / "run"), run)
    assert_same_files(tmp_path / "whole", tmp_path / "run")


def test_workers_and_copies_have_them() -> None:
    alone, both, again = (gs.compile(spec(workers=n)) for n in (1, 2, 2))
    for model in (alone, both, again):
        model.fit(ROWS, verbose=0)
    for name, array in both.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])
        np.testing.assert_allclose(array, alone.weights[name], atol=1e-6)
    copies = gs.compile(spec(seeds=2))
    assert np.array_equal(copies.weights["copy_2/mean/h/kernel"], copies.weights["copy_2/online/h/kernel"])


def test_they_begin_with_the_weights_of_a_file(tmp_path: Path) -> None:
    weights = {f"online/{role}": gs.compile(spec(seed=9)).weights[f"online/{role}"] for role in ROLES}
    save_file(weights, tmp_path / "w.safetensors")
    missing = {"file": str(tmp_path / "w.safetensors"), "allow_missing": ["guess/*"]}
    model = gs.compile(spec(initial_weights=missing))
    for role in ROLES:
        np.testing.assert_array_equal(model.weights[f"mean/{role}"], weights[f"online/{role}"])
    save_file(weights | {"mean/h/bias": np.ones(5, np.float32)}, tmp_path / "w.safetensors")
    assert (gs.compile(spec(initial_weights=missing)).weights["mean/h/bias"] == 1).all()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"share": "mean", "average": 0.5}, "averages the weights of 'mean', which are averages already"),
        ({"share": "again", "average": 0.5}, "averages the weights of 'again', which are averages already"),
        ({"share": "guess", "average": 1.5}, "`average` of 'x' must be a number from 0 to 1"),
        ({"share": "guess", "average": "much"}, "`average` of 'x' must be a number from 0 to 1"),
        ({"type": "Dense", "units": 1, "average": 0.9}, "unknown key 'average' of Dense"),
    ],
)
def test_wrong_ones_are_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gs.compile(spec({"name": "x", "inputs": "a", **node}))
