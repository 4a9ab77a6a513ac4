"""The queries with which :mod:`graphspec.data.profile` looks at the columns of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphspec.data.database import Relation
from graphspec.data.profile_sql import FORMATS, Expressions, Stored, stored_as
from graphspec.data.profiling.column_profile import (
    FAR,
    FREQUENT,
    LISTED,
    OCCURRENCES,
    ColumnProfile,
    Kind,
    Numbers,
    Profile,
    Words,
)

_TOGETHER = 48  # columns that one query looks at; of short tables up to _MOST_TOGETHER
_MOST_TOGETHER = 512
_KEPT_CELLS = 1 << 23  # of a wide table, which is kept in memory while it is looked at
_SAMPLE_ROWS = 4096  # rows that decide which forms of dates are looked for
_EXACT_QUANTILES = 2e7  # values that may be kept for the exact quantiles of all columns
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
        [[self._rows]] = self._query(f"SELECT count(*) FROM {self._rows_of}")
        kept = len(names) > _TOGETHER and self._rows * len(names) <= _KEPT_CELLS
        if kept:  # a file of text is then read once, and all its columns are bound once
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE profiled_rows AS {self._rows_of}")
            self._rows_of = "profiled_rows"
        together = max(_TOGETHER, min(_MOST_TOGETHER, _EXACT_DISTINCT // 20 // max(self._rows, 1)))
        found: dict[str, ColumnProfile] = {}
        for first in range(0, len(names), together):
            part = names[first : first + together]
            formats = self._formats(part)
            basic = {name: self._interpreted(name, of) for name, of in self._basic(part, formats).items()}
            found |= self._counted(self._distributions(basic))
        if kept:
            self._connection.execute("DROP TABLE profiled_rows")
        return Profile(self._rows, {name: found[name] for name in names}, self._typed)

    def _query(self, text: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(text).fetchall()
        return rows

    def _cells(
        self, names: Sequence[str], rows: int | None = None, constants: Mapping[str, list[float]] | None = None
    ) -> str:
        """Return SQL for the values of columns of one type, of the first ``rows``, with constants of each column."""
        listed = {"v": f"[{', '.join(self._columns[name].column for name in names)}]", "i": f"range({len(names)})"}
        listed |= {key: f"'{list(map(float, values))}'::DOUBLE[]" for key, values in (constants or {}).items()}
        limit = "" if rows is None else f"LIMIT {rows * len(names)}"
        return f"(SELECT {', '.join(f'unnest({sql}) AS {key}' for key, sql in listed.items())} FROM {self._rows_of} {limit})"

    def _groups(self, names: Iterable[str], key: Callable[[str], Any]) -> dict[Any, list[str]]:
        """Return columns of the same type and ``key`` together."""
        found: dict[Any, list[str]] = defaultdict(list)
        for name in names:
            found[self._types[name], key(name)].append(name)
        return found

    def _aggregates(self, names: Sequence[str], wanted: Mapping[str, str], cells: str) -> dict[str, dict[str, Any]]:
        """Return aggregates (SQL by key) of the columns of ``cells``, by column and key, with one pass over the rows."""
        empty = {key: 0 if sql.startswith(("count(", "approx_count")) else None for key, sql in wanted.items()}
        found = dict.fromkeys(names, empty)
        for i, *values in self._query(f"SELECT i, {', '.join(wanted.values())} FROM {cells} GROUP BY i"):
            found[names[i]] = dict(zip(wanted, values, strict=True))
        return found

    def _expressions(self, names: Sequence[str]) -> Expressions:
        """Return the expressions of the cells of columns of one type."""
        return Expressions("v", self._columns[names[0]].stored)

    def _formats(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the forms of dates that the first rows of each column have; all if no value is present there."""
        result: dict[str, tuple[str, ...]] = {}
        dated = [name for name in names if self._columns[name].stored in ("text", "date")]
        for part in self._groups(dated, lambda _: None).values():
            at = self._expressions(part)
            wanted = {form: f"count({at.moment(form)})" for form in FORMATS} | {"present": f"count({at.present})"}
            for name, of in self._aggregates(part, wanted, self._cells(part, _SAMPLE_ROWS)).items():
                result[name] = tuple(form for form in FORMATS if of[form] or not of["present"])
        return result

    def _basic(self, names: Sequence[str], formats: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for (_, forms), part in self._groups(names, lambda name: formats.get(name, ())).items():
            at = self._expressions(part)
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
        texts = dict(sorted((of.get("texts") or {}).items()))
        shares = {form: of[form] / present for form in FORMATS if of.get(form)}
        best = max(shares, key=lambda form: shares[form], default=None)
        kind = _kind(stored, present, of, shares)
        dates = None if best is None else (of[f"first {best}"], of[f"last {best}"])
        numbers = None
        if of.get("finite"):
            mean, spread = (float(f"{of[key] or 0.0:.12g}") for key in ("mean", "deviation"))  # as blocks are summed
            numbers = Numbers(of["low"], of["high"], mean, spread, 0.0, (0.0, 0.0, 0.0))
        return ColumnProfile(
            name,
            kind,
            stored,
            self._rows,
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

    def _distributions(self, basic: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        """Add quantiles, the values of columns that have few, and the texts among numbers."""
        values = sum(column.present for column in basic.values() if column.numbers is not None)
        quantile = "quantile_cont" if values <= _EXACT_QUANTILES else "approx_quantile"
        result = dict(basic)

        def wanted_of(name: str) -> tuple[Any, ...]:
            column = basic[name]
            few = 0 < column.distinct <= LISTED
            return few and _value_key(column), column.numbers is not None, column.is_mixed

        for (_, (value, numeric, mixed)), part in self._groups(basic, wanted_of).items():
            at = self._expressions(part)
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
            if not wanted:
                continue
            for name, of in self._aggregates(part, wanted, self._cells(part, None, constants)).items():
                result[name] = _with_distribution(basic[name], of)
        return result

    def _counted(self, columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        """Count the values of columns that have many, and the words of texts."""
        result = dict(columns)
        many = [name for name, column in columns.items() if column.distinct > LISTED and not column.frequent]
        for name in many:
            result[name] = replace(columns[name], exact=columns[name].present <= _EXACT_DISTINCT)
        counted = [name for name in many if result[name].exact]
        for (_, key), group in self._groups(counted, lambda name: _value_key(columns[name])).items():
            for part in self._parts(group):
                result |= self._values(part, self._expressions(part).value(key[0], large=key[1]), result)
        texts = [n for n, column in columns.items() if column.words is not None and column.words.longest > 1]
        for group in self._groups(texts, lambda _: None).values():
            for part in self._parts(group):
                words = f"(SELECT i, unnest({self._expressions(part).words}) w FROM {self._cells(part)})"
                groups = f"(SELECT i, count(*) c FROM {words} WHERE w <> '' GROUP BY i, w)"
                for name, of in self._aggregates(part, _OCCURRENCES, groups).items():
                    if (known := result[name].words) is not None:
                        result[name] = replace(result[name], words=replace(known, at_least=tuple(of.values())))
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
            places, hashes = zip(*pairs, strict=True)
            few = f"SELECT unnest('{list(places)}'::BIGINT[]), unnest('{list(hashes)}'::UBIGINT[])"
            rows = f"FROM {cells} WHERE (i, hash({value})) IN ({few}) GROUP BY i, x ORDER BY c DESC, x"
            for i, x, count in self._query(f"SELECT i, {value} x, count(*) c {rows}"):
                frequent[part[i]].append((x, count))
        result = {}
        for name, of in found.items():
            known = {"distinct": of["distinct"], "at_least": tuple(of[key] for key in _OCCURRENCES)}
            result[name] = replace(columns[name], **known, frequent=tuple(frequent[name]))
        return result


def _with_distribution(column: ColumnProfile, of: Mapping[str, Any]) -> ColumnProfile:
    """Return a profile with the aggregates of its numbers and values."""
    if column.numbers is not None:
        low, middle, high = map(float, of["quartiles"])
        numbers = replace(column.numbers, quartiles=(low, middle, high), skewness=round(of["skewness"] or 0.0, 9))
        column = replace(column, numbers=numbers)
    if "others" in of:
        column = replace(column, others=of["others"] or {})
    if "values" not in of:
        return column
    counted = sorted((of["values"] or {}).items(), key=lambda item: (-item[1], item[0]))
    at_least = tuple(sum(n >= k for _, n in counted) for k in range(1, OCCURRENCES + 1))
    return replace(column, distinct=len(counted), frequent=tuple(counted), at_least=at_least)


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
