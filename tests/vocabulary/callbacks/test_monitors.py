"""Callbacks that monitor a logged value: Keras's semantics per epoch, also in resumed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from callback_runs import Run, drive, resumed
from pydantic_core import PydanticCustomError

from graphspec.base.errors import SpecError
from graphspec.graph.optimizers import Rate
from graphspec.graph.schedules import SCHEDULES
from graphspec.vocabulary.callbacks import CALLBACKS
from graphspec.vocabulary.metrics import direction

# Epochs that Keras 3 runs.
STOPPING: list[tuple[dict[str, Any], list[float], int, int | None]] = [
    ({}, [3, 2, 2, 1], 3, None),
    ({"patience": 2}, [3, 2, 2, 1, 1, 1, 1], 6, None),
    ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.6, 1], 3, None),
    ({"patience": 1, "mode": "max"}, [1, 2, 2, 3], 3, None),
    ({"patience": 1, "monitor": "val_accuracy"}, [0.5, 0.7, 0.6, 0.9], 3, None),
    ({"patience": 2, "restore_best_weights": True}, [3, 1, 2, 2, 0], 4, 1),
    ({"patience": 9, "restore_best_weights": True}, [3, 1, 2], 3, 1),
    ({"patience": 2, "baseline": 0.5, "restore_best_weights": True}, [3, 2, 1], 3, 2),
    ({"patience": 1, "start_from_epoch": 2}, [1, 2, 3, 4, 5], 4, None),
    ({"monitor": "val_loss"}, [1], 1, None),
]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("arguments", "figures", "epochs", "best"), STOPPING)
def test_early_stopping(
    arguments: dict[str, Any], figures: list[float], epochs: int, best: int | None, cut: bool
) -> None:
    config, run = CALLBACKS.parse({"type": "EarlyStopping", "verbose": 1, **arguments}), Run()
    state, key = config.start(run), arguments.get("monitor", "val_loss")
    done = 0
    if cut:
        done = drive(run, state, figures[:1], key)
        state = resumed(config, run, state)
    done += drive(run, state, figures[done:], key, done)
    assert done == epochs
    assert run.stopped is None or not run.stopped.endswith(" 1 epochs")
    state.on_train_end()
    assert best is None or run.value["w"][0] == best
    assert len(run.said) == (run.stopped is not None) + (best is not None)


def test_a_missing_value_is_reported_once() -> None:
    run = Run()
    state = CALLBACKS.parse("EarlyStopping").start(run)
    assert drive(run, state, [1, 1, 1], "accuracy") == 3
    assert run.said == ["warning: 'val_loss' is not logged; the logs contain loss, accuracy"]


def test_direction_follows_from_the_name() -> None:
    assert direction("val_loss") == direction("topic_loss") == direction("val_price_mae") == "min"
    assert (
        direction("val_accuracy") == direction("topic_sparse_top_k_categorical_accuracy") == direction("acc") == "max"
    )
    assert direction("speed") is None
    with pytest.raises(SpecError, match=r"(?s)GS105.*mode: max"):
        CALLBACKS.parse({"type": "EarlyStopping", "monitor": "speed"}).start(Run())


@pytest.mark.parametrize(
    ("arguments", "saved"),
    [
        ({"filepath": "m/{epoch:02d}-{val_loss:.2f}.safetensors"}, ["01-3.00", "02-1.00", "03-2.00", "04-0.50"]),
        ({"filepath": "m/{epoch}.safetensors", "save_best_only": True}, ["1", "2", "4"]),
        (
            {"filepath": "m/{epoch}.safetensors", "save_best_only": True, "initial_value_threshold": 1.5},
            ["2", "4"],
        ),
    ],
)
def test_model_checkpoint(arguments: dict[str, Any], saved: list[str], tmp_path: Path) -> None:
    run, config = Run(tmp_path), CALLBACKS.parse({"type": "ModelCheckpoint", **arguments})
    state = config.start(run)
    drive(run, state, [3, 1])
    drive(run, resumed(config, run, state), [2, 0.5], first=2)
    assert run.saved == [(f"{name}.safetensors", True) for name in saved]
    assert (tmp_path / "m").is_dir()


def test_model_checkpoint_by_batches(tmp_path: Path) -> None:
    run = Run(tmp_path)
    state = CALLBACKS.parse({"type": "ModelCheckpoint", "filepath": "{epoch}-{batch}", "save_freq": 3}).start(run)
    for run.epoch in range(2):
        for step in range(5):
            state.on_batch_end(step, 1.0)
        state.on_epoch_end(run.epoch, {"loss": 1.0})
    assert run.saved == [("1-3", False), ("2-1", False), ("2-4", False)]


def test_a_file_name_with_an_unknown_value() -> None:
    config = CALLBACKS.parse({"type": "ModelCheckpoint", "filepath": "{val_los:.2f}"})
    assert [(p.key, p.severity, p.hint) for p in config.check(["loss", "val_loss"])] == [
        ("filepath", "error", "did you mean 'val_loss'?")
    ]
    with pytest.raises(SpecError, match="val_los"):
        config.start(Run()).on_epoch_end(0, {"loss": 1.0})
    assert [
        p.hint for p in CALLBACKS.parse({"type": "EarlyStopping", "monitor": "val_acc"}).check(["val_accuracy"])
    ] == ["did you mean 'val_accuracy'?"]


@pytest.mark.parametrize(
    ("arguments", "rates"),
    [
        ({"patience": 1, "factor": 0.5}, [0.1, 0.1, 0.05, 0.025, 0.0125]),
        ({"patience": 2, "factor": 0.5}, [0.1, 0.1, 0.1, 0.05, 0.05]),
        ({"patience": 1, "factor": 0.5, "cooldown": 2}, [0.1, 0.1, 0.05, 0.05, 0.025]),
        ({"patience": 1, "factor": 0.5, "min_lr": 0.04}, [0.1, 0.1, 0.05, 0.04, 0.04]),
    ],
)
@pytest.mark.parametrize("cut", [0, 3])
def test_reduce_lr_on_plateau(arguments: dict[str, Any], rates: list[float], cut: int) -> None:
    run, config = Run(), CALLBACKS.parse({"type": "ReduceLROnPlateau", **arguments})
    state, found = config.start(run), []
    for epoch, value in enumerate([3, 2, 2, 2, 2]):
        if cut and epoch == cut:
            state = resumed(config, run, state)
        logs = {"val_loss": float(value)}
        state.on_epoch_end(epoch, logs)
        found.append(run.rate.value)
    assert found == pytest.approx(rates)
    assert logs["learning_rate"] == pytest.approx(rates[-2])
    reduced = [now for before, now in zip([0.1, *rates], rates, strict=False) if now != before]
    assert run.events == [f"learning rate reduced to {rate:g}" for rate in reduced]
    assert run.said == []


def test_reduce_lr_on_plateau_refuses_a_schedule() -> None:
    run = Run()
    run.rate = Rate(SCHEDULES.parse({"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 5}))
    with pytest.raises(SpecError, match="schedule"):
        CALLBACKS.parse("ReduceLROnPlateau").start(run)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "ModelCheckpoint", "filepath": "{epoch"},
        {"type": "ModelCheckpoint", "filepath": "{epoch.real}"},
        {"type": "ModelCheckpoint", "filepath": "{val_loss:02d}"},
        {"type": "ModelCheckpoint", "filepath": "{}"},
        {"type": "ModelCheckpoint", "filepath": "best.keras"},
        {"type": "ModelCheckpoint", "filepath": "best", "save_weights_only": True},
    ],
)
def test_wrong_file_names(value: dict[str, Any]) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        CALLBACKS.parse(value)
    assert caught.value.context is not None
    assert [e["type"] for e in caught.value.context["errors"]] == ["GS105"]
