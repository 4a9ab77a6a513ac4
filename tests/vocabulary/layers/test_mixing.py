"""MixUp and CutMix: rows and targets are mixed alike in training, and stay as they are at prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.vocabulary.layers.images import beta_quantiles

DRAW = np.random.default_rng(0)
COLOURS = DRAW.random((16, 2)).astype(np.float32)
ROWS = {"x": np.tile(COLOURS[:, None, None], (1, 6, 5, 1)), "t": COLOURS, "plain": ((COLOURS * 9) % 1).round(3)}


def trained(kind: str, *, rows: int = 16, **more: Any) -> Any:
    """What a step sees, as losses: how far each picture's mean is from its mixed target, and how much is mixed."""
    settings = {"batch_size": 16, "seed": 5, "shuffle": False, "optimizer": {"type": "SGD", "learning_rate": 0.1}}
    workers = {"workers": more.pop("workers", 1)}
    layers = [
        {"name": "mix", "type": kind, "inputs": ["x", "t"], **more},
        {"name": "mean", "type": "ops.mean", "axis": [1, 2]},
        {"name": "apart", "type": "Formula", "value": "sum((mean - read)**2, axis=-1)".replace("read", "`mix:1`")},
        {"name": "moved", "type": "Formula", "value": "sum(abs(`mix:1` - t), axis=-1)"},
        {"name": "y", "type": "Dense", "units": 2, "inputs": "mean"},
    ]
    heads = {"apart": {"loss": "value"}, "moved": {"loss": "value"}}
    model = gs.compile({
        "graphspec": 1, "name": "mix", "inputs": {"x": {"shape": [6, 5, 2]}, "t": {"shape": [2]}}, "layers": layers,
        "outputs": {"y": {"loss": "mse", "target": "mix:1"}, **heads}, "training": {**settings, **workers},
    })  # fmt: skip
    return model, model.fit({key: ROWS[key][:rows] for key in ("x", "t")}, epochs=2, verbose=0).history


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("MixUp", {}),
    ("MixUp", {"alpha": 4.0}),
    ("CutMix", {}),
    ("CutMix", {"factor": [0.2, 0.4]}),
]


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_targets_are_mixed_as_rows_are(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    model, history = trained(kind, **more)
    assert max(history["apart_loss"]) < 1e-10
    assert min(history["moved_loss"]) > 0.02
    assert history["moved_loss"][0] != history["moved_loss"][1]
    again, _ = trained(kind, **more)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])
    at_prediction = model.evaluate({"x": ROWS["x"], "t": ROWS["t"]})
    assert at_prediction["moved_loss"] == 0
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))
    assert "10 steps" in str(model.export_training_step(tmp_path / "step.onnx"))


@pytest.mark.parametrize("kind", ["MixUp", "CutMix"])
def test_workers_mix_the_same_pairs(kind: str) -> None:
    (one, alone), (two, both) = trained(kind), trained(kind, workers=2)
    for name, array in one.weights.items():
        np.testing.assert_allclose(array, two.weights[name], atol=1e-6)
    np.testing.assert_allclose(alone["moved_loss"], both["moved_loss"], rtol=1e-6)


def test_a_row_without_a_partner_stays() -> None:
    assert trained("MixUp", rows=1)[1]["moved_loss"] == [0, 0]


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 3.0])
def test_the_weights_have_a_beta_distribution(alpha: float) -> None:
    found = beta_quantiles(alpha, 4096).astype(np.float64)
    kurtosis = 3 * (2 * alpha + 1) / (2 * alpha + 3)  # E[(t - 1/2)^4] / var^2
    np.testing.assert_allclose(found.var(), 1 / (8 * alpha + 4), rtol=1e-3)
    np.testing.assert_allclose(((found - 0.5) ** 4).mean() / found.var() ** 2, kurtosis, rtol=1e-2)
