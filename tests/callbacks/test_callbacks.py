"""Callbacks: Keras's semantics epoch by epoch, and that a resumed run behaves as one that was not interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from pydantic_core import PydanticCustomError

import graphspec as gs
from graphspec.callbacks import CALLBACKS, CallbackState
from graphspec.callbacks.monitors import direction
from graphspec.callbacks.outputs import Outputs
from graphspec.errors import SpecError
from graphspec.files import write_atomic
from graphspec.optimizers import Rate
from graphspec.schedules import SCHEDULES
from specs import blobs, dense_spec


class Run:
    """A run whose only weight is the number of the epoch."""

    def __init__(self, directory: Path | None = None) -> None:
        self.rate, self.outputs, self.epoch = Rate(0.1), Outputs(directory), 0
        self.stopped: str | None = None
        self.said: list[str] = []
        self.saved: list[tuple[str, bool]] = []
        self.value = {"w": np.zeros(1)}

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def weights(self) -> dict[str, np.ndarray]:
        return {n: a.copy() for n, a in self.value.items()}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.value = dict(weights)

    def save(self, path: Path, weights_only: bool) -> None:
        self.saved.append((path.name, weights_only))

    def say(self, text: str) -> None:
        self.said.append(text)


def drive(run: Run, state: CallbackState, figures: list[float], key: str = "val_loss", first: int = 0) -> int:
    """Run epochs until the callback stops it; how many were done."""
    for k, value in enumerate(figures):
        run.epoch = first + k
        run.value = {"w": np.full(1, float(run.epoch))}
        state.on_epoch_end(run.epoch, {"loss": 1.0, key: value})
        if run.stopped:
            return k + 1
    return len(figures)


def resumed(config: Any, run: Run, state: CallbackState) -> CallbackState:
    """A new state that takes up the old one, through JSON."""
    again: CallbackState = config.start(run)
    again.load_state_dict(json.loads(json.dumps(state.state_dict())), {n: a.copy() for n, a in state.arrays().items()})
    return again


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
    state.on_train_end()
    assert best is None or run.value["w"][0] == best
    assert len(run.said) == (run.stopped is not None) + (best is not None)


def test_a_missing_figure_is_said_once() -> None:
    run = Run()
    state = CALLBACKS.parse("EarlyStopping").start(run)
    assert drive(run, state, [1, 1, 1], "accuracy") == 3
    assert run.said == ["warning: there is no figure 'val_loss' to monitor; there are loss, accuracy"]


def test_direction_is_told_by_the_name() -> None:
    assert direction("val_loss") == direction("topic_loss") == direction("val_price_mae") == "min"
    assert (
        direction("val_accuracy") == direction("topic_sparse_top_k_categorical_accuracy") == direction("acc") == "max"
    )
    assert direction("speed") is None
    with pytest.raises(SpecError, match=r"GS105.*mode: max"):
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


def test_a_file_name_of_an_unknown_figure() -> None:
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


def test_reduce_lr_on_plateau_refuses_a_schedule() -> None:
    run = Run()
    run.rate = Rate(SCHEDULES.parse({"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 5}))
    with pytest.raises(SpecError, match="schedule"):
        CALLBACKS.parse("ReduceLROnPlateau").start(run)


def test_csv_logger_goes_on_where_a_killed_run_left_off(tmp_path: Path) -> None:
    run, config = Run(tmp_path), CALLBACKS.parse({"type": "CSVLogger", "filename": "log.csv", "separator": ";"})
    (tmp_path / "log.csv").write_text("epoch;loss;val_loss\n" + "0;1;2\n" * 9)  # an older run's
    state = config.start(run)
    state.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.25})
    saved = state.state_dict()
    state.on_epoch_end(1, {"loss": 9.0, "accuracy": 9.0})  # after the checkpoint: done again by the resumed run
    again = config.start(run := Run(tmp_path))
    again.load_state_dict(saved, {})
    again.on_epoch_end(1, {"loss": 0.25, "accuracy": 0.5})
    expected = ["epoch;accuracy;loss;val_accuracy;val_loss", "0;0.25;0.5;NA;NA", "1;0.5;0.25;NA;NA"]
    assert (tmp_path / "log.csv").read_text().splitlines() == expected
    more = CALLBACKS.parse({"type": "CSVLogger", "filename": "log.csv", "separator": ";", "append": True})
    more = more.start(Run(tmp_path))
    more.on_epoch_end(2, {"loss": 0.125, "accuracy": 0.75})
    assert (tmp_path / "log.csv").read_text().splitlines() == [*expected, "2;0.75;0.125;NA;NA"]


def test_terminate_on_nan() -> None:
    run = Run()
    state = CALLBACKS.parse("TerminateOnNaN").start(run)
    state.on_batch_end(0, 1.0)
    assert run.stopped is None
    state.on_batch_end(1, float("inf"))
    assert run.stopped == "the loss is inf"
    loud = Run()
    CALLBACKS.parse({"type": "TerminateOnNaN", "raise_error": True}).start(loud).on_batch_end(1, float("nan"))
    assert loud.stopped is None


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


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "á")
    assert path.read_bytes() == "á".encode()
    with pytest.raises(TypeError):
        write_atomic(path, 5)  # type: ignore[arg-type]
    assert path.read_text() == "á"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


KERAS = load("callbacks")
SHARED = KERAS[0]


@pytest.mark.parametrize("case", KERAS[1:], ids=[case.id for case in KERAS[1:]])
def test_training_with_callbacks_is_that_of_keras(case: Case) -> None:
    training = {"optimizer": case.args["optimizer"], "callbacks": case.args["callbacks"], "shuffle": False}
    spec = {
        "graphspec": 1,
        "name": "golden",
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"name": "y", "type": "Dense", "units": 2, "activation": "tanh"}],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": training | {"epochs": SHARED.args["epochs"], "batch_size": SHARED.args["batch"]},
    }
    model, (x, y) = gs.compile(spec), (SHARED["rows"]["x"], SHARED["rows"]["y"])
    model.set_weights(SHARED["weights"])
    history = model.fit(x[:12], y[:12], validation_data=(x[12:], y[12:]), verbose=0).history
    assert history.keys() == case.args["history"].keys()
    for key, values in case.args["history"].items():
        assert history[key] == pytest.approx(values, rel=1e-4, abs=1e-6), key
    for name, expected in case["after"].items():
        np.testing.assert_allclose(model.weights[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["BackupAndRestore", "LambdaCallback", "RemoteMonitor", "OrbaxCheckpoint"])
def test_what_a_spec_cannot_have_says_why(name: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        CALLBACKS.parse({"type": name, "any": 1})
    (error,) = (caught.value.context or {})["errors"]
    assert error["type"] == "GS105"
    assert error["ctx"]["problem"].hint


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
