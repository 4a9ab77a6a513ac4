"""Steps of time: the k-th time after another one, by fixed lengths or by the calendar; the usual step of a series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.data.series.instants import Instants
from graphspec.language.declarations import MICROSECONDS, Every

_DAY = MICROSECONDS["d"]


def time_at(first: Array, steps: Array, every: Every) -> Array:
    """Return the times that are some steps after others; the 31st of a month becomes the last day of a shorter one."""
    if not every.months:
        return np.asarray(first + steps * every.size)
    moments = first.astype("datetime64[us]")
    months = moments.astype("datetime64[M]")
    within = moments - months.astype("datetime64[us]")
    wanted = months + steps * every.months
    last = (wanted + 1).astype("datetime64[D]") - wanted.astype("datetime64[D]") - np.timedelta64(1, "D")
    days = np.minimum(within.astype("timedelta64[D]"), last)
    clock = within - within.astype("timedelta64[D]").astype("timedelta64[us]")
    found: Array = (wanted.astype("datetime64[us]") + days.astype("timedelta64[us]") + clock).astype(np.int64)
    return found


def steps_between(first: Array, times: Array, every: Every) -> Array:
    """Return how many steps times are after others, int64; for times between two steps, any number."""
    if every.months:
        months, since = (t.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) for t in (times, first))
        return np.asarray((months - since) // every.months)
    return np.asarray((times - first) // every.size).astype(np.int64)


def anchors(times: Array, groups: Array, every: Every) -> Array:
    """Return for each row of sorted groups the time from which its steps count: the first, of months the latest day."""
    rank = _days_of_month(times) if every.months else np.zeros(len(times), np.int64)
    order = np.lexsort((-np.arange(len(times)), rank, groups))  # the last of a group has the highest rank, and is early
    ends = np.searchsorted(groups, groups, "right") - 1
    return np.asarray(times[order][ends])


def usual_step(times: Instants, values: Array, groups: Array) -> Every | None:
    """Return the most frequent step between rows that follow each other in their group; None without one.

    Args:
        values: the times of sorted rows.
        groups: the number of each row's group.
    """
    steps = np.diff(values)[groups[1:] == groups[:-1]]
    if not len(steps):
        return None
    different, counts = np.unique(steps, return_counts=True)
    size = different[counts.argmax()].item()
    if not times.dated:
        return Every(int(size)) if float(size).is_integer() and 0 < size < 10_000 else None
    count = max(round(size / (30.44 * _DAY)), 1)
    if size >= 28 * _DAY and size % _DAY == 0:
        every = Every(count // 12, "y") if count % 12 == 0 else Every(count, "month")
        first = anchors(values, groups, every)
        if every.count < 10_000 and (time_at(first, steps_between(first, values, every), every) == values).all():
            return every
    unit = next((unit for unit in ("w", "d", "h", "min", "s") if size and size % MICROSECONDS[unit] == 0), None)
    if unit is None or size // MICROSECONDS[unit] >= 10_000:
        return None
    return Every(size // MICROSECONDS[unit], unit)


def changes_clocks(instant: int) -> bool:
    """Return whether clocks are often set forward or back in the hours after a time: on a Sunday of spring or autumn."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(instant))
    return moment.weekday() == 6 and moment.month in (3, 4, 9, 10, 11) and moment.hour <= 3


def _days_of_month(times: Array) -> Array:
    days = times.astype("datetime64[us]").astype("datetime64[D]")
    found: Array = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    return found
