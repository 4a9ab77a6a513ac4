"""Which epochs get lines."""

from __future__ import annotations

import math

import pytest

from graphspec.engine.training.reporting import EpochLog, monitored, step_for
from graphspec.vocabulary.callbacks import EarlyStopping, ModelCheckpoint, TerminateOnNaN

LOGS = {"loss": 0.5, "val_loss": 0.25}


def shown(log: EpochLog, epochs: range) -> list[int]:
    """The epochs that have lines, from 1."""
    lines = [line for epoch in epochs for line in log.epoch(epoch, LOGS)] + log.rest()
    return [int(line.split()[1].split("/")[0]) for line in lines]


def test_every_epoch_of_a_short_training() -> None:
    assert shown(EpochLog(20, 0, None), range(20)) == [*range(1, 21)]


def test_a_long_training_has_about_25_lines() -> None:
    assert shown(EpochLog(60, 0, None), range(60)) == [1, 2, *range(5, 61, 5)]
    assert shown(EpochLog(1000, 0, None), range(1000)) == [1, 2, 5, 10, 20, *range(50, 1001, 50)]


@pytest.mark.parametrize(
    ("epochs", "step"), [(1, 1), (20, 1), (21, 2), (40, 2), (60, 5), (300, 20), (400, 20), (1001, 100)]
)
def test_steps_are_round(epochs: int, step: int) -> None:
    assert step_for(epochs) == step


@pytest.mark.parametrize("epochs", [1, 7, 33, 250, 999, 10_000])
def test_no_training_has_many_lines(epochs: int) -> None:
    log = EpochLog(epochs, 0, None)
    assert sum(len(log.epoch(epoch, LOGS)) for epoch in range(epochs)) <= 29


def test_the_last_epoch_of_a_training_that_stops() -> None:
    log = EpochLog(1000, 0, None)
    lines = [line for epoch in range(34) for line in log.epoch(epoch, LOGS)]
    assert lines[-1].startswith("epoch   20/1000")
    assert [line.split()[1] for line in log.rest()] == ["34/1000"]
    assert log.rest() == []


def test_the_first_epoch_of_a_resumed_training() -> None:
    assert shown(EpochLog(400, 33, None), range(33, 45)) == [34, 40, 45]


def test_every_nth() -> None:
    assert shown(EpochLog(100, 0, None, 1), range(100)) == [*range(1, 101)]
    assert shown(EpochLog(100, 0, None, 40), range(100)) == [1, 40, 80, 100]


def test_an_event_shows_its_epoch() -> None:
    log = EpochLog(1000, 0, None)
    for epoch in range(12):
        log.epoch(epoch, LOGS)
    log.event("learning rate reduced to 0.001")
    lines = log.epoch(12, LOGS)
    assert lines[0].startswith("epoch   13/1000  loss ")
    assert lines[1:] == ["  learning rate reduced to 0.001"]
    for epoch in range(13, 400):
        log.event("again")
        log.epoch(epoch, LOGS)
    assert log.epoch(400, LOGS) == []


def test_the_best_epoch_so_far() -> None:
    log = EpochLog(100, 0, None, monitored=[("val_accuracy", True), ("val_loss", False)])
    found = [log.epoch(k, {"val_accuracy": value})[-1:] for k, value in enumerate([0.5, 0.75, math.nan, 0.6, 0.7])]
    assert [line[0].partition("best ")[2] for line in found if line] == [
        "val_accuracy 0.5000 at 1",
        "val_accuracy 0.7500 at 2",
        "val_accuracy 0.7500 at 2",
    ]
    assert "best" not in EpochLog(20, 0, None).epoch(0, LOGS)[0], "every epoch is shown"


def test_what_decides_is_what_callbacks_monitor() -> None:
    stop, every = EarlyStopping(monitor="val_accuracy"), ModelCheckpoint(filepath="{epoch}.safetensors", monitor="loss")
    assert monitored([TerminateOnNaN(), every, stop]) == [("val_accuracy", True), ("val_loss", False)]
    assert monitored([]) == [("val_loss", False)]
