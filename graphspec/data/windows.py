"""Windows over series: each row of the data is a part of the past, and the part of the future that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.data.batches import Times
from graphspec.data.series import Gaps, Series, series_of
from graphspec.data.source import DataError, DataErrors, Filled, Request, Source, View, placed
from graphspec.graph.ir.graph import Array, Type
from graphspec.language.declarations import Windows


class WindowSource(View):
    """The windows over the rows of a table, as rows of their own.

    The rows are sorted by ``group``, then by ``order``; missing steps and values are filled in where the spec says so. A
    window begins at every ``stride``-th step of a group, as long as the group has ``length + horizon`` steps from there;
    without targets, ``length`` steps. The arrays are views: a batch alone is copied. They have a row for each step at which
    a window may begin; ``chosen`` are those at which one does, None for all.

    Raises DataError: GS502, there is no column that ``group``, ``order`` or ``missing`` names; GS105, it is no table.
    """

    def __init__(self, source: Source, windows: Windows, max_rows: int | None = None) -> None:
        super().__init__(source, max_rows)
        self._windows = windows
        self.chosen: Array | None = None
        self.times: Times | None = None
        self.warning: DataError | None = None
        self._series: Series | None = None
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
        filled = {r.name for r in requests if any(map(self._windows.filling, r.columns))}
        found: dict[str, Any] = dict(self.table.fill([_per_row(r, r.name in filled) for r in requests]))
        if any(isinstance(rows, dict) for rows in found.values()) or not found:
            problems = {name: rows.items() for name, rows in found.items() if isinstance(rows, dict)}
            return {name: {k: placed(e, self.table.place) for k, e in each} for name, each in problems.items()}
        past, future = self._windows.length, self._windows.horizon
        if all(request.is_input for request in requests):
            future = 0
        try:
            series = self._sorted(len(next(iter(found.values()))))
            gaps = Gaps(series)
            columns = {r.name: self._filled(np.asarray(found.pop(r.name)[:]), r, gaps) for r in requests}
            self._choose(gaps, past, future)
        except DataError as error:
            raise placed(error, self.table.place) from error.__cause__
        arrays: Filled = {}
        for request in requests:
            rows = columns[request.name]
            rows, size = (rows[: len(rows) - future], past) if request.is_input else (rows[past:], future)
            arrays[request.name] = _views(rows, size, request)
        return arrays

    def place(self, row: int) -> str:
        """Return the words for a window by the step at which it begins, among the steps in the order of time."""
        series = self._series
        if series is None and (self._windows.order or self._windows.group):
            series = self._sorted(0)
        if series is None:
            return f"the window from {self.table.place(row)}"
        time, line = series.time_of(row), self.table.place(int(series.rows[row]))
        return f"the window from {time} ({line})" if time else f"the window from {line}"

    def _sorted(self, rows: int) -> Series:
        self._series = self._series or series_of(self.table, self._windows, rows)
        self.warning = self._series.warning
        return self._series

    def _not_numbers(self, request: Request) -> DataErrors:
        """Return the problems of columns that cannot be interpolated."""
        problems: DataErrors = {}
        for k, name in enumerate(() if request.type.is_float else request.columns):
            if self._windows.filling(name) == "interpolate":
                text = "holds texts, classes or ids, and there is nothing between two of them"
                hint = f"write `missing: {{{name}: previous, …}}`, or `missing: previous`"
                problems[k] = DataError(Code.VALUE_NOT_ALLOWED, text, hint)
        return problems

    def _filled(self, rows: Array, request: Request, gaps: Gaps) -> Array:
        series = gaps.series
        if series.added.any() or (series.rows[1:] < series.rows[:-1]).any():
            rows = rows[series.rows]
        columns = rows[:, None] if not request.stacked else rows
        ways = [self._windows.filling(name) for name in request.columns]
        if series.added.any() and None in ways:
            text = f"lacks rows, and nothing says what '{request.columns[ways.index(None)]}' is in them"
            raise DataError(Code.MISSING_VALUE, text, "name the column in `missing`, too")
        if not any(ways):
            return rows
        filled = [
            gaps.fill(columns[:, k], way, name=name, is_input=request.is_input) if way else columns[:, k]
            for k, (name, way) in enumerate(zip(request.columns, ways, strict=True))
        ]
        return np.stack(filled, 1) if request.stacked else filled[0]

    def _choose(self, gaps: Gaps, past: int, future: int) -> None:
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
        empty = np.concatenate([[0], np.cumsum(gaps.empty)])
        whole = fits & (empty[starts + size] == empty[starts]) & ~gaps.later[starts + past - 1]
        every = np.flatnonzero(whole)
        if windows.last:
            whole &= np.append(groups, -1)[starts + size] != groups[starts]
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


def _views(rows: Array, size: int, request: Request) -> Array:
    """Return the windows of ``size`` rows: ``(n, size)``, or ``(n, size, columns)`` for several columns."""
    rank = len(request.type.shape)
    if rows.ndim == 1 and rank == 3:
        rows = rows[:, None]
    windows = np.moveaxis(np.lib.stride_tricks.sliding_window_view(rows, size, 0), -1, 1)
    return windows[:, 0] if size == 1 and windows.ndim > max(rank, 2) else windows
