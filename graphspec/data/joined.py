"""Tables as one SQL query: a table, or several files with the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from graphspec.base.codes import Code
from graphspec.data.database import Table, lock, new_connection
from graphspec.data.delimited import Delimited
from graphspec.data.globs import Files
from graphspec.data.source import DataError


@dataclass(frozen=True)
class Joined:
    """Rows that a query returns.

    Attributes:
        source: the query.
        columns, types: the columns in SQL by name, and their types by SQL.
        ambiguous: names that several columns share.
        typed: whether the files say the types of values.
    """

    connection: Any
    source: str
    columns: Mapping[str, str]
    types: Mapping[str, Any]
    ambiguous: Mapping[str, str]
    typed: bool
    _table: Table

    def known_columns(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the columns with a name of their own: the name, the SQL, and its type."""
        for name, sql in self.columns.items():
            if name not in self.ambiguous:
                yield name, sql, self.types[sql]

    def reading(self) -> AbstractContextManager[None]:
        """Turn errors of the database into DataError."""
        return self._table.reading()

    @classmethod
    def of(cls, table: Table | Files) -> Joined:
        """Return the rows of a table, or of all files of a pattern, one after the other.

        Raises:
            DataError: a file is no table, or cannot be read.
        """
        if isinstance(table, Table):
            typed = not isinstance(table, Delimited)
            return cls(table.connection, table.source, table.columns, table.types, table.ambiguous, typed, table)
        tables = []
        for path, file in table.sources():
            if not isinstance(file, Table):
                raise DataError(Code.UNREADABLE_FILE, f"is no table: {path.name}", "look at one file at a time")
            tables.append(file)
        first = tables[0]
        names = [name for name in table.names if name not in table.ambiguous]
        columns = {name: f"c{k}" for k, name in enumerate(names)}
        selects = [
            f"SELECT {', '.join(f'{t.columns[name]} AS {sql}' for name, sql in columns.items())} FROM ({t.source})"
            for t in tables
        ]
        with first.reading():
            connection = new_connection()
            lock(connection, [t.path for t in tables])
            source = " UNION ALL ".join(selects)
            relation = connection.sql(source)
            types = dict(zip(relation.columns, relation.types, strict=True))
        return cls(connection, source, columns, types, {}, not isinstance(first, Delimited), first)
