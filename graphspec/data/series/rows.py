"""The rows of a table as series: sorted by group and time, with a row for each step of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from graphspec.arrays.layout import Array
from graphspec.codes import Code
from graphspec.data.series.instants import Instants, column, instants
from graphspec.data.series.time_steps import anchors, changes_clocks, steps_between, time_at, usual_step
from graphspec.data.source import DataError, Source, at, placed
from graphspec.language.durations import Every
from graphspec.text import count

if TYPE_CHECKING:
    from graphspec.language.declarations import Windows

_CLOCKS = (
    "clocks were probably set {} here: write the times in UTC, or with their offset, such as `2024-10-27T02:30+02:00`"
)
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
        warning = _warning(found, usual, windows)
        return replace(found, every=usual, warning=warning and placed(warning, source.place))
    if clock.dated != bool(every.unit):
        what, write = ("dates", "1h") if clock.dated else ("numbers", "1")
        text = f"has {what} as '{windows.order}', and `every: {every}` is no step of them"
        raise DataError(Code.VALUE_NOT_ALLOWED, text, f"write `every: {usual or write}`")
    return _on_grid(found, every, usual, windows)


def _on_grid(found: Series, every: Every, usual: Every | None, windows: Windows) -> Series:
    """Return series with a row for each step; raise if a time is off the steps, or rows are missing and not to be filled."""
    times, groups, order = found.times, found.groups, found.rows
    first = anchors(times, groups, every)
    steps = steps_between(first, times, every)
    off = np.flatnonzero(time_at(first, steps, every) != times)
    if len(off):
        row = int(off[0])
        text = (
            f"has {count(len(off), 'time')} off the steps of {every}, the first {found.time_of(row)} "
            f"({at(int(order[row]))}){_where(found, row, windows)}"
        )
        hint = f"write `every: {usual}`" if usual not in (None, every) else "correct the times, or leave out `every`"
        raise DataError(Code.IRREGULAR_STEPS, text, hint)
    gaps = np.where(groups[1:] == groups[:-1], np.diff(steps) - 1, 0)
    if not (missing := int(gaps.sum())):
        return found
    if not windows.missing or missing > _MOST_ADDED * len(times):
        write = "add `missing: interpolate` or `missing: previous`, or the rows"
        if usual not in (None, every):
            write = f"the usual step is {usual}: write `every: {usual}`"
        elif windows.missing:
            write = (
                f"at most {_MOST_ADDED} rows are added for each row: leave out `every`, or the rows before a long gap"
            )
        raise DataError(Code.IRREGULAR_STEPS, f"lacks {_lacking(found, gaps, windows)}", _hint(found, gaps, write))
    counts = np.append(gaps + 1, 1)
    before = np.repeat(np.arange(len(times)), counts)
    since = np.arange(len(before)) - np.searchsorted(before, before)
    filled = time_at(first[before], steps[before] + since, every)
    return Series(order[before], since > 0, groups[before], found.names, filled, found.clock, every)


def _warning(found: Series, usual: Every | None, windows: Windows) -> DataError | None:
    """Return what is told of steps that are several usual ones."""
    if usual is None:
        return None
    first = anchors(found.times, found.groups, usual)
    steps = steps_between(first, found.times, usual)
    gaps = np.where(found.groups[1:] == found.groups[:-1], np.diff(steps) - 1, 0)
    if (time_at(first, steps, usual) != found.times).any() or not gaps.any():
        return None
    text = f"lacks {_lacking(found, gaps, windows)}; windows span them"
    write = f"write `every: {usual}` and `missing: interpolate` (or `previous`) to `windows`"
    return DataError(Code.IRREGULAR_STEPS, text, _hint(found, gaps, write))


def _lacking(found: Series, gaps: Array, windows: Windows) -> str:
    """Return the words for the number of missing rows and their first place."""
    row = int(np.flatnonzero(gaps)[0])
    place = f"{found.time_of(row)} ({at(int(found.rows[row]))})"
    return f"{count(int(gaps.sum()), 'row')}, the first after {place}{_where(found, row, windows)}"


def _hint(found: Series, gaps: Array, write: str) -> str:
    """Return the hint for missing rows: those of an hour in spring may never have been."""
    assert found.clock is not None
    places = np.flatnonzero(gaps)
    dated = found.clock.dated and found.clock.local
    if dated and all(changes_clocks(found.times[row]) for row in places[:100]):
        return _CLOCKS.format("forward") + f"; or {write}"
    return write


def _check_twice(found: Series, windows: Windows) -> None:
    """Raise GS105 if a time occurs twice in a group."""
    same = (found.groups[1:] == found.groups[:-1]) & (found.times[1:] == found.times[:-1])
    if not same.any():
        return
    row = int(same.argmax())
    first, second = map(at, sorted(found.rows[row : row + 2].tolist()))
    text = f"has the same '{windows.order}' in {first} and in {second}{_where(found, row, windows)}"
    if (twice := int(same.sum())) > 1:
        text += f", and {count(twice - 1, 'further row')} like them"
    hint = "give `group`, or remove one of the rows"
    assert found.clock is not None
    dated = found.clock.dated and found.clock.local and twice < len(same) // 100 + 100
    if dated and all(changes_clocks(found.times[k]) for k in np.flatnonzero(same).tolist()):
        hint = _CLOCKS.format("back") + ", or remove one of the rows"
    raise DataError(Code.VALUE_NOT_ALLOWED, text, hint)


def _where(found: Series, row: int, windows: Windows) -> str:
    return "" if windows.group is None else f" of group '{found.names[found.groups[row]]}'"


def _numbered(names: Array) -> tuple[list[str], Array]:
    """Return the different values of a column, sorted, and their positions for each row; a missing value is one, too."""
    texts = np.array(["" if name is None else str(name) for name in names.tolist()])
    different, groups = np.unique(texts, return_inverse=True)
    return different.tolist(), groups
