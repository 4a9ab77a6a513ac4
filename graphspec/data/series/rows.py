"""The rows of a table as series: sorted by group and time, with a row for each step of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.codes import Code
from graphspec.base.text import count
from graphspec.data.series.instants import Instants, column, instants
from graphspec.data.series.time_steps import anchors, changes_clocks, steps_between, time_at, usual_step
from graphspec.data.source import DataError, Source, at, placed
from graphspec.language.declarations import Every

if TYPE_CHECKING:
    from graphspec.language.declarations import Windows

_MOST_ADDED = 4  # rows that are added for each row of the table


@dataclass(frozen=True)
class Series:
    """The rows of a table, sorted by group and time, with rows between them for missing steps.

    Attributes:
        rows: the row of the table at each step, ``(n,)``; at an added step, the row before it.
        added: whether a step has no row of its own.
        groups: the number of each step's group; ``names``, their names.
        times: the time of each step, as a number.
        clock: writes times; None if the rows have no time but their order.
        every: the step; where the spec has none, the usual one.
        warning: what is told of missing steps where the spec does not say what the step is.
    """

    rows: Array
    added: Array
    groups: Array
    names: list[str]
    times: Array
    clock: Instants | None = None
    every: Every | None = None
    warning: DataError | None = None

    def time_of(self, step: int) -> str:
        """Return the time of a step as its table writes it; empty if there are no times."""
        return "" if self.clock is None else self.clock.text(self.times[step])

    def group_of(self, step: int) -> str:
        """Return the name of a step's group."""
        return str(self.names[self.groups[step]])

    def time_after(self, step: int, ahead: int) -> str:
        """Return the time some steps after a step, also beyond the table; without a step of time, such as ``+3``."""
        if self.clock is None or self.every is None:
            return f"+{ahead}"
        first = self.times[step : step + 1]
        if self.every.months:  # after the end of February is the end of March
            same = np.flatnonzero(self.groups == self.groups[step])
            first = anchors(self.times[same], self.groups[same], self.every)[:1]
        steps = steps_between(first, self.times[step : step + 1], self.every) + ahead
        return self.clock.text(time_at(first, steps, self.every)[0])


def series_of(source: Source, windows: Windows, rows: int) -> Series:
    """Sort the rows of a table by group and time, and add the missing steps if their values are to be filled in.

    Args:
        rows: the number of rows, for a table without group and time.

    Raises:
        DataError: GS105, a time occurs twice in a group; GS516, steps are missing, or times are off the steps; those of
            :func:`graphspec.data.series.instants.instants`.
    """
    try:
        return _series(source, windows, rows)
    except DataError as error:
        raise placed(error, source.place) from error.__cause__


def _series(source: Source, windows: Windows, rows: int) -> Series:
    every, clock, names, groups = windows.every, None, ["the table"], None
    if windows.group is not None:
        names, groups = _numbered(column(source, windows.group))
        rows = len(groups)
    times = np.arange(rows)
    if windows.order is not None:
        clock = instants(source, windows.order, windows.format, days=every is not None and every.in_days)
        times, rows = clock.values, len(clock.values)
    groups = np.zeros(rows, np.int64) if groups is None else groups
    order = np.lexsort((times, groups))
    groups, times = groups[order], times[order]
    found = Series(order, np.zeros(rows, bool), groups, names, times, clock, every)
    if clock is None or not rows:
        return found
    _check_twice(found, windows)
    usual = usual_step(clock, times, groups)
    if every is None:
        return found if usual is None else replace(found, every=usual, warning=_warning(found, usual, source, windows))
    if clock.dated != bool(every.unit):
        what, write = ("dates", "1h") if clock.dated else ("numbers", "1")
        text = f"has {what} as '{windows.order}', and `every: {every}` is no step of them"
        raise DataError(Code.VALUE_NOT_ALLOWED, text, f"write `every: {usual or write}`")
    return _on_grid(found, every, usual, windows)


def _steps(found: Series, every: Every) -> tuple[Array, Array, Array, Array]:
    """Return where the steps of each row begin, its step, the missing steps after it, and the rows that are off."""
    first = anchors(found.times, found.groups, every)
    steps = steps_between(first, found.times, every)
    gaps = np.where(found.groups[1:] == found.groups[:-1], np.diff(steps) - 1, 0)
    return first, steps, gaps, np.flatnonzero(time_at(first, steps, every) != found.times)


def _on_grid(found: Series, every: Every, usual: Every | None, windows: Windows) -> Series:
    """Return series with a row for each step; raise if a time is off the steps, or rows are missing and not to be filled."""
    first, steps, gaps, off = _steps(found, every)
    other = usual not in (None, every)
    if len(off):
        text = (
            f"has {count(len(off), 'time')} off the steps of {every}, the first {_place(found, int(off[0]), windows)}"
        )
        hint = f"write `every: {usual}`" if other else "correct the times, or leave out `every`"
        raise DataError(Code.IRREGULAR_STEPS, text, hint)
    rows, missing = len(found.times), int(gaps.sum())
    if not missing:
        return found
    if not windows.missing or missing > _MOST_ADDED * rows:
        write = "add `missing: interpolate` or `missing: previous`, or the rows"
        if other:
            write = f"the usual step is {usual}: write `every: {usual}`"
        elif windows.missing:
            write = f"at most {_MOST_ADDED} rows are added for each row: "
            write += "leave out `every`, or the rows before a long gap"
        raise _lacking(found, gaps, windows, write)
    before = np.repeat(np.arange(rows), np.append(gaps + 1, 1))
    since = np.arange(len(before)) - np.searchsorted(before, before)
    filled = time_at(first[before], steps[before] + since, every)
    return Series(found.rows[before], since > 0, found.groups[before], found.names, filled, found.clock, every)


def _warning(found: Series, usual: Every, source: Source, windows: Windows) -> DataError | None:
    """Return what is told of steps that are several usual ones."""
    _, _, gaps, off = _steps(found, usual)
    if len(off) or not gaps.any():
        return None
    write = f"write `every: {usual}` and `missing: interpolate` (or `previous`) to `windows`"
    return placed(_lacking(found, gaps, windows, write, "; windows span them"), source.place)


def _lacking(found: Series, gaps: Array, windows: Windows, write: str, then: str = "") -> DataError:
    """Return GS516 for missing rows; those of an hour in spring may never have been."""
    places = np.flatnonzero(gaps)
    text = f"lacks {count(int(gaps.sum()), 'row')}, the first after {_place(found, int(places[0]), windows)}{then}"
    clocks = _clocks(found, places[:100], "forward")
    return DataError(Code.IRREGULAR_STEPS, text, f"{clocks}; or {write}" if clocks else write)


def _check_twice(found: Series, windows: Windows) -> None:
    """Raise GS105 if a time occurs twice in a group."""
    same = np.flatnonzero((found.groups[1:] == found.groups[:-1]) & (found.times[1:] == found.times[:-1]))
    if not len(same):
        return
    row = int(same[0])
    first, second = map(at, sorted(found.rows[row : row + 2].tolist()))
    text = f"has the same '{windows.order}' in {first} and in {second}{_group(found, row, windows)}"
    if len(same) > 1:
        text += f", and {count(len(same) - 1, 'further row')} like them"
    few = len(same) < (len(found.times) - 1) // 100 + 100
    clocks = _clocks(found, same, "back") if few else ""
    raise DataError(Code.VALUE_NOT_ALLOWED, text, f"{clocks or 'give `group`'}, or remove one of the rows")


def _clocks(found: Series, places: Array, way: str) -> str:
    """Return the hint to clocks that were set, if they often are at all of these places; empty if not."""
    local = found.clock is not None and found.clock.dated and found.clock.local
    if not local or not all(changes_clocks(found.times[k]) for k in places.tolist()):
        return ""
    write = "write the times in UTC, or with their offset, such as `2024-10-27T02:30+02:00`"
    return f"clocks were probably set {way} here: {write}"


def _place(found: Series, row: int, windows: Windows) -> str:
    return f"{found.time_of(row)} ({at(int(found.rows[row]))}){_group(found, row, windows)}"


def _group(found: Series, row: int, windows: Windows) -> str:
    return "" if windows.group is None else f" of group '{found.group_of(row)}'"


def _numbered(names: Array) -> tuple[list[str], Array]:
    """Return the different values of a column, sorted, and their positions for each row; a missing value is one, too."""
    texts = np.array(["" if name is None else str(name) for name in names.tolist()])
    different, groups = np.unique(texts, return_inverse=True)
    return different.tolist(), groups
