"""Missing values of series, filled in from the known ones before and after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.data.series.rows import Series
from graphspec.graph.ir.graph import MISSING_INTEGER


@dataclass
class Gaps:
    """The missing values of some columns of series, as they are filled in.

    Attributes:
        empty: the steps that have no value in some column, since no value is before them, ``(n,)``.
        later: the steps with a value in some input that comes from a later one, ``(n,)``.
        missing: how many values were filled in at steps with a row, by column.
    """

    series: Series
    empty: Array = field(init=False)
    later: Array = field(init=False)
    missing: dict[str, int] = field(default_factory=dict)

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

        Args:
            rows: the column at each step, ``(n,)``; at added steps, any value.
            name: the name of the column; one that is an input and a target counts once.
        """
        known = ~(_missing(rows) | self.series.added)
        if known.all():
            return rows
        steps = np.arange(len(rows))
        before = np.maximum.accumulate(np.where(known, steps, -1))
        self.empty |= before < self._first
        before = np.maximum(before, 0)
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


def _missing(rows: Array) -> Array:
    if rows.dtype.kind == "f":
        return np.isnan(rows)
    if rows.dtype == object:
        found: Any = np.frompyfunc(lambda text: text is None or text == "", 1, 1)(rows)
        return np.asarray(found, bool)
    return np.asarray(rows == MISSING_INTEGER) if rows.dtype == np.int64 else np.zeros(len(rows), bool)
