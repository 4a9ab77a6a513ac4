"""``.csv`` and ``.tsv`` files. Every cell is text; whether a column holds numbers is decided over the whole file."""

from __future__ import annotations

import codecs
import csv
import glob
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from graphspec.codes import Code
from graphspec.data.arrow import values
from graphspec.data.convert import is_number
from graphspec.data.database import Hows, Table, Way
from graphspec.data.source import DataError, Request

_SAMPLE = 2048
"""Rows after which a column is taken for numbers or for text, fewer of wide tables; the rest of the file is held to it."""
_CELLS = 1 << 17
_OBJECT = 64
"""Bytes of a piece of text beside its characters."""
_HEADER = 1 << 24
_MOST_COLUMNS = 100_000
"""The database's time grows with the square of it."""
_CHUNK = 1 << 20


class Delimited(Table):
    """A table with a header, its cells separated by one of ``,;|`` and tab."""

    hint = "a table starts with a line of column names"

    def __init__(self, path: Path) -> None:
        _refuse_encoding(path)
        self._separator, self._header, self._blank = _header(path)
        if len(self._header) > _MOST_COLUMNS:
            text = f"has {len(self._header):,} columns, more than {_MOST_COLUMNS:,}"
            raise DataError(Code.UNREADABLE_FILE, text, "write rows of so many numbers as an array into an .npz file")
        self._most, self._guarded = 0, False
        self._text: dict[str, bool] = {}
        self._bytes: dict[str, int] = {}
        super().__init__(path)

    def open(self, base: Any) -> Any:
        return base.read_csv(
            glob.escape(str(self.path)),
            header=True,
            skiprows=self._blank,
            sample_size=_SAMPLE,
            sep=self._separator,
            quotechar='"',
            escapechar='"',
            comment="",
            all_varchar=True,  # a label "no" is no boolean, a label "2020-01-01" no date
        )

    def look(self) -> None:
        """Names as the header has them: the database gives those that stand twice other ones."""
        given = [name.strip() for name in self._header]
        if len(given) != len(self.names):
            return
        own = [name or theirs for name, theirs in zip(given, self.names, strict=True)]
        self.columns = {name: self.columns[theirs] for name, theirs in zip(own, self.names, strict=True)}
        self.names, self.doubtful = own, stand_twice(own)

    def at_most(self) -> int:
        return self._most

    def prepare(self, requests: Sequence[Request], hows: Hows) -> None:
        if self._most == 0:
            scanned = scan(self.path)
            self._most, self._guarded = scanned.rows, scanned.underscore
        names = [n for n in dict.fromkeys(self.columns[c] for r in requests for c in r.columns) if n not in self._text]
        rows = max(min(_SAMPLE, _CELLS // max(len(names), 1)), 1)
        for count, columns in self.stream(", ".join(names), rows, f"LIMIT {rows}") if names else ():
            for name, column in zip(names, columns, strict=True):
                cells = [cell for cell in values(column, 0).tolist() if cell is not None]
                self._text[name] = not all(map(is_number, cells))
                self._bytes[name] = sum(map(len, cells)) // count + _OBJECT

    def row_bytes(self, what: str) -> int:
        return sum(self._bytes.values()) + 1

    def guard(self) -> bool:
        """The database may take a cast for a promise, and fail where a cell does not keep it; not behind a condition."""
        before, self._guarded = self._guarded, True
        return not before

    def way(self, column: str, request: Request, how: str | None) -> Way:
        if how == "integers":
            return Way(column, integers=True)
        if how == "text" or self._text.get(column):
            return Way(column)
        return Way(self._number(column), doubles=True, unread=True)

    def _number(self, column: str) -> str:
        """A cell as a number, NULL for other text. The database takes ``1_000`` for one; guarded files have a ``_``."""
        number = f"TRY_CAST({column} AS DOUBLE)"
        return f"CASE WHEN contains({column}, '_') THEN NULL ELSE {number} END" if self._guarded else number

    def explain(self, said: str) -> tuple[str, str | None] | None:
        """The first line with another number of cells than the header: the database names none."""
        ends = set()
        with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
            lines = csv.reader(file, delimiter=self._separator)
            try:
                width = len(next(row for row in lines if row))
                for line in lines:
                    if line and len(line) != width:
                        return f"line {lines.line_num} has {len(line)} values, the header {width} names", self.hint
            except (csv.Error, StopIteration):
                return None
        with self.path.open("rb") as file:
            while block := file.read(_CHUNK):
                lone = block.count(b"\n") - block.count(b"\r\n")
                ends |= {end for end, n in (("LF", lone), ("CRLF", block.count(b"\r\n"))) if n}
        return ("its lines end in CRLF and in LF", "write all with the same end") if len(ends) > 1 else None


class Scan(NamedTuple):
    """What the bytes of a file tell.

    Attributes:
        rows: the number of ends of lines and one, which rows do not exceed.
        underscore: whether there is a ``_``.
        longest: bytes of the longest line, where that is more than a mebibyte.
    """

    rows: int
    underscore: bool
    longest: int


def scan(path: Path) -> Scan:
    rows, underscore, longest, run, last = 1, False, 0, 0, b""
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            ends = block.count(b"\n")
            if b"\r" in block or last == b"\r":
                ends += block.count(b"\r") - block.count(b"\r\n") - (last == b"\r" and block[:1] == b"\n")
            rows += ends
            run += len(block)
            longest = max(longest, run)
            run = 0 if ends else run
            underscore, last = underscore or b"_" in block, block[-1:]
    return Scan(rows, underscore, longest)


def stand_twice(names: Sequence[str]) -> dict[str, str]:
    """The names that stand more than once, case not counted, and where."""
    places = defaultdict(list)
    for place, name in enumerate(names, 1):
        places[name.casefold()].append((place, name))
    found: dict[str, str] = {}
    for group in places.values():
        if len(group) > 1:
            where = " and ".join(f"'{name}' (column {place})" for place, name in group[:4])
            found |= {name: f"has {where}" for _, name in group}
    return found


_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


def _refuse_encoding(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            raise DataError(Code.UNREADABLE_FILE, f"is {name}, not UTF-8", "save it as UTF-8")


def _header(path: Path) -> tuple[str, list[str], int]:
    """The separator, the names of the first line that is not blank, and how many are before it.

    The separator is the character of ``,;|`` and tab that this line has most of: guessing from the rows hides ragged ones.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        blank, line = 0, file.readline(_HEADER)
        while line and not line.rstrip("\r\n"):
            blank, line = blank + 1, file.readline(_HEADER)
        separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=line.count)
        file.seek(0)
        try:
            names = next(csv.reader(islice(file, blank, None), delimiter=separator), [])
        except csv.Error:
            names = []
    return separator, names, blank
