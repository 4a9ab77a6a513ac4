"""Windows over series: each row of the data is a part of the past, and the part of the future that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.layout import Array
from graphspec.arrays.strings import Strings
from graphspec.codes import Code
from graphspec.data.arrow import values
from graphspec.data.batches import Dataset, Times
from graphspec.data.convert import FILL_IN, is_missing, is_number
from graphspec.data.database import Table
from graphspec.data.globs import Files
from graphspec.data.source import DataError, Problems, Request, Source, at, placed
from graphspec.ir.graph import Type

if TYPE_CHECKING:
    from graphspec.arrays.strings import Strings
    from graphspec.language.declarations import Windows

_BATCH_ROWS = 1 << 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WindowSource:
    """The windows over the rows of a table, as rows of their own.

    The rows are sorted by ``group``, then by ``order``. A window begins at every ``stride``-th row of a group, as long as
    the group has ``length + horizon`` rows from there; without targets, ``length`` rows. The arrays are views: a batch
    alone is copied. They have a row for each row of the table at which a window may begin; ``chosen`` are those at which
    one does, None for all.

    Raises:
        DataError: GS502, there is no column ``group`` or ``order``; GS105, the source is no table.
    """

    def __init__(self, source: Source, windows: Windows, max_rows: int | None = None) -> None:
        self._source, self._windows, self.max_rows = source, windows, max_rows
        self.item, self.names = source.item, source.names
        self.ambiguous: Mapping[str, str] = source.ambiguous
        self.chosen: Array | None = None
        self.times: Times | None = None
        self._order: Array | None = None
        for key in ("group", "order"):
            name = getattr(windows, key)
            if name is not None and (name not in source.names or name in source.ambiguous):
                hint = f"it has {', '.join(source.names[:20])}"
                raise DataError(Code.MISSING_ARRAY, f"has no unique column '{name}' for `{key}` of `windows`", hint)

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Strings | Problems]:
        plain = [replace(r, type=_per_row(r), gaps=r.gaps and r.is_input) for r in requests]
        found: dict[str, Any] = dict(self._source.fill(plain))
        if any(isinstance(rows, dict) for rows in found.values()) or not found:
            problems = {name: rows.items() for name, rows in found.items() if isinstance(rows, dict)}
            return {name: {k: placed(e, self._source.place) for k, e in each} for name, each in problems.items()}
        past, future = self._windows.length, self._windows.horizon
        if all(request.is_input for request in requests):
            future = 0
        try:
            order = self._arrange(len(next(iter(found.values()))), past + future)
        except DataError as error:
            raise placed(error, self._source.place) from error.__cause__
        arrays: dict[str, Array | Strings | Problems] = {}
        for request in requests:
            rows = np.asarray(found.pop(request.name)[:])
            rows = rows if order is None else rows[order]
            rows = rows[: len(rows) - future] if request.is_input else rows[past:]
            arrays[request.name] = _views(rows, past if request.is_input else future, request)
        return arrays

    @property
    def table(self) -> Source:
        """The table with the rows."""
        return self._source

    def place(self, row: int) -> str:
        """Return the words for a window by the index of the row at which it begins, among the rows in the order of time."""
        return f"the window from {self._source.place(row if self._order is None else int(self._order[row]))}"

    def _arrange(self, rows: int, size: int) -> Array | None:
        """Find the windows of ``size`` rows; return the order of the table's rows, None if it is sorted."""
        windows = self._windows
        groups, names = np.zeros(rows, np.int64), ["the table"]
        if windows.group is not None:
            names, groups = _numbered(column(self._source, windows.group))
        times, dated = np.arange(rows), False
        if windows.order is not None:
            given = column(self._source, windows.order)
            times = instants(given, windows.order)
            dated = times.dtype == np.int64 and (given.dtype.kind == "O" or _is_moment(self._source, windows.order))
        ranks = np.unique(times, return_inverse=True)[1]
        order = np.lexsort((ranks, groups))
        groups, ranks = groups[order], ranks[order]
        twice = np.flatnonzero((groups[1:] == groups[:-1]) & (ranks[1:] == ranks[:-1]))
        if len(twice):
            first, second = map(at, sorted(order[twice[0] : twice[0] + 2].tolist()))
            where = "" if windows.group is None else f" of group '{names[groups[twice[0]]]}'"
            text = f"has the same '{windows.order}' in {first} and in {second}{where}"
            raise DataError(Code.VALUE_NOT_ALLOWED, text, "give `group`, or remove one of the rows")
        starts = np.arange(max(rows - size + 1, 0))
        first_of_group = np.searchsorted(groups, groups[: len(starts)])
        fits = groups[: len(starts)] == groups[size - 1 :] if len(starts) else np.zeros(0, bool)
        chosen = starts[fits & ((starts - first_of_group) % windows.stride == 0)]
        if not len(chosen):
            longest = int(np.bincount(groups).max()) if rows else 0
            text = f"has no windows: a window needs {size} rows, the longest series has {longest}"
            raise DataError(
                Code.TOO_FEW_ROWS,
                text,
                f"give at least {size} rows of one series, or use a smaller `length` or `horizon`",
            )
        chosen = chosen[: self.max_rows]
        self.chosen = None if len(chosen) == len(starts) else chosen
        moments = times[order] if dated else None
        self.times = Times(ranks[: len(starts)], ranks[size - 1 :], int(ranks.max()) + 1, groups, moments)
        self._order = None if (order[1:] > order[:-1]).all() else order
        return self._order


def with_windows(source: Source, arrays: Dataset) -> Dataset:
    """Return the data of a filled source with the choice of its windows and their times."""
    if isinstance(source, WindowSource):
        return replace(arrays, chosen=source.chosen, times=source.times)
    return arrays


def _per_row(request: Request) -> Type:
    """Return the type of a row of the table."""
    return Type(request.type.dtype, ("N", len(request.columns)) if request.stacked else ("N",))


def _views(rows: Array, size: int, request: Request) -> Array:
    """Return the windows of ``size`` rows: ``(n, size)``, or ``(n, size, columns)`` for several columns."""
    rank = len(request.type.shape)
    if rows.ndim == 1 and rank == 3:
        rows = rows[:, None]
    windows = np.lib.stride_tricks.sliding_window_view(rows, size, 0)
    windows = np.moveaxis(windows, -1, 1)
    return windows[:, 0] if size == 1 and windows.ndim > max(rank, 2) else windows


def column(source: Source, name: str) -> Array:
    """Return a column of a table with the values that it has: numbers, or text as objects.

    Raises:
        DataError: GS105, the source is no table.
    """
    if isinstance(source, Files):
        parts = [column(part, name) for _, part in source.sources()]
        return np.concatenate([part if part.dtype == parts[0].dtype else part.astype(object) for part in parts])
    if not isinstance(source, Table):
        raise DataError(Code.VALUE_NOT_ALLOWED, "is no table, which `windows` needs", "write the series to a table")
    sql = source.columns[name]
    if _is_moment(source, name):
        sql = f"epoch_us({sql})"
    with source.reading():
        parts, row = [], 0
        for count, [part] in source.stream(sql, _BATCH_ROWS):
            parts.append(np.array(values(part, row)))  # the next batch takes the memory of this one
            row += count
    return np.concatenate(parts) if parts else np.empty(0, object)


def is_text(source: Source, name: str) -> bool:
    """Return whether a column of a table is text."""
    return _type_of(source, name) == "varchar"


def _is_moment(source: Source, name: str) -> bool:
    """Return whether the database reads a column of a table as dates or times."""
    return _type_of(source, name).startswith(("timestamp", "date"))


def _type_of(source: Source, name: str) -> str:
    if isinstance(source, Files):
        return _type_of(next(source.sources())[1], name)
    return str(source.types[source.columns[name]].id) if isinstance(source, Table) else ""


def _numbered(names: Array) -> tuple[list[str], Array]:
    """Return the different values of a column, sorted, and their positions for each row; a missing value is one, too."""
    texts = np.array(["" if name is None else str(name) for name in names.tolist()])
    different, groups = np.unique(texts, return_inverse=True)
    return different.tolist(), groups


def instants(column: Array, name: str) -> Array:
    """Return a column of time as numbers: numbers stay, ISO 8601 dates become microseconds.

    Raises:
        DataError: GS505, a value is missing; GS504, one is neither a number nor a date.
    """
    if column.dtype.kind != "O":
        missing = np.isnan(column) if column.dtype.kind == "f" else np.zeros(1, bool)
        if missing.any():
            raise DataError(Code.MISSING_VALUE, f"has no '{name}' in {at(int(missing.argmax()))}", FILL_IN)
        return column
    texts = column.tolist()
    for row, text in enumerate(texts):
        if text is None or (isinstance(text, str) and is_missing(text)):
            raise DataError(Code.MISSING_VALUE, f"has no '{name}' in {at(row)}", FILL_IN)
    texts = [str(text).strip() for text in texts]
    if all(map(is_number, texts)):
        return np.array([float(text) for text in texts])
    zoned: set[bool] = set()
    found = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            wrong = f"has '{text}' as '{name}' in {at(row)}, which is neither a number nor a date"
            raise DataError(Code.LOSSY_CONVERSION, wrong, "write dates as `2024-12-31` or `2024-12-31T18:00`") from None
        zoned.add(instant.tzinfo is not None)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
        since = instant - _EPOCH
        found[row] = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if len(zoned) > 1:
        raise DataError(
            Code.LOSSY_CONVERSION, f"has '{name}' with and without a time zone", "write all with a time zone"
        )
    return found
