"""Axes have round numbers that enclose the values."""

from __future__ import annotations

import pytest

from graphspec.show.drawing.curves import epochs, for_values, linear, logarithmic


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.21, 0.95], ["0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([0.5], ["0.44", "0.46", "0.48", "0.50", "0.52", "0.54", "0.56"]),
        ([0.0, 0.0], ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        ([-3, 12], ["-5", "0", "5", "10", "15"]),
        ([0, 1_234_567], ["0", "2.5e+05", "5e+05", "7.5e+05", "1e+06", "1.25e+06"]),
    ],
)
def test_a_linear_scale(values: list[float], labels: list[str]) -> None:
    scale = linear(values)
    assert scale.labels() == labels
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert scale.position(scale.low) == 0
    assert scale.position(scale.high) == 1


def test_a_logarithmic_scale() -> None:
    assert logarithmic([0.02, 900.0]).labels() == ["0.01", "0.1", "1", "10", "100", "1000"]
    assert logarithmic([0.02, 1.1]).labels() == ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
    assert logarithmic([0.01, 100.0]).position(1.0) == pytest.approx(0.5)
    far = logarithmic([1e-12, 1e12])
    assert len(far.ticks) <= 9
    assert far.low <= 1e-12 * 1.001
    assert far.high >= 1e12 * 0.999


def test_a_scale_is_logarithmic_for_positive_values_that_span_much() -> None:
    assert for_values([0.01, 1.0]).log
    assert not for_values([0.0, 1000.0]).log
    assert not for_values([0.5, 1.0]).log


@pytest.mark.parametrize(
    ("count", "labels"),
    [(1, ["1"]), (3, ["1", "2", "3"]), (20, ["1", "5", "10", "15", "20"]), (100, ["1", "20", "40", "60", "80", "100"])],
)
def test_epochs_are_whole(count: int, labels: list[str]) -> None:
    assert epochs(count).labels() == labels
