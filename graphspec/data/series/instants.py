"""Columns of times: as numbers to sort and to calculate with, and as texts in the form of their table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.codes import Code
from graphspec.data.convert import FILL_IN, is_missing, is_number
from graphspec.data.database import Table
from graphspec.data.globs import Files
from graphspec.data.source import DataError, Source, at
from graphspec.vocabulary.layers.dates import is_date

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"\d{4}-\d\d")
_SIZES = (7, 10, 13, 16, 19)  # characters of a month, a date, and one with hours, minutes, seconds
_ZONE = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)$")


@dataclass(frozen=True)
class Instants:
    """A column of times.

    Attributes:
        values: numbers as they are; dates as microseconds since 1970, int64.
        dated: whether they are dates.
        like: a date as the table writes it; ``format``, if that is not ISO 8601.
        local: whether dates are those of a clock on the wall: they have no time zone.
    """

    values: Array
    dated: bool = False
    like: str = "2024-01-01 00:00"
    local: bool = True
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
    if _is_date(source, name):
        sql = f"epoch_us({sql})"
    with source.reading():
        parts = [np.array(block) for _, block in source.blocks(sql)]  # the next block takes the memory of this one
    return np.concatenate(parts) if parts else np.empty(0, object)


def is_text(source: Source, name: str) -> bool:
    """Return whether a column of a table is text."""
    return _type(source, name) == "varchar"


def _is_date(source: Source, name: str) -> bool:
    return _type(source, name).startswith(("timestamp", "date"))


def _type(source: Source, name: str) -> str:
    if isinstance(source, Files):
        source = next(source.sources())[1]
    return str(source.types[source.columns[name]].id) if isinstance(source, Table) else ""


def instants(source: Source, name: str, form: str | None = None, *, days: bool = False) -> Instants:
    """Return a column of a table as times: numbers, or ISO 8601 dates.

    Args:
        form: the format of its dates, such as ``%d.%m.%Y``.
        days: steps are days or longer, so dates with a time zone count as their clocks show them.

    Raises:
        DataError: GS505, a value is missing; GS504, one is neither a number nor a date; GS105, the source is no table.
    """
    found = column(source, name)
    missing = np.isnan(found) if found.dtype.kind == "f" else np.zeros(1, bool)
    if found.dtype.kind == "O":
        missing = np.array([t is None or (isinstance(t, str) and is_missing(t)) for t in found.tolist()], bool)
    if missing.any():
        raise DataError(Code.MISSING_VALUE, f"has no '{name}' in {at(int(missing.argmax()))}", FILL_IN)
    if found.dtype.kind != "O":
        return Instants(found, _is_date(source, name))
    texts = [str(text).strip() for text in found.tolist()]
    if form is None and all(map(is_number, texts)):
        return Instants(np.array([float(text) for text in texts]))
    zoned: set[bool] = set()
    moments = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            instant = _moment(text, form)
        except ValueError:
            wrong = f"has '{text}' as '{name}' in {at(row)}, which is neither a number nor a date"
            hint = "write dates as `2024-12-31` or `2024-12-31T18:00`, or set `format`, such as `%d.%m.%Y`"
            if form is not None:
                wrong, hint = (
                    f"has '{text}' as '{name}' in {at(row)}, not a date as `{form}`",
                    "correct it, or `format`",
                )
            raise DataError(Code.LOSSY_CONVERSION, wrong, hint) from None
        zoned.add(instant.tzinfo is not None)
        instant = instant.replace(tzinfo=UTC) if days or instant.tzinfo is None else instant.astimezone(UTC)
        moments[row] = (instant - _EPOCH) // timedelta(microseconds=1)
    if len(zoned) > 1:
        wrong = f"has '{name}' with and without a time zone"
        raise DataError(Code.LOSSY_CONVERSION, wrong, "write all with a time zone")
    like = texts[-1]
    if days and True in zoned and (zone := _ZONE.search(like)):
        like = like[: zone.start()]  # the times are those that its clocks show
    return Instants(moments, True, like, local=True not in zoned, format=form)


def _moment(text: str, form: str | None) -> datetime:
    """Return the time that a text says; raise ValueError if it says none."""
    if form is None:
        return datetime.fromisoformat(text + "-01" if _MONTH.fullmatch(text) else text)
    if not is_date(text, form):
        raise ValueError(form)
    return datetime.strptime(text, form)
