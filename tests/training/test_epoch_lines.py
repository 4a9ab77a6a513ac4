"""The lines of epochs: one line where it fits, else aligned groups."""

from __future__ import annotations

import pytest

from graphspec.text import display_width
from graphspec.training.epoch_lines import EpochLines

ONE_HEAD = {"loss": 0.0721, "accuracy": 0.9744, "val_loss": 0.064, "val_accuracy": 0.9802}
TWO_HEADS = {
    "loss": 0.1,
    "hires_loss": 0.25,
    "temp_loss": 0.125,
    "hires_mae": 42.5,
    "temp_mae": 1.25,
    "val_loss": 0.2,
    "val_hires_loss": 0.5,
    "val_temp_loss": 0.25,
    "val_hires_mae": 142.5,
    "val_temp_mae": 2.25,
}


def test_a_pipe_gets_one_line() -> None:
    lines = EpochLines(400, None).lines(7, TWO_HEADS)
    assert len(lines) == 1
    assert lines[0].startswith("epoch   7/400  loss 0.1000  hires_loss 0.2500  ")


def test_one_head_is_one_line_of_80_columns() -> None:
    assert EpochLines(40, 80).lines(7, ONE_HEAD, "40 ms") == [
        "epoch  7/40  loss 0.0721  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802"
    ]


def test_the_time_where_there_is_room() -> None:
    assert EpochLines(40, 100).lines(7, ONE_HEAD, "40 ms") == [
        "epoch  7/40    40 ms  loss 0.0721  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802"
    ]


def test_60_columns_have_a_line_for_the_validation() -> None:
    assert EpochLines(40, 60).lines(7, ONE_HEAD) == [
        "epoch  7/40  loss 0.0721  accuracy 0.9744",
        "        val  loss 0.0640  accuracy 0.9802",
    ]


def test_several_heads_are_aligned() -> None:
    assert EpochLines(40, 80).lines(7, TWO_HEADS) == [
        "epoch  7/40  loss 0.1000  hires_loss 0.2500  temp_loss 0.1250  hires_mae 42.500",
        "             temp_mae 1.2500",
        "        val  loss 0.2000  hires_loss 0.5000  temp_loss 0.2500  hires_mae 142.50",
        "             temp_mae 2.2500",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("logs", [ONE_HEAD, TWO_HEADS, ONE_HEAD | {"learning_rate": 1e-5}], ids=["one", "two", "rate"])
def test_no_line_is_too_wide(width: int, logs: dict[str, float]) -> None:
    epochs = EpochLines(1000, width)
    for epoch in (1, 1000):
        assert all(display_width(line) <= width for line in epochs.lines(epoch, logs, "2 min 40 s"))


def test_a_layout_stays() -> None:
    epochs = EpochLines(10, 80)
    assert len(epochs.lines(1, ONE_HEAD)) == 1
    assert len(epochs.lines(2, ONE_HEAD | {"loss": 1.2345e-9})) == 2
    assert len(epochs.lines(3, ONE_HEAD)) == 2


def test_columns_are_steady() -> None:
    epochs = EpochLines(10, None)
    first, second = (epochs.lines(1, {"loss": loss, "mae": 1.0})[0] for loss in (0.005678, 0.5))
    assert first.index("mae") == second.index("mae")


def test_a_small_learning_rate_is_no_zero() -> None:
    assert "learning_rate 1e-05" in EpochLines(1, None).lines(1, {"loss": 1.0, "learning_rate": 1e-5})[0]
