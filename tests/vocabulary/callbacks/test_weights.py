"""Callbacks that change weights or rates are checked against the optimizer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.base.errors import SpecError
from graphspec.vocabulary.callbacks import CALLBACKS
from specs import blobs, dense_spec


@pytest.mark.parametrize(
    ("callback", "optimizer", "match"),
    [
        ("SwapEMAWeights", "sgd", "use_ema"),
        (
            {
                "type": "LearningRateScheduler",
                "schedule": {"type": "CosineDecay", "initial_learning_rate": 1, "decay_steps": 2},
            },
            {"type": "SGD", "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 1, "decay_steps": 2}},
            "follows a schedule",
        ),
    ],
)
def test_callbacks_given_to_fit_are_checked_there(callback: Any, optimizer: Any, match: str) -> None:
    model = gs.compile(dense_spec(training={"optimizer": optimizer}))
    with pytest.raises(SpecError, match=match):
        model.fit(*blobs(), callbacks=[CALLBACKS.parse(callback)], verbose=0)


AVERAGED = {"type": "SGD", "learning_rate": 0.5, "use_ema": True, "ema_momentum": 0.8}
BEST = [
    {"type": "ModelCheckpoint", "filepath": "best.safetensors", "monitor": "val_loss", "save_best_only": True},
    {"type": "EarlyStopping", "monitor": "val_loss", "patience": 9, "restore_best_weights": True},
]


@pytest.mark.parametrize("swaps", [True, False])
def test_the_best_epoch_of_the_averages(tmp_path: Path, swaps: bool) -> None:
    """With ``swap_on_epoch`` the best checkpoint and the restored weights are the averages that were validated."""
    rows = np.random.default_rng(0)
    x, y = rows.standard_normal((24, 4)).astype(np.float32), rows.integers(0, 3, 24)
    np.savez(tmp_path / "train.npz", x=x[:12], kind=y[:12])  # noise: later epochs are worse
    np.savez(tmp_path / "validation.npz", x=x[12:], kind=y[12:])
    data = {part: {"file": str(tmp_path / f"{part}.npz")} for part in ("train", "validation")}
    callbacks = [{"type": "SwapEMAWeights", "swap_on_epoch": swaps}, *BEST]
    training = {"optimizer": AVERAGED, "callbacks": callbacks, "epochs": 6, "batch_size": 4}
    path, run = tmp_path / "spec.json", tmp_path / "run"
    document = dense_spec(training=training, data=data)
    path.write_text(json.dumps(document))
    assert graphspec("train", path, "--out", run, "--no-report").exit_code == 0
    history = np.genfromtxt(run / "history.csv", delimiter=",", names=True)["val_loss"]
    assert history.argmin() < 5
    best = pytest.approx(history.min(), rel=1e-3)  # the command rounds
    kept = gs.compile(path)
    kept.set_weights(load_file(run / "best.safetensors"))
    answer = graphspec("evaluate", run, "--part", "validation").stdout
    figures = {
        "the run": gs.load(run).evaluate(x[12:], y[12:], batch_size=4)["loss"],
        "the checkpoint": kept.evaluate(x[12:], y[12:], batch_size=4)["loss"],
        "graphspec evaluate": float(re.search(r"loss\D*([\d.]+)", answer)[1]),
    }
    assert all((value == best) == swaps for value in figures.values()), figures
    model = gs.compile(document)
    model.fit(x[:12], y[:12], validation_data=(x[12:], y[12:]), callbacks=[callbacks[0], BEST[1]], verbose=0)
    assert (model.evaluate(x[12:], y[12:], batch_size=4)["loss"] == best) == swaps


def test_evaluate_after_fit_uses_the_averages_of_the_last_step() -> None:
    x, y = blobs()
    plain = gs.compile(dense_spec(training={"optimizer": AVERAGED, "epochs": 2, "batch_size": 4}))
    swapped = gs.compile(dense_spec(training={"optimizer": AVERAGED, "epochs": 2, "batch_size": 4}))
    plain.fit(x, y, validation_data=(x, y), verbose=0)
    swapped.fit(x, y, validation_data=(x, y), callbacks=["SwapEMAWeights"], verbose=0)
    averaged = swapped.history["val_loss"][-1]
    assert plain.history["val_loss"][-1] != averaged  # validated with the weights
    for model in (plain, swapped):
        assert model.evaluate(x, y, batch_size=4)["loss"] == pytest.approx(averaged, rel=1e-6)
