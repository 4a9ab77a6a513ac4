"""Rows of a SQL query over tables beside or below the spec, or over a database file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.memory import free
from graphspec.base.codes import Code
from graphspec.base.files import SQLITE, suffix_of
from graphspec.data.database import lock, new_connection, quoted
from graphspec.data.delimited import duplicates
from graphspec.data.query_text import QueryText
from graphspec.data.source import DataError, first_line
from graphspec.data.sqlite import copy_tables, tables_of
from graphspec.data.typed import Typed

if TYPE_CHECKING:
    from graphspec.language.declarations import DataSource

_KEEPING_ORDER = frozenset(
    [
        "PROJECTION",
        "FILTER",
        "STREAMING_LIMIT",
        "LIMIT",
        "UNNEST",
        "STREAMING_WINDOW",
        "UNGROUPED_AGGREGATE",
        "EMPTY_RESULT",
        "DUMMY_SCAN",
        "COLUMN_DATA_SCAN",
        "READ_CSV",
        "READ_CSV_AUTO",
        "READ_PARQUET",
        "PARQUET_SCAN",
        "READ_JSON",
        "READ_JSON_AUTO",
        "READ_NDJSON",
        "READ_NDJSON_AUTO",
        "READ_JSON_OBJECTS",
        "READ_NDJSON_OBJECTS",
        "SEQ_SCAN",
        "TABLE_SCAN",
        "RANGE",
        "GENERATE_SERIES",
    ]
)
"""Steps of a plan that return rows in the order in which they get them, or in the order of a file."""
_DATABASE = "opened"  # the name of the database file in SQL
_ORDER_BY = "end the query in ORDER BY with columns that identify a row"


_LEAST_MEMORY = 1 << 27  # bytes; with less, the database cannot read a table


def prepared(source: DataSource) -> tuple[Any, QueryText]:
    """Return a database, in which the file of the source is opened read-only, and the checked query.

    Files are beside or below the spec, or in a folder that is allowed.

    Raises:
        DataError: GS501, GS512 or GS513; see :class:`QueryText`.
    """
    assert source.query is not None
    connection, tables, macros = new_connection(), dict[tuple[str, str], str](), frozenset[str]()
    if source.file is not None and suffix_of(source.file) == SQLITE:
        connection.execute(f"ATTACH ':memory:' AS {_DATABASE}")
        connection.execute(f"USE {_DATABASE}")
        tables = {("main", name.lower()): "" for name in tables_of(source.file)}
    elif source.file is not None:
        name = quoted(str(source.file.resolve()), "'")
        try:
            connection.execute(f"ATTACH {name} AS {_DATABASE} (READ_ONLY, TYPE duckdb)")
            connection.execute(f"USE {_DATABASE}")
            tables, macros = _catalog(connection)
        except Exception as error:
            text = f"cannot be opened as a DuckDB database: {first_line(error)}"
            raise DataError(Code.UNREADABLE_FILE, text, "write it again with this version of DuckDB") from None
    query = QueryText(source.query, source.folder, [source.beside, *source.allow], tables, macros)
    if source.file is not None:
        query.files.insert(0, source.file.resolve())
    return connection, query


def _catalog(connection: Any) -> tuple[dict[tuple[str, str], str], frozenset[str]]:
    """Return the tables and views of the database (see :class:`QueryText`), and the names of its macros."""
    found = connection.execute(
        f"SELECT schema_name, table_name, '' FROM duckdb_tables() WHERE database_name = '{_DATABASE}' UNION ALL "
        f"SELECT schema_name, view_name, sql FROM duckdb_views() WHERE database_name = '{_DATABASE}' AND NOT internal"
    ).fetchall()
    views = " ".join(sql for *_, sql in found)  # a view may read other views
    macros = connection.execute("SELECT function_name FROM duckdb_functions() WHERE NOT internal").fetchall()
    tables = {(schema.lower(), name.lower()): views if sql else "" for schema, name, sql in found}
    return tables, frozenset(name.lower() for (name,) in macros)


class Query(Typed):
    """The result of a query: typed columns.

    A plain scan is read row by row, in the order of its file. The rows of any other query are stored in memory first.
    """

    hint = "correct the query"

    def __init__(self, source: DataSource) -> None:
        self._source = source
        super().__init__(source.folder if source.file is None else source.file)

    def connect(self) -> Any:
        connection, self._query = prepared(self._source)
        connection.execute("SET temp_directory = ''")  # nothing is written
        connection.execute(f"SET memory_limit = '{max(free(), _LEAST_MEMORY)}B'")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET errors_as_json = true")
        connection.execute("SET explain_output = 'physical_only'")
        file = self._source.file
        if file is not None and suffix_of(file) == SQLITE:
            copy_tables(file, sorted(self._query.tables), connection)
        lock(connection, self._query.files)
        return connection

    def open(self, connection: Any) -> Any:
        query = self._query
        plan = self._plan(connection)
        found = connection.sql(query.sql())
        if twice := duplicates(found.columns):
            raise DataError(Code.MISSING_ARRAY, next(iter(twice.values())), "give each a name of its own with AS")
        if query.ordered:
            query.break_ties(len(found.columns))
        elif not _keeps_order(plan):
            raise query.error("does not determine the order of its rows", hint=_ORDER_BY)
        else:
            return found
        connection.execute(f"CREATE TEMP TABLE result AS {query.sql()}")
        return connection.sql("FROM temp.result")

    def _plan(self, connection: Any) -> list[dict[str, Any]]:
        """Return the steps of the query's plan; the database finds most errors of a query here."""
        [(_, plan)] = connection.execute(f"EXPLAIN (FORMAT JSON) {self._query.sql()}").fetchall()
        steps: list[dict[str, Any]] = json.loads(plan)
        return steps

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn errors of the database into DataError, with the position in the query."""
        import duckdb

        try:
            yield
        except (duckdb.Error, RuntimeError, UnicodeError) as error:
            found = _decoded(str(error))
            message = str(found.get("exception_message") or error).strip().splitlines()[0].rstrip(". ")
            if isinstance(error, duckdb.OutOfMemoryException) or str(error).startswith("Out of Memory"):
                hint = "select fewer rows or columns"
                raise DataError(Code.NOT_ENOUGH_MEMORY, f"cannot be computed: {message}", hint) from error
            if isinstance(error, duckdb.PermissionException):
                text = f"cannot read a file: {message}"
                raise DataError(Code.OUTSIDE_FOLDER, text, "name files by fixed texts") from error
            raise self._failed(message, found) from error

    def _failed(self, message: str, found: dict[str, Any]) -> DataError:
        """Return the error of a query that failed. The positions are those of the executed text: the tree has the user's."""
        import duckdb

        offset = -1
        if "position" in found:
            try:
                self.connection.execute("FROM json_execute_serialized_sql(?::JSON)", [self._query.serialized()])
            except duckdb.Error as error:
                offset = int(_decoded(str(error)).get("position", -1))
        return self._query.error(f"cannot be run: {message}", offset, self.hint)


def _keeps_order(plan: list[dict[str, Any]]) -> bool:
    """Return whether a plan is a plain scan: of one table, whose rows are chosen and computed one by one."""
    while plan:
        if len(plan) > 1 or plan[0]["name"].strip() not in _KEEPING_ORDER:
            return False
        plan = plan[0]["children"]
    return True


def _decoded(message: str) -> dict[str, Any]:
    """Return the fields of a message in JSON after the kind of the error."""
    try:
        found = json.loads("{" + message.strip().partition(": {")[2])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
