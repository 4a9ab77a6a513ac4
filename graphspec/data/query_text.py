"""The text of a query: what it reads and calls is checked, its files are resolved, and ties of its order are broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.base.codes import Code
from graphspec.base.errors import did_you_mean
from graphspec.base.files import COMPRESSED, TABLES, is_regular, suffix_of
from graphspec.data.paths import has_marks, matching
from graphspec.data.problems.unfit_files import where_it_may_be
from graphspec.data.source import DataError

Tree = dict[str, Any]
"""A part of the database's syntax tree."""

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
_CHANGING = frozenset(
    (
        *_KEYWORDS,
        "random",
        "gen_random_uuid",
        "uuid",
        "uuidv4",
        "uuidv7",
        "now",
        "today",
        "current_localtime",
        "current_localtimestamp",
        "get_current_time",
        "get_current_timestamp",
        "transaction_timestamp",
        "txid_current",
        "current_transaction_id",
        "current_query_id",
        "current_connection_id",
        "current_query",
        "nextval",
        "currval",
        "setseed",
        "setval",
        "current_setting",
        "getvariable",
        "sleep_ms",
        "pg_sleep",
        "write_log",
        "stats",
        "vector_type",
        "version",
    )
)
"""Functions whose value may be another at each run, or that do something else than compute a value."""
_CHANGING_VIEW = re.compile(
    rf"\b(({'|'.join(sorted(_CHANGING))})\s*\(|{'|'.join(sorted(_KEYWORDS))}|using\s+sample|tablesample)", re.IGNORECASE
)
_NOWHERE = 1 << 63
ONE_SELECT = "a query is one SELECT statement; WITH may precede it"


class QueryText:
    """A query that has been checked; ``files`` are the files that it reads, ``tables`` the tables of the database.

    Args:
        folder: the folder to which names of files are relative.
        roots: folders in which files may be, with their subfolders.
        tables: the tables of the database that is queried, by schema and name in lower case; views with their SQL.
        macros: the names of its own functions, in lower case.

    Raises:
        DataError: GS512, it is not one SELECT, or uses what queries may not use; GS513, a file is outside the folders;
            GS501, a file does not exist.
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
        self._ctes = {
            str(item["key"]).lower()
            for part in _parts(self._tree)
            for item in (part["map"] if isinstance(part.get("map"), list) else [])
        }
        for part in list(_parts(self._tree)):
            self._check(part)

    @property
    def node(self) -> Tree:
        """The outermost SELECT."""
        node: Tree = self._tree["statements"][0]["node"]
        return node

    def sql(self) -> str:
        """Return the query with whole paths of its files."""
        [(text,)] = self._database.execute("SELECT json_deserialize_sql(?::JSON)", [self.serialized()]).fetchall()
        return str(text)

    def serialized(self) -> str:
        """Return the query's syntax tree as the database's JSON."""
        try:
            return json.dumps(self._tree)
        except RecursionError:
            raise self.error("is nested too deeply", hint="write it in parts, with WITH") from None

    @property
    def ordered(self) -> bool:
        """Whether the query ends in ORDER BY."""
        return self._order() is not None

    def break_ties(self, columns: int) -> None:
        """Order rows that are equal in ORDER BY by all columns of the result."""
        order = self._order()
        assert order is not None
        if not any(o["expression"]["class"] == "STAR" for o in order["orders"]):  # ORDER BY ALL
            ordinals = ", ".join(str(k + 1) for k in range(columns))
            order["orders"] += self._parsed(f"SELECT 1 ORDER BY {ordinals}")["statements"][0]["node"]["modifiers"][0][
                "orders"
            ]

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

    def _order(self) -> Tree | None:
        return next((m for m in self.node["modifiers"] if m["type"] == "ORDER_MODIFIER" and m["orders"]), None)

    def _parsed(self, text: str) -> Tree:
        import duckdb

        try:
            [(found,)] = self._database.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
        except (duckdb.Error, RuntimeError, UnicodeError) as error:
            raise self.error(f"cannot be parsed: {str(error).splitlines()[0]}") from None
        try:
            tree: Tree = json.loads(found)
        except RecursionError:
            raise self.error("is nested too deeply", hint="write it in parts, with WITH") from None
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
        if kind == "FUNCTION":
            name, count = str(part["function_name"]).lower(), len(part["arguments"])
            if name in self._changing or (name == "age" and count == 1):  # the time since a date
                self._refuse_changing(name, offset)
        if (
            kind == "COLUMN_REF"
            and len(part["column_names"]) == 1
            and part["column_names"][0].lower() in self._changing
        ):
            self._refuse_changing(part["column_names"][0], offset)
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
        files = [str(file) for given in names for file in self._resolved(given, offset)]
        given_options = {_option(argument) for argument in arguments[1:]}
        options = ", sample_size = -1" if name in _SAMPLING and "sample_size" not in given_options else ""
        added = self._reading("read_csv", files, options)["function"]["arguments"]
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
            known = [*self._ctes, *(table for _, table in self._tables)]
            suffixes = ", ".join((*TABLES, *COMPRESSED))
            hint = did_you_mean(name, known) or f"a file is a name in quotes that ends in {suffixes}"
            raise self.error(f"names '{name}', which is neither a table nor a file", offset, hint)
        files = [str(file) for file in self._resolved(name, offset)]
        new = self._reading(reader, files, ", sample_size = -1" if reader in _SAMPLING else "")
        kept = {key: part[key] for key in ("alias", "column_name_alias", "query_location", "query_location_length")}
        part.clear()
        part |= new | kept | {"alias": kept["alias"] or Path(name).name.partition(".")[0]}

    def _reading(self, function: str, files: Sequence[str], options: str) -> Tree:
        """Return the syntax tree of a function that reads files, whose names are no patterns."""
        import glob

        listed = ", ".join("'" + glob.escape(file).replace("'", "''") + "'" for file in files)
        tree = self._parsed(f"SELECT * FROM {function}([{listed}]{options})")
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
        fixed = next((p for p in path.parents if not has_marks(p)), path) if pattern else path
        self._refuse_outside(fixed, name, offset)
        try:
            found = [p.resolve() for p in (matching(path) if pattern else [path])]
        except DataError as error:
            raise error.changed(message=f"names '{name}', which {error.problem.message}") from None
        for file in found:
            self._refuse_outside(file, name, offset)
            if not is_regular(file):
                problem = "is not a regular file" if file.exists() else "does not exist"
                text = f"names '{name}', which {problem}{self.position(offset)}"
                hint = "names are relative to the spec" if file.exists() else where_it_may_be(self._folder / name)
                raise DataError(Code.UNREADABLE_FILE, text, hint)
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
    """Return the texts of a constant or of a list of constants; None for another expression."""
    if expression["type"] == "VALUE_CONSTANT" and expression["literal"]["kind"] == "STRING":
        return [str(expression["literal"]["text"])]
    if expression["type"] == "FUNCTION" and expression["function_name"] == "list_value":
        found = [_texts(argument["expression"]) for argument in expression["arguments"]]
        return [text for texts in found if texts is not None for text in texts] if None not in found else None
    return None


def _option(argument: Mapping[str, Any]) -> str:
    """Return the name of a named argument."""
    expression = argument["expression"]
    if argument["name"] or expression["type"] != "COMPARE_EQUAL":
        return str(argument["name"]).lower()
    return str(expression["left"].get("column_names", [""])[-1]).lower()
