"""Profiles of tables: what their columns hold, counted by DuckDB out of core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from graphspec.data.database import Table
from graphspec.data.globs import Files
from graphspec.data.joined import Joined
from graphspec.data.profile_sql import FORMATS, Expressions, Stored, stored_as

Kind = Literal["integer", "float", "text", "bool", "date", "list", "empty", "other"]

FREQUENT = 12
"""The number of most frequent values that a profile lists, unless all are few."""
LISTED = 1000
"""A column of at most this many values has all of them in its profile."""
OCCURRENCES = 10
"""``at_least`` counts up to this."""
_TOGETHER = 48  # columns that one query looks at
_SAMPLE_ROWS = 4096  # rows that decide which forms of dates are looked for
_EXACT_QUANTILES = 2e7  # values that may be kept for the exact quantiles of all columns
_EXACT_DISTINCT = 2e7  # values of a column that may be told apart exactly: 16 bytes each
_LARGE = 2.0**53


@dataclass(frozen=True)
class Numbers:
    """The distribution of the finite numbers of a column: ``quartiles`` are at 25, 50 and 75 %."""

    low: float
    high: float
    mean: float
    deviation: float
    skewness: float
    quartiles: tuple[float, float, float]

    @property
    def median(self) -> float:
        """The value that half of the numbers do not exceed."""
        return self.quartiles[1]


@dataclass(frozen=True)
class Words:
    """The words of a column of texts, in lower case and without punctuation.

    Attributes:
        mean, longest: the number of words of a text.
        at_least: how many different words occur at least 1, 2, … times; empty where they were not counted.
    """

    mean: float
    longest: int
    at_least: tuple[int, ...] = ()


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    Attributes:
        kind: what its values are. In text files a column is of numbers or dates if all values are that.
        stored: how the file stores it.
        missing: the rows that hold nothing: NULL, NaN, or blanks.
        missing_texts: the rows by text that means a missing value, such as ``NA``; ``missing`` does not count them.
        distinct: the number of different values that are present.
        exact: whether ``distinct`` is counted, not estimated.
        frequent: the most frequent values with their rows; all values if there are at most ``LISTED``.
        at_least: how many different values occur at least 1, 2, … times.
        numbers: the distribution of the values that are numbers.
        number_share: the part of the values that are numbers.
        infinite: the number of infinite values.
        leading_zeros: whether an integer such as ``007`` occurs.
        date_formats: the part of the values that have this form, by format; without those that have none.
        dates: the first and the last date, in the format that most values have.
        has_times: whether a date has a time other than midnight.
        words: for texts.
        lengths: for lists, the shortest and the longest.
    """

    name: str
    kind: Kind
    stored: Stored
    rows: int
    missing: int = 0
    missing_texts: Mapping[str, int] = field(default_factory=dict)
    distinct: int = 0
    exact: bool = True
    frequent: tuple[tuple[str, int], ...] = ()
    at_least: tuple[int, ...] = ()
    numbers: Numbers | None = None
    number_share: float = 0.0
    infinite: int = 0
    leading_zeros: bool = False
    date_formats: Mapping[str, float] = field(default_factory=dict)
    dates: tuple[str, str] | None = None
    has_times: bool = False
    words: Words | None = None
    lengths: tuple[int, int] | None = None

    @property
    def absent(self) -> int:
        """The rows without a value, with those whose text says so."""
        return self.missing + sum(self.missing_texts.values())

    @property
    def present(self) -> int:
        """The rows with a value."""
        return self.rows - self.absent

    @property
    def constant(self) -> bool:
        """Whether every row has the same value."""
        return self.distinct <= 1 and not (self.distinct and self.absent)

    @property
    def unique(self) -> bool:
        """Whether the value of every row is different; of estimated numbers, whether nearly all are."""
        return self.present > 1 and self.distinct >= self.present * (1 if self.exact else 0.95)

    @property
    def listed(self) -> bool:
        """Whether ``frequent`` has all values."""
        return len(self.frequent) == self.distinct

    @property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return self.kind in ("integer", "float")


@dataclass(frozen=True)
class Profile:
    """What a table holds.

    Attributes:
        columns: the columns by name.
        typed: whether the file says the types of its values. In ``.csv`` files, numbers and dates are texts too.
    """

    rows: int
    columns: Mapping[str, ColumnProfile]
    typed: bool


def profile(table: Table | Files, rows: int | None = None) -> Profile:
    """Look at every column of a table, or of several with the same columns; those with ambiguous names are left out.

    The same file gives the same profile. Rows are not kept: memory grows with the number of different values and words of
    a column, up to a limit.

    Args:
        rows: look at this many rows from the start; by default at all that the table would be read for.

    Raises:
        DataError: GS501 if the table cannot be read.
    """
    limit = table.max_rows if rows is None else rows
    joined = Joined.of(table)
    with joined.reading():
        return _Profiler(joined, "" if limit is None else f"LIMIT {limit}").profile()


class _Profiler:
    """Queries of one table."""

    def __init__(self, table: Joined, limit: str) -> None:
        self._connection = table.connection
        self._source = f"SELECT * FROM ({table.source}) {limit}"
        self._typed = table.typed
        self._columns = {
            name: Expressions(sql, stored_as(table.types[sql]))
            for name, sql in table.columns.items()
            if name not in table.ambiguous
        }

    def profile(self) -> Profile:
        found: dict[str, ColumnProfile] = {}
        [[rows]] = self._query("SELECT count(*) FROM source")
        names = list(self._columns)
        for first in range(0, len(names), _TOGETHER):
            part = names[first : first + _TOGETHER]
            formats = self._formats(part)
            basic = {name: self._interpreted(name, rows, of) for name, of in self._basic(part, formats, rows).items()}
            found |= self._distributions(basic, rows)
        columns = {name: self._counted(column) for name, column in found.items()}
        return Profile(rows, columns, self._typed)

    def _query(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of ``source``."""
        rows: list[tuple[Any, ...]] = self._connection.execute(f"WITH source AS ({self._source}) {text}").fetchall()
        return rows

    def _aggregates(self, wanted: Mapping[str, Mapping[str, str]], source: str) -> dict[str, dict[str, Any]]:
        """Return aggregates (SQL by key) of columns, by column and key, with one pass over the rows."""
        listed = [(name, key, sql) for name, keys in wanted.items() for key, sql in keys.items()]
        found: dict[str, dict[str, Any]] = {name: {} for name in wanted}
        if listed:
            [row] = self._query(f"SELECT {', '.join(sql for *_, sql in listed)} FROM {source}")
            for (name, key, _), value in zip(listed, row, strict=True):
                found[name][key] = value
        return found

    def _formats(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the forms of dates that the first rows of each column have; all if no value is present there."""
        may = [name for name in names if self._columns[name].stored in ("text", "date")]
        wanted = {
            name: {form: f"count({self._columns[name].moment(form)})" for form in FORMATS}
            | {"present": f"count({self._columns[name].present})"}
            for name in may
        }
        found = self._aggregates(wanted, f"(SELECT * FROM source LIMIT {_SAMPLE_ROWS})")
        return {n: [form for form in FORMATS if of[form] or not of["present"]] for n, of in found.items()}

    def _basic(self, names: Sequence[str], formats: Mapping[str, list[str]], rows: int) -> dict[str, dict[str, Any]]:
        wanted: dict[str, dict[str, str]] = {}
        for name in names:
            at = self._columns[name]
            wanted[name] = {"missing": f"count(*) - count({at.text})", "present": f"count({at.present})"}
            if at.stored == "list":
                wanted[name] |= {"shortest": f"min(len({at.column}))", "longest": f"max(len({at.column}))"}
            if at.stored in ("list", "other"):
                continue
            finite = at.finite
            wanted[name] |= {
                "about": f"approx_count_distinct({at.present})",
                "numbers": f"count({at.number})",
                "finite": f"count({finite})",
                "whole": f"count(*) FILTER ({finite} = floor({finite}))",
                "low": f"min({finite})",
                "high": f"max({finite})",
                "mean": f"avg({finite})",
                "deviation": f"stddev_pop({finite})",
            }
            if at.stored == "text":
                wanted[name] |= {
                    "texts": f"histogram(trim({at.text})) FILTER ({at.says_missing})",
                    "zeros": f"bool_or(regexp_matches({at.text}, '^\\s*-?0[0-9]+\\s*$'))",
                    "truth": f"count(*) FILTER (lower(trim({at.text})) IN ('true', 'false'))",
                    "words": f"avg(len({at.words}))",
                    "most": f"max(len({at.words}))",
                }
            for form in formats.get(name, ()):
                moment = at.moment(form)
                wanted[name] |= {
                    form: f"count({moment})",
                    f"first {form}": f"min({moment})::VARCHAR",
                    f"last {form}": f"max({moment})::VARCHAR",
                    f"times {form}": f"bool_or({moment} <> date_trunc('day', {moment}))",
                }
        return self._aggregates(wanted, "source")

    def _interpreted(self, name: str, rows: int, of: Mapping[str, Any]) -> ColumnProfile:
        """Return a profile without what later queries count."""
        stored, present = self._columns[name].stored, of["present"]
        texts = dict(sorted((of.get("texts") or {}).items()))
        shares = {form: of[form] / present for form in FORMATS if of.get(form)}
        best = max(shares, key=lambda form: shares[form], default=None)
        kind = _kind(stored, present, of, shares)
        dates = None if best is None else (of[f"first {best}"], of[f"last {best}"])
        numbers = None
        if of.get("finite"):
            spread = of["deviation"] or 0.0
            numbers = Numbers(of["low"], of["high"], of["mean"], spread, 0.0, (0.0, 0.0, 0.0))
        return ColumnProfile(
            name,
            kind,
            stored,
            rows,
            of["missing"],
            texts,
            of.get("about", 0),
            number_share=of.get("numbers", 0) / present if present else 0.0,
            infinite=of.get("numbers", 0) - of.get("finite", 0),
            leading_zeros=bool(of.get("zeros")),
            date_formats=shares,
            numbers=numbers,
            dates=dates,
            has_times=best is not None and bool(of[f"times {best}"]),
            words=Words(of["words"], of["most"]) if kind == "text" and of.get("words") is not None else None,
            lengths=None if of.get("longest") is None else (of["shortest"], of["longest"]),
        )

    def _distributions(self, basic: Mapping[str, ColumnProfile], rows: int) -> dict[str, ColumnProfile]:
        """Add quantiles, and the values of columns that have few."""
        values = sum(column.present for column in basic.values() if column.numbers is not None)
        quantile = "quantile_cont" if values <= _EXACT_QUANTILES else "approx_quantile"
        wanted: dict[str, dict[str, str]] = {}
        for name, column in basic.items():
            at = self._columns[name]
            wanted[name] = {}
            if column.numbers is not None:
                wanted[name]["quartiles"] = f"{quantile}({at.finite}, [0.25, 0.5, 0.75])"
                if column.numbers.low < column.numbers.high:
                    scaled = f"(({at.finite}) - {column.numbers.mean!r}) / {column.numbers.deviation or 1!r}"
                    wanted[name]["skewness"] = f"avg(pow({scaled}, 3))"
            if 0 < column.distinct <= LISTED:
                wanted[name]["values"] = f"histogram({at.value(column.kind, large=_large(column))})"
        result: dict[str, ColumnProfile] = {}
        for name, of in self._aggregates(wanted, "source").items():
            column = basic[name]
            if column.numbers is not None:
                low, middle, high = map(float, of["quartiles"])
                numbers = replace(column.numbers, quartiles=(low, middle, high), skewness=of.get("skewness") or 0.0)
                column = replace(column, numbers=numbers)
            if "values" in of:
                counted = sorted((of["values"] or {}).items(), key=lambda item: (-item[1], item[0]))
                column = replace(
                    column,
                    distinct=len(counted),
                    frequent=tuple(counted),
                    at_least=tuple(sum(n >= k for _, n in counted) for k in range(1, OCCURRENCES + 1)),
                )
            result[name] = column
        return result

    def _counted(self, column: ColumnProfile) -> ColumnProfile:
        """Count the values of a column that has many, and the words of texts."""
        at = self._columns[column.name]
        if column.distinct > LISTED and not column.frequent:
            if column.present > _EXACT_DISTINCT:
                return replace(column, exact=False)
            value = at.value(column.kind, large=_large(column))
            groups = f"(SELECT hash({value}) h, count(*) c FROM source WHERE {value} IS NOT NULL GROUP BY 1)"
            [[distinct, *at_least, top, most]] = self._query(
                f"SELECT count(*), {_occurrences()}, arg_max(h, c, {FREQUENT}), max(c) FROM {groups}"
            )
            frequent: list[Any] = []
            if most > 1:
                few = ", ".join(str(h) for h in top)
                frequent = self._query(
                    f"SELECT {value} v, count(*) c FROM source WHERE hash({value}) IN ({few}) GROUP BY 1 ORDER BY 2 DESC, 1"
                )
            column = replace(column, distinct=distinct, at_least=tuple(at_least), frequent=tuple(frequent))
        if column.words is not None and column.words.longest > 1:
            words = f"(SELECT unnest({at.words}) w FROM source)"
            groups = f"(SELECT count(*) c FROM {words} WHERE w <> '' GROUP BY w)"
            [words_at_least] = self._query(f"SELECT {_occurrences()} FROM {groups}")
            column = replace(column, words=replace(column.words, at_least=words_at_least))
        return column


def _occurrences() -> str:
    return ", ".join(f"count(*) FILTER (c >= {k})" for k in range(1, OCCURRENCES + 1))


def _large(column: ColumnProfile) -> bool:
    numbers = column.numbers
    return numbers is not None and max(-numbers.low, numbers.high) >= _LARGE


def _kind(stored: Stored, present: int, of: Mapping[str, Any], shares: Mapping[str, float]) -> Kind:
    if stored in ("list", "other", "bool", "date"):
        return stored
    if not present:
        return "empty"
    if of["numbers"] == present:
        return "integer" if of["whole"] == present else "float"
    if of.get("truth") == present:
        return "bool"
    return "date" if 1.0 in shares.values() else "text"


def shares(column: ColumnProfile, count: int) -> Iterator[tuple[str, float]]:
    """Yield the ``count`` most frequent values of a column, each with its part of the values that are present."""
    for value, rows in column.frequent[:count]:
        yield value, rows / column.present
