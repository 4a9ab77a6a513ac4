"""Profiles of tables, arrays and folders: what their columns hold, tables counted by DuckDB out of core."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphspec.data.convert import MISSING_TEXTS
from graphspec.data.database import Relation, Table, quoted
from graphspec.data.files import Files
from graphspec.data.folders import Folder, upright_size
from graphspec.data.source import DATES, DataError, Source
from graphspec.data.tables import NUMBERS
from graphspec.data.text_files import MOSTLY

if TYPE_CHECKING:
    from graphspec.data.archives import Npz
    from graphspec.graph.ir.graph import Array

# SQL expressions about one column.
Stored = Literal["text", "number", "bool", "date", "list", "other"]  # by the file; a column of a ``.csv`` is text

ISO = "ISO"  # the name of dates by ISO 8601 among the formats
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d")
FORMATS = (ISO, *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))  # days before months
_MISSING_WORDS = tuple(text for text in MISSING_TEXTS if text)  # among numbers they mean a missing value, else may

LARGEST = 3.4028234663852886e38  # the largest number of float32: squares of it fit a double
_ISO = r"^(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?)(Z|[+-]\d\d:?\d\d)?$"
_YEAR = "(^|[^0-9])[0-9]{4}([^0-9]|$)"


def stored_as(sql_type: Any) -> Stored:
    """Return how a column of this type of the database is stored."""
    name = str(sql_type.id)
    if str(sql_type) == "JSON":
        return "other"
    if name in NUMBERS or name.startswith(DATES):
        return "number" if name in NUMBERS else "date"
    return {"varchar": "text", "enum": "text", "boolean": "bool", "list": "list", "array": "list"}.get(name, "other")  # type: ignore[return-value]


@dataclass(frozen=True)
class Expressions:
    """Expressions of one column."""

    column: str  # its quoted name
    stored: Stored  # how the file stores it

    @property
    def text(self) -> str:
        """The value as text, NULL if it is missing: NULL, NaN, or text of blanks alone."""
        if self.stored == "number":
            return f"CASE WHEN isnan({self.column}::DOUBLE) THEN NULL ELSE {self.column}::VARCHAR END"
        as_text = f"{self.column}::VARCHAR"
        return as_text if self.stored != "text" else f"CASE WHEN trim({as_text}) <> '' THEN {as_text} END"

    @property
    def says_missing(self) -> str:
        """Whether the value is a text such as ``NA``."""
        if self.stored != "text":
            return "false"
        listed = ", ".join(quoted(text, "'") for text in _MISSING_WORDS)
        return f"coalesce(lower(trim({self.column}::VARCHAR)) IN ({listed}), false)"

    @property
    def present(self) -> str:
        """The value as text, NULL if it is missing or says so."""
        return self.text if self.stored != "text" else f"CASE WHEN NOT {self.says_missing} THEN {self.text} END"

    @property
    def number(self) -> str:
        """The value as a double, NULL if it is missing or no number: the database parses ``1_000``, a reader does not."""
        if self.stored == "number":
            return f"CASE WHEN NOT isnan({self.column}::DOUBLE) THEN {self.column}::DOUBLE END"
        if self.stored == "bool":
            return f"{self.column}::INTEGER::DOUBLE"
        if self.stored != "text":
            return "NULL::DOUBLE"
        guarded = f"CASE WHEN NOT contains({self.column}, '_') AND NOT {self.says_missing} THEN {self.column} END"
        return f"TRY_CAST({guarded} AS DOUBLE)"

    @property
    def finite(self) -> str:
        """The number, NULL if it is infinite, as those are that are too large for float32."""
        return f"CASE WHEN abs({self.number}) <= {LARGEST!r} THEN {self.number} END"

    def moment(self, form: str) -> str:
        """Return the value as a timestamp by one of ``FORMATS``, NULL if it has another form."""
        value = f"trim({self.column}::VARCHAR)"
        if self.stored == "date" and form == ISO:
            return f"{self.column}::TIMESTAMP"
        if self.stored != "text":
            return "NULL::TIMESTAMP"
        if form == ISO:  # a zone ("Z", "+02:00") does not move the local time that the text shows
            return f"TRY_CAST(regexp_extract({value}, '{_ISO}', 1) AS TIMESTAMP)"
        return f"try_strptime(CASE WHEN regexp_matches({value}, '{_YEAR}') THEN {value} END, '{form}')"

    @property
    def words(self) -> str:
        """The words of the value, in lower case and without punctuation, as a list."""
        plain = rf"trim(regexp_replace(lower({self.present}), '[[:punct:]]', '', 'g'))"
        return rf"regexp_split_to_array(nullif({plain}, ''), '\s+')"

    def value(self, kind: str, *, large: bool = False) -> str:
        """Return the value as text, equal for equal numbers: ``7``, ``7.0`` and ``07`` are one integer.

        ``kind``: see :class:`ColumnProfile`; ``large``: the column has integers that a double cannot tell apart.
        """
        if kind == "integer" and not large:
            return f"{self.finite}::BIGINT::VARCHAR"
        return f"({self.number})::VARCHAR" if kind == "float" else self.present


# What a table and its columns hold.
Kind = Literal["integer", "float", "text", "bool", "date", "list", "empty", "other"]

FREQUENT = 12  # the number of most frequent values that a profile lists, unless all are few
LISTED = 1000  # a column of at most this many values has all of them in its profile
FAR = 2.0**53  # from here on a number may be a marker of a missing value
OCCURRENCES = 10  # ``at_least`` counts up to this


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
        return self.quartiles[1]


@dataclass(frozen=True)
class Words:
    """The words of a column of texts, in lower case and without punctuation."""

    mean: float  # mean, longest: the number of words of a text
    longest: int
    at_least: tuple[int, ...] = ()  # how many different words occur at least 1, 2, … times; empty if not counted


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds."""

    name: str
    kind: Kind  # what its values are. In text files a column is of numbers or dates if all values are that
    stored: Stored  # how the file stores it
    rows: int
    missing: int = 0  # the rows that hold nothing: NULL, NaN, or blanks
    missing_texts: Mapping[str, int] = field(default_factory=dict)  # further ones that say so, by text such as ``NA``
    distinct: int = 0  # the number of different values that are present
    exact: bool = True  # whether ``distinct`` is counted, not estimated
    frequent: tuple[tuple[str, int], ...] = ()  # the most frequent values with their rows; all up to ``LISTED``
    at_least: tuple[int, ...] = ()  # how many different values occur at least 1, 2, … times
    numbers: Numbers | None = None  # the distribution of the values that are numbers
    number_share: float = 0.0  # the part of the values that are numbers
    others: Mapping[str, int] = field(default_factory=dict)  # the texts among values that are mostly numbers
    infinite: int = 0  # the number of infinite values
    leading_zeros: bool = False  # whether an integer such as ``007`` occurs
    date_formats: Mapping[str, float] = field(default_factory=dict)  # the part of the values by format, if not 0
    dates: tuple[str, str] | None = None  # the first and the last date, in the format that most values have
    has_times: bool = False  # whether a date has a time other than midnight
    words: Words | None = None  # for texts
    lengths: tuple[int, int] | None = None  # for lists, the shortest and the longest

    @property
    def absent(self) -> int:
        """The rows without a value, with those whose text says so."""
        return self.missing + sum(self.missing_texts.values())

    @property
    def present(self) -> int:
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
        return self.kind in ("integer", "float")

    @property
    def marker(self) -> float | None:
        """A number so large that all others are equal after scaling, None if there is none: it may mean a missing value."""
        if (numbers := self.numbers) is None:
            return None
        far = max(numbers.low, numbers.high, key=abs)
        return far if abs(far) >= FAR and max(map(abs, numbers.quartiles)) < 1e-6 * abs(far) else None

    @property
    def same_but_for_case(self) -> tuple[str, str] | None:
        """Two frequent texts that differ in case only."""
        first: dict[str, str] = {}
        for value, _ in self.frequent if self.kind == "text" else ():
            if (other := first.setdefault(value.casefold(), value)) != value:
                return other, value
        return None

    @property
    def is_mixed(self) -> bool:
        """Whether most values are numbers, and a few are texts."""
        return self.kind == "text" and self.number_share >= MOSTLY


@dataclass(frozen=True)
class Profile:
    """What a table holds."""

    rows: int
    columns: Mapping[str, ColumnProfile]  # the columns by name
    typed: bool  # whether the file says the types of its values. In ``.csv`` files, numbers and dates are texts too


# Queries of many columns at once.
_TOGETHER = 48  # columns that one query looks at; of short tables up to _MOST_TOGETHER
_MOST_TOGETHER = 512
_KEPT_CELLS = 1 << 23  # of a wide table, which is kept in memory while it is looked at
_SAMPLE_ROWS = 4096  # rows that decide which forms of dates are looked for
_EXACT_QUANTILES = 2e7  # values that may be kept for the exact quantiles of all columns
_VALUES_OF_ROWS = 200_000  # whose values are read
_MOST_VALUES = 16_000_000  # that are read: of wide tables, fewer rows
_EXACT_DISTINCT = 20_000_000  # values of a column that may be told apart exactly: 16 bytes each


class Profiler:
    """Queries of one table.

    A query looks at a batch of columns of one type at once: as rows ``i, v`` of the column's place in the batch and its
    value, in groups by ``i``. So it is as long for 1,000 columns as for one. The database plans a list of aggregates of
    every column in 40 ms a column.
    """

    def __init__(self, table: Relation, limit: str) -> None:
        self._connection = table.connection
        self._rows_of = f"(SELECT * FROM ({table.source}) {limit})"
        self._typed = not table.of_texts
        self._columns = {n: Expressions(c, stored_as(t)) for n, c, t in table.known_columns()}
        self._types = {name: str(sql_type) for name, _, sql_type in table.known_columns()}
        self._rows = 0

    def profile(self) -> Profile:
        names = list(self._columns)
        [[self._rows]] = self._connection.execute(f"SELECT count(*) FROM {self._rows_of}").fetchall()
        kept = len(names) > _TOGETHER and self._rows * len(names) <= _KEPT_CELLS
        if kept:  # a file of text is then read once, and all its columns are bound once
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE profiled_rows AS {self._rows_of}")
            self._rows_of = "profiled_rows"
        together = max(_TOGETHER, min(_MOST_TOGETHER, _EXACT_DISTINCT // 20 // max(self._rows, 1)))
        found: dict[str, ColumnProfile] = {}
        for first in range(0, len(names), together):
            part = names[first : first + together]
            basic = {name: self._interpreted(name, of) for name, of in self._basic(part, self._formats(part)).items()}
            found |= self._counted(self._distributions(basic))
        if kept:
            self._connection.execute("DROP TABLE profiled_rows")
        return Profile(self._rows, {name: found[name] for name in names}, self._typed)

    def _cells(
        self, names: Sequence[str], rows: int | None = None, constants: Mapping[str, list[float]] | None = None
    ) -> str:
        """Return SQL for the values of columns of one type, of the first ``rows``, with constants of each column."""
        listed = {"v": f"[{', '.join(self._columns[name].column for name in names)}]", "i": f"range({len(names)})"}
        listed |= {key: f"'{list(map(float, values))}'::DOUBLE[]" for key, values in (constants or {}).items()}
        what = ", ".join(f"unnest({sql}) AS {key}" for key, sql in listed.items())
        return f"(SELECT {what} FROM {self._rows_of} {'' if rows is None else f'LIMIT {rows * len(names)}'})"

    def _groups(self, names: Iterable[str], key: Callable[[str], Any]) -> Iterator[tuple[Any, list[str], Expressions]]:
        """Yield columns of the same type and ``key`` together, with the key and the expressions of their cells."""
        groups: dict[Any, list[str]] = defaultdict(list)
        for name in names:
            groups[self._types[name], key(name)].append(name)
        for (_, same), group in groups.items():
            yield same, group, Expressions("v", self._columns[group[0]].stored)

    def _aggregates(self, names: Sequence[str], wanted: Mapping[str, str], cells: str) -> dict[str, dict[str, Any]]:
        """Return aggregates (SQL by key) of the columns of ``cells``, by column and key, with one pass over the rows."""
        empty = {key: 0 if sql.startswith(("count(", "approx_count")) else None for key, sql in wanted.items()}
        found = dict.fromkeys(names, empty)
        text = f"SELECT i, {', '.join(wanted.values())} FROM {cells} GROUP BY i"
        for i, *values in self._connection.execute(text).fetchall():
            found[names[i]] = dict(zip(wanted, values, strict=True))
        return found

    def _formats(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the forms of dates that the first rows of each column have; all if no value is present there."""
        result: dict[str, tuple[str, ...]] = {}
        dated = [name for name in names if self._columns[name].stored in ("text", "date")]
        for _, part, at in self._groups(dated, lambda _: None):
            wanted = {form: f"count({at.moment(form)})" for form in FORMATS} | {"present": f"count({at.present})"}
            for name, of in self._aggregates(part, wanted, self._cells(part, _SAMPLE_ROWS)).items():
                result[name] = tuple(form for form in FORMATS if of[form] or not of["present"])
        return result

    def _basic(self, names: Sequence[str], formats: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for forms, part, at in self._groups(names, lambda name: formats.get(name, ())):
            wanted = {"missing": f"count(*) - count({at.text})", "present": f"count({at.present})"}
            if at.stored == "list":
                wanted |= {"shortest": f"min(len({at.column}))", "longest": f"max(len({at.column}))"}
            if at.stored not in ("list", "other"):
                finite = at.finite
                wanted |= {
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
                wanted |= {
                    "texts": f"histogram(trim({at.text})) FILTER ({at.says_missing})",
                    "zeros": f"bool_or(regexp_matches({at.text}, '^\\s*-?0[0-9]+\\s*$'))",
                    "truth": f"count(*) FILTER (lower(trim({at.text})) IN ('true', 'false'))",
                    "words": f"avg(len({at.words}))",
                    "most": f"max(len({at.words}))",
                }
            for form in forms:
                moment = at.moment(form)
                wanted |= {
                    form: f"count({moment})",
                    f"first {form}": f"min({moment})::VARCHAR",
                    f"last {form}": f"max({moment})::VARCHAR",
                    f"times {form}": f"bool_or({moment} <> date_trunc('day', {moment}))",
                }
            found |= self._aggregates(part, wanted, self._cells(part))
        return found

    def _interpreted(self, name: str, of: Mapping[str, Any]) -> ColumnProfile:
        """Return a profile without what later queries count."""
        stored, present = self._columns[name].stored, of["present"]
        shares = {form: of[form] / present for form in FORMATS if of.get(form)}
        best = max(shares, key=lambda form: shares[form], default=None)
        kind = _kind(stored, present, of, shares)
        texts, count = dict(sorted((of.get("texts") or {}).items())), of.get("about", 0)
        found = ColumnProfile(name, kind, stored, self._rows, of["missing"], texts, count, date_formats=shares)
        if of.get("numbers"):
            infinite = of["numbers"] - of["finite"]
            found = replace(found, number_share=of["numbers"] / present, infinite=infinite)
        if of.get("finite"):
            mean, spread = (float(f"{of[key] or 0.0:.12g}") for key in ("mean", "deviation"))  # as blocks are summed
            found = replace(found, numbers=Numbers(of["low"], of["high"], mean, spread, 0.0, (0.0, 0.0, 0.0)))
        if best is not None:
            dates = of[f"first {best}"], of[f"last {best}"]
            found = replace(found, dates=dates, has_times=bool(of[f"times {best}"]))
        if kind == "text" and of.get("words") is not None:
            found = replace(found, words=Words(of["words"], of["most"]))
        lengths = None if of.get("longest") is None else (of["shortest"], of["longest"])
        return replace(found, leading_zeros=bool(of.get("zeros")), lengths=lengths)

    def _distributions(self, basic: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        """Add quantiles, the values of columns that have few, and the texts among numbers."""
        values = sum(column.present for column in basic.values() if column.numbers is not None)
        quantile = "quantile_cont" if values <= _EXACT_QUANTILES else "approx_quantile"
        result = dict(basic)

        def wanted_of(name: str) -> tuple[Any, ...]:
            column = basic[name]
            few = 0 < column.distinct <= LISTED
            return few and _value_key(column), column.numbers is not None, column.is_mixed

        for (value, numeric, mixed), part, at in self._groups(basic, wanted_of):
            wanted: dict[str, str] = {}
            constants: dict[str, list[float]] = {}
            if numeric:
                numbers = [column for name in part if (column := basic[name].numbers) is not None]
                constants = {"m": [n.mean for n in numbers], "s": [n.deviation or 1.0 for n in numbers]}
                wanted["quartiles"] = f"{quantile}({at.finite}, [0.25, 0.5, 0.75])"
                wanted["skewness"] = f"avg(pow(({at.finite} - m) / s, 3))"
            if mixed:
                wanted["others"] = f"histogram(trim({at.present})) FILTER ({at.number} IS NULL)"
            if value:
                wanted["values"] = f"histogram({at.value(value[0], large=value[1])})"
            if wanted:
                for name, of in self._aggregates(part, wanted, self._cells(part, None, constants)).items():
                    result[name] = _with_distribution(basic[name], of)
        return result

    def _counted(self, columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        """Count the values of columns that have many, and the words of texts."""
        result = dict(columns)
        many = [name for name, column in columns.items() if column.distinct > LISTED and not column.frequent]
        for name in many:
            result[name] = replace(columns[name], exact=columns[name].present <= _EXACT_DISTINCT)
        exact = [name for name in many if result[name].exact]
        for (kind, large), group, at in self._groups(exact, lambda name: _value_key(columns[name])):
            for part in self._parts(group):
                result |= self._values(part, at.value(kind, large=large), result)
        texts = [n for n, column in columns.items() if column.words is not None and column.words.longest > 1]
        for _, group, at in self._groups(texts, lambda _: None):
            for part in self._parts(group):
                words = f"(SELECT i, unnest({at.words}) w FROM {self._cells(part)})"
                groups = f"(SELECT i, count(*) c FROM {words} WHERE w <> '' GROUP BY i, w)"
                for name, of in self._aggregates(part, _OCCURRENCES, groups).items():
                    if (before := result[name].words) is not None:
                        result[name] = replace(result[name], words=replace(before, at_least=tuple(of.values())))
        return result

    def _parts(self, names: list[str]) -> Iterator[list[str]]:
        """Yield columns that together have no more values than may be told apart, or one column."""
        most = max(_EXACT_DISTINCT // 10 // max(self._rows, 1), 1)
        yield from (names[first : first + most] for first in range(0, len(names), most))

    def _values(self, part: list[str], value: str, columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        """Count the values (an SQL expression) of columns."""
        cells = self._cells(part)
        groups = f"(SELECT i, hash({value}) h, count(*) c FROM {cells} WHERE {value} IS NOT NULL GROUP BY i, h)"
        wanted = {"distinct": "count(*)", **_OCCURRENCES, "top": f"arg_max(h, c, {FREQUENT})", "most": "max(c)"}
        found = self._aggregates(part, wanted, groups)
        pairs = [(i, h) for i, name in enumerate(part) if (found[name]["most"] or 0) > 1 for h in found[name]["top"]]
        frequent: dict[str, list[tuple[str, int]]] = {name: [] for name in part}
        if pairs:
            places, hashes = map(list, zip(*pairs, strict=True))
            few = f"SELECT unnest('{places}'::BIGINT[]), unnest('{hashes}'::UBIGINT[])"
            rows = f"FROM {cells} WHERE (i, hash({value})) IN ({few}) GROUP BY i, x ORDER BY c DESC, x"
            for i, x, count in self._connection.execute(f"SELECT i, {value} x, count(*) c {rows}").fetchall():
                frequent[part[i]].append((x, count))
        result = {}
        for name, of in found.items():
            at_least = tuple(of[key] for key in _OCCURRENCES)
            counted = {"distinct": of["distinct"], "at_least": at_least, "frequent": tuple(frequent[name])}
            result[name] = replace(columns[name], **counted)
        return result


def _with_distribution(column: ColumnProfile, of: Mapping[str, Any]) -> ColumnProfile:
    if column.numbers is not None:
        low, middle, high = map(float, of["quartiles"])
        numbers = replace(column.numbers, quartiles=(low, middle, high), skewness=round(of["skewness"] or 0.0, 9))
        column = replace(column, numbers=numbers)
    if "others" in of:
        column = replace(column, others=of["others"] or {})
    return replace(column, **_listed(of["values"] or {})) if "values" in of else column


def _listed(rows: Mapping[str, int]) -> dict[str, Any]:
    """Return the parts of a profile that tell of values, all of which are listed with their rows."""
    frequent = tuple(sorted(rows.items(), key=lambda item: (-item[1], item[0])))
    at_least = tuple(sum(n >= k for n in rows.values()) for k in range(1, OCCURRENCES + 1))
    return {"distinct": len(rows), "frequent": frequent, "at_least": at_least}


_OCCURRENCES = {f"at least {k}": f"count(*) FILTER (c >= {k})" for k in range(1, OCCURRENCES + 1)}


def _value_key(column: ColumnProfile) -> tuple[Kind, bool]:
    """Return the arguments of :meth:`Expressions.value` for a column."""
    numbers = column.numbers
    return column.kind, numbers is not None and max(-numbers.low, numbers.high) >= FAR


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


@dataclass(frozen=True)
class Values:
    """The values of a column."""

    codes: Array  # an integer for each row, equal for equal values, -1 where the value is missing
    numbers: Array | None = None  # as float64, NaN where they are missing or infinite; None if they are no numbers
    names: Sequence[str] = ()  # the values in words, by code

    @classmethod
    def of_numbers(cls, numbers: Array) -> Values:
        """Return the values of a column of numbers, NaN where they are missing."""
        numbers = np.asarray(numbers, np.float64)
        known, codes = np.unique(numbers, return_inverse=True)
        finite = np.where(np.isfinite(numbers), numbers, np.nan)
        return cls(np.where(np.isnan(numbers), -1, codes.reshape(-1)), finite, [f"{value:g}" for value in known])

    @classmethod
    def of_texts(cls, texts: Iterable[str | None]) -> Values:
        """Return the values of a column of texts, None where they are missing."""
        known: dict[str, int] = {}
        codes = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
        return cls(np.array(codes, np.int64), None, list(known))

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(np.unique(self.codes[self.codes >= 0]))


def read_values(table: Relation, columns: Sequence[ColumnProfile]) -> dict[str, Values]:
    """Return the values of the first rows of profiled columns."""
    rows = min(_VALUES_OF_ROWS, _MOST_VALUES // len(columns))
    found: dict[str, Values] = {}
    for start in range(0, len(columns), _TOGETHER):
        part = columns[start : start + _TOGETHER]
        at = [(column, Expressions(table.columns[column.name], column.stored)) for column in part]
        what = ", ".join(f"{of.number if c.is_number else of.present} c{k}" for k, (c, of) in enumerate(at))
        text = f"SELECT {what} FROM (SELECT * FROM ({table.source}) LIMIT {rows})"
        read: dict[str, Any] = table.connection.execute(text).fetchnumpy()
        for k, c in enumerate(part):
            values = np.ma.asarray(read[f"c{k}"])
            own = Values.of_numbers(values.filled(np.nan)) if c.is_number else Values.of_texts(values.tolist())
            found[c.name] = own
    return found


# Profiles of the arrays of an ``.npz`` archive.
_VALUES = 1000  # at most this many different values are counted
_ELEMENTS = 1 << 20  # elements that are looked at together


@dataclass(frozen=True)
class ArrayProfile:
    """What an array holds."""

    name: str
    shape: tuple[int, ...] = ()  # with the rows
    dtype: str = ""
    missing: int = 0  # missing, infinite: the number of NaN, and of infinite values
    infinite: int = 0
    low: float | None = None  # low, high: the range of its finite numbers
    high: float | None = None
    # the values of an array with one number or text for each row, the most frequent first, if they are few
    frequent: tuple[tuple[str, int], ...] = ()
    problem: str | None = None  # why it cannot be read; then nothing else is known


def profile_arrays(archive: Npz, names: Sequence[str]) -> dict[str, ArrayProfile]:
    """Look at arrays of an archive, block by block. Raises DataError: GS501, a change; GS602, too little memory."""
    found = archive.read(names)
    return {
        name: ArrayProfile(name, problem=str(array)) if isinstance(array, DataError) else _profile(name, array)
        for name, array in found.items()
    }


def _profile(name: str, array: Array) -> ArrayProfile:
    rows, missing, infinite = len(array) if array.ndim else 0, 0, 0
    ends: list[float] = []
    if array.dtype.kind in "fiu":
        step = max(_ELEMENTS // max(array[:1].size, 1), 1) if array.ndim else 1
        for start in range(0, rows, step):
            block = np.asarray(array[start : start + step])
            finite = block[np.isfinite(block)]
            missing += int(np.isnan(block).sum())
            infinite += block.size - finite.size
            both = [*ends, float(finite.min()), float(finite.max())] if finite.size else ends
            ends = [min(both), max(both)] if both else ends
    frequent: tuple[tuple[str, int], ...] = ()
    if rows and array.size == rows and array.dtype.kind in "iubUS":
        values, counts = np.unique(array, return_counts=True)
        if len(values) <= _VALUES:
            frequent = tuple((str(values[k]), int(counts[k])) for k in np.argsort(-counts, kind="stable"))
    low, high = ends or (None, None)
    return ArrayProfile(name, array.shape, str(array.dtype), missing, infinite - missing, low, high, frequent)


# Profiles of folders of files: the sizes of pictures, the words of texts.
_LOOKED_AT = 1000  # files


@dataclass(frozen=True)
class FileProfile:
    """What the files of a folder hold."""

    name: str
    kind: Literal["picture", "text"]
    files: int  # their number; at most 1,000 of them, spread over all, are looked at
    # the heights and widths of pictures with the number of files, the most frequent first; empty for texts, and without
    # Pillow
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    words: tuple[float, int] | None = None  # the mean and the largest number of words of texts, if some can be read

    @property
    def is_exact(self) -> bool:
        """Whether all files have been looked at."""
        return self.files <= _LOOKED_AT


def profile_files(folder: Folder) -> FileProfile:
    """Look at the headers of pictures, or at the words of texts. Files that cannot be read do not count."""
    step = -(-len(folder.paths) // _LOOKED_AT) or 1
    paths, files = folder.paths[::step], len(folder.paths)
    if folder.kind == "image":
        try:
            from PIL import Image  # noqa: F401
        except ImportError:
            return FileProfile("image", "picture", files)
        sizes = Counter(upright_size(folder.folder / path) for path in paths)
        sizes.pop((0, 0), None)  # no pictures
        return FileProfile("image", "picture", files, sizes=tuple(sizes.most_common()))
    counts = []
    for path in paths:
        with suppress(OSError, UnicodeError, DataError):
            counts.append(len(folder.text(path).split()))
    return FileProfile("text", "text", files, words=(sum(counts) / len(counts), max(counts)) if counts else None)


def profile(table: Table | Files, rows: int | None = None) -> Profile:
    """Look at every column of a table, or of several with the same columns; those with ambiguous names are left out.

    The same file gives the same profile. Rows are not kept: memory grows with the number of different values and words of
    a column, up to a limit. ``rows`` from the start are looked at, by default all that the table would be read for.

    Raises DataError: GS501 if the table cannot be read.
    """
    limit = table.max_rows if rows is None else rows
    relation = table.relation()
    with relation.reading():
        return Profiler(relation, "" if limit is None else f"LIMIT {limit}").profile()


AnyProfile = ColumnProfile | ArrayProfile | FileProfile


def profile_of(table: Source, rows: int | None = None) -> tuple[int | None, Mapping[str, AnyProfile]]:
    """Profile the columns or arrays of a source, with the number of its rows; nothing is known of other sources."""
    from graphspec.data.archives import Npz

    if isinstance(table, Table | Files):
        found = profile(table, rows)
        return found.rows, found.columns
    if isinstance(table, Npz):
        arrays = profile_arrays(table, [name for name in table.names if name not in table.ambiguous])
        return next((a.shape[0] for a in arrays.values() if a.shape), None), arrays
    if not isinstance(table, Folder):
        return None, {}
    count, columns = len(table.paths), dict[str, ColumnProfile | FileProfile]({table.kind: profile_files(table)})
    if "label" in table.names:  # the names of the subfolders
        labels = Counter(path.parts[0] for path in table.paths)
        columns["label"] = ColumnProfile("label", "text", "text", count, **_listed(labels))
    return count, columns
