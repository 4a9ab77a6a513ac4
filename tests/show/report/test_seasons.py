"""The seasons of a step of time, and values that are looked up by their time."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.data.series import Instants, Series, usual_step
from graphspec.show.report.baselines import LAST, before, grid_of


def series(times: np.ndarray, groups: np.ndarray) -> Series:
    clock, rows = Instants(times, dated=True), np.arange(len(times))
    every = usual_step(clock, times, groups)
    return Series(rows, np.zeros(len(times), bool), groups, ["a", "b"], times, clock, every)


def moments(start: str, stop: str, step: str, unit: str) -> np.ndarray:
    days = np.arange(np.datetime64(start, unit), np.datetime64(stop, unit), np.timedelta64(int(step), unit))
    return np.asarray(days.astype("datetime64[us]").astype(np.int64))


@pytest.mark.parametrize(
    ("times", "steps"),
    [
        (moments("2024-01-01T00", "2024-03-01T00", "1", "h"), [24, 168]),
        (moments("2024-01-01T00:00", "2024-02-01T00:00", "30", "m"), [48, 336]),
        (moments("2024-01-01", "2025-06-01", "1", "D"), [7, 365]),
        (moments("2020-01-06", "2024-01-01", "7", "D"), [52]),
        (moments("2015-01", "2024-01", "1", "M"), [12]),
        (moments("2015-01", "2024-01", "3", "M"), [4]),
        (moments("1990-01", "2024-01", "12", "M"), []),
        (np.arange(60) ** 2 * 10**9, None),
    ],
)
def test_the_seasons_follow_from_the_step(times: np.ndarray, steps: list[int] | None) -> None:
    grid = grid_of(series(times, np.zeros(len(times), np.int64)))
    assert (None if grid is None else list(grid.seasons.values())) == steps


def test_a_gap_shifts_nothing_and_no_value_is_of_another_series() -> None:
    hours = np.concatenate([np.delete(np.arange(400), 100), np.arange(60)])  # a missing hour; a second, shorter series
    groups = np.repeat([0, 1], [399, 60])
    values = (hours % 168 + 1000 * groups)[:, None].astype(float)
    grid = grid_of(series(hours * 3_600_000_000, groups))
    last = np.array([398 - 24, 399 + 40])
    rows = last[:, None] + np.arange(1, 4)
    found = before(values, groups, grid, last, rows)
    assert list(found) == [LAST, "the same hour one day before", "the same hour one week before"]
    np.testing.assert_array_equal(found["the same hour one week before"][0, :, 0], values[rows[0], 0])
    assert np.isnan(found["the same hour one week before"][1]).all()
    np.testing.assert_array_equal(found["the same hour one day before"][1, :, 0], values[rows[1], 0] - 24)
    np.testing.assert_array_equal(found[LAST][:, 0, 0], values[last, 0])
    missing = before(values, groups, grid, np.array([120]), np.array([[122, 123]]))  # the hours 123 and 124
    np.testing.assert_array_equal(missing["the same hour one day before"][0, :, 0], [99, np.nan])
