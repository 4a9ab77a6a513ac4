"""Losses and metrics over the epochs, a line each."""

from __future__ import annotations

import pytest

from graphspec.base.text import display_width
from graphspec.cli.results import curve_lines

HISTORY = {
    "loss": [1.0, 0.5, 0.25, 0.125, 0.0625],
    "accuracy": [0.5, 0.75, 0.75, 1.0, 1.0],
    "val_loss": [0.5, 0.4, 0.3, 0.2, 0.25],
    "val_accuracy": [0.5, 0.5, 0.75, 0.75, 0.75],
}


def test_training_and_validation_are_beside_each_other() -> None:
    assert curve_lines(HISTORY, 80, has_blocks=True) == [
        "          training                   validation",
        "loss      █▇▅▃▁     1.0000 → 0.0625  ▇▆▅▄▅       0.5000 → 0.2500",
        "accuracy  ▁▅▅██     0.5000 → 1.0000  ▁▁▅▅▅       0.5000 → 0.7500",
    ]


def test_below_each_other_where_there_is_little_room() -> None:
    assert curve_lines(HISTORY, 60, has_blocks=True) == [
        "loss          █▇▅▃▁  1.0000 → 0.0625",
        "val_loss      ▇▆▅▄▅  0.5000 → 0.2500",
        "accuracy      ▁▅▅██  0.5000 → 1.0000",
        "val_accuracy  ▁▁▅▅▅  0.5000 → 0.7500",
    ]


def test_without_validation() -> None:
    history = {"loss": HISTORY["loss"], "learning_rate": [0.01] * 5}
    assert curve_lines(history, 80, has_blocks=True) == [
        "loss           █▇▅▃▁  1.0000 → 0.0625",
        "learning_rate  ▁▁▁▁▁  0.0100 → 0.0100",
    ]


def test_none_of_a_short_training_or_without_blocks() -> None:
    assert curve_lines({key: values[:4] for key, values in HISTORY.items()}, 80, has_blocks=True) == []
    assert curve_lines(HISTORY, 80, has_blocks=False) == []
    assert curve_lines({}, 80, has_blocks=True) == []


@pytest.mark.parametrize("width", [60, 80, 120, None])
@pytest.mark.parametrize("is_validated", [True, False])
def test_many_values_with_long_names_fit(width: int | None, is_validated: bool) -> None:
    keys = ["loss", *(f"a_head_with_a_long_name_{k}_mean_absolute_error" for k in range(40))]
    history = {key: [1e-12 * 10.0**k for k in range(30)] for key in keys}
    if is_validated:
        history |= {f"val_{key}": [float("nan")] * 29 + [-1e12] for key in keys}
    lines = curve_lines(history, width, has_blocks=True)
    assert len(lines) <= 8
    assert " more values in history.csv" in lines[-1]
    assert all(display_width(line) <= (width or 100) for line in lines)
