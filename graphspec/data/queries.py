"""Rows of a SQL query over tables beside or below the spec, or over a database file."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphspec.base.arrays.memory import free
from graphspec.base.errors import Code, did_you_mean
from graphspec.base.files import COMPRESSED, SQLITE, TABLES, is_regular, suffix_of
from graphspec.data.database import duplicates, lock, new_connection, quoted
from graphspec.data.paths import has_marks, matching, where_it_may_be
from graphspec.data.source import DataError, first_line, lossy, unreadable
from graphspec.data.tables import Typed
from graphspec.language.declarations import DataSource

# The text of a query: what it reads and calls is checked, its files are resolved, and ties of its order are broken.
Tree = dict[str, Any]  # a part of the database's syntax tree

_READERS = dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), "read_csv") | {
    ".parquet": "read_parquet",
    ".jsonl": "read_ndjson",
    ".jsonl.gz": "read_ndjson",
}
_SAMPLING = frozenset(("read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_ndjson", "read_ndjson_auto"))
"""Functions that guess types from the first rows, unless they are told to look at all of them."""
_FILE_FUNCTIONS = _SAMPLING | {"read_parquet", "parquet_scan", "read_json_objects", "read_ndjson_objects"}
_FUNCTIONS = _FILE_FUNCTIONS | {"range", "generate_series", "unnest", "json_each", "json_tree"}
"""Functions that a query may read from: others read any file, run text as SQL, or tell about the machine."""
_NODES = frozenset(("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"))
_SOURCES = frozenset(("BASE_TABLE", "TABLE_FUNCTION", "SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "COLUMN_DATA"))
_KEYWORDS = frozenset(("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"))
_CHANGING = {  # functions whose value may be another at each run, or that do something else than compute one
    *_KEYWORDS,
    *("random", "gen_random_uuid", "uuid", "uuidv4", "uuidv7", "nextval", "currval", "setseed", "setval"),
    *("now", "today", "current_localtime", "current_localtimestamp", "get_current_time", "get_current_timestamp"),
    *("transaction_timestamp", "txid_current", "current_transaction_id", "current_query_id", "current_query"),
    *("current_connection_id", "current_setting", "getvariable", "sleep_ms", "pg_sleep", "write_log", "stats"),
    *("vector_type", "version"),
}
_CHANGING_VIEW = re.compile(
    rf"\b(({'|'.join(sorted(_CHANGING))})\s*\(|{'|'.join(sorted(_KEYWORDS))}|using\s+sample|tablesample)", re.IGNORECASE
)
_NOWHERE = 1 << 63
ONE_SELECT = "a query is one SELECT statement; WITH may precede it"


class QueryText:
    """A query that has been checked; ``files`` are the files that it reads, ``tables`` the tables of the database.

    ``folder``: the folder to which names of files are relative; ``roots``: those in or below which files may be;
    ``tables``: those of the database that is queried, by schema and name in lower case, views with their SQL;
    ``macros``: the names of its own functions, in lower case.

    Raises DataError: GS512, it is not one SELECT, or uses what queries may not use; GS513, a file is outside the
    folders; GS501, a file does not exist.
    """

    def __init__(
        self,
        text: str,
        folder: Path,
        roots: Sequence[Path],
        tables: Mapping[tuple[str, str], str],
        macros: frozenset[str] = frozenset(),
    ) -> None:
        import duckdb

        self.text, self._folder = text, folder
        self._roots = [root.resolve() for root in roots]
        self._tables, self._changing = tables, _CHANGING | macros
        self.files: list[Path] = []
        self.tables: set[str] = set()
        self._database = duckdb.connect(":memory:", config={"threads": "1", "enable_external_access": "false"})
        self._tree = self._parsed(text)
        parts = list(_parts(self._tree))
        maps = [part["map"] for part in parts if isinstance(part.get("map"), list)]
        self._ctes = {str(item["key"]).lower() for items in maps for item in items}
        for part in parts:
            self._check(part)

    def sql(self) -> str:
        """Return the query with whole paths of its files."""
        [(text,)] = self._database.execute("SELECT json_deserialize_sql(?::JSON)", [self.serialized()]).fetchall()
        return str(text)

    def serialized(self) -> str:
        """Return the query's syntax tree as the database's JSON."""
        with self._not_too_deep():
            return json.dumps(self._tree)

    @contextmanager
    def _not_too_deep(self) -> Iterator[None]:
        try:
            yield
        except RecursionError:
            raise self.error("is nested too deeply", hint="write it in parts, with WITH") from None

    def break_ties(self, columns: int) -> bool:
        """Order rows that are equal in ORDER BY by all columns of the result; return whether the query ends in it."""
        modifiers = self._tree["statements"][0]["node"]["modifiers"]  # of the outermost SELECT
        order = next((m for m in modifiers if m["type"] == "ORDER_MODIFIER" and m["orders"]), None)
        if order is None:
            return False
        if not any(o["expression"]["class"] == "STAR" for o in order["orders"]):  # ORDER BY ALL
            ordinals = ", ".join(str(k + 1) for k in range(columns))
            by_all = self._parsed(f"SELECT 1 ORDER BY {ordinals}")["statements"][0]["node"]
            order["orders"] += by_all["modifiers"][0]["orders"]
        return True

    def position(self, offset: int) -> str:
        """Return `` (line 1, column 10 of the query)`` for an offset in bytes."""
        if not 0 <= offset < _NOWHERE:
            return ""
        before = self.text.encode()[:offset].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        return f" (line {line}, column {column} of the query)"

    def error(self, problem: str, offset: int = _NOWHERE, hint: str | None = ONE_SELECT) -> DataError:
        """Return GS512 at a position of the query."""
        return DataError(Code.WRONG_QUERY, problem + self.position(offset), hint)

    def _parsed(self, text: str) -> Tree:
        import duckdb

        try:
            [(found,)] = self._database.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
        except (duckdb.Error, RuntimeError, UnicodeError) as error:
            raise self.error(f"cannot be parsed: {str(error).splitlines()[0]}") from None
        with self._not_too_deep():
            tree: Tree = json.loads(found)
        if tree.get("error"):
            if tree.get("error_type") == "not implemented":
                raise self.error("is not one SELECT statement")
            raise self.error(f"has a {tree['error_message']}", int(tree.get("position", _NOWHERE)))
        if len(tree["statements"]) != 1:
            raise self.error(f"has {len(tree['statements'])} statements")
        return tree

    def _check(self, part: Tree) -> None:
        kind, offset = str(part.get("type", "")), int(part.get("query_location", _NOWHERE))
        if kind.endswith("_NODE") and kind not in _NODES:
            raise self.error(f"has a part that is no SELECT: {kind.removesuffix('_QUERY_NODE')}", offset)
        if part.get("sample") is not None:
            raise self.error("takes a sample, which is another at each run", offset, "leave out the sample")
        if kind == "VALUE_PARAMETER":
            raise self.error("has a parameter", offset, "write the value")
        names = part["column_names"] if kind == "COLUMN_REF" else []
        if kind == "FUNCTION":
            names = [str(part["function_name"]).lower()]
            if names == ["age"] and len(part["arguments"]) == 1:  # the time since a date
                self._refuse_changing("age", offset)
        if len(names) == 1 and names[0].lower() in self._changing:
            self._refuse_changing(names[0], offset)
        if "column_name_alias" in part or kind == "SHOW_REF":
            if kind not in _SOURCES:
                raise self.error(f"cannot read from {kind.removesuffix('_REF')}", offset)
            if kind == "TABLE_FUNCTION":
                self._table_function(part, offset)
            elif kind == "BASE_TABLE":
                self._table(part, offset)

    def _refuse_changing(self, name: str, offset: int) -> None:
        raise self.error(f"uses {name}, whose value may be another at each run", offset, "write the value itself")

    def _table_function(self, part: Tree, offset: int) -> None:
        function = part["function"]
        name = str(function["function_name"]).lower()
        if name not in _FUNCTIONS:
            hint = did_you_mean(name, sorted(_FUNCTIONS)) or f"the functions are {', '.join(sorted(_FUNCTIONS))}"
            raise self.error(f"cannot read from {name}", offset, hint)
        if name not in _FILE_FUNCTIONS:
            return
        arguments = function["arguments"]
        names = _texts(arguments[0]["expression"]) if arguments else None
        if names is None:
            raise self.error(f"needs fixed names of files for {name}", offset, "write the names as texts in quotes")
        files = [file for given in names for file in self._resolved(given, offset)]
        sampled = name in _SAMPLING and "sample_size" not in map(_option, arguments[1:])
        added = self._reading("read_csv", files, sampled)["function"]["arguments"]
        function["arguments"] = [added[0], *arguments[1:], *added[1:]]

    def _table(self, part: Tree, offset: int) -> None:
        name, schema = str(part["table_name"]), str(part["schema_name"]).lower()
        if not schema and name.lower() in self._ctes:
            return
        if (view := self._tables.get((schema or "main", name.lower()))) is not None:
            if found := _CHANGING_VIEW.search(view):
                self._refuse_changing(f"a view with {found[1].removesuffix('(')}", offset)
            self.tables.add(name.lower())
            return
        reader = None if schema else _READERS.get(suffix_of(Path(name)))
        if reader is None:
            near = did_you_mean(name, [*self._ctes, *(table for _, table in self._tables)])
            hint = near or f"a file is a name in quotes that ends in {', '.join((*TABLES, *COMPRESSED))}"
            raise self.error(f"names '{name}', which is neither a table nor a file", offset, hint)
        new = self._reading(reader, self._resolved(name, offset), reader in _SAMPLING)
        kept = {key: part[key] for key in ("alias", "column_name_alias", "query_location", "query_location_length")}
        part.clear()
        part |= new | kept | {"alias": kept["alias"] or Path(name).name.partition(".")[0]}

    def _reading(self, function: str, files: Sequence[Path], sampled: bool) -> Tree:
        """Return the syntax tree of a function that reads files, whose names are no patterns; types are of all rows."""
        import glob

        listed = ", ".join(quoted(glob.escape(str(file)), "'") for file in files)
        tree = self._parsed(f"SELECT * FROM {function}([{listed}]{', sample_size = -1' if sampled else ''})")
        found: Tree = tree["statements"][0]["node"]["from_table"]
        return found

    def _resolved(self, name: str, offset: int) -> list[Path]:
        """Return the files of a name or pattern, with whole paths and without links."""
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", name):
            raise self._outside(name, offset, "is not a file of this computer")
        if "\0" in name:
            raise self.error("has a null character in the name of a file", offset, "remove it")
        path = self._folder / name
        pattern = has_marks(path.relative_to(self._folder) if path.is_relative_to(self._folder) else path)
        pattern = pattern and not is_regular(path)
        begins = next((p for p in path.parents if not has_marks(p)), path) if pattern else path
        self._refuse_outside(begins, name, offset)
        try:
            found = [p.resolve() for p in (matching(path) if pattern else [path])]
        except DataError as error:
            raise error.changed(message=f"names '{name}', which {error.problem.message}") from None
        for file in found:
            self._refuse_outside(file, name, offset)
            if not is_regular(file):
                exists = file.exists()
                what = f"which {'is not a regular file' if exists else 'does not exist'}{self.position(offset)}"
                hint = "names are relative to the spec" if exists else where_it_may_be(self._folder / name)
                raise unreadable(f"names '{name}', {what}", hint)
        self.files += [file for file in found if file not in self.files]
        return found

    def _refuse_outside(self, path: Path, name: str, offset: int) -> None:
        real = path.resolve()
        if not any(real.is_relative_to(root) for root in self._roots):
            raise self._outside(name, offset, "is neither beside nor below the spec")

    def _outside(self, name: str, offset: int, why: str) -> DataError:
        text = f"names '{name}', which {why}{self.position(offset)}"
        return DataError(Code.OUTSIDE_FOLDER, text, "move the file, or allow its folder with `--allow DIR`")


def _parts(value: Any) -> Iterator[Tree]:
    """Yield all mappings within a value, the outer ones first."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


def _texts(expression: Mapping[str, Any]) -> list[str] | None:
    if expression["type"] == "VALUE_CONSTANT" and expression["literal"]["kind"] == "STRING":
        return [str(expression["literal"]["text"])]
    if expression["type"] == "FUNCTION" and expression["function_name"] == "list_value":
        found = [_texts(argument["expression"]) for argument in expression["arguments"]]
        return [text for texts in found if texts is not None for text in texts] if None not in found else None
    return None


def _option(argument: Mapping[str, Any]) -> str:
    expression = argument["expression"]
    if argument["name"] or expression["type"] != "COMPARE_EQUAL":
        return str(argument["name"]).lower()
    return str(expression["left"].get("column_names", [""])[-1]).lower()


# Copy tables of an SQLite file into the database that answers queries; the file is only read.
_BATCH_ROWS = 1 << 16
_EXACT = 1 << 53  # a double represents all integers up to here


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file. Raises DataError: GS501, it is no SQLite file, is damaged, or a program has changes beside it."""
    for suffix in ("-wal", "-journal"):
        beside = file.with_name(file.name + suffix)
        if beside.exists() and beside.stat().st_size:
            text = f"has changes in '{beside.name}', which are not in the file yet"
            raise unreadable(text, "end the programs that write to it")
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    except sqlite3.Error as error:
        raise unreadable(f"cannot be read as an SQLite database: {first_line(error)}", "write the file again") from None
    finally:
        if connection is not None:
            connection.close()


def tables_of(file: Path) -> list[str]:
    """Return the names of the tables; views and virtual tables are left out."""
    text = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    with _opened(file) as connection:
        return [name for (name,) in connection.execute(f"{text} AND sql NOT LIKE 'CREATE VIRTUAL%'").fetchall()]


def copy_tables(file: Path, names: Iterable[str], database: Any) -> None:
    """Create tables of these names in the database, with their rows in the file's order.

    A column of integers, numbers or texts has this type; one of several has texts.

    Raises DataError: GS501, see above; GS504, a column has bytes.
    """
    import nanoarrow

    arrow = {"BIGINT": nanoarrow.int64(), "DOUBLE": nanoarrow.float64(), "VARCHAR": nanoarrow.string()}
    with _opened(file) as connection:
        for name in names:
            table = quoted(name)
            columns = [item[0] for item in connection.execute(f"SELECT * FROM {table} LIMIT 0").description]
            types = {column: _type(connection, name, column) for column in columns}
            database.execute(f"CREATE TABLE {table} ({', '.join(f'{quoted(c)} {t}' for c, t in types.items())})")
            wanted = (f"CAST({quoted(c)} AS TEXT)" if t == "VARCHAR" else quoted(c) for c, t in types.items())
            kinds = [arrow[t] for t in types.values()]
            schema = nanoarrow.struct({str(k): kind for k, kind in enumerate(kinds)})
            cursor = connection.execute(f"SELECT {', '.join(wanted)} FROM {table} NOT INDEXED")
            while rows := cursor.fetchmany(_BATCH_ROWS):
                parts = [nanoarrow.c_array(*each) for each in zip(zip(*rows, strict=True), kinds, strict=True)]
                batch = nanoarrow.c_array_from_buffers(schema, len(rows), [None], children=parts)
                database.register("batch", nanoarrow.Array(batch))
                database.execute(f"INSERT INTO {table} SELECT * FROM batch")
                database.unregister("batch")


def _type(connection: sqlite3.Connection, table: str, column: str) -> str:
    """Return the type of a column by its values: SQLite's are those of values."""
    name = quoted(column)
    kinds = ", ".join(f"coalesce(max(typeof({name}) = '{kind}'), 0)" for kind in ("integer", "real", "text", "blob"))
    large = f"coalesce(max(typeof({name}) = 'integer' AND ({name} > {_EXACT} OR {name} < -{_EXACT})), 0)"
    [found] = connection.execute(f"SELECT {kinds}, {large} FROM {quoted(table)}").fetchall()
    integers, reals, texts, octets, inexact = map(bool, found)
    if octets:
        raise lossy(f"has bytes in column '{column}' of '{table}'", "store numbers or text")
    if texts or (integers and reals and inexact):
        return "VARCHAR"
    return "DOUBLE" if reals else "BIGINT" if integers else "VARCHAR"


_KEEPING_ORDER = {  # steps of a plan that return rows in the order in which they get them, or in a file's
    *("PROJECTION", "FILTER", "STREAMING_LIMIT", "LIMIT", "UNNEST", "STREAMING_WINDOW", "UNGROUPED_AGGREGATE"),
    *("EMPTY_RESULT", "DUMMY_SCAN", "COLUMN_DATA_SCAN", "SEQ_SCAN", "TABLE_SCAN", "RANGE", "GENERATE_SERIES"),
    *("READ_CSV", "READ_CSV_AUTO", "READ_PARQUET", "PARQUET_SCAN", "READ_JSON", "READ_JSON_AUTO", "READ_NDJSON"),
    *("READ_NDJSON_AUTO", "READ_JSON_OBJECTS", "READ_NDJSON_OBJECTS"),
}
_DATABASE = "opened"  # the name of the database file in SQL
_ORDER_BY = "end the query in ORDER BY with columns that identify a row"


_LEAST_MEMORY = 1 << 27  # bytes; with less, the database cannot read a table


def prepared(source: DataSource) -> tuple[Any, QueryText]:
    """Return a database, in which the file of the source is opened read-only, and the checked query.

    Files are beside or below the spec, or in a folder that is allowed.

    Raises DataError: GS501, GS512 or GS513; see :class:`QueryText`.
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
            raise unreadable(text, "write it again with this version of DuckDB") from None
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
        # the database finds most errors of a query when it plans its steps
        [(_, plan)] = connection.execute(f"EXPLAIN (FORMAT JSON) {query.sql()}").fetchall()
        found = connection.sql(query.sql())
        if twice := duplicates(found.columns):
            raise DataError(Code.MISSING_ARRAY, next(iter(twice.values())), "give each a name of its own with AS")
        if query.break_ties(len(found.columns)):
            connection.execute(f"CREATE TEMP TABLE result AS {query.sql()}")
            return connection.sql("FROM temp.result")
        if not _keeps_order(json.loads(plan)):
            raise query.error("does not determine the order of its rows", hint=_ORDER_BY)
        return found

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
                what, hint = f"cannot be computed: {message}", "select fewer rows or columns"
                raise DataError(Code.NOT_ENOUGH_MEMORY, what, hint) from error
            if isinstance(error, duckdb.PermissionException):
                what, hint = f"cannot read a file: {message}", "name files by fixed texts"
                raise DataError(Code.OUTSIDE_FOLDER, what, hint) from error
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
