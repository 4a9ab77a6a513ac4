"""Tables read by DuckDB, in record batches: ``.csv``, ``.tsv``, ``.jsonl`` and ``.parquet``."""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.strings import Strings, StringsBuilder, TextError
from graphspec.base.codes import Code
from graphspec.data import convert as conversion
from graphspec.data import source as base
from graphspec.data.convert import Filling, ListFilling, NumberFilling, TextFilling, as_data_error, no_number
from graphspec.data.source import DataError, Filled, MemoryBudget, Request, Source, lossy, ragged, unreadable
from graphspec.data.text_files import row_from_1, undecodable
from graphspec.graph.ir.graph import Array, numpy_dtype

# Record batches of the Arrow C stream interface as NumPy arrays.
_NUMBERS = {f"{sign}int{size}": np.dtype(f"{sign}int{size}") for sign in ("", "u") for size in (8, 16, 32, 64)}
_NUMBERS |= {"half_float": np.dtype(np.float16), "float": np.dtype(np.float32), "double": np.dtype(np.float64)}


def batches(stream: Any) -> Iterator[tuple[int, list[Any]]]:
    """Yield the row count of each batch of a stream (a capsule), and its columns for :func:`values`."""
    from nanoarrow.c_array_stream import c_array_stream

    for batch in c_array_stream(stream):
        view = batch.view()
        yield batch.length, [view.child(k) for k in range(batch.n_children)]


def values(column: Any, row: int) -> Array:
    """Return a column of a batch: missing numbers are NaN, missing text is None, lists of equal length are rows.

    ``row``: the index of the batch's first row. Raises DataError: GS503 for lists of different lengths, GS504 for values
    that are neither numbers nor text.
    """
    return _values(column, 0, column.length, row, 1)


def texts(column: Any, row: int) -> Strings:
    """Return a column of texts of a batch, packed: missing texts are empty, lists of equal length are rows.

    ``row``: the index of the batch's first row. Raises DataError: GS503 for lists of different lengths, GS504 for bytes
    that are not UTF-8.
    """
    try:
        return _texts(column, 0, column.length, row, 1)
    except TextError as error:
        raise as_data_error(error) from None


def lists(column: Any, row: int) -> tuple[Strings, Array]:
    """Return the texts of a column of lists of a batch, and how many each row has; a missing list has none.

    Raises DataError: GS504, as :func:`texts`.
    """
    offsets = _offsets(column, column.offset, column.length)
    counts = np.diff(offsets) if column.length else np.empty(0, np.int64)
    try:
        return _texts(column.child(0), int(offsets[0]) if len(counts) else 0, int(counts.sum()), row, 1), counts
    except TextError as error:
        raise as_data_error(error) from None


def first_null(column: Any) -> int | None:
    """Return the first row of a batch in which a column has no value."""
    if column.storage_type == "na":
        return 0 if column.length else None
    valid = _valid(column, column.offset, column.length)
    return None if valid is None else int((~valid).argmax())


def _texts(view: Any, first: int, count: int, row: int, per_row: int) -> Strings:
    storage, first = view.storage_type, view.offset + first
    valid = _valid(view, first, count)
    if storage in ("list", "large_list"):
        start, length = _lists(view, first, count, valid, row, per_row)
        inner = _texts(view.child(0), start, count * length, row, per_row * length)
        return inner.reshape((count, length, *inner.shape[1:]))
    builder = StringsBuilder()
    if storage in ("string", "large_string"):
        offsets = _offsets(view, first, count)
        data = _buffer(view.buffer(2), np.uint8, 0, int(offsets[-1])) if count else offsets
        builder.add(data, offsets, valid)
    elif storage == "na":
        builder.add_texts([""] * count)
    else:
        raise lossy(f"contains {storage.replace('_', ' ')} values, which are not text")
    return builder.finish()


def _values(view: Any, first: int, count: int, row: int, per_row: int) -> Array:
    """Return values; each row of the table contributes ``per_row`` of them."""
    storage, first = view.storage_type, view.offset + first
    valid = _valid(view, first, count)
    if storage in ("list", "large_list"):
        if count == 0:
            return np.empty((0, 0))
        start, length = _lists(view, first, count, valid, row, per_row)
        inner = _values(view.child(0), start, count * length, row, per_row * length)
        return inner.reshape(count, length, *inner.shape[1:])
    if storage in ("string", "large_string"):
        offsets, array = _offsets(view, first, count), np.empty(count, object)
        if count:
            data = memoryview(view.buffer(2)) if offsets[-1] > offsets[0] else b""
            array[:] = [str(data[a:b], "utf-8", "replace") for a, b in pairwise(offsets.tolist())]
        if valid is not None:
            array[~valid] = None
        return array
    if storage == "bool":
        found: Array = _bits(view.buffer(1), first, count)
    elif storage in _NUMBERS:
        found = _buffer(view.buffer(1), _NUMBERS[storage], first, count)
    elif storage == "na":
        found = np.full(count, np.nan)
    else:
        raise lossy(f"contains {storage.replace('_', ' ')} values, which are not numbers", "store numbers")
    return found if valid is None else np.where(valid, found.astype(np.float64), np.nan)


def _buffer(buffer: Any, dtype: Any, first: int, count: int) -> Array:
    if count == 0:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, count, first * np.dtype(dtype).itemsize)


def _offsets(view: Any, first: int, count: int) -> Array:
    """Return where texts or lists begin, and where the last one ends."""
    return _buffer(view.buffer(1), np.int64 if view.storage_type.startswith("large") else np.int32, first, count + 1)


def _bits(buffer: Any, first: int, count: int) -> Array:
    octets = _buffer(buffer, np.uint8, first // 8, (first + count + 7) // 8 - first // 8)
    return np.unpackbits(octets, bitorder="little")[first % 8 :][:count].view(np.bool_)


def _valid(view: Any, first: int, count: int) -> Array | None:
    """Return the mask of values that are not missing, None if none is missing."""
    if view.null_count == 0 or view.storage_type == "na" or not view.buffer(0).size_bytes:
        return None
    valid = _bits(view.buffer(0), first, count)
    return None if valid.all() else valid


def _lists(view: Any, first: int, count: int, valid: Array | None, row: int, per_row: int) -> tuple[int, int]:
    """Return where the elements of lists begin, and the length of all of them."""
    offsets = _offsets(view, first, count)
    if count == 0:
        return 0, 0
    lengths = np.diff(offsets)
    if valid is not None:
        known, missing = int(valid.argmax()), row + int((~valid).argmax()) // per_row
        if not valid[known]:
            raise DataError(Code.MISSING_VALUE, f"has no value in {base.at(missing)}", conversion.FILL_IN)
        raise ragged(int(lengths[known]), missing, None, row + known // per_row)
    if (lengths != lengths[0]).any():
        other = int((lengths != lengths[0]).argmax())
        raise ragged(int(lengths[0]), row + other // per_row, int(lengths[other]), row)
    return int(offsets[0]), int(lengths[0])


_BATCH_BYTES = 1 << 23  # bytes of a record batch; the reader and its buffers use about 100 MiB more
_MAX_BATCH_ROWS = 1 << 16  # at most this many rows in a record batch
_FIRST_ROWS = 64  # rows whose average size determines the size of a record batch
_EXACT = 2.0**53  # from here on, a double does not represent every integer
_PENDING = lossy("is not read yet")  # never reported: the problem is determined at the end, or the column read again

_UNKNOWN: Sequence[int] = (-1,)  # the lines of rows that nobody has asked for
_Key = tuple[str, int]
Overrides = dict[_Key, str]  # how to read a column again, ``text`` or ``integers``, by request and index in it


class ColumnRead(NamedTuple):
    """How to read a column: a SQL expression, and the interpretation of its values."""

    sql: str
    rounded_to_doubles: bool = False  # integers may have been rounded to doubles
    null_may_be_text: bool = False  # a NULL may be text that is not a number
    integers: bool = False  # the values are the digits of integers of any size
    text: bool = False  # the values are texts, which are packed
    lists: bool = False  # the values are lists of texts


class ReadAgain(Exception):  # noqa: N818
    """A column must be read again, as ``integers`` from their digits."""


class Relation:
    """Rows that a query returns."""

    connection: Any
    source: str  # the query
    columns: Mapping[str, str]  # the columns in SQL by name
    types: Mapping[str, Any]  # their types by SQL
    ambiguous: Mapping[str, str]  # names that several columns share
    of_texts = False  # whether every cell is a text; else the files say the types of values

    def reading(self) -> AbstractContextManager[None]:
        """Turn errors of the database into DataError."""
        raise NotImplementedError

    def known_columns(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the columns with a name of their own: the name, the SQL, and its type."""
        return ((n, sql, self.types[sql]) for n, sql in self.columns.items() if n not in self.ambiguous)

    def query(self, what: str, tail: str = "") -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.connection.execute(f"SELECT {what} FROM ({self.source}) {tail}").fetchall()
        return found


class Union(Relation):
    """The rows of several tables with the same columns, one after the other."""

    def __init__(self, tables: Sequence[Table], names: Sequence[str]) -> None:
        self._first, self.ambiguous, self.of_texts = tables[0], {}, tables[0].of_texts
        self.columns = {name: f"c{k}" for k, name in enumerate(names)}
        columns = (", ".join(f"{t.columns[name]} AS {sql}" for name, sql in self.columns.items()) for t in tables)
        parts = [f"SELECT {each} FROM ({t.source})" for each, t in zip(columns, tables, strict=True)]
        self.source = " UNION ALL ".join(parts)
        with self.reading():
            self.connection = new_connection()
            lock(self.connection, [t.path for t in tables])
            relation = self.connection.sql(self.source)
            self.types = dict(zip(relation.columns, relation.types, strict=True))

    def reading(self) -> AbstractContextManager[None]:
        return self._first.reading()


class Table(Relation, Source):
    """A table of rows. Subclasses define the names of its columns and how to read them."""

    hint: str | None = None  # the expected content, reported if the file cannot be read
    is_text = False  # whether the file is one of text, in an encoding

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines_of_rows: Sequence[int] | None = _UNKNOWN
        with self.reading():
            self.connection = self.connect()
            relation = self.open(self.connection)
            self.ambiguous: Mapping[str, str] = {}
            self.names: Sequence[str] = list(relation.columns)
            self.columns = {n: quoted(n) for n in self.names}
            self.types = dict(zip(self.columns.values(), relation.types, strict=True))
            self.source = relation.sql_query()
            self.read_names()

    # Overridden by subclasses.

    def connect(self) -> Any:
        """Open an in-memory database that can read only this file."""
        connection = new_connection()
        lock(connection, [self.path])
        return connection

    def open(self, connection: Any) -> Any:
        """Return the rows of the file as a relation; ``source`` (a query) and ``types`` (by SQL name) come from it."""
        raise NotImplementedError

    def read_names(self) -> None:
        """Set ``names``, ``columns`` (SQL by name) and ``ambiguous`` if they differ from the database's."""

    def use_names(self, own: Sequence[str], count: int) -> None:
        """Use the names in the file if there are as many: the database renames duplicates."""
        if count == len(self.names):
            self.columns = {name: self.columns[theirs] for name, theirs in zip(own, self.names, strict=True)}
            self.names, self.ambiguous = own, duplicates(own)

    def as_written(self, name: str) -> str:
        """Return SQL for the cells of a column as they are in the file."""
        return self.columns[name]

    def row_bound(self) -> int:
        """Return an upper bound of the number of rows that is quick to determine."""
        return self.count()

    def prepare(self, requests: Sequence[Request], overrides: Overrides) -> None:
        """Inspect the requested columns before they are read."""

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        """Return how to read a column, or with ``override`` again. Raises DataError: it has neither numbers nor texts."""
        raise NotImplementedError

    def guard_casts(self) -> bool:
        """Guard casts from now on, after a value that did not convert; False if they already are guarded."""
        return False

    def explain(self, message: str) -> tuple[str, str | None] | None:
        """Return a message and a hint that are clearer than the database's, or None."""
        return None

    def place(self, row: int) -> str:
        """Return the words for a row: its line if the file has lines, else its number from 1."""
        if self._lines_of_rows is _UNKNOWN:
            self._lines_of_rows = self.lines_of_rows()
        lines = self._lines_of_rows
        return row_from_1(row) if lines is None or row >= len(lines) else f"line {lines[row]:,}"

    def lines_of_rows(self) -> Sequence[int] | None:
        return None

    # Reading.

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn errors of the database into DataError: names that are not UTF-8 raise RuntimeError or UnicodeError."""
        import duckdb

        try:
            yield
        except (duckdb.Error, RuntimeError, UnicodeError) as error:
            text = _message_of(error)
            if isinstance(error, duckdb.OutOfMemoryException) or text.startswith("Out of Memory Error"):
                more = "allow the process more memory, or end other programs"
                raise DataError(Code.NOT_ENOUGH_MEMORY, f"cannot be read: {text}", more) from error
            if (own := undecodable(self.path) if self.is_text else None) is not None:
                raise own from error
            text, hint = (None if _is_conversion_error(error) else self.explain(text)) or (text, self.hint)
            raise unreadable(f"cannot be read: {text}", hint) from error

    def count(self) -> int:
        with self.reading():
            return int(self.query("count(*)")[0][0])

    def relation(self) -> Relation:
        return self

    def cells(self, column: str, *, raw: bool) -> Iterator[tuple[int, Array]]:
        with self.reading():
            yield from self.blocks(self.as_written(column) if raw else self.columns[column], self._limit())

    def _limit(self) -> str:
        return "" if self.max_rows is None else f"LIMIT {self.max_rows}"

    def type_of(self, column: str) -> str:
        return str(self.types[self.columns[column]].id)

    def values(self, column: str) -> Array:
        sql = self.columns[column]
        with self.reading():
            blocks = self.blocks(f"epoch_us({sql})" if self.is_date(column) else sql)
            parts = [np.array(block) for _, block in blocks]  # the next block takes the memory of this one
        return np.concatenate(parts) if parts else np.empty(0, object)

    def blocks(self, sql: str, tail: str = "") -> Iterator[tuple[int, Array]]:
        """Yield the values of an SQL expression with the index of their first row; each block overwrites the one before."""
        row = 0
        for count, [part] in self.stream(sql, _MAX_BATCH_ROWS, tail):
            yield row, values(part, row)
            row += count

    def stream(self, what: str, rows: int, tail: str = "") -> Iterator[tuple[int, list[Any]]]:
        """Yield the rows of a query as record batches of ``rows`` rows.

        Only a private method of the connection accepts the batch size; without it, batches have 131,072 rows.
        """
        text = f"SELECT {what} FROM ({self.source}) {tail}"
        try:
            capsule = self.connection._submit(text, None, "stream", rows).arrow_capsule()
        except (AttributeError, TypeError):
            capsule = self.connection.sql(text).__arrow_c_stream__()
        return batches(capsule)

    def fill(self, requests: Sequence[Request]) -> Filled:
        found: Filled = {}
        overrides: Overrides = {}
        waiting = list(requests)
        while waiting:  # again for requests whose columns must be read in another way
            before = dict(overrides)
            try:
                results = self._pass(waiting, overrides)
            except DataError as error:
                if not _is_conversion_error(error.__cause__) or not self.guard_casts():
                    raise
                continue
            waiting = [r for r in waiting if any(overrides.get(k) != before.get(k) for k in _keys(r))]
            found |= {name: result for name, result in results.items() if name not in {r.name for r in waiting}}
        return found

    def _pass(self, requests: Sequence[Request], overrides: Overrides) -> Filled:
        """Read the table once; columns that must be read again are added to ``overrides``."""
        with self.reading():
            self.prepare(requests, overrides)
        rows, budget = self._rows(requests)
        fillings: dict[str, Filling] = {}
        ways: dict[_Key, ColumnRead] = {}
        for request in requests:
            problems: base.DataErrors = {}
            for name, k in _keys(request):
                try:
                    column = self.columns[request.columns[k]]
                    ways[name, k] = self.column_read(column, request, overrides.get((name, k)))
                except DataError as error:
                    problems[k] = error
            packed = any(ways[key].text for key in _keys(request) if key in ways)
            kind = ListFilling if request.lists and packed else TextFilling
            filling = kind(request, budget.reserve) if packed else NumberFilling(request, rows, budget.reserve)
            filling.problems.update(problems)
            fillings[request.name] = filling
        done = 0
        if ways:
            with self.reading():
                done, missing = self._read(ways, fillings, rows, overrides)
                for (name, k), row in missing.items():
                    request = fillings[name].request
                    [(cell,)] = self.query(self.columns[request.columns[k]], f"LIMIT 1 OFFSET {row}")
                    problem = no_number(row, cell, request)
                    if problem is None:
                        overrides[name, k] = "text"
                    else:
                        fillings[name].problems[k] = problem
        return {name: filling.result(done) for name, filling in fillings.items()}

    def _rows(self, requests: Sequence[Request]) -> tuple[int, MemoryBudget]:
        """Return the number of rows to allocate: rows are counted only if the quick bound needs too much memory."""
        rows, budget = self.row_bound() if self.max_rows is None else self.max_rows, MemoryBudget()
        if any(r.allocate is not None for r in requests):
            return self.count() if self.max_rows is None else rows, budget
        row = sum(len(r.columns) * numpy_dtype(r.type.dtype).itemsize for r in requests)
        return (rows if budget.fits(rows * row) else self.count()), budget

    def row_bytes(self, what: str) -> int:
        """Return the approximate bytes of a row: the average of the first rows."""
        size, total = 0, 1
        for count, columns in self.stream(what, _FIRST_ROWS, f"LIMIT {_FIRST_ROWS}"):
            total += count
            for column in columns:
                part = _or_error(column, 0, as_text=column.storage_type in ("string", "large_string"))
                size += 0 if isinstance(part, DataError) else part.nbytes
        return size // total + 1

    def _read(
        self, ways: Mapping[_Key, ColumnRead], fillings: Mapping[str, Filling], rows: int, overrides: Overrides
    ) -> tuple[int, dict[_Key, int]]:
        """Fill the arrays; return the number of rows, and a row of each column with a NULL that may be text."""
        positions = {sql: k for k, sql in enumerate(dict.fromkeys(way.sql for way in ways.values()))}
        what = ", ".join(f"{sql} AS c{k}" for sql, k in positions.items())
        size = min(max(_BATCH_BYTES // self.row_bytes(what), 1), _MAX_BATCH_ROWS)
        done, missing = 0, dict[_Key, int]()
        for count, columns in self.stream(what, size, self._limit()):
            if done + count > rows:
                raise unreadable(f"has more rows than expected: {rows}", "write the file again")
            parts: dict[tuple[str, bool], Any] = {}
            for (name, k), way in ways.items():
                filling, column = fillings[name], columns[positions[way.sql]]
                if k in filling.problems:
                    continue
                if (way.sql, way.text) not in parts:
                    parts[way.sql, way.text] = _or_error(column, done, as_text=way.text, as_lists=way.lists)
                part = parts[way.sql, way.text]
                if way.null_may_be_text and (row := first_null(column)) is not None:
                    missing[name, k] = done + row
                    part = _PENDING
                try:
                    filling.put(k, _to_store(part, way, filling.request, done), done)
                except ReadAgain:
                    overrides[name, k] = "integers"
                    filling.put(k, _PENDING, done)
            done += count
            if all(f.closed for f in fillings.values()):
                break
        return done, missing


def _to_store(part: Any, way: ColumnRead, request: Request, first: int) -> Any:
    if isinstance(part, DataError) or way.text or request.type.dtype == "bool" or request.type.is_float:
        return part
    if way.integers:
        try:
            return conversion.exact_integers(part.tolist(), np.dtype(request.type.dtype), first, gaps=request.gaps)
        except DataError as error:
            return error
    if way.rounded_to_doubles and part.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            large = np.abs(part) >= _EXACT
        if large.any() and part.ndim == 1:
            raise ReadAgain
        if large.any():
            text = "has integers that were rounded: a double represents them up to 2^53 = 9007199254740992"
            return lossy(text, "write only integers into the lists")
    return part


def _keys(request: Request) -> list[_Key]:
    return [(request.name, k) for k in range(len(request.columns))]


def _or_error(column: Any, row: int, *, as_text: bool, as_lists: bool = False) -> Any:
    try:
        if as_lists:
            return lists(column, row)
        return texts(column, row) if as_text else values(column, row)
    except DataError as error:
        return error


def new_connection() -> Any:
    """Open an in-memory database that loads no extensions; :func:`lock` then closes it to files."""
    import duckdb

    locked = ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions")
    # One thread: a process with database threads must not be forked.
    connection = duckdb.connect(":memory:", config={**dict.fromkeys(locked, "false"), "threads": "1"})
    with suppress(duckdb.InvalidInputException):  # a Jupyter without ipywidgets: it has no bar, and refuses the word
        connection.execute("SET enable_progress_bar = false")  # drawn if the database considers the program interactive
    connection.execute("SET TimeZone = 'UTC'")  # texts of times must not depend on the machine
    return connection


def lock(connection: Any, paths: Sequence[Path]) -> None:
    """Let a database read only these files, and change no setting."""
    allowed = ", ".join(quoted(name, "'") for path in paths for name in (str(path), glob.escape(str(path))))
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def quoted(name: str, mark: str = '"') -> str:
    """Return ``name`` as a quoted SQL identifier, or a string literal if ``mark`` is a single quote."""
    return mark + name.replace(mark, mark + mark) + mark


def duplicates(names: Sequence[str]) -> dict[str, str]:
    """Return the names that occur more than once (ignoring case), each with a message that lists the columns."""
    columns = defaultdict(list)
    for number, name in enumerate(names, 1):
        columns[name.casefold()].append((number, name))
    found: dict[str, str] = {}
    for group in columns.values():
        where = " and ".join(f"'{name}' (column {number})" for number, name in group[:4])
        found |= {name: f"has {where}" for _, name in group if len(group) > 1}
    return found


_ERROR_PREFIX = re.compile(
    r"(ArrowArrayStream::get_\w+\(\) failed \(\d+\): )?((Invalid Input|IO|TransactionContext) Error: )?"
)
_MAX_MESSAGE = 300


def _message_of(error: BaseException) -> str:
    """Return the database's message without its prefix for the kind of error."""
    first, *others = _ERROR_PREFIX.sub("", str(error).strip(), count=1).splitlines() or [type(error).__name__]
    if first.startswith("CSV Error on Line"):  # the line itself comes next, then the reason
        reasons = [line for line in others[1:] if line.strip()]
        first = f"line {first.partition(': ')[2]}: {reasons[0]}" if reasons else first
    return first[:_MAX_MESSAGE].rstrip(". ")


def _is_conversion_error(error: BaseException | None) -> bool:
    return "Conversion Error: " in str(error)[:200]
