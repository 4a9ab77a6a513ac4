"""The simplest forecasts of a series: its last known value, and its value one day, week or year before.

The periods follow from the step of the column of time: an hourly series has a day of 24 steps and a week of 168, a monthly
one has a year of 12. A value is looked up by its time, not by its row, so that a gap in the series shifts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphspec.data.series import steps_between
from graphspec.language.durations import MICROSECONDS, Every

if TYPE_CHECKING:
    from graphspec.data.series import Series
    from graphspec.graph.ir.graph import Array

LAST = "the last known value"
_HOUR, _DAY, _WEEK = (MICROSECONDS[unit] for unit in ("h", "d", "w"))
_CALENDAR = (Every(1, "month"), Every(3, "month"), Every(1, "y"))


class Season(NamedTuple):
    """A period after which a series may repeat itself, in steps, and the words for the value one period before."""

    name: str
    steps: int


class Grid(NamedTuple):
    """The place of each row on the even grid of its times, ``(rows,)``, and the seasons of its step."""

    places: Array
    seasons: tuple[Season, ...]


def grid_of(series: Series) -> Grid | None:
    """Return the grid of the step that most neighbours of a series are apart; None without one, or without dates."""
    if series.clock is None or not series.clock.dated or not len(series.times):
        return None
    own = series.groups[1:] == series.groups[:-1]
    for every in (*_CALENDAR, *([series.every] if series.every else ())):
        places = steps_between(series.times.min(), series.times, every)
        if 2 * np.count_nonzero(np.diff(places)[own] == 1) > np.count_nonzero(own):
            return Grid(places, _seasons(every))
    return None


def _seasons(every: Every) -> tuple[Season, ...]:
    """Return the seasons of an even step: those that are whole numbers of steps, at least two."""
    if every.months in (1, 3):
        return (Season(f"the same {'month' if every.months == 1 else 'quarter'} one year before", 12 // every.months),)
    if every.months:
        return ()
    step = every.size
    if step == _WEEK:
        return (Season("the same week one year before", 52),)
    what = "hour" if step == _HOUR else "day" if step == _DAY else "time" if step < _DAY else "week"
    periods = (("day", _DAY), ("week", _WEEK)) if step < _DAY else (("week", _WEEK), ("year", 365 * _DAY))
    found = (Season(f"the same {what} one {name} before", size // step) for name, size in periods if size % step == 0)
    return tuple(season for season in found if season.steps > 1)


def before(values: Array, groups: Array, grid: Grid | None, last: Array, rows: Array) -> dict[str, Array]:
    """Return what each simple rule answers, ``(n, horizon, columns)`` by its name, NaN where it has no value.

    Args:
        values: the series, ``(rows, columns)``, in the order of group and time.
        groups: ``(rows,)``.
        grid: None for the last known value alone.
        last: the row of the last known value of each forecast, ``(n,)``.
        rows: the rows that are forecast, ``(n, horizon)``.
    """
    found = {LAST: np.repeat(values[last][:, None], rows.shape[1], axis=1)}
    if grid is None or not len(rows):
        return found
    size = int(grid.places.max()) + 1
    keys = groups * size + grid.places  # sorted, as the rows are
    ahead = grid.places[rows] - grid.places[last][:, None]
    for season in grid.seasons:
        wanted = grid.places[rows] - season.steps * -(-ahead // season.steps)
        at = np.minimum(np.searchsorted(keys, groups[rows] * size + wanted), len(keys) - 1)
        hit = (grid.places[at] == wanted) & (groups[at] == groups[rows])
        answers = np.where(hit[..., None], values[at], np.nan)
        if np.isfinite(answers).any():
            found[season.name] = answers
    return found
