"""Windows over series: each row of the data is a part of the past, and the part of the future that follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.text import count
from graphspec.data.batches import Times
from graphspec.data.series import Gaps, Series, missing_in, series_of
from graphspec.data.source import DataError, DataErrors, Filled, Request, Source, View, placed
from graphspec.graph.ir.graph import Array, Type
from graphspec.language.declarations import Windows


class WindowSource(View):
    """The windows over the rows of a table, as rows of their own.

    The rows are sorted by ``group``, then by ``order``; missing steps and values are filled in where the spec says so. A
    window begins at every ``stride``-th step of a group, as long as the group has ``length + horizon`` steps from there;
    without targets and inputs of the future, ``length`` steps. The arrays are views: a batch alone is copied. They have a
    row for each step at which a window may begin; ``chosen`` are those at which one does, None for all.

    Without targets, the last rows of a series may lack the values of the past. If all that is known of the future is its
    time, each series gets ``horizon`` such rows more.

    Raises DataError: GS502, there is no column that ``group``, ``order`` or ``missing`` names; GS105, it is no table.
    """

    def __init__(self, source: Source, windows: Windows, max_rows: int | None = None) -> None:
        super().__init__(source, max_rows)
        self._windows = windows
        self.chosen: Array | None = None
        self.times: Times | None = None
        self.warning: DataError | None = None
        self._series: Series | None = None
        self._known = {windows.order, windows.group}  # what every step has, also an added one
        named = [(key, getattr(windows, key)) for key in ("group", "order")]
        named += [("missing", name) for name in windows.missing or () if isinstance(windows.missing, Mapping)]
        for key, name in named:
            if name is not None and (name not in source.names or name in source.ambiguous):
                hint = f"it has {', '.join(source.names[:20])}"
                raise DataError(Code.MISSING_ARRAY, f"has no unique column '{name}' for `{key}` of `windows`", hint)

    def fill(self, requests: Sequence[Request]) -> Filled:
        refused = {r.name: self._not_numbers(r) for r in requests}
        if any(refused.values()):
            return {name: problems for name, problems in refused.items() if problems}
        windows, past = self._windows, self._windows.length
        reads = {r.name: windows.reading(r.name) if r.is_input else "target" for r in requests}
        ahead = {c for r in requests if reads[r.name] == "future" for c in r.columns}
        is_forecast = "target" not in reads.values()
        future = windows.horizon if ahead or not is_forecast else 0
        filled = {r.name for r in requests if any(map(windows.filling, r.columns))}
        open_ended = {r.name for r in requests if is_forecast and ahead and reads[r.name] in ("past", "static")}
        found = self._per_rows(requests, filled | open_ended)
        if any(isinstance(rows, dict) for rows in found.values()) or not found:
            return found
        try:
            beyond = future if is_forecast and ahead == {windows.order} else 0
            series = self._sorted(len(next(iter(found.values()))), beyond)
            gaps = Gaps(series)
            columns = {r.name: self._in_order(np.asarray(found.pop(r.name)[:]), r, series) for r in requests}
            unknown = np.zeros(len(series.rows), bool)
            if open_ended:
                of_past = [r for r in requests if reads[r.name] == "past"]
                unknown, last = self._unknown(columns, of_past, ahead, series)
                for request in (r for r in requests if r.name in open_ended):
                    rows = columns[request.name]
                    if self._lacks(rows, request, ~(unknown | series.added)):
                        return self._per_rows(requests, filled)  # which tells what is missing
                    columns[request.name] = np.where(unknown.reshape(-1, *(1,) * (rows.ndim - 1)), rows[last], rows)
            for r in requests:
                columns[r.name] = self._filled(columns[r.name], r, gaps, reads[r.name] == "past")
            self._choose(gaps, past, future, unknown)
        except DataError as error:
            raise placed(error, self.table.place) from error.__cause__
        arrays: Filled = {}
        for request in requests:
            rows, read = columns[request.name], reads[request.name]
            end = len(rows) - future
            part = {"past": rows[:end], "static": rows[past - 1 : end]}.get(read, rows[past:])
            arrays[request.name] = _views(part, past if read == "past" else future, request, read)
        return arrays

    def _per_rows(self, requests: Sequence[Request], filled: Collection[str]) -> dict[str, Any]:
        """Return the columns of the rows, or the problems alone; columns of ``filled`` may lack values."""
        found = self.table.fill([_per_row(r, r.name in filled) for r in requests])
        problems = {name: rows.items() for name, rows in found.items() if isinstance(rows, dict)}
        return {n: {k: placed(e, self.table.place) for k, e in of} for n, of in problems.items()} or dict(found)

    def _unknown(
        self, columns: Mapping[str, Array], past: Sequence[Request], ahead: Collection[str], series: Series
    ) -> tuple[Array, Array]:
        """Return the steps at the end of each series of which the past is not known, and the last step that is.

        They lack each value of the past that is not known ahead, or one that nothing fills in.

        Raises DataError: GS508, the last windows are wanted, and there are too few such steps.
        """
        names = [(r, k, name) for r in past for k, name in enumerate(r.columns) if name not in ahead]
        every, some = np.full(len(series.rows), bool(names)), series.added.copy()
        for request, k, name in names:
            rows = columns[request.name]
            missing = missing_in(rows[:, k] if request.stacked else rows)
            every &= missing
            if not request.gaps and self._windows.filling(name) is None:
                some |= missing
        unknown, last = series.trailing(every | some)
        after, horizon = np.bincount(series.groups, unknown).astype(int), self._windows.horizon
        if self._windows.last and names and after.min() < horizon:
            of = f" of '{series.names[after.argmin()]}'" if self._windows.group else ""
            text = f"has {count(int(after.min()), 'row')} after the last known value{of}, but the future has {horizon}"
            hint = "add rows with what is known of the future: their other columns may be empty"
            raise DataError(Code.TOO_FEW_ROWS, text, hint)
        return unknown, np.maximum(last, 0)

    def _lacks(self, rows: Array, request: Request, within: Array) -> bool:
        """Return whether a number is missing that nothing fills in."""
        ways = () if request.gaps or rows.dtype == object else map(self._windows.filling, request.columns)
        pairs = zip(rows.reshape(len(rows), -1).T, ways, strict=False)
        return any(way is None and (missing_in(column) & within).any() for column, way in pairs)

    def place(self, row: int) -> str:
        """Return the words for a window by the step at which it begins, among the steps in the order of time."""
        series = self._series
        if series is None and (self._windows.order or self._windows.group):
            series = self._sorted(0, 0)
        if series is None:
            return f"the window from {self.table.place(row)}"
        time, line = series.time_of(row), self.table.place(int(series.rows[row]))
        return f"the window from {time} ({line})" if time else f"the window from {line}"

    def _sorted(self, rows: int, beyond: int) -> Series:
        if self._series is None:
            series = series_of(self.table, self._windows, rows)
            self._series = series.extended(beyond) if beyond else series
        self.warning = self._series.warning
        return self._series

    def _in_order(self, rows: Array, request: Request, series: Series) -> Array:
        """Return a row for each step, as the table has it; that of an added step has its own time."""
        if series.added.any() or (series.rows[1:] < series.rows[:-1]).any():
            rows = rows[series.rows]
        for k, name in enumerate(request.columns if series.added.any() else ()):
            if name == self._windows.order:
                at = np.flatnonzero(series.added)
                times = [series.time_of(int(step)) for step in at] if rows.dtype == object else series.times[at]
                (rows[:, k] if request.stacked else rows)[at] = times
        return rows

    def _not_numbers(self, request: Request) -> DataErrors:
        """Return the problems of columns that cannot be interpolated."""
        problems: DataErrors = {}
        for k, name in enumerate(() if request.type.is_float else request.columns):
            if self._way(request, name) == "interpolate":
                text = "holds texts, classes or ids, and there is nothing between two of them"
                hint = f"write `missing: {{{name}: previous, …}}`, or `missing: previous`"
                problems[k] = DataError(Code.VALUE_NOT_ALLOWED, text, hint)
        return problems

    def _way(self, request: Request, name: str) -> str | None:
        """Return how missing values of a column are filled in: what a series has once is nothing to interpolate."""
        way = None if name in self._known else self._windows.filling(name)
        is_static = request.is_input and self._windows.reading(request.name) == "static"
        return "previous" if way == "interpolate" and is_static else way

    def _filled(self, rows: Array, request: Request, gaps: Gaps, is_past: bool) -> Array:
        series = gaps.series
        columns = rows[:, None] if not request.stacked else rows
        ways = [self._way(request, name) for name in request.columns]
        without = [n for n, way in zip(request.columns, ways, strict=True) if way is None and n not in self._known]
        if without and np.count_nonzero(series.added) > series.beyond * len(np.unique(series.groups)):
            text = f"lacks rows, and nothing says what '{without[0]}' is in them"
            raise DataError(Code.MISSING_VALUE, text, "name the column in `missing`, too")
        if not any(ways):
            return rows
        filled = [
            gaps.fill(columns[:, k], way, name=name, is_input=is_past) if way else columns[:, k]
            for k, (name, way) in enumerate(zip(request.columns, ways, strict=True))
        ]
        return np.stack(filled, 1) if request.stacked else filled[0]

    def _choose(self, gaps: Gaps, past: int, future: int, unknown: Array) -> None:
        """Find the windows of a past and a future: those that a value can be given everywhere, and that look not ahead."""
        windows, series, size = self._windows, gaps.series, past + future
        groups, steps = series.groups, len(series.rows)
        starts = np.arange(max(steps - size + 1, 0))
        first_of_group = np.searchsorted(groups, groups[: len(starts)])
        fits = groups[: len(starts)] == groups[size - 1 :] if len(starts) else np.zeros(0, bool)
        if not fits.any():
            longest = int(np.bincount(groups).max()) if steps else 0
            text = f"has no windows: a window needs {size} rows, the longest series has {longest}"
            hint = f"give at least {size} rows of one series, or use a smaller `length` or `horizon`"
            raise DataError(Code.TOO_FEW_ROWS, text, hint)
        empty, late = (np.concatenate([[0], np.cumsum(steps)]) for steps in (gaps.empty, unknown))
        whole = fits & (empty[starts + size] == empty[starts]) & ~gaps.later[starts + past - 1]
        whole &= late[starts + past] == late[starts]
        every = np.flatnonzero(whole)
        if windows.last:
            whole[every[:-1][groups[every[1:]] == groups[every[:-1]]]] = False
        else:
            whole &= (starts - first_of_group) % windows.stride == 0
        chosen = starts[whole]
        if not len(chosen):
            text = "has no windows: in each one, a value is missing that no known value comes before"
            raise DataError(Code.TOO_FEW_ROWS, text, "leave out the column, or the rows before its first value")
        chosen = chosen[: self.max_rows]
        self.chosen = None if len(chosen) == len(starts) else chosen
        different, ranks = np.unique(series.times, return_inverse=True)
        origin, filled = ranks[np.minimum(starts + past, steps - 1)], sum(gaps.missing.values())
        first, last = ranks[: len(starts)], ranks[size - 1 :]
        self.times = Times(first, origin, last, len(different), series, past, future, every, filled)


def _per_row(request: Request, filled: bool) -> Request:
    """Return the request of rows of the table; a value may be missing if it is filled in, or if an input may have gaps."""
    kind = Type(request.type.dtype, ("N", len(request.columns)) if request.stacked else ("N",))
    can_miss = filled and (kind.is_float or kind.dtype == "int64")
    return replace(request, type=kind, gaps=can_miss or (request.gaps and request.is_input))


def _views(rows: Array, size: int, request: Request, read: str) -> Array:
    """Return the windows of ``size`` rows: ``(n, size)``, or ``(n, size, columns)`` for several columns; static: rows."""
    rank = len(request.type.shape)
    if read == "static":
        return rows
    if rows.ndim == 1 and rank == 3:
        rows = rows[:, None]
    windows = np.moveaxis(np.lib.stride_tricks.sliding_window_view(rows, size, 0), -1, 1)
    return windows[:, 0] if size == 1 and windows.ndim > (rank if request.is_input else max(rank, 2)) else windows
