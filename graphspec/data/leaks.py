"""Columns of a table that give away the target: copies of it, columns that determine it, and numbers that add up to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.data.joined import Joined
from graphspec.data.profile_sql import Expressions

if TYPE_CHECKING:
    from graphspec.data.database import Table
    from graphspec.data.globs import Files
    from graphspec.data.profile import ColumnProfile, Profile

ROWS = 200_000
"""The number of rows, from the start, that are looked at."""
_MAX_NUMBERS = 64  # columns of numbers whose sums are looked at
_CHANCE = math.log(1e-9)  # log of the probability below which something is no accident
_FEW = 50  # ranges of fewer rows may be apart by chance, or because a measurement really tells the classes apart


def leaks(table: Table | Files, profile: Profile, target: str, *, classes: bool) -> dict[str, str]:
    """Return the columns that give away the target, each with how.

    A column counts only if that is no accident: one that is different in every row determines everything.

    Args:
        target: the target's column.
        classes: whether its values are classes, not numbers.

    Raises:
        DataError: GS501 if the table cannot be read.
    """
    joined = Joined.of(table)
    with joined.reading():
        return _Search(joined, profile, target, classes).found()


class _Search:
    def __init__(self, table: Joined, profile: Profile, target: str, classes: bool) -> None:
        self._table, self._profile, self._classes = table, profile, classes
        self._target = profile.columns[target]
        of = self._expressions(self._target)
        self._class = of.value(self._target.kind)
        self._number = of.finite

    def found(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, column in self._profile.columns.items():
            if name == self._target.name or column.kind in ("list", "other", "empty") or column.constant:
                continue
            why = self._why(column)
            if why is not None:
                found[name] = why
        return found if self._classes else found | self._sums(found)

    def _expressions(self, column: ColumnProfile) -> Expressions:
        return Expressions(self._table.columns[column.name], column.stored)

    def _query(self, what: str, source: str, tail: str = "") -> list[tuple[Any, ...]]:
        text = f"WITH source AS (SELECT * FROM ({self._table.source}) LIMIT {ROWS}) SELECT {what} FROM {source} {tail}"
        rows: list[tuple[Any, ...]] = self._table.connection.execute(text).fetchall()
        return rows

    def _why(self, column: ColumnProfile) -> str | None:
        """Return how a single column gives away the target, None if it does not."""
        same = column.distinct == self._target.distinct
        if self._classes and column.is_number and not same and self._apart(column):
            return "determines the target: the numbers of each class are a range of their own"
        if self._determines(column):
            return "is the target in other words" if same else "determines the target: each value occurs with one only"
        return None

    def _determines(self, column: ColumnProfile) -> bool:
        value = self._expressions(column).value(column.kind)
        pairs = f"(SELECT {value} v, {self._class} t FROM source)"
        groups = (
            f"(SELECT count(*) n, min(t) = max(t) pure FROM {pairs} WHERE v IS NOT NULL AND t IS NOT NULL GROUP BY v)"
        )
        [(rows, count, pure)] = self._query("sum(n), count(*), bool_and(pure)", groups)
        if not pure:
            return False
        share = self._target.frequent[0][1] / self._target.present if self._target.frequent else 0.5
        return share < 1 and (rows - count) * math.log(share) < _CHANCE

    def _apart(self, column: ColumnProfile) -> bool:
        """Return whether the numbers of every class lie between those of two others."""
        pairs = f"(SELECT {self._expressions(column).finite} v, {self._class} t FROM source)"
        rows = self._query("count(*), min(v), max(v)", pairs, "WHERE v IS NOT NULL AND t IS NOT NULL GROUP BY t")
        ranges = sorted((low, high, n) for n, low, high in rows)  # by their lower ends
        total = sum(n for *_, n in ranges)
        if total < _FEW or any(low <= high for (_, high, _), (low, _, _) in pairwise(ranges)):
            return False
        ways = math.lgamma(total + 1) - sum(math.lgamma(n + 1) for *_, n in ranges)
        return math.lgamma(len(ranges) + 1) - ways < _CHANCE

    def _sums(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the columns of numbers of which the target is a sum, with any factors."""
        columns = [
            column
            for name, column in self._profile.columns.items()
            if name != self._target.name and name not in found and column.is_number and not column.constant
        ][:_MAX_NUMBERS]
        if not columns or self._target.present < 2 * len(columns) + 10:
            return {}
        sql = [self._expressions(column).finite for column in columns]
        known = f"(SELECT {', '.join(f'{s} x{k}' for k, s in enumerate(sql))}, {self._number} t FROM source)"
        present = " AND ".join(f"{name} IS NOT NULL" for name in [*(f"x{k}" for k in range(len(sql))), "t"])
        names = [*(f"x{k}" for k in range(len(sql))), "t"]
        pairs = [(a, b) for a in range(len(names)) for b in range(a, len(names))]
        what = ", ".join(["count(*)", *(f"covar_pop({names[a]}, {names[b]})" for a, b in pairs)])
        [(rows, *values)] = self._query(what, known, f"WHERE {present}")
        if rows < 2 * len(columns) + 10:
            return {}
        covariance = np.zeros((len(names), len(names)))
        for (a, b), value in zip(pairs, values, strict=True):
            covariance[a, b] = covariance[b, a] = value
        return self._terms([column.name for column in columns], covariance)

    def _terms(self, names: list[str], covariance: np.ndarray) -> dict[str, str]:
        deviations = np.sqrt(np.diag(covariance))
        if not (deviations > 0).all():
            return {}
        correlation = covariance / np.outer(deviations, deviations)
        weights = np.linalg.lstsq(correlation[:-1, :-1], correlation[:-1, -1], rcond=1e-9)[0]
        if 1 - weights @ correlation[:-1, -1] > 1e-6:
            return {}
        parts = [name for name, weight in zip(names, weights, strict=True) if abs(weight) > 1e-3]
        if len(parts) == 1:
            return {parts[0]: "is the target in another unit"}
        few = " and ".join(parts) if len(parts) < 4 else f"{', '.join(parts[:3])}, …"
        return dict.fromkeys(parts, f"is a part of the target: {few} add up to it")
