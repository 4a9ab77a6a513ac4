"""The simplest forecasts of a series: its last known value, and its value one day, week or year before.

The periods follow from the step of the column of time: an hourly series has a day of 24 steps and a week of 168, a monthly
one has a year of 12. A value is looked up by its time, not by its row, so that a gap in the series shifts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

LAST = "the last known value"
_SECOND = 1_000_000  # microseconds
_HOUR, _DAY = 3600 * _SECOND, 86_400 * _SECOND
_MONTHS = {1: (28, 31), 3: (90, 92), 12: (365, 366)}  # the days that so many months have


class Season(NamedTuple):
    """A period after which a series may repeat itself, in steps, and the words for the value one period before."""

    name: str
    steps: int


class Grid(NamedTuple):
    """The place of each row on the even grid of its times, ``(rows,)``, and the seasons of its step."""

    places: Array
    seasons: tuple[Season, ...]


def grid_of(moments: Array | None, groups: Array) -> Grid | None:
    """Return the grid of a series by the most frequent step between neighbours; None if it has no step.

    Args:
        moments: microseconds, ``(rows,)``, rising within a group; None if the column of time has no dates.
        groups: the number of the series of each row, ``(rows,)``.
    """
    if moments is None:
        return None
    steps = np.diff(moments)[groups[1:] == groups[:-1]]
    if not len(steps):
        return None
    sizes, counts = np.unique(steps, return_counts=True)
    for months, (least, most) in _MONTHS.items():
        inside = (sizes >= least * _DAY) & (sizes <= most * _DAY)
        if 2 * counts[inside].sum() > len(steps):
            places = moments.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) // months
            year = (Season(f"the same {'month' if months == 1 else 'quarter'} one year before", 12 // months),)
            return Grid(places, year if months < 12 else ())
    step = int(sizes[counts.argmax()])
    if 2 * int(counts.max()) <= len(steps):
        return None
    return Grid((moments - moments.min()) // step, _seasons(step))


def _seasons(step: int) -> tuple[Season, ...]:
    """Return the seasons of an even step in microseconds: those that are whole numbers of steps, at least two."""
    what = "hour" if step == _HOUR else "day" if step == _DAY else "time" if step < _DAY else "week"
    periods = (("day", _DAY), ("week", 7 * _DAY)) if step < _DAY else (("week", 7 * _DAY), ("year", 365 * _DAY))
    found = [Season(f"the same {what} one {name} before", size // step) for name, size in periods if size % step == 0]
    if step == 7 * _DAY:
        found = [Season("the same week one year before", 52)]
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
