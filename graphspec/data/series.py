"""Series: rows in the order of time, with a row for each step, and their missing values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.text import count
from graphspec.data.convert import FILL_IN, is_missing, is_number
from graphspec.data.source import DataError, Source, at, lossy, placed
from graphspec.graph.ir.graph import MISSING_INTEGER, Array
from graphspec.language.declarations import MICROSECONDS, Every, Windows
from graphspec.vocabulary.layers.dates import is_date

# Columns of times: as numbers to sort and to calculate with, and as texts in the form of their table.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"\d{4}-\d\d")
_SIZES = (7, 10, 13, 16, 19)  # characters of a month, a date, and one with hours, minutes, seconds
_ZONE = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)$")


@dataclass(frozen=True)
class Instants:
    """A column of times."""

    values: Array  # numbers as they are; dates as microseconds since 1970, int64
    dated: bool = False  # whether they are dates
    like: str = "2024-01-01 00:00"  # a date as the table writes it; ``format``, if that is not ISO 8601
    local: bool = True  # whether dates are those of a clock on the wall: they have no time zone
    format: str | None = None

    def text(self, instant: Any) -> str:
        """Return a time as the table would write it."""
        if not self.dated:
            return f"{instant:.0f}" if float(instant).is_integer() else str(instant)
        zone = _ZONE.search(self.like) if len(self.like) > 10 else None
        moment = datetime.fromisoformat(self.like).utcoffset() if zone else None
        try:
            found = _EPOCH + timedelta(microseconds=int(instant)) + (moment or timedelta(0))
        except OverflowError:
            return "beyond the year 9999"
        if self.format is not None:
            return found.strftime(self.format)
        written = found.replace(tzinfo=None).isoformat("T" if self.like[10:11] == "T" else " ")
        size = 7 if _MONTH.fullmatch(self.like) else max(zone.start() if zone else len(self.like), 10)
        return (written[:size] if size in _SIZES else written) + (zone[0] if zone else "")


def instants(source: Source, name: str, form: str | None = None, *, days: bool = False) -> Instants:
    """Return a column of a table as times: numbers, or dates of ISO 8601, or of a ``form`` such as ``%d.%m.%Y``.

    With ``days``, steps are days or longer, so dates with a time zone count as their clocks show them.

    Raises DataError: GS505, a value is missing; GS504, one is neither a number nor a date; GS105, the source is no table.
    """
    found = source.values(name)
    missing = np.isnan(found) if found.dtype.kind == "f" else np.zeros(1, bool)
    if found.dtype.kind == "O":
        missing = np.array([t is None or (isinstance(t, str) and is_missing(t)) for t in found.tolist()], bool)
    if missing.any():
        raise DataError(Code.MISSING_VALUE, f"has no '{name}' in {at(int(missing.argmax()))}", FILL_IN)
    if found.dtype.kind != "O":
        return Instants(found, source.is_date(name))
    texts = [str(text).strip() for text in found.tolist()]
    if form is None and all(map(is_number, texts)):
        return Instants(np.array([float(text) for text in texts]))
    zoned: set[bool] = set()
    moments = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            if form is None:
                instant = datetime.fromisoformat(text + "-01" if _MONTH.fullmatch(text) else text)
            elif is_date(text, form):
                instant = datetime.strptime(text, form)
            else:
                raise ValueError
        except ValueError:
            wrong = "which is neither a number nor a date" if form is None else f"not a date as `{form}`"
            hint = "write dates as `2024-12-31` or `2024-12-31T18:00`, or set `format`, such as `%d.%m.%Y`"
            hint = hint if form is None else "correct it, or `format`"
            raise lossy(f"has '{text}' as '{name}' in {at(row)}, {wrong}", hint) from None
        zoned.add(instant.tzinfo is not None)
        instant = instant.replace(tzinfo=UTC) if days or instant.tzinfo is None else instant.astimezone(UTC)
        moments[row] = (instant - _EPOCH) // timedelta(microseconds=1)
    if len(zoned) > 1:
        raise lossy(f"has '{name}' with and without a time zone", "write all with a time zone")
    like = texts[-1]
    if days and True in zoned and (zone := _ZONE.search(like)):
        like = like[: zone.start()]  # the times are those that its clocks show
    return Instants(moments, True, like, local=True not in zoned, format=form)


# Steps of time: the k-th time after another one, by fixed lengths or by the calendar; the usual step of a series.
_DAY = MICROSECONDS["d"]


def time_at(first: Array, steps: Array, every: Every) -> Array:
    """Return the times that are some steps after others; the 31st of a month becomes the last day of a shorter one."""
    if not every.months:
        return np.asarray(first + steps * every.size)
    moments = first.astype("datetime64[us]")
    months = moments.astype("datetime64[M]")
    within = moments - months.astype("datetime64[us]")
    wanted = months + (steps * every.months).astype("timedelta64[M]")
    begin, end = (month.astype("datetime64[D]") for month in (wanted, wanted + np.timedelta64(1, "M")))
    last = end - begin - np.timedelta64(1, "D")
    days = np.minimum(within.astype("timedelta64[D]"), last)
    clock = within - within.astype("timedelta64[D]").astype("timedelta64[us]")
    return np.asarray((wanted.astype("datetime64[us]") + days.astype("timedelta64[us]") + clock).astype(np.int64))


def steps_between(first: Array, times: Array, every: Every) -> Array:
    """Return how many steps times are after others, int64; for times between two steps, any number."""
    if every.months:
        months, since = (t.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) for t in (times, first))
        return np.asarray((months - since) // every.months)
    return np.asarray((times - first) // every.size).astype(np.int64)


def anchors(times: Array, groups: Array, every: Every) -> Array:
    """Return for each row of sorted groups the time from which its steps count: the first, of months the latest day."""
    rank = np.zeros(len(times), np.int64)
    if every.months:
        days = times.astype("datetime64[us]").astype("datetime64[D]")
        rank = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    order = np.lexsort((-np.arange(len(times)), rank, groups))  # the last of a group has the highest rank, and is early
    return np.asarray(times[order][(np.searchsorted(groups, groups, "right") - 1)])


def usual_step(times: Instants, values: Array, groups: Array) -> Every | None:
    """Return the most frequent step between rows that follow each other in their group; None without one.

    ``values``: the times of sorted rows; ``groups``: the number of each row's group.
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
    moment = _EPOCH + timedelta(microseconds=int(instant))
    return moment.weekday() == 6 and moment.month in (3, 4, 9, 10, 11) and moment.hour <= 3


# The rows of a table as series: sorted by group and time, with a row for each step of time.
_MOST_ADDED = 4  # rows that are added for each row of the table


@dataclass(frozen=True)
class Series:
    """The rows of a table, sorted by group and time, with rows between them for missing steps."""

    rows: Array  # the row of the table at each step, ``(n,)``; at an added step, the row before it
    added: Array  # whether a step has no row of its own
    groups: Array  # the number of each step's group; ``names``, their names
    names: list[str]
    times: Array  # the time of each step, as a number
    clock: Instants | None = None  # writes times; None if the rows have no time but their order
    every: Every | None = None  # the step; where the spec has none, the usual one
    warning: DataError | None = None  # what is told of missing steps where the spec does not say what the step is
    beyond: int = 0  # how many steps at the end of each group have only their time

    @property
    def lacking(self) -> int:
        """How many steps between two rows are not there, not even as added ones; 0 if no step is known."""
        return 0 if self.every is None else int(_steps(self, self.every)[2].sum())

    def time_of(self, step: int) -> str:
        """Return the time of a step as its table writes it; empty if there are no times."""
        return "" if self.clock is None else self.clock.text(self.times[step])

    def group_of(self, step: int) -> str:
        return str(self.names[self.groups[step]])

    def time_after(self, step: int, ahead: int) -> str:
        """Return the time some steps after a step, also beyond the table; without a step of time, such as ``+3``."""
        if self.clock is None or self.every is None:
            return f"+{ahead}"
        first = self.times[step : step + 1]
        if self.every.months:  # after the end of February is the end of March
            same = slice(*np.searchsorted(self.groups, self.groups[step] + np.arange(2)))
            first = anchors(self.times[same], self.groups[same], self.every)[:1]
        steps = steps_between(first, self.times[step : step + 1], self.every) + ahead
        return self.clock.text(time_at(first, steps, self.every)[0])

    def extended(self, ahead: int) -> Series:
        """Return the series with ``ahead`` more steps at the end of each group. Raises DataError: GS105, no step of time."""
        if self.clock is None or self.every is None:
            hint = "write `order` and `every` to `windows`, or add the rows"
            raise DataError(Code.VALUE_NOT_ALLOWED, "has no step of time, which gives the times of the future", hint)
        ends = np.flatnonzero(np.append(self.groups[1:] != self.groups[:-1], True))
        steps, first = np.tile(np.arange(1, ahead + 1), len(ends)), anchors(self.times, self.groups, self.every)
        at = np.repeat(ends, ahead)
        after = time_at(first[at], steps_between(first[at], self.times[at], self.every) + steps, self.every)
        rows, groups = (np.insert(each, at + 1, each[at]) for each in (self.rows, self.groups))
        added, times = np.insert(self.added, at + 1, True), np.insert(self.times, at + 1, after)
        return replace(self, rows=rows, added=added, groups=groups, times=times, beyond=ahead)

    def trailing(self, missing: Array) -> tuple[Array, Array]:
        """Return the ``missing`` steps at the end of each group, ``(n,)``, and the last other step of each step's group."""
        steps, last = np.arange(len(missing)), np.full(len(self.names), -1)
        np.maximum.at(last, self.groups[~missing], steps[~missing])
        return steps > last[self.groups], last[self.groups]


def series_of(source: Source, windows: Windows, rows: int) -> Series:
    """Sort the rows of a table by group and time, and add the missing steps if their values are to be filled in.

    ``rows``: the number of rows, for a table without group and time. Raises DataError: GS105, a time occurs twice in a
    group; GS516, steps are missing, or times are off the steps; those of :func:`instants`.
    """
    try:
        return _series(source, windows, rows)
    except DataError as error:
        raise placed(error, source.place) from error.__cause__


def _series(source: Source, windows: Windows, rows: int) -> Series:
    every, clock, names, groups = windows.every, None, ["the table"], None
    if windows.group is not None:
        names, groups = source.groups(windows.group)
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
        times = count(len(off), "time")
        text = f"has {times} off the steps of {every}, the first {_place(found, int(off[0]), windows)}"
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
            write = "leave out `every`, or the rows before a long gap"
            write = f"at most {_MOST_ADDED} rows are added for each row: {write}"
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


# Missing values of series, filled in from the known ones before and after them.
def missing_in(rows: Array) -> Array:
    """Return which values of a column are missing: NaN, the smallest int64, an empty text, None."""
    if rows.dtype == object:
        return np.array([text is None or text == "" for text in rows.tolist()], bool)
    if rows.dtype.kind == "f":
        return np.isnan(rows)
    is_integer = rows.dtype.newbyteorder("=") == np.int64  # bytes of any order
    return np.asarray(rows == MISSING_INTEGER) if is_integer else np.zeros(len(rows), bool)


@dataclass
class Gaps:
    """The missing values of some columns of series, as they are filled in."""

    series: Series
    empty: Array = field(init=False)  # the steps without a value in some column: none is before them, ``(n,)``
    later: Array = field(init=False)  # the steps with a value in some input that comes from a later one, ``(n,)``
    missing: dict[str, int] = field(default_factory=dict)  # how many values of rows were filled in, by column

    def __post_init__(self) -> None:
        steps, series = len(self.series.rows), self.series
        self.empty, self.later = np.zeros(steps, bool), np.zeros(steps, bool)
        self._first = np.searchsorted(series.groups, series.groups)
        self._end = np.searchsorted(series.groups, series.groups, "right")
        self._at = series.times if series.every is None or not series.every.months else np.arange(steps)

    def fill(self, rows: Array, how: str, *, name: str, is_input: bool) -> Array:
        """Return a column with a value for each step.

        A step gets the last value before it, or with ``interpolate``, the value between it and the next one on a straight
        line in time; there is none after the last. Nothing crosses groups.

        ``rows``: the column at each step, ``(n,)``; at added steps, any value; ``name``: the name of the column; one
        that is an input and a target counts once.
        """
        known = ~(missing_in(rows) | self.series.added)
        if known.all():
            return rows
        steps = np.arange(len(rows))
        before = np.maximum.accumulate(np.where(known, steps, -1))
        self.empty |= before < self._first
        before = np.where(before < self._first, known.argmax(), before)  # where none is, any: no window begins there
        self.missing[name] = int(np.count_nonzero(~known & ~self.series.added))
        if how == "previous":
            return np.asarray(rows[before])
        after = np.minimum.accumulate(np.where(known, steps, len(rows))[::-1])[::-1]
        after = np.where(after < self._end, after, before)
        if is_input:
            self.later |= ~known & (after > steps)
        span, since = self._at[after] - self._at[before], self._at - self._at[before]
        share = np.where(span > 0, since / np.where(span > 0, span, 1), 0.0)
        low, high = rows[before].astype(np.float64), rows[after].astype(np.float64)
        return np.asarray(np.where(known, rows, low + share * (high - low)), np.float32)
