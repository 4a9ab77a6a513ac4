"""Steps of time: by the calendar, and the usual one of a series."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.data.series import Instants, anchors, changes_clocks, steps_between, time_at, usual_step
from graphspec.language.durations import Every


def moments(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]").astype(np.int64)


def test_months_end_on_their_last_day() -> None:
    times = moments("2024-02-29", "2024-01-31", "2024-03-31", "2024-05-31")
    times.sort()
    every, one = Every(1, "month"), np.zeros(4, np.int64)
    first = anchors(times, one, every)
    steps = steps_between(first, times, every)
    assert steps.tolist() == [0, 1, 2, 4]
    assert (time_at(first, steps, every) == times).all()
    assert time_at(first[:2], np.array([3, -11]), every).tolist() == moments("2024-04-30", "2023-02-28").tolist()


def test_a_series_that_begins_in_february_may_end_months_on_the_31st() -> None:
    times = moments("2024-02-29T06:00", "2024-03-31T06:00", "2024-04-30T06:00")
    first = anchors(times, np.zeros(3, np.int64), Every(1, "month"))
    assert first.tolist() == [times[1]] * 3
    assert (time_at(first, np.array([-1, 0, 1]), Every(1, "month")) == times).all()


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["2024-01-01T00", "2024-01-01T01", "2024-01-01T02", "2024-01-01T05"], "1h"),
        (["2024-01-01T00:00", "2024-01-01T00:15", "2024-01-01T00:30"], "15min"),
        (["2024-01-01", "2024-01-02", "2024-01-03"], "1d"),
        (["2024-01-01", "2024-01-08", "2024-01-15"], "1w"),
        (["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-07-31"], "1month"),
        (["2020-02-29", "2021-02-28", "2022-02-28"], "1y"),
        (["2024-01-01", "2024-01-29", "2024-02-26"], "4w"),
        (["2024-03-31", "2024-06-30", "2024-09-30"], "3month"),
    ],
)
def test_the_usual_step(texts: list[str], wanted: str) -> None:
    values = moments(*texts)
    assert str(usual_step(Instants(values, dated=True), values, np.zeros(len(values), np.int64))) == wanted


def test_no_usual_step() -> None:
    numbers = np.array([0.5, 1.0, 1.5])
    assert usual_step(Instants(numbers), numbers, np.zeros(3, np.int64)) is None
    assert usual_step(Instants(numbers), numbers, np.arange(3)) is None
    assert usual_step(Instants(numbers * 2), numbers * 2, np.zeros(3, np.int64)) == Every(1)


def test_nights_in_which_clocks_change() -> None:
    assert changes_clocks(moments("2024-03-31T01:00")[0])
    assert changes_clocks(moments("2024-11-03T01:00")[0])
    assert not changes_clocks(moments("2024-03-31T05:00")[0])
    assert not changes_clocks(moments("2024-07-07T01:00")[0])
