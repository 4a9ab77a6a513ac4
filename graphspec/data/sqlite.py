"""Copy tables of an SQLite file into the database that answers queries; the file is only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphspec.base.codes import Code
from graphspec.data.database import quoted
from graphspec.data.source import DataError, first_line

_BATCH_ROWS = 1 << 16
_EXACT = 1 << 53  # a double represents all integers up to here


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that no program is changing.

    Raises:
        DataError: GS501, it is no SQLite file, is damaged, or has changes beside it.
    """
    for suffix in ("-wal", "-journal"):
        beside = file.with_name(file.name + suffix)
        if beside.exists() and beside.stat().st_size:
            text = f"has changes in '{beside.name}', which are not in the file yet"
            raise DataError(Code.UNREADABLE_FILE, text, "end the programs that write to it")
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    except sqlite3.Error as error:
        text = f"cannot be read as an SQLite database: {first_line(error)}"
        raise DataError(Code.UNREADABLE_FILE, text, "write the file again") from None
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

    Raises:
        DataError: GS501, see above; GS504, a column has bytes.
    """
    import nanoarrow

    arrow = {"BIGINT": nanoarrow.int64(), "DOUBLE": nanoarrow.float64(), "VARCHAR": nanoarrow.string()}
    with _opened(file) as connection:
        for name in names:
            table = quoted(name)
            columns = [item[0] for item in connection.execute(f"SELECT * FROM {table} LIMIT 0").description]
            types = [_type(connection, name, column) for column in columns]
            declared = ", ".join(f"{quoted(c)} {t}" for c, t in zip(columns, types, strict=True))
            database.execute(f"CREATE TABLE {table} ({declared})")
            wanted = (_sql(column, kind) for column, kind in zip(columns, types, strict=True))
            schema = nanoarrow.struct({str(k): arrow[t] for k, t in enumerate(types)})
            cursor = connection.execute(f"SELECT {', '.join(wanted)} FROM {table} NOT INDEXED")
            while rows := cursor.fetchmany(_BATCH_ROWS):
                parts = [
                    nanoarrow.c_array(part, arrow[t]) for part, t in zip(zip(*rows, strict=True), types, strict=True)
                ]
                batch = nanoarrow.c_array_from_buffers(schema, len(rows), [None], children=parts)
                database.register("batch", nanoarrow.Array(batch))
                database.execute(f"INSERT INTO {table} SELECT * FROM batch")
                database.unregister("batch")


def _sql(column: str, kind: str) -> str:
    return f"CAST({quoted(column)} AS TEXT)" if kind == "VARCHAR" else quoted(column)


def _type(connection: sqlite3.Connection, table: str, column: str) -> str:
    """Return the type of a column by its values: SQLite's are those of values."""
    name = quoted(column)
    kinds = ", ".join(f"coalesce(max(typeof({name}) = '{kind}'), 0)" for kind in ("integer", "real", "text", "blob"))
    large = f"coalesce(max(typeof({name}) = 'integer' AND ({name} > {_EXACT} OR {name} < -{_EXACT})), 0)"
    [found] = connection.execute(f"SELECT {kinds}, {large} FROM {quoted(table)}").fetchall()
    integers, reals, texts, octets, inexact = map(bool, found)
    if octets:
        raise DataError(Code.LOSSY_CONVERSION, f"has bytes in column '{column}' of '{table}'", "store numbers or text")
    if texts or (integers and reals and inexact):
        return "VARCHAR"
    return "DOUBLE" if reals else "BIGINT" if integers else "VARCHAR"
