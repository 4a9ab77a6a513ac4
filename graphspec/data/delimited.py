"""``.csv`` and ``.tsv`` files. Every cell is text; a column is numeric only if all its cells are."""

from __future__ import annotations

import csv
import glob
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from graphspec.base.codes import Code
from graphspec.data.arrow import values
from graphspec.data.compressed import header, lines, opened, opened_text
from graphspec.data.convert import MISSING_TEXTS, is_missing, is_number
from graphspec.data.database import ColumnRead, Overrides, Table, quoted
from graphspec.data.problems.number_formats import GROUPED, number_pattern
from graphspec.data.problems.places import Scan, lines_of_rows, scan
from graphspec.data.source import DataError, Request
from graphspec.language.declarations import TextForm

# Rows that decide whether a column is first read as numbers or as text; a later cell of text makes it read again as text.
_SAMPLE_ROWS = 2048
_SAMPLE_CELLS = 1 << 17  # at most this many cells in the sample: wide tables have fewer sample rows
_STRING_BYTES = 64  # bytes of a Python string besides its characters
_MAX_COLUMNS = 100_000  # the database needs time in proportion to the square of the number of columns
_BLOCK_BYTES = 1 << 20  # bytes read at a time
_SPACES = "".join(c for c in map(chr, range(0x3001)) if c.isspace())
_QUOTE = "'"


class Delimited(Table):
    """A table with a header, its cells separated by one of ``,;|`` and tab.

    Args:
        form: how its text is read. Only numbers are: texts stay as they are written.
    """

    hint = "a table starts with a line of column names"
    is_text = of_texts = True

    def __init__(self, path: Path, form: TextForm = TextForm()) -> None:  # noqa: B008 (it does not change)
        self._separator, self._header, self._blank = header(path, form.delimiter)
        self._form = form
        self._raw: dict[str, str] = {}  # the cells as they are, by the SQL of cells with decimal points
        if len(self._header) > _MAX_COLUMNS:
            text = f"has {len(self._header):,} columns, more than {_MAX_COLUMNS:,}"
            raise DataError(Code.UNREADABLE_FILE, text, "write rows of this width as an array to an .npz file")
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
            all_varchar=True,  # a label "no" is not a boolean, a label "2020-01-01" is not a date
        )

    def read_names(self) -> None:
        """Use the names of the header: the database renames duplicates."""
        given = [name.strip() for name in self._header]
        if len(given) == len(self.names):
            own = [name or theirs for name, theirs in zip(given, self.names, strict=True)]
            self.columns = {name: self.columns[theirs] for name, theirs in zip(own, self.names, strict=True)}
            self.names, self.ambiguous = own, duplicates(own)
        written = dict(self.columns)
        form = self._form
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
        names = [n for n in dict.fromkeys(self.columns[c] for r in requests for c in r.columns) if n not in self._text]
        rows = max(min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(len(names), 1)), 1)
        missing = {self.columns[c]: r.missing for r in requests for c in r.columns}
        for count, columns in self.stream(", ".join(names), rows, f"LIMIT {rows}") if names else ():
            for name, column in zip(names, columns, strict=True):
                cells = [cell for cell in values(column, 0).tolist() if cell is not None]
                others = [cell for cell in cells if not is_number(cell)]
                self._text[name] = bool(others)
                self._junk[name] = not all(is_missing(cell, missing[name]) for cell in others)
                self._bytes[name] = sum(map(len, cells)) // count + _STRING_BYTES

    def first_cells(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the cells of the first rows of each column, as they are written, without those that mean a missing value."""
        names = [name for name in self.names if name not in self.ambiguous]
        rows = max(min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(len(names), 1)), 1)
        with self.reading():
            for _, columns in self.stream(", ".join(map(self.as_written, names)), rows, f"LIMIT {rows}"):
                for name, column in zip(names, columns, strict=True):
                    yield name, [c for c in values(column, 0).tolist() if c is not None and not is_missing(c)]

    def row_bytes(self, what: str) -> int:
        return sum(self._bytes.values()) + 1

    def guard_casts(self) -> bool:
        """Put casts into a CASE: the database may otherwise trust a TRY_CAST, and fail at a cell that does not convert."""
        before, self._casts_guarded = self._casts_guarded, True
        return not before

    def column_read(self, column: str, request: Request, override: str | None) -> ColumnRead:
        raw = self._raw.get(column, column)
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

    def _number(self, column: str, missing: Sequence[str] | None) -> str:
        """Return SQL for a cell as a number: NULL for text, NaN for the texts ``missing`` (None: NULL for them, too).

        The database parses ``1_000`` as a number, hence the guard.
        """
        number = f"TRY_CAST({column} AS DOUBLE)"
        if self._casts_guarded:
            number = f"CASE WHEN contains({column}, '_') THEN NULL ELSE {number} END"
        if missing is None:
            return number
        cell = f"trim({column}, {quoted(_SPACES, _QUOTE)})"
        texts, own = (", ".join(_text(t) for t in some) for some in (MISSING_TEXTS[: len(missing)], missing))
        absent = f"{column} IS NULL OR lower({cell}) IN ({texts}) OR {cell} IN ({own})"
        return f"coalesce({number}, CASE WHEN {absent} THEN 'nan'::DOUBLE END)"

    def lines_of_rows(self) -> Sequence[int] | None:
        return lines_of_rows(self.path, self.count(), self._separator, self._scanned())

    def explain(self, message: str) -> tuple[str, str | None] | None:
        """Find the first line whose number of cells differs from the header: the database does not report it."""
        ends = set()
        with opened_text(self.path) as file:
            rows = csv.reader(lines(file), delimiter=self._separator)
            try:
                width = len(next(row for row in rows if row))
                for line in rows:
                    if line and len(line) != width:
                        return f"line {rows.line_num} has {len(line)} values, the header {width} names", self.hint
            except (csv.Error, StopIteration):
                return None
        with opened(self.path) as file:
            while block := file.read(_BLOCK_BYTES):
                lone = block.count(b"\n") - block.count(b"\r\n")
                ends |= {end for end, n in (("LF", lone), ("CRLF", block.count(b"\r\n"))) if n}
        return ("its lines end in CRLF and in LF", "use one line ending") if len(ends) > 1 else None


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
    number = cell if other is None else f"regexp_replace({cell}, {_text(GROUPED[other])}, '', 'g')"
    point = f"WHEN regexp_full_match({column}, {_text(_POINT)}) THEN {column} || ' (with a point)' "
    return (
        f"CASE WHEN regexp_full_match({cell}, {_text(number_pattern(decimal, thousands))}) "
        f"THEN replace({number}, '{decimal}', '.') {point if decimal == ',' else ''}ELSE {column} END"
    )


def _text(text: str) -> str:
    return quoted(text, _QUOTE)


def duplicates(names: Sequence[str]) -> dict[str, str]:
    """Return the names that occur more than once (ignoring case), each with a message that lists the columns."""
    columns = defaultdict(list)
    for number, name in enumerate(names, 1):
        columns[name.casefold()].append((number, name))
    found: dict[str, str] = {}
    for group in columns.values():
        if len(group) > 1:
            where = " and ".join(f"'{name}' (column {number})" for number, name in group[:4])
            found |= {name: f"has {where}" for _, name in group}
    return found
