"""Decide how a table becomes the spec of a forecast: its time, series, season, past and horizon, and a network that fits."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from graphspec.base.errors import Code, UsageError
from graphspec.base.text import count, few
from graphspec.data.convert import is_number
from graphspec.data.database import Relation
from graphspec.data.fill import Changes, Filled, changed, column_line, commented, line
from graphspec.data.profile import ISO, ColumnProfile, Profile
from graphspec.data.series import Series, series_of
from graphspec.data.source import DataError, Source
from graphspec.data.suggest import choose, free_name
from graphspec.data.targets import small_classes
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import MICROSECONDS, Every, Windows
from graphspec.language.write import literal, text_lines

_SOME = 8  # names in a message
_MOST = 0.9  # of the values: "nearly all"
_SEASONAL = 0.3  # the least correlation of changes that are a season apart
_LONGEST = 400  # season that is looked for where no calendar says it
_MOST_SERIES = 200  # that are looked at for a season
_ROWS = 200_000  # of training in all epochs, about
_HELD_OUT = 9  # windows that an interval of 90 % needs
_NAMES = ("past", "now", "about", "ahead")
_WINDOWS = '    windows: {length: "${past}", horizon: "${future}"'
_BY_TIME = "by: time}                 # the last part of the time: random windows would overlap"
_ABOUT = "  about:                              # a record: what a series has once"


def series(
    template: str,
    table: Profile,
    rows: Source,
    target: str,
    file: Sequence[str],
    horizon: int | None,
    future: Sequence[str],
) -> Filled:
    """Fill the template of a series: a network that reads a column of a table, and forecasts it.

    ``file``: the table's path, and lines that say how its text is read; ``horizon``: the steps to forecast, by default a
    season; ``future``: columns whose values are known ahead.

    Raises UsageError: the target or a column that is known ahead is not of numbers, or more than a third of it or of the
    steps is missing, or no series is long enough.
    """
    numbers = [name for name, column in table.columns.items() if column.is_number and not column.constant]
    for name in (target, *future):
        if name not in numbers:
            column, listed = table.columns.get(name), few(numbers, _SOME) or "there are none"
            kind = "not there" if column is None else "constant" if column.is_number else column.kind
            raise UsageError(f"column '{name}' is {kind}; a forecast is made of numbers: {listed}")
    time, group = _time(table, rows, target)
    windows = Windows(1) if time is None else _ordered(time, group)
    steps, where = _stepped(rows, windows, table.rows)
    added, every = int(steps.added.sum()), None if time is None else steps.every
    each = [values for values in _by_series(rows, steps, target) if len(values)]
    empty = sum(int(np.isnan(values).sum()) for values in each) - added
    if 3 * empty > table.rows:
        text = f"column '{target}' has {empty:,} empty cells between others, of {table.rows:,}: more than a third"
        raise UsageError(f"{text}; leave out the rows without values, or forecast another column")
    windows = replace(windows, every=every, missing="interpolate" if added or table.columns[target].absent else None)
    season, cycle = _season(every, each)
    windows = _sized(windows, each, target, season, cycle, horizon)
    if season > 1 and (every is None or not every.unit):  # no step of time says it
        windows = replace(windows, season=season)
    used = {target, group, windows.order, *future}
    once = [c for n, c in table.columns.items() if n not in used and _is_static(rows, steps, c)]
    unread = [n for n in numbers if n not in used and table.columns[n] not in once]
    lacking = " and ".join(count(n, noun) for n, noun in ((added, "missing row"), (empty, "empty cell")) if n)
    notes = [f"{lacking}{where}: filled from the values before and after"] if lacking else []
    ahead = "what is known ahead, `init --future COLUMN` makes an input"
    notes += [f"not read: {few(unread, _SOME)}: {ahead}"] if unread else []
    about = [column_line(choose(c, free_name(c.name, {*_NAMES}, "column"), table, None))[0] for c in once]
    known = _calendar(time, every, windows.format), future, about
    text = _with_inputs(template, target, windows, known, notes)
    held_out, interval = "origins: 1}                           # the last steps of each series", "interval: 0.9, "
    if len(each) < _HELD_OUT:
        share = math.ceil(100 * (windows.horizon + _HELD_OUT) / max(map(len, each)) + 1) / 100
        share, interval = (max(share, 0.15), interval) if share <= 0.3 else (0.2, "")
        held_out = f"split: {share:<4}, {_BY_TIME}"
    positive = min(np.nanmin(values) for values in each) >= 0
    counts = "clip: {min: 0}, " if positive and table.columns[target].kind == "integer" else ""
    title = text_lines("description", f"The next values of {target}, from the last ones.".replace("${", "$${"))
    changes: Changes = {
        "interval: 0.9, ": counts + interval,
        f"split: 0.15, {_BY_TIME}": held_out,
        "targets: {next: load}": f"targets: {{next: {literal(target)}}}",
        "file: data/train.csv": "\n".join([f"file: {literal(file[0])}", *file[1:]]),
        "description: The next values of a series, from the last ones.": "\n".join(title),
    }
    text = changed(_with_sizes(text, windows, each), changes)
    found: list[Any] = [
        f"the next {windows.horizon} values of {target} of {table.rows:,} rows",
        every and f"one every {every}",
    ]
    found += [group and f"{len(each):,} series by {group}", season > 1 and f"alike after {season} steps"]
    return Filled(text, ", ".join(part for part in found if part), _warnings(table, time))


def _sized(
    windows: Windows, each: Sequence[Array], target: str, season: int, cycle: int, horizon: int | None
) -> Windows:
    """Return windows of several seasons of the past, whole cycles, as far as the shortest series allows."""
    lengths = np.array([len(values) for values in each])
    shortest, alone = int(lengths.min()), windows.group is None
    ahead = horizon or max(1, min(season if season > 1 else 12, shortest // 4))
    past = -(-max(4 * ahead if alone else 2 * ahead, 3 * season) // cycle) * cycle
    most = shortest // 4 // cycle * cycle if alone else min(shortest, int(np.median(lengths)) - 2 * ahead)
    past = max(1, min(past, max(most, 2 * cycle)))
    if lengths.max() < past + 2 * ahead:
        text = f"the longest series has {lengths.max():,} values of '{target}'"
        raise UsageError(f"{text}: too few for {past} of the past, {ahead} ahead, and as many to validate")
    return replace(windows, length=past, horizon=ahead)


def _with_inputs(text: str, target: str, windows: Windows, known: tuple[Any, ...], notes: Sequence[str]) -> str:
    """Return the template with the inputs that there are: the time, what is known ahead, what a series has once."""
    calendar, future, about = known
    inputs: dict[str, Any] = {"past": target} | ({"now": windows.order} if calendar else {})
    inputs |= {"ahead": list(future)} if future else {}
    keys = {key: literal(value) for key in ("order", "format", "group") if (value := getattr(windows, key)) is not None}
    keys |= {key: str(value) for key in ("every", "missing", "season") if (value := getattr(windows, key)) is not None}
    static = [name for name, there in (("now", calendar), ("about", about)) if there]
    keys |= ({"future": "[ahead]"} if future else {}) | ({"static": literal(static)} if static else {})
    windows_line = f"{_WINDOWS}{''.join(f', {key}: {value}' for key, value in keys.items())}}}"
    layers = (("calendar", calendar), ("about", about), ("flat", future))
    read = ["scaled", *(name for name, there in layers if there)]
    record = "".join(f"{line}\n" for line in (_ABOUT, "    columns:", *about) if about)
    gone = [] if calendar else ["  now:", "  - {name: calendar"]
    gone += [] if future else ["  ahead:", "  - {name: known", "  - {name: flat"]
    changes: Changes = {
        "\nlayers:": f"{record}\nlayers:",
        line(f"{_WINDOWS}, "): "".join(f"{text}\n" for text in commented([(windows_line, notes)])),
        "inputs: {past: load, now: time, ahead: [temperature]}": f"inputs: {literal(inputs)}",
    }
    if calendar:
        changes["parts: [month, weekday, hour]"] = literal(calendar)[1:-1]
    if future:
        changes['["${future}", 1]'] = f'["${{future}}", {len(future)}]'
    if read[1:]:
        changes["inputs: [scaled, calendar, flat]"] = f"inputs: {literal(read)}"
    else:
        changes |= {"relu}        #": "relu, inputs: scaled}  #", line("  - {name: all"): ""}
    return changed(text, changes | {line(start): "" for start in gone})


def _with_sizes(text: str, windows: Windows, each: Sequence[Array]) -> str:
    """Return the template with sizes of the network and of its training for as many windows as there are."""
    past, ahead = windows.length, windows.horizon
    trained = sum(max(len(values) - past - 2 * ahead + 1, 0) for values in each)
    batch = next(size for size, most in ((32, 1000), (64, 20_000), (512, trained + 1)) if trained < most)
    epochs = min(max(_ROWS // trained, 20), 100)
    units = next((units for units, most in ((16, 500), (64, 2000)) if trained < most), 256)
    changes: Changes = {
        "vars: {past: 168, future: 24, units: 256}": f"vars: {literal({'past': past, 'future': ahead, 'units': units})}",
        "decay_steps: 2000": f"decay_steps: {epochs * -(-trained // batch)}",
        "epochs: 20 ": f"epochs: {epochs:<3}",
        "batch_size: 64": f"batch_size: {batch}",
        "patience: 5": f"patience: {epochs // 2}",
    }
    if batch == 512:  # the last steps of each series stop it too early: one horizon is like no other
        changes |= {"at most: training ends when validation gets no better": "to a rate of 0", line("  callbacks:"): ""}
    return changed(text, changes)


def _ordered(time: ColumnProfile, group: str | None) -> Windows:
    form = _forms(time)[0] if time.date_formats else ISO
    return Windows(1, order=time.name, format=None if form == ISO else form, group=group)


def _by_series(rows: Source, series: Series, name: str) -> list[Array]:
    """Return a column of numbers of each series, from its first value to its last: NaN where a step has none."""
    values = rows.values(name)
    if values.dtype == object:
        values = np.array([float(text) if text is not None and is_number(str(text)) else np.nan for text in values])
    values = np.where(series.added, np.nan, values[series.rows])
    parts = np.split(values, np.flatnonzero(np.diff(series.groups)) + 1)
    known = [np.flatnonzero(~np.isnan(part)) for part in parts]
    return [part[at[0] : at[-1] + 1] if len(at) else part[:0] for part, at in zip(parts, known, strict=True)]


def _season(every: Every | None, each: Sequence[Array]) -> tuple[int, int]:
    """Return after how many steps series are alike, 1 if never, and the longer cycle of a week, if they follow that more.

    A step of time says what may be: a year of months or weeks, a week of days, a day of hours. Where times are numbers, it
    is the lag of which changes are most alike.
    """
    if every is not None and every.months:
        return (year := 12 // every.months if 12 % every.months == 0 else 1), year
    if every is not None and every.unit:
        day, week = (MICROSECONDS[unit] // every.size for unit in ("d", "w"))
        if day < 2:
            return (week, week) if week > 1 else (52, 52) if week and min(map(len, each)) > 156 else (1, 1)
        alike = [_alike(each, lag) for lag in (day, week)]
        return day, week if alike[1] > alike[0] else day
    found = [_alike(each, lag) for lag in range(_LONGEST + 1)]
    peaks = [lag for lag in range(2, _LONGEST) if found[lag] >= max(found[lag - 1], found[lag + 1])]
    best = max(peaks, key=found.__getitem__)
    return (best, best) if found[best] >= _SEASONAL else (1, 1)


def _alike(each: Sequence[Array], lag: int) -> float:
    """Return the correlation of changes that are some steps apart, the median of series with three such cycles, or 0."""
    found = []
    for values in each[:_MOST_SERIES] if lag > 0 else ():
        changes = np.diff(values)
        one, other = changes[lag:], changes[:-lag]
        both = ~np.isnan(one + other)
        if len(values) > 3 * lag and both.sum() > 2:
            one, other = one[both] - one[both].mean(), other[both] - other[both].mean()
            size = np.sqrt((one**2).sum() * (other**2).sum())
            found.append(float((one * other).sum() / size) if size else 0.0)
    return float(np.median(found)) if found else 0.0


def _calendar(time: ColumnProfile | None, every: Every | None, form: str | None) -> dict[str, Any]:
    """Return the arguments of a layer that reads a time: the parts that differ from step to step and come again."""
    if time is None or every is None or not every.unit or every.unit == "y":
        return {}
    is_seen = time.dates is None or int(time.dates[1][:4]) > int(time.dates[0][:4]) + 1  # each month, more than once
    within = not every.in_days
    parts = {"month": is_seen or every.months, "weekday": every.unit == "d" or within, "hour": within}
    form = form or ("%Y-%m" if time.kind == "text" else None)
    return ({"format": form} if form else {}) | {"parts": [part for part, there in parts.items() if there]}


def _is_static(rows: Source, steps: Series, column: ColumnProfile) -> bool:
    """Return whether a column differs between series, and has one value in each."""
    if len(steps.names) < 2 or not 1 < column.distinct <= len(steps.names):
        return False
    values = rows.values(column.name).astype(str)[steps.rows]
    return len({*zip(steps.groups.tolist(), values.tolist(), strict=True)}) == len(steps.names)


def in_time_order(table: Profile, rows: Source) -> str | None:
    """Return the column of dates of which each row of a table has a later one than the row before; None without one."""
    for column in table.columns.values():
        if _is_date(column) and not column.absent and column.unique:
            with suppress(DataError):
                if bool((np.diff(series_of(rows, _ordered(column, None), 0).rows) > 0).all()):
                    return column.name
    return None


def _time(table: Profile, rows: Source, target: str) -> tuple[ColumnProfile | None, str | None]:
    """Return the column of the time, and that of the series, if there are several; None without one.

    The time is the first column of dates; without one, whole numbers that count up by one in each series, but for a few
    gaps. The series is the column with the fewest values, texts first, in which no time occurs twice.
    """
    columns = [c for c in table.columns.values() if c.name != target and not c.absent]
    dates = [c for c in columns if _is_date(c)][:1]
    counted = [c for c in columns if c.numbers and _MOST * (c.numbers.high - c.numbers.low + 1) <= c.distinct]
    for time in dates or sorted((c for c in counted if c.kind == "integer"), key=lambda c: -c.distinct):
        several = [c for c in columns if c.kind in ("text", "integer") and c is not time]
        several = [c for c in several if c.distinct < table.rows and c.distinct * time.distinct >= table.rows]
        groups = [c.name for c in sorted(several, key=lambda c: (c.kind != "text", c.distinct))]
        for group in [None] if time.distinct >= table.rows else groups:
            with suppress(DataError):  # a time occurs twice in a group
                series = series_of(rows, _ordered(time, group), 0)
                steps = np.diff(series.times)[series.groups[1:] == series.groups[:-1]]
                if dates or (time.distinct > 2 and len(steps) and np.mean(steps == 1) >= _MOST):
                    return time, group
    return (dates[0] if dates else None), None


def _stepped(rows: Source, windows: Windows, total: int) -> tuple[Series, str]:
    """Return the series with a row for each step, and where the first one is missing, as words.

    Raises UsageError: more than a third of the steps is missing.
    """
    series = series_of(rows, windows, total)
    if series.every is None:
        return series, ""
    text = f"more than a third of the steps of {series.every} are missing in '{windows.order}'"
    try:
        filled = series_of(rows, replace(windows, every=series.every, missing="interpolate"), total)
    except DataError:
        if series.warning is None:  # times off the steps: there is no grid
            return replace(series, every=None), ""
        raise UsageError(f"{text}: write a row for each step") from None
    if not filled.added.any():
        return filled, ""
    last = int(filled.added.argmax()) - 1
    where = f", the first after {filled.time_of(last)} ({rows.place(int(filled.rows[last]))})"
    where += "" if windows.group is None else f" of group '{filled.group_of(last)}'"
    if 2 * filled.added.sum() > total:
        raise UsageError(f"{text}{where}: write a row for each step")
    return filled, where


def _is_date(column: ColumnProfile) -> bool:
    months = column.kind == "text" and all(re.fullmatch(r"\d{4}-\d\d", value) for value, _ in column.frequent)
    return column.kind == "date" or (months and bool(column.frequent))


def _forms(time: ColumnProfile) -> list[str]:
    """Return the formats that all dates of a column have, ISO 8601 first."""
    forms = [form for form, share in time.date_formats.items() if share == 1.0]
    return sorted(forms, key=lambda form: form != ISO) or [ISO]


def _warnings(table: Profile, time: ColumnProfile | None) -> tuple[str, ...]:
    """Return what is not sure of the time: its format, or that none is found."""
    if time is not None:
        first, *others = _forms(time)
        either = f"the dates of column '{time.name}' are read as {first}; they may also be {', '.join(others)}"
        return (either,) if others and first != ISO else ()
    nearly = [
        f": some values of column '{c.name}' are no dates as {form}"
        for c in table.columns.values()
        for form, share in c.date_formats.items()
        if _MOST <= share < 1
    ]
    found = f"no column of times is found{''.join(nearly[:1])}. The rows are read as one series"
    return (f"{found}, in the order of the file; if a column is the time, write `order` and `format` to `windows`",)


_TOKENS = 3_000_000  # seen in training by a corpus of a million; of a smaller one, each is seen more often
_FEW = 1000  # sentences below which a batch has half as many


def tags(template: str, found: Profile, table: Relation, target: str, file: Sequence[str]) -> Filled:
    """Fill the template for the lists of ``target``; ``file``: its path and how its text is read, as lines of a spec.

    Raises DataError: GS502, no other column has lists of texts; GS507, none has as many in each row.
    """
    mark = table.columns[target]
    lists = [name for name, column in found.columns.items() if column.kind == "list" and name != target]
    differ: dict[str, int] = {}
    with table.reading():
        for name in lists:
            [(rows,)] = table.query(f"count(*) FILTER (coalesce(len({table.columns[name]}), 0) <> len({mark}))")
            differ[name] = rows
        query = f"SELECT tag, count(*) FROM (SELECT unnest({mark}) AS tag FROM ({table.source})) GROUP BY tag"
        known = table.connection.execute(query).fetchall()
    if not lists:
        text = f"has no column of lists beside '{target}', of which each word has a tag"
        raise DataError(Code.MISSING_ARRAY, text, 'write `{"tokens": ["The", "cat"], "tags": ["AT", "NN"]}`')
    tokens = min(lists, key=lambda name: differ[name])
    if differ[tokens]:
        text = f"has another number of '{tokens}' than of '{target}' in {count(differ[tokens], 'row')}"
        raise DataError(Code.WRONG_LENGTH, text, "write one tag for each token, or remove these rows")
    counts = {str(tag): n for tag, n in known if tag not in (None, "")}
    total, batch = sum(counts.values()), 32 if found.rows >= _FEW else 16
    epochs = min(max(round(_TOKENS / 1e6 * math.sqrt(1e6 / max(total, 1))), 3), 40)
    steps = epochs * -(-found.rows * 9 // (10 * batch))
    path, *form = file
    source = {"file": path} | ({} if tokens == "tokens" else {"inputs": {"tokens": tokens}})
    source |= {} if target == "tags" else {"targets": {"tags": target}}
    lines = [f"  train: {literal(source)}"]
    if form:
        lines = ["  train:", *(f"    {key}: {literal(value)}" for key, value in source.items()), *form]
    changes: Changes = {
        "type: Dense, units: 10": f"type: Dense, units: {len(counts)}",
        "decay_steps: 1000": f"decay_steps: {steps}",
        "epochs: 20": f"epochs: {epochs}",
        "batch_size: 32": f"batch_size: {batch}",
        line("  train:"): "".join(f"{each}\n" for each in lines),
        line("  # test:"): "",
    }
    text = changed(template, changes)
    said = f"{found.rows:,} sentences of {PurePath(path).name}, {total:,} words with {count(len(counts), 'tag')}"
    return Filled(text, said, tuple(filter(None, [small_classes(counts, "word")])))
