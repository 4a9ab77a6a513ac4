"""Tables: .csv and .tsv, .parquet, .jsonl, and the data frames of any library."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.memory import human
from graphspec.base.errors import UsageError
from graphspec.data import text_files
from graphspec.data.convert import MISSING_TEXTS, is_missing, is_number
from graphspec.data.database import ColumnRead, Overrides, Table, quoted, values
from graphspec.data.source import DATES, DataError, Filled, Request, at, lossy, unreadable, wrong_shape
from graphspec.data.text_files import Scan, header, lines_of_rows, number_pattern, opened_text, scan, uneven
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.language.declarations import TextForm

# ``.csv`` and ``.tsv`` files. Every cell is text; a column is numeric only if all its cells are.

_SAMPLE_ROWS = 2048  # that decide how a column is first read; a later cell of text makes it read again as text
_SAMPLE_CELLS = 1 << 17  # at most this many cells in the sample: wide tables have fewer sample rows
_STRING_BYTES = 64  # bytes of a Python string besides its characters
_MAX_COLUMNS = 100_000  # the database needs time in proportion to the square of the number of columns


class Delimited(Table):
    """A table with a header, its cells separated by one of ``,;|`` and tab.

    ``form``: how its text is read. Only numbers are: texts stay as they are written.
    """

    hint = "a table starts with a line of column names"
    is_text = of_texts = True

    def __init__(self, path: Path, form: TextForm = TextForm()) -> None:  # noqa: B008 (it does not change)
        self._separator, self._header, self._blank = header(path, form.delimiter)
        if len(self._header) > _MAX_COLUMNS:
            text = f"has {len(self._header):,} columns, more than {_MAX_COLUMNS:,}"
            raise unreadable(text, "write rows of this width as an array to an .npz file")
        self._form = form
        self._raw: dict[str, str] = {}  # the cells as they are, by the SQL of cells with decimal points
        self._scan: Scan | None = None
        self._casts_guarded = False
        self._text: dict[str, bool] = {}
        self._junk: dict[str, bool] = {}
        self._bytes: dict[str, int] = {}
        super().__init__(path)

    def open(self, connection: Any) -> Any:
        return connection.read_csv(
            glob.escape(str(self.path)),
            header=True,
            skiprows=self._blank,
            sample_size=_SAMPLE_ROWS,
            sep=self._separator,
            quotechar='"',
            escapechar='"',
            comment="",
            parallel=not text_files.breaks_within_cells(self.path),  # the database loses its place in long texts
            all_varchar=True,  # a label "no" is not a boolean, a label "2020-01-01" is not a date
        )

    def read_names(self) -> None:
        given = [name.strip() for name in self._header]
        self.use_names([name or theirs for name, theirs in zip(given, self.names, strict=False)], len(given))
        written, form = dict(self.columns), self._form
        if form.decimal == "." and form.thousands is None and not form.strip:
            return
        self.columns = {name: _plain(sql, *form.marks(name), form.strip) for name, sql in written.items()}
        self._raw = {sql: written[name] for name, sql in self.columns.items()}
        self.types = {sql: self.types[column] for sql, column in self._raw.items()}

    def as_written(self, name: str) -> str:
        return self._raw.get(self.columns[name], self.columns[name])

    def row_bound(self) -> int:
        return self._scanned().rows

    def _scanned(self) -> Scan:
        if self._scan is None:
            self._scan = scan(self.path)
            self._casts_guarded |= self._scan.underscore
        return self._scan

    def prepare(self, requests: Sequence[Request], overrides: Overrides) -> None:
        self._scanned()
        missing = {self.columns[c]: r.missing for r in requests for c in r.columns}
        for name, cells in self._first_cells([n for n in missing if n not in self._text]):
            texts = [cell for cell in cells if cell is not None]
            words = [text for text in texts if not is_number(text)]
            self._text[name], self._junk[name] = bool(words), not all(is_missing(w, missing[name]) for w in words)
            self._bytes[name] = sum(map(len, texts)) // len(cells) + _STRING_BYTES

    def _first_cells(self, names: Sequence[str]) -> Iterator[tuple[str, list[str | None]]]:
        """Yield the cells of the first rows of each column, which is named by its SQL."""
        rows = max(min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(len(names), 1)), 1)
        for _, columns in self.stream(", ".join(names), rows, f"LIMIT {rows}") if names else ():
            for name, column in zip(names, columns, strict=True):
                yield name, values(column, 0).tolist()

    def first_cells(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the cells of the first rows of each column, as they are written, without those that mean a missing value."""
        names = {self.as_written(name): name for name in self.names if name not in self.ambiguous}
        with self.reading():
            for sql, cells in self._first_cells(list(names)):
                yield names[sql], [cell for cell in cells if cell is not None and not is_missing(cell)]

    def row_bytes(self, what: str) -> int:
        return sum(self._bytes.values()) + 1

    def guard_casts(self) -> bool:
        """Put casts into a CASE: the database may otherwise trust a TRY_CAST, and fail at a cell that does not convert."""
        before, self._casts_guarded = self._casts_guarded, True
        return not before

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        raw = self._raw.get(column, column)
        if request.lists:
            raise wrong_shape("has one text in each row, not a list", 'write lists in JSON Lines: `["a", "b"]`')
        if request.type.is_string or (request.is_sequence and not request.stacked):  # a word of digits is a word
            return ColumnRead(raw, text=True)
        if override == "integers":
            return ColumnRead(column, integers=True)
        junk = self._junk if request.gaps and request.labels is None else self._text
        is_text = override == "text" or junk.get(column)
        packed = request.learns_labels and not request.stacked
        column = raw if packed or request.labels is not None else column
        if is_text:
            return ColumnRead(column, text=packed)
        missing = None
        if request.gaps:
            missing = (*MISSING_TEXTS, *request.missing) if request.labels is None else MISSING_TEXTS[:1]
        return ColumnRead(self._number(column, missing), rounded_to_doubles=True, null_may_be_text=True)

    def _number(self, column: str, missing: tuple[str, ...] | None) -> str:
        """Return SQL for a cell as a number: NULL for text, NaN for the texts ``missing`` (None: NULL for them, too).

        The database parses ``1_000`` as a number, hence the guard.
        """
        number = f"TRY_CAST({column} AS DOUBLE)"
        if self._casts_guarded:
            number = f"CASE WHEN contains({column}, '_') THEN NULL ELSE {number} END"
        if missing is None:
            return number
        cell, texts = f"trim({column}, {_BLANK})", _listed(MISSING_TEXTS[: len(missing)])
        absent = f"{column} IS NULL OR lower({cell}) IN ({texts}) OR {cell} IN ({_listed(missing)})"
        return f"coalesce({number}, CASE WHEN {absent} THEN 'nan'::DOUBLE END)"

    def lines_of_rows(self) -> Sequence[int] | None:
        return lines_of_rows(self.path, self.count(), self._separator, self._scanned())

    def explain(self, message: str) -> tuple[str, str | None] | None:
        return uneven(self.path, self._separator, self.hint)


_POINT = r"\s*[+-]?(\d+\.\d*|\.\d+|\d{1,3}(\.\d{3})+)([eE][+-]?\d+)?\s*"
_BLANKS = r"[\s\x{a0}\x{202f}]*"


def _plain(column: str, decimal: str, thousands: str | None, strip: Sequence[str]) -> str:
    """Return SQL for a cell as a plain number if it is one in this form. With decimal commas, a point makes it a text."""
    if (decimal, thousands) == (".", None) and not strip:
        return column
    cell, ends = column, "|".join(map(re.escape, strip))
    if strip:
        cell = f"regexp_replace({cell}, {_text(f'^{_BLANKS}([+-]?){_BLANKS}({ends}){_BLANKS}')}, '\\1')"
        cell = f"regexp_replace({cell}, {_text(f'{_BLANKS}({ends}){_BLANKS}$')}, '')"
    other = "." if decimal == "," and thousands is None else thousands
    number = cell if other is None else f"regexp_replace({cell}, {_text(text_files.GROUPED[other])}, '', 'g')"
    point = f"WHEN regexp_full_match({column}, {_text(_POINT)}) THEN {column} || ' (with a point)' "
    return (
        f"CASE WHEN regexp_full_match({cell}, {_text(number_pattern(decimal, thousands))}) "
        f"THEN replace({number}, '{decimal}', '.') {point if decimal == ',' else ''}ELSE {column} END"
    )


def _text(text: str) -> str:
    return quoted(text, "'")


_BLANK = _text("".join(c for c in map(chr, range(0x3001)) if c.isspace()))


@cache
def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(map(_text, texts))


# Tables whose values have types: ``.parquet``, and ``.jsonl`` with one object per line.
_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_SUPPORTED = frozenset((*_INTEGERS, "boolean", "float", "double", "varchar", "null"))
_WIDE = frozenset(("hugeint", "uhugeint", "decimal", "bignum"))  # no NumPy dtype: doubles, or digits of integers
NUMBERS = frozenset((*_INTEGERS, *_WIDE, "float", "double"))
_MAX_LINE = 1 << 24  # bytes of a line of JSON: the database parses longer ones slowly, and keeps several of them
_TEXTS = frozenset((*_INTEGERS, *_WIDE, "boolean", "varchar", "null", "enum", "json", "uuid"))
_NESTED = frozenset(("struct", "map", "union"))


class Typed(Table):
    """A table whose columns have types."""

    rounded: frozenset[str] = frozenset()  # types into which the database may have rounded integers
    with_text: frozenset[str] = _TEXTS  # types whose values have a text, besides dates and times

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        sql_type = self.types[column]
        inner, depth = _inner(sql_type)
        lists = "[]" * depth
        text = f"CAST({column} AS VARCHAR{lists})"
        if request.lists and (request.type.is_string or inner in ("varchar", "enum", "null", "json")):
            if inner not in self.with_text or depth != 1:
                raise lossy(f"contains values of type {sql_type}, which are not lists of texts", "store lists of texts")
            return ColumnRead(text, text=True, lists=True)
        if request.type.is_string:
            if inner not in self.with_text and not inner.startswith((*DATES, "time")):
                raise lossy(f"contains values of type {sql_type}, which are not text", "store text or integers")
            return ColumnRead(text, text=True)
        if depth == 0 and not request.stacked:
            booleans = inner == "boolean" and request.learns_labels and not request.type.is_float  # no class ids
            if booleans or (inner in ("varchar", "enum") and (request.learns_labels or request.is_sequence)):
                return ColumnRead(text, text=True)
        if override == "integers":
            return ColumnRead(column, integers=True)
        if inner in _WIDE:
            if depth == 0 and not request.type.is_float:
                return ColumnRead(text, integers=True)
            return ColumnRead(f"CAST({column} AS DOUBLE{lists})", rounded_to_doubles=True)
        if inner == "enum":
            return ColumnRead(text)
        if inner not in _SUPPORTED:
            raise lossy(f"contains values of type {sql_type}, which are not numbers", "store numbers or text")
        if depth == 0 and inner in _INTEGERS[:-1] and request.gaps and not request.type.is_float:
            return ColumnRead(f"coalesce(CAST({column} AS BIGINT), {MISSING_INTEGER})")
        if depth:  # a list of fixed length becomes a list of any length
            column = f"CAST({column} AS {inner}{lists})"
        return ColumnRead(column, rounded_to_doubles=inner in self.rounded)


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
        file = quoted(glob.escape(str(self.path)), "'")
        rows = self.connection.execute(f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({file})").fetchall()
        own, nested = [], 0  # the fields nested in a column that are still to be skipped
        for name, children in rows[1:]:
            if not nested:
                own.append(name)
            nested = max(nested - 1, 0) + children
        self.use_names(own, len(own))


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
            raise unreadable(text, "store texts and lists of this length in separate files")
        found = self._lines(connection, sample_size=-1)
        if found.columns == ["json"] and (line := self._no_object()) is not None:
            raise unreadable(f"cannot be read: line {line} is not an object", self.hint)
        types = dict(zip(found.columns, found.types, strict=True))
        odd = {}
        for name, sql_type in types.items():
            inner, depth = _inner(sql_type)
            if inner not in _SUPPORTED | _WIDE | _NESTED:  # a label "2020-01-01" is not a date
                odd[name] = "VARCHAR" + "[]" * depth
        self._kinds = {name: str(sql_type) for name, sql_type in types.items()} | odd
        return self._lines(connection, columns=self._kinds) if odd else found

    def row_bound(self) -> int:
        return self._scan.rows

    def prepare(self, requests: Sequence[Request], overrides: Overrides) -> None:
        """Read columns as text if texts are wanted, or if their integers must be parsed from the digits."""
        self._texts = {c for r in requests for c in r.columns if r.type.is_string}
        self._digits = {r.columns[k] for r in requests for k in range(len(r.columns)) if (r.name, k) in overrides}
        if names := self._digits | self._texts:
            text = {c: "VARCHAR" + "[]" * _inner(self.types[self.columns[c]])[1] for c in names}
            self.source = self._lines(self.connection, columns=self._kinds | text).sql_query()

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        found = super().column_read(column, request, override)
        if override is None and not found.text:
            if column in map(quoted, self._digits):
                return ColumnRead(f"TRY_CAST({column} AS DOUBLE)")
            if column in map(quoted, self._texts):
                return found._replace(sql=found.sql.replace(column, f"CAST({column} AS {self.types[column]})"))
        return found

    def _lines(self, connection: Any, **options: Any) -> Any:
        # Without the two limits, DuckDB reads lines of many keys, or of rare ones, as one column `json` of maps.
        options |= {} if "columns" in options else {"map_inference_threshold": -1, "field_appearance_threshold": 0.0}
        return connection.read_json(glob.escape(str(self.path)), format="newline_delimited", **options)

    def lines_of_rows(self) -> Sequence[int] | None:
        return lines_of_rows(self.path, self.count(), None, self._scan)

    def explain(self, message: str) -> tuple[str, str | None] | None:
        keys = re.search(r"the keys ('.*' and '.*') differ only in case", message)
        return None if keys is None else (f"its keys {keys[1]} differ only in case", "give each a unique name")

    def _no_object(self) -> int | None:
        """Return the number of the first line that is not a JSON object, None if all are."""
        with opened_text(self.path) as file:
            texts = ((number, line.lstrip()) for number, line in enumerate(file, 1))
            return next((number for number, line in texts if line and not line.startswith("{")), None)


# Data frames, tables and columns of any library with the Arrow C stream interface (``__arrow_c_stream__``).
_ONLY, _COPY = "values", "frame"
_EXPORTS = ("__arrow_c_stream__", "__arrow_c_array__")


class Column:
    """A column of a library as a stream of rows with the single field ``values``; nothing is copied.

    Raises NotImplementedError: the column has a type that nanoarrow does not copy.
    """

    def __init__(self, value: Any) -> None:
        import nanoarrow as na

        if hasattr(value, "__arrow_c_stream__"):
            stream = na.c_array_stream(value)
            schema, batches = stream.get_schema(), list(stream)
        else:
            batches = [na.c_array(value)]
            schema = batches[0].schema
        if schema.format.startswith("v"):
            raise NotImplementedError("nanoarrow 0.9 ends the process when it copies a view of texts")
        self._row = na.c_schema(na.struct({_ONLY: schema}))
        self._batches = [na.c_array_from_buffers(self._row, len(b), [None], children=[b]) for b in batches]

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        from nanoarrow.c_array_stream import CArrayStream

        return CArrayStream.from_c_arrays(self._batches, self._row).__arrow_c_stream__()


class Frame(Typed):
    """A frame in memory, read like a table in a file.

    ``value``: what has ``__arrow_c_stream__``; ``wanted``: the columns to copy if the value can be exported only once;
    None if it can be exported again and again.
    """

    hint = "give the columns as NumPy arrays"

    def __init__(self, value: Any, wanted: Sequence[str] | None = None) -> None:
        from nanoarrow.c_array_stream import c_array_stream

        stream = c_array_stream(value)
        self._own, self._wanted = [child.name for child in stream.get_schema().children], wanted
        self._exported = _Exported(value) if wanted is None else stream.__arrow_c_stream__()
        super().__init__(Path(os.devnull))

    def place(self, row: int) -> str:
        return at(row)

    def open(self, connection: Any) -> Any:
        relation = connection.from_arrow(self._exported)
        if self._wanted is not None:
            theirs = dict(zip(self._own, relation.columns, strict=True))
            self._own = [name for name in dict.fromkeys(self._wanted) if name in theirs]
            relation.project(", ".join(quoted(theirs[name]) for name in self._own) or "NULL").create(_COPY)
            relation = connection.table(_COPY)
        self._relation = relation  # queries read the frame only while it is alive
        return relation

    def read_names(self) -> None:
        """Use the names of the frame: the database renames those that differ only in case."""
        if self._own:
            self.columns = {name: self.columns[theirs] for name, theirs in zip(self._own, self.names, strict=True)}
        self.names = self._own


class _Exported:
    """A frame of which the database sees only that it is exported, not of which library it is."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self._value.__arrow_c_stream__(requested_schema)


class FrameColumn(NamedTuple):
    """A column that is read when it is checked."""

    frame: Frame
    column: str


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame or a table: named columns, which it exports as Arrow streams."""
    if hasattr(value, "columns") or hasattr(value, "column_names") or not hasattr(value, "__arrow_c_stream__"):
        return hasattr(value, "__arrow_c_stream__")
    if hasattr(value, "dtype"):  # one column, such as a Series
        return False
    from nanoarrow.c_schema import c_schema

    for key in ("type", "schema"):  # pyarrow's columns have a type, streams a schema
        if hasattr(kind := getattr(value, key, None), "__arrow_c_schema__"):
            return bool(c_schema(kind).format == "+s")
    return True


def columns_of(frame: Any, wanted: Iterable[str]) -> dict[str, Any]:
    """Return the wanted columns of a frame, as arrays or read later. Raises UsageError: nothing in it can be read."""
    names = getattr(frame, "column_names", None)
    names = getattr(frame, "columns", None) if names is None else names
    labels = None if names is None or callable(names) else {str(label): label for label in names}
    chosen = [name for name in dict.fromkeys(wanted) if labels is None or name in labels]
    if not chosen:
        return {}
    has_items, part = hasattr(frame, "__getitem__"), frame
    try:
        if labels is not None and has_items:
            part = frame.select(chosen) if hasattr(frame, "select") else frame[[labels[n] for n in chosen]]
        table = Frame(part, None if has_items else chosen)
    except Exception as error:  # any error of the library, such as ImportError of pandas without pyarrow
        if labels is None or not has_items:
            raise UsageError(f"the data frame cannot be read: {error}") from None
        return {name: np.asarray(frame[labels[name]]) for name in chosen}
    return {name: FrameColumn(table, name) for name in chosen if name in table.names}


def column_or_value(value: Any) -> Any:
    """Return a column of a library, such as a Series, as a :class:`FrameColumn`; other values as they are."""
    if isinstance(value, np.ndarray) or not any(hasattr(value, name) for name in _EXPORTS) or is_frame(value):
        return value
    if isinstance(dtype := getattr(value, "dtype", None), np.dtype) and dtype.kind in "fiub":
        return value
    try:
        return FrameColumn(Frame(Column(value)), _ONLY)
    except Exception:  # any error of the library, such as ImportError of pandas without pyarrow
        return np.asarray(value)


def fill_from_frames(wanted: Mapping[str, tuple[Request, FrameColumn]]) -> Filled:
    """Return the arrays of requests by name, or their problems; each frame is read once for all its columns."""
    frames: dict[int, tuple[Frame, list[Request]]] = {}
    for request, (frame, column) in wanted.values():
        frames.setdefault(id(frame), (frame, []))[1].append(replace(request, columns=[column]))
    found: Filled = {}
    for frame, requests in frames.values():
        try:
            found |= frame.fill(requests)
        except DataError as error:
            found |= {request.name: {0: error} for request in requests}
    return found
