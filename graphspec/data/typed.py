"""Tables whose values have types: ``.parquet``, and ``.jsonl`` with one object per line."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from typing import Any

from graphspec.base.arrays.memory import human
from graphspec.base.codes import Code
from graphspec.data.compressed import opened_text
from graphspec.data.database import ColumnRead, Overrides, Table, quoted
from graphspec.data.delimited import duplicates, scan
from graphspec.data.problems.places import lines_of_rows
from graphspec.data.source import DataError, Request
from graphspec.graph.ir.graph import MISSING_INTEGER

_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_SUPPORTED = frozenset((*_INTEGERS, "boolean", "float", "double", "varchar", "null"))
_WIDE = frozenset(("hugeint", "uhugeint", "decimal", "bignum"))
"""Numeric types without a NumPy dtype: read as doubles for floats, and as digits for integers."""
# Bytes of a line of JSON: the database parses longer lines slowly, and keeps several of them.
_MAX_LINE = 1 << 24
_TEXTS = frozenset((*_INTEGERS, *_WIDE, "boolean", "varchar", "null", "enum", "json", "uuid"))
_TIMES = ("date", "time", "timestamp")
"""Beginnings of the names of types of dates and times."""
_NESTED = frozenset(("struct", "map", "union"))


class Typed(Table):
    """A table whose columns have types."""

    rounded: frozenset[str] = frozenset()
    """Types into which the database may have rounded integers."""
    with_text: frozenset[str] = _TEXTS
    """Types whose values have a text, besides dates and times."""

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        sql_type = self.types[column]
        inner, depth = _inner(sql_type)
        lists = "[]" * depth
        if request.type.is_string:
            if inner not in self.with_text and not inner.startswith(_TIMES):
                raise DataError(
                    Code.LOSSY_CONVERSION,
                    f"contains values of type {sql_type}, which are not text",
                    "store text or integers",
                )
            return ColumnRead(f"CAST({column} AS VARCHAR{lists})", text=True)
        if depth == 0 and request.learns_labels and not request.stacked and inner in _types_of_labels(request):
            return ColumnRead(f"CAST({column} AS VARCHAR)", text=True)
        if depth == 0 and request.is_sequence and not request.stacked and inner in ("varchar", "enum"):
            return ColumnRead(f"CAST({column} AS VARCHAR)", text=True)
        if override == "integers":
            return ColumnRead(column, integers=True)
        if inner in _WIDE:
            if depth == 0 and not request.type.is_float:
                return ColumnRead(f"CAST({column} AS VARCHAR)", integers=True)
            return ColumnRead(f"CAST({column} AS DOUBLE{lists})", rounded_to_doubles=True)
        if inner == "enum":
            return ColumnRead(f"CAST({column} AS VARCHAR{lists})")
        if inner not in _SUPPORTED:
            raise DataError(
                Code.LOSSY_CONVERSION,
                f"contains values of type {sql_type}, which are not numbers",
                "store numbers or text",
            )
        if depth == 0 and inner in _INTEGERS[:-1] and request.gaps and not request.type.is_float:
            return ColumnRead(f"coalesce(CAST({column} AS BIGINT), {MISSING_INTEGER})")
        if depth:  # a list of fixed length becomes a list of any length
            column = f"CAST({column} AS {inner}{lists})"
        return ColumnRead(column, rounded_to_doubles=inner in self.rounded)


def _types_of_labels(request: Request) -> tuple[str, ...]:
    """Return the types whose texts are labels. Booleans are no class ids, but floats."""
    return ("varchar", "enum") if request.type.is_float else ("varchar", "enum", "boolean")


def _inner(sql_type: Any) -> tuple[str, int]:
    """Return the element type of nested lists, and the depth of the nesting."""
    depth = 0
    while sql_type.id in ("list", "array"):
        sql_type, depth = sql_type.children[0][1], depth + 1
    return "json" if str(sql_type) == "JSON" else str(sql_type.id), depth  # DuckDB's JSON is an alias of VARCHAR


class Parquet(Typed):
    """A Parquet file."""

    hint = "write the file again"

    def open(self, connection: Any) -> Any:
        return connection.read_parquet(glob.escape(str(self.path)))

    def read_names(self) -> None:
        own = self._own_names()
        if len(own) == len(self.names):
            self.columns = {name: self.columns[theirs] for name, theirs in zip(own, self.names, strict=True)}
            self.names, self.ambiguous = own, duplicates(own)

    def _own_names(self) -> list[str]:
        """Return the names of the columns in the file: the database renames duplicates."""
        file = quoted(glob.escape(str(self.path)), "'")
        rows = self.connection.execute(f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({file})").fetchall()
        names, index = [], 1
        while index < len(rows):
            names.append(rows[index][0])
            left = 1
            while left and index < len(rows):  # skip the fields nested in this column
                left += rows[index][1] - 1
                index += 1
        return names


class Lines(Typed):
    """JSON: one object per line."""

    hint = "each line is one JSON object"
    is_text = True
    rounded = frozenset(("double",))
    with_text = _TEXTS | {"float", "double"}  # as it is written in the file

    def open(self, connection: Any) -> Any:
        self._scan = scan(self.path)
        if self._scan.longest > _MAX_LINE:
            text = f"has a line of more than {human(_MAX_LINE)}"
            raise DataError(Code.UNREADABLE_FILE, text, "store texts and lists of this length in separate files")
        found = self._lines(connection, sample_size=-1)
        if found.columns == ["json"] and (line := self._no_object()) is not None:
            raise DataError(Code.UNREADABLE_FILE, f"cannot be read: line {line} is not an object", self.hint)
        self._kinds = {n: str(t) for n, t in zip(found.columns, found.types, strict=True)}
        inner = {n: _inner(t) for n, t in zip(found.columns, found.types, strict=True)}
        odd = {
            n: "VARCHAR" + "[]" * depth
            for n, (sql_type, depth) in inner.items()
            if sql_type not in _SUPPORTED | _WIDE | _NESTED
        }
        self._kinds |= odd  # a label "2020-01-01" is not a date
        return self._lines(connection, columns=self._kinds) if odd else found

    def row_bound(self) -> int:
        return self._scan.rows

    def prepare(self, requests: Sequence[Request], overrides: Overrides) -> None:
        """Read columns as text if texts are wanted, or if their integers must be parsed from the digits."""
        self._texts = {c for r in requests for c in r.columns if r.type.is_string}
        self._digits = {r.columns[k] for r in requests for k in range(len(r.columns)) if (r.name, k) in overrides}
        if self._digits or self._texts:
            text = {c: "VARCHAR" + "[]" * _inner(self.types[self.columns[c]])[1] for c in self._digits | self._texts}
            self.source = self._lines(self.connection, columns=self._kinds | text).sql_query()

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        found = super().column_read(column, request, override)
        if override is None and not found.text:
            if column in map(quoted, self._digits):
                return ColumnRead(f"TRY_CAST({column} AS DOUBLE)")
            if column in map(quoted, self._texts):
                typed = f"CAST({column} AS {self.types[column]})"
                return found._replace(sql=found.sql.replace(column, typed))
        return found

    def _lines(self, connection: Any, **options: Any) -> Any:
        # Without the two limits, DuckDB reads lines of many keys, or of rare ones, as one column `json` of maps.
        options |= {} if "columns" in options else {"map_inference_threshold": -1, "field_appearance_threshold": 0.0}
        return connection.read_json(glob.escape(str(self.path)), format="newline_delimited", **options)

    def lines_of_rows(self) -> Sequence[int] | None:
        return lines_of_rows(self.path, self.count(), None)

    def explain(self, message: str) -> tuple[str, str | None] | None:
        if (keys := re.search(r"the keys ('.*' and '.*') differ only in case", message)) is None:
            return None
        return f"its keys {keys[1]} differ only in case", "give each a unique name"

    def _no_object(self) -> int | None:
        """Return the number of the first line that is not a JSON object, None if all are."""
        with opened_text(self.path) as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not line.lstrip().startswith("{"):
                    return number
        return None
