"""The lines of epochs: one line where it fits, else aligned groups."""

from __future__ import annotations

import math

import pytest

from graphspec.base.text import display_width
from graphspec.engine.training.reporting import Best, EpochLines, short_number

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
    assert EpochLines(40, 104).lines(7, ONE_HEAD, "40 ms") == [
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


@pytest.mark.parametrize("width", [60, 80, 100, 120, None])
@pytest.mark.parametrize("value", [1.2345e-9, -0.00123, 1e12, -1e-300, 123456.7, math.nan, -math.inf])
def test_a_layout_stays(width: int | None, value: float) -> None:
    epochs = EpochLines(400, width)
    best = Best("val_loss", 7, 0.064)
    usual = epochs.lines(1, ONE_HEAD, "40 ms", best)
    odd = epochs.lines(399, dict.fromkeys(ONE_HEAD, value), "59 min 59 s", Best("val_loss", 398, value))
    assert len(odd) == len(usual) == len(epochs.lines(400, ONE_HEAD, "40 ms", best))
    assert width is None or all(display_width(line) <= width for line in odd)
    assert ("best" in "".join(odd)) == ("best" in "".join(usual))


def test_the_word_goes_before_a_second_line() -> None:
    assert EpochLines(400, 80).lines(7, ONE_HEAD | {"loss": 0.00123}) == [
        "  7/400  loss 0.0012  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802"
    ]


def test_the_best_epoch_where_there_is_room() -> None:
    best = Best("val_loss", 5, 0.0631)
    assert EpochLines(40, 100).lines(7, ONE_HEAD, best=best) == [
        "epoch  7/40  loss 0.0721  accuracy 0.9744  val_loss 0.0640  val_accuracy 0.9802  best 0.0631 at 5"
    ]
    assert (
        EpochLines(40, 60).lines(7, ONE_HEAD, best=best)[1]
        == "        val  loss 0.0640  accuracy 0.9802  best 0.0631 at 5"
    )
    assert EpochLines(40, 80).lines(7, ONE_HEAD, best=best)[0].endswith("val_accuracy 0.9802")
    other = EpochLines(40, None).lines(7, ONE_HEAD, best=Best("val_accuracy", 5, 0.99))
    assert other[0].endswith("  best val_accuracy 0.9900 at 5")


def test_of_many_values_some_are_shown() -> None:
    logs = {f"a_head_with_a_long_name_{k}_loss": 0.5 for k in range(40)}
    lines = EpochLines(40, 80).lines(7, logs | {f"val_{key}": value for key, value in logs.items()})
    assert len(lines) == 8
    assert lines[3].endswith("  … and 37 more")
    assert all(display_width(line) <= 80 for line in lines)
    narrow = EpochLines(40, 60).lines(7, {"x" * 90: 0.5})
    assert narrow[0].endswith("… 0.5000") or "…" in narrow[0]
    assert display_width(narrow[0]) <= 60


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0721, "0.0721"),
        (0.00123456, "0.0012"),
        (0.000123456, "1.2e-4"),
        (1.23e-10, "1e-10"),
        (-0.5, "-0.500"),
        (-0.0012, "-0.001"),
        (123456.7, "123457"),
        (1234567, "1.23e6"),
        (-1234567, "-1.2e6"),
        (1e12, "1e+12"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (0.0, "0.0000"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value, 6) == text


def test_columns_are_steady() -> None:
    epochs = EpochLines(10, None)
    first, second = (epochs.lines(1, {"loss": loss, "mae": 1.0})[0] for loss in (0.005678, 0.5))
    assert first.index("mae") == second.index("mae")


def test_a_small_learning_rate_is_no_zero() -> None:
    assert "learning_rate 1e-05" in EpochLines(1, None).lines(1, {"loss": 1.0, "learning_rate": 1e-5})[0]
