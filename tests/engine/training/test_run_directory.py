"""Tests of resumed runs: they end with the bits of an uninterrupted run, for every optimizer and every callback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import assert_same_files, assert_same_weights, interrupt, resume, whole

import graphspec as gs
from graphspec.engine.training.checkpoint import load_checkpoint
from graphspec.engine.training.reporting import Silent
from graphspec.graph.optimizers import OPTIMIZERS


def spec(tmp_path: Path, **training: Any) -> dict[str, Any]:
    """Return a spec whose weights have 1, 2 and 4 dimensions, some with another layout than in Keras; 3 steps per epoch."""
    random = np.random.default_rng(5)
    rows = {"x": random.standard_normal((12, 3, 4, 2)).astype(np.float32), "y": random.standard_normal((12, 2))}
    if not (tmp_path / "rows.npz").exists():
        np.savez(tmp_path / "rows.npz", **rows)
    return {
        "graphspec": 1,
        "name": "resumed",
        "inputs": {"x": {"shape": [3, 4, 2]}},
        "layers": [
            {"name": "filter", "type": "Conv2D", "filters": 3, "kernel_size": 2, "activation": "tanh"},
            {"name": "sequence", "type": "Reshape", "target_shape": [3, 6]},
            {"name": "read", "type": "LSTM", "units": 3},
            {"name": "y", "type": "Dense", "units": 2, "kernel_constraint": {"type": "MaxNorm", "max_value": 0.9}},
        ],
        "outputs": {"y": {"loss": "mean_squared_error", "metrics": ["mae"]}},
        "training": {"epochs": 4, "batch_size": 4, "seed": 3, **training},
        "data": {"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"file": str(tmp_path / "rows.npz")}},
    }


EXTRA: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "use_ema": True, "ema_overwrite_frequency": 3},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Adam": {"amsgrad": True, "gradient_accumulation_steps": 2},
    "Adafactor": {"use_ema": True, "learning_rate": 0.1},
    "Muon": {"exclude_layers": ["^y/"]},
    "ScheduleFreeAdamW": {"warmup_steps": 5, "gradient_accumulation_steps": 2},
    "Lookahead": {"optimizer": {"type": "RAdam", "weight_decay": 0.1}, "k": 3},
    "Nadam": {
        "learning_rate": {
            "type": "CosineDecay",
            "initial_learning_rate": 0.01,
            "decay_steps": 9,
            "warmup_target": 0.02,
            "warmup_steps": 3,
        }
    },
}


@pytest.mark.parametrize("name", OPTIMIZERS.primary())
def test_every_optimizer(tmp_path: Path, name: str) -> None:
    trained = spec(tmp_path, optimizer={"type": name, **EXTRA.get(name, {})})
    run = whole(trained, tmp_path / "whole")
    for after in (4, 6):  # within an epoch, and at its end
        interrupt(trained, tmp_path / f"run{after}", after)
        assert_same_weights(resume(trained, tmp_path / f"run{after}"), run)
        assert_same_files(tmp_path / "whole", tmp_path / f"run{after}")


def test_slots_have_the_names_and_shapes_of_keras(tmp_path: Path) -> None:
    whole(spec(tmp_path, epochs=1, optimizer="adafactor"), tmp_path / "run")
    slots = {k: a.shape for k, a in load_checkpoint(tmp_path / "run").arrays.items() if k.startswith("slot/")}
    assert slots == {
        "slot/row/filter/kernel": (2, 2, 2),
        "slot/column/filter/kernel": (2, 2, 3),
        "slot/velocity/filter/bias": (3,),
        "slot/row/read/kernel": (6,),
        "slot/column/read/kernel": (12,),
        "slot/row/read/recurrent_kernel": (3,),
        "slot/column/read/recurrent_kernel": (12,),
        "slot/velocity/read/bias": (12,),
        "slot/row/y/kernel": (3,),
        "slot/column/y/kernel": (2,),
        "slot/velocity/y/bias": (2,),
    }


def test_slots_of_single_weights_have_the_layout_of_vectors(tmp_path: Path) -> None:
    """Muon stores mean squares by weight, and momenta in one vector; after one step both follow from the gradient."""
    whole(spec(tmp_path, epochs=1, batch_size=12, optimizer="muon"), tmp_path / "run")
    arrays = load_checkpoint(tmp_path / "run").arrays
    for name in ("filter/kernel", "filter/bias", "read/bias"):
        np.testing.assert_allclose(arrays[f"slot/velocity/{name}"], arrays[f"slot/momentum/{name}"] ** 2, rtol=1e-6)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    whole(spec(tmp_path, epochs=1, optimizer="adam"), tmp_path / "run")
    other = gs.compile(spec(tmp_path, epochs=1, optimizer="adamax"))
    with pytest.raises(gs.RunError, match=r"GS603.*'norm'"):
        other.trainer(Silent(), tmp_path / "run").resume(load_checkpoint(tmp_path / "run"))


AVERAGED = {"type": "Adam", "learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.8}
CALLBACKS: list[list[dict[str, Any]]] = [
    [{"type": "EarlyStopping", "monitor": "val_mae", "patience": 1, "min_delta": 0.01, "restore_best_weights": True}],
    [{"type": "ModelCheckpoint", "filepath": "{epoch}.safetensors", "save_best_only": True, "save_freq": "epoch"}],
    [{"type": "ReduceLROnPlateau", "patience": 1, "min_delta": 0.5, "factor": 0.5, "cooldown": 1}],
    [
        {
            "type": "LearningRateScheduler",
            "schedule": {"type": "PiecewiseConstantDecay", "boundaries": [0], "values": [1, 0.1]},
        }
    ],
    [{"type": "CSVLogger", "filename": "log.csv"}],
    [{"type": "SwapEMAWeights"}],
    [
        {"type": "SwapEMAWeights", "swap_on_epoch": True},
        {"type": "ModelCheckpoint", "filepath": "{epoch}.safetensors", "monitor": "loss", "save_best_only": True},
    ],
    [{"type": "History"}, {"type": "ProgbarLogger"}, {"type": "TerminateOnNaN"}],
]


@pytest.mark.parametrize("after", [4, 6])
@pytest.mark.parametrize("callbacks", CALLBACKS, ids=["-".join(c["type"] for c in case) for case in CALLBACKS])
def test_every_callback(tmp_path: Path, callbacks: list[dict[str, Any]], after: int) -> None:
    trained = spec(tmp_path, optimizer=AVERAGED, callbacks=callbacks)
    run = whole(trained, tmp_path / "whole")
    interrupt(trained, tmp_path / "run", after)
    resumed = resume(trained, tmp_path / "run")
    assert_same_weights(resumed, run)
    assert resumed.history == run.history
    assert_same_files(tmp_path / "whole", tmp_path / "run")
    written = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert written == sorted(p.name for p in (tmp_path / "run").iterdir())
    for name in written:
        if name.endswith(("log.csv", ".safetensors")):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name


def test_more_epochs_after_the_averages_were_swapped(tmp_path: Path) -> None:
    swap = [{"type": "SwapEMAWeights", "swap_on_epoch": True}]
    long = whole(spec(tmp_path, optimizer=AVERAGED, callbacks=swap, epochs=4), tmp_path / "long")
    whole(spec(tmp_path, optimizer=AVERAGED, callbacks=swap, epochs=2), tmp_path / "run")
    assert_same_weights(resume(spec(tmp_path, optimizer=AVERAGED, callbacks=swap, epochs=4), tmp_path / "run"), long)


def test_validation_with_the_averages(tmp_path: Path) -> None:
    run = whole(spec(tmp_path, optimizer=AVERAGED, callbacks=["SwapEMAWeights"]), tmp_path / "swapped")
    plain = whole(spec(tmp_path, optimizer=AVERAGED), tmp_path / "plain")
    assert_same_weights(run, plain)  # swapping for validation does not change the training, nor its final averages
    rows = np.load(tmp_path / "rows.npz")
    figures = run.model.evaluate(rows["x"], rows["y"], batch_size=4)
    assert figures == {k: run.history[f"val_{k}"][-1] for k in figures}
    assert figures["loss"] != plain.history["val_loss"][-1]
