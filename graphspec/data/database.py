"""Tables read by DuckDB, in record batches: ``.csv``, ``.tsv``, ``.jsonl`` and ``.parquet``."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphspec.codes import Code
from graphspec.data.arrow import batches, values
from graphspec.data.filling import Filling, for_request
from graphspec.data.source import DataError, Problems, Request, Room

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

_BATCH = 1 << 23
"""Bytes of a record batch; the reader and its buffers take some 100 MiB more."""
_MOST_ROWS = 1 << 16
_EXACT = 2.0**53
"""From here on a double no longer holds every integer."""
_LATER = DataError(Code.LOSSY_CONVERSION, "is not read yet")
"""Not said: a place for what is found behind the last row, or for a column that is read once more."""


_Key = tuple[str, int]
Hows = dict[_Key, str]
"""Another way in which a column is read, by request and its place there: :class:`AnotherWay`."""


class Way(NamedTuple):
    """How a column is read: an expression of SQL, and what is made of its values.

    Attributes:
        doubles: integers may have been rounded to doubles.
        unread: what is missing may be text that is no number.
        integers: text that is read as integers of any size.
    """

    sql: str
    doubles: bool = False
    unread: bool = False
    integers: bool = False


class AnotherWay(Exception):  # noqa: N818
    """A column must be read in another way: as ``text``, or as ``integers`` from their digits."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Table:
    """A table of rows. Those below it say how its columns are called and read."""

    kind = "column"
    most: int | None = None
    hint: str | None = None
    """What the file should look like, where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.reading():
            self.base = _connect(path)
            relation = self.open(self.base)
            self.doubtful: Mapping[str, str] = {}
            self.names: Sequence[str] = list(relation.columns)
            self.columns = {n: quoted(n) for n in self.names}
            self.types: dict[str, Any] = dict(zip(self.columns.values(), relation.types, strict=True))
            self.source: str = relation.sql_query()
            self.look()

    # What the kinds of files say.

    def open(self, base: Any) -> Any:
        """The rows of the file as a relation, from which ``source`` is made, a query, and ``types``, by SQL name."""
        raise NotImplementedError

    def look(self) -> None:
        """Set ``names``, ``columns`` (their SQL by name) and ``doubtful``, where they differ from the database's."""

    def at_most(self) -> int:
        """A number of rows that the file does not exceed, found quickly."""
        return self.count()

    def prepare(self, requests: Sequence[Request], hows: Hows) -> None:
        """Look at the columns that are wanted, before they are read."""

    def way(self, column: str, request: Request, how: str | None) -> Way:
        """How to read a column; ``how`` after :class:`AnotherWay`. Raises DataError where it holds what is no number."""
        raise NotImplementedError

    def guard(self) -> bool:
        """Read more carefully from now on, after a value that does not convert; False where that is so already."""
        return False

    def explain(self, said: str) -> tuple[str, str | None] | None:
        """Why the file cannot be read, and a hint, where the database does not say it well."""
        return None

    # Reading.

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Errors of the database as DataError: its own class, and what it raises where names are no text."""
        import duckdb

        try:
            yield
        except (duckdb.Error, RuntimeError, UnicodeError) as error:
            text = _said(error)
            if isinstance(error, duckdb.OutOfMemoryException) or text.startswith("Out of Memory Error"):
                raise DataError(Code.NOT_ENOUGH_MEMORY, f"cannot be read: {text}", self.hint) from error
            text, hint = (None if _converts(error) else self.explain(text)) or (text, self.hint)
            raise DataError(Code.UNREADABLE_FILE, f"cannot be read: {text}", hint) from error

    def count(self) -> int:
        """The number of rows, counted."""
        with self.reading():
            return int(self.query("count(*)")[0][0])

    def query(self, what: str, more: str = "") -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.base.execute(f"SELECT {what} FROM ({self.source}) {more}").fetchall()
        return found

    def stream(self, what: str, rows: int, more: str = "") -> Iterator[tuple[int, list[Any]]]:
        """The answer of a query as record batches of so many rows.

        Only a method that is not public takes the size of a batch; should it go, batches have 131,072 rows.
        """
        text = f"SELECT {what} FROM ({self.source}) {more}"
        try:
            capsule = self.base._submit(text, None, "stream", rows).arrow_capsule()
        except (AttributeError, TypeError):
            capsule = self.base.sql(text).__arrow_c_stream__()
        return batches(capsule)

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Problems]:
        if not requests:
            return {}
        found: dict[str, Array | Problems] = {}
        hows: Hows = {}
        waiting = list(requests)
        while waiting:  # once more for those that must be read in another way
            before = dict(hows)
            try:
                results = self._pass(waiting, hows)
            except DataError as error:
                if not (isinstance(error.__cause__, Exception) and _converts(error.__cause__) and self.guard()):
                    raise
                continue
            waiting = [r for r in waiting if any(hows.get(k) != before.get(k) for k in _keys(r))]
            found |= {name: result for name, result in results.items() if name not in {r.name for r in waiting}}
        return found

    def _pass(self, requests: Sequence[Request], hows: Hows) -> dict[str, Array | Problems]:
        """Read the table once. What must be read in another way is noted in ``hows``, by request and column."""
        with self.reading():
            self.prepare(requests, hows)
        rows, room = self._rows(requests)
        fillings = {r.name: Filling(r, rows, room.take) for r in requests}
        ways: dict[_Key, Way] = {}
        for request in requests:
            for k, column in enumerate(request.columns):
                try:
                    ways[request.name, k] = self.way(self.columns[column], request, hows.get((request.name, k)))
                except DataError as error:
                    fillings[request.name].problems[k] = error
        missing: dict[_Key, int] = {}
        done = 0
        if ways:
            with self.reading():
                done = self._read(ways, fillings, rows, missing, hows)
                for (name, k), row in missing.items():
                    request = fillings[name].request
                    problem = self._unread(request.columns[k], row, request)
                    if problem is None:
                        hows[name, k] = "text"
                    else:
                        fillings[name].problems[k] = problem
        return {name: filling.result(done) for name, filling in fillings.items()}

    def _rows(self, requests: Sequence[Request]) -> tuple[int, Room]:
        """The number of rows that arrays are made for: counted only where a quick bound would take too much memory."""
        rows, room = self.at_most() if self.most is None else self.most, Room()
        row = sum(len(r.columns) * np.dtype(r.kind.dtype).itemsize for r in requests)
        return (rows if room.fits(rows * row) else self.count()), room

    def row_bytes(self, what: str) -> int:
        """About how many bytes a row has: those of the first."""
        size = 1
        for _, columns in self.stream(what, 1, "LIMIT 1"):
            size += sum(part.nbytes for c in columns if isinstance(part := _or_error(c, 0), np.ndarray))
        return size

    def _read(
        self,
        ways: Mapping[_Key, Way],
        fillings: Mapping[str, Filling],
        rows: int,
        missing: dict[_Key, int],
        hows: Hows,
    ) -> int:
        """Fill the arrays; the number of rows."""
        places = {sql: k for k, sql in enumerate(dict.fromkeys(way.sql for way in ways.values()))}
        what = ", ".join(f"{sql} AS c{k}" for sql, k in places.items())
        size = min(max(_BATCH // self.row_bytes(what), 1), _MOST_ROWS)
        done = 0
        for count, columns in self.stream(what, size, "" if self.most is None else f"LIMIT {self.most}"):
            if done + count > rows:
                raise DataError(Code.UNREADABLE_FILE, f"has more rows than it said: {rows}", "write the file again")
            parts: dict[str, Array | DataError] = {}
            for (name, k), way in ways.items():
                filling = fillings[name]
                if k in filling.problems:
                    continue
                if way.sql not in parts:
                    parts[way.sql] = _or_error(columns[places[way.sql]], done)
                part = parts[way.sql]
                if way.unread and (lost := _first_missing(part)) is not None:
                    missing[name, k] = done + lost
                    part = _LATER
                try:
                    filling.put(k, _made(part, way, filling.request, done), done)
                except AnotherWay as another:
                    hows[name, k] = another.how
                    filling.put(k, _LATER, done)
            done += count
            if all(f.closed for f in fillings.values()):
                break
        return done

    def _unread(self, column: str, row: int, request: Request) -> DataError | None:
        """What is wrong with a cell that is no number; None where its column can be read as text."""
        from graphspec.data.convert import FILL_IN, holds_text, is_missing

        [(cell,)] = self.query(self.columns[column], f"LIMIT 1 OFFSET {row}")
        if cell is not None and request.labels is not None:
            return None
        if cell is None or is_missing(cell):
            return DataError(Code.MISSING_VALUE, f"has a missing value or NaN in row {row}", FILL_IN)
        return for_request(holds_text(row, cell), request)


def _made(part: Array | DataError, way: Way, request: Request, first: int) -> Array | DataError:
    """A part of a column as it goes into the array."""
    if isinstance(part, DataError) or request.kind.dtype == "bool" or request.kind.is_float:
        return part
    if way.integers:
        from graphspec.data.convert import exact_integers

        try:
            return exact_integers(part.tolist(), np.dtype(request.kind.dtype), first)
        except DataError as error:
            return error
    if way.doubles and part.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            large = np.abs(part) >= _EXACT
        if large.any():
            if part.ndim == 1:
                raise AnotherWay("integers")
            text = "has integers that were rounded: a double holds them up to 2^53 = 9007199254740992"
            return DataError(Code.LOSSY_CONVERSION, text, "write integers alone into the lists")
    return part


def _keys(request: Request) -> list[_Key]:
    return [(request.name, k) for k in range(len(request.columns))]


def _first_missing(part: Array | DataError) -> int | None:
    if isinstance(part, DataError):
        return None
    missing = np.isnan(part)
    return int(missing.argmax()) if missing.any() else None


def _or_error(column: Any, row: int) -> Array | DataError:
    try:
        return values(column, row)
    except DataError as error:
        return error


def _connect(path: Path) -> Any:
    """A database that reads this file and nothing else."""
    import duckdb

    locked = ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions")
    # One thread: a process with database threads must not be forked.
    base = duckdb.connect(":memory:", config={**dict.fromkeys(locked, "false"), "threads": "1"})
    allowed = ", ".join(quoted(name, "'") for name in (str(path), glob.escape(str(path))))
    base.execute(f"SET allowed_paths = [{allowed}]")
    base.execute("SET enable_progress_bar = false")  # it draws one where it takes the program for an interactive one
    base.execute("SET enable_external_access = false")
    base.execute("SET lock_configuration = true")
    return base


def quoted(name: str, mark: str = '"') -> str:
    return mark + name.replace(mark, mark + mark) + mark


_KIND = re.compile(r"(ArrowArrayStream::get_\w+\(\) failed \(\d+\): )?((Invalid Input|IO|TransactionContext) Error: )?")
_LONGEST = 300


def _said(error: BaseException) -> str:
    """What the database says, without its name for the kind of error."""
    first, *others = _KIND.sub("", str(error).strip(), count=1).splitlines() or [type(error).__name__]
    if first.startswith("CSV Error on Line"):  # the line itself comes next, then what is wrong with it
        reasons = [line for line in others[1:] if line.strip()]
        first = f"line {first.partition(': ')[2]}: {reasons[0]}" if reasons else first
    return first[:_LONGEST].rstrip(". ")


def _converts(error: BaseException) -> bool:
    """Whether this is about a value that does not convert to the type of its column."""
    return "Conversion Error: " in str(error)[:200]
