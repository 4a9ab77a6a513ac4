"""Tables whose values have types: ``.parquet``, and ``.jsonl`` with one object a line."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from typing import Any

from graphspec.arrays.system_memory import human
from graphspec.codes import Code
from graphspec.data.database import Hows, Table, Way, quoted
from graphspec.data.delimited import scan, stand_twice
from graphspec.data.source import DataError, Request

_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_PLAIN = frozenset((*_INTEGERS, "boolean", "float", "double", "varchar", "null"))
_WIDE = frozenset(("hugeint", "uhugeint", "decimal", "bignum"))
"""Numbers that no type of NumPy holds: doubles where floats are wanted, their digits where integers are."""
_LONGEST = 1 << 24
"""Bytes of a line of JSON: the database takes long ones apart slowly, and keeps several of them."""
_MADE = frozenset(("struct", "map", "union"))


class Typed(Table):
    """A table whose columns have types."""

    rounded: frozenset[str] = frozenset()
    """Types into which the database may have rounded integers."""

    def way(self, column: str, request: Request, how: str | None) -> Way:
        kind = self.types[column]
        inner, depth = _inner(kind)
        lists = "[]" * depth
        if how == "integers":
            return Way(column, integers=True)
        if inner in _WIDE:
            if depth == 0 and not request.kind.is_float:
                return Way(f"CAST({column} AS VARCHAR)", integers=True)
            return Way(f"CAST({column} AS DOUBLE{lists})", doubles=True)
        if inner == "enum":
            return Way(f"CAST({column} AS VARCHAR{lists})")
        if inner not in _PLAIN:
            raise DataError(
                Code.LOSSY_CONVERSION, f"holds values of type {kind}, which are no numbers", "store numbers or text"
            )
        if depth:  # lists of a fixed length become those of any
            column = f"CAST({column} AS {inner}{lists})"
        return Way(column, doubles=inner in self.rounded)


def _inner(kind: Any) -> tuple[str, int]:
    """The type inside of lists, and how many of them there are around it."""
    depth = 0
    while kind.id in ("list", "array"):
        kind, depth = kind.children[0][1], depth + 1
    return "json" if str(kind) == "JSON" else str(kind.id), depth  # to the database a kind of text


class Parquet(Typed):
    """A Parquet file."""

    hint = "write the file again"

    def open(self, base: Any) -> Any:
        return base.read_parquet(glob.escape(str(self.path)))

    def look(self) -> None:
        own = self._own_names()
        if len(own) == len(self.names):
            self.columns = {name: self.columns[theirs] for name, theirs in zip(own, self.names, strict=True)}
            self.names, self.doubtful = own, stand_twice(own)

    def _own_names(self) -> list[str]:
        """The columns' names as the file has them: the database gives those that stand twice other ones."""
        file = quoted(glob.escape(str(self.path)), "'")
        rows = self.base.execute(f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({file})").fetchall()
        names, place = [], 1
        while place < len(rows):
            names.append(rows[place][0])
            left = 1
            while left and place < len(rows):  # a column and all that is in it
                left += rows[place][1] - 1
                place += 1
        return names


class Lines(Typed):
    """JSON: one object a line."""

    hint = "each line is one JSON object"
    rounded = frozenset(("double",))

    def open(self, base: Any) -> Any:
        self._scan = scan(self.path)
        if self._scan.longest > _LONGEST:
            text = f"has a line of more than {human(_LONGEST)}"
            raise DataError(Code.UNREADABLE_FILE, text, "keep texts and lists of such a length in files of their own")
        found = self._lines(base, sample_size=-1)
        if found.columns == ["json"] and (line := self._no_object()) is not None:
            raise DataError(Code.UNREADABLE_FILE, f"cannot be read: line {line} is not an object", self.hint)
        self._kinds = {n: str(t) for n, t in zip(found.columns, found.types, strict=True)}
        inner = {n: _inner(t) for n, t in zip(found.columns, found.types, strict=True)}
        odd = {n: "VARCHAR" + "[]" * depth for n, (kind, depth) in inner.items() if kind not in _PLAIN | _WIDE | _MADE}
        self._kinds |= odd  # a label "2020-01-01" is no date
        return self._lines(base, columns=self._kinds) if odd else found

    def at_most(self) -> int:
        return self._scan.rows

    def prepare(self, requests: Sequence[Request], hows: Hows) -> None:
        """Read digits as they are written, where integers are wanted of them."""
        self._digits = {r.columns[k] for r in requests for k in range(len(r.columns)) if (r.name, k) in hows}
        if self._digits:
            text = dict.fromkeys(self._digits, "VARCHAR")
            self.source = self._lines(self.base, columns=self._kinds | text).sql_query()

    def way(self, column: str, request: Request, how: str | None) -> Way:
        found = super().way(column, request, how)
        if how is None and column in map(quoted, self._digits):
            return Way(f"TRY_CAST({column} AS DOUBLE)")
        return found

    def _lines(self, base: Any, **options: Any) -> Any:
        return base.read_json(glob.escape(str(self.path)), format="newline_delimited", **options)

    def explain(self, said: str) -> tuple[str, str | None] | None:
        if (keys := re.search(r"the keys ('.*' and '.*') differ only in case", said)) is None:
            return None
        return f"its keys {keys[1]} differ only in case", "give each a name of its own"

    def _no_object(self) -> int | None:
        """The first line that is no JSON object."""
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not line.lstrip().startswith("{"):
                    return number
        return None
