"""Files of text: their bytes and lines, how they write numbers, and where a row is."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from graphspec.base.files import suffix_of
from graphspec.data.source import DataError, first_line, unreadable
from graphspec.vocabulary.layers.dates import is_date

# Open a data file's bytes or text; ``.gz`` files are decompressed while they are read.
_MAX_LINE = 1 << 24  # characters: longer lines are read in pieces, since a small file may decompress to a huge line


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes. Raises DataError: GS501 if a compressed file is damaged, when that is noticed."""
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path) as file:
            yield file  # type: ignore[misc]  # a GzipFile
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unreadable(f"cannot be decompressed: {first_line(error)}", "compress it again with gzip") from None


@contextmanager
def opened_text(path: Path, encoding: str = "utf-8") -> Iterator[io.TextIOWrapper]:
    """Open a file to read its text, with line ends as they are; characters that are wrong are replaced."""
    with opened(path) as file, io.TextIOWrapper(file, encoding, "replace", newline="") as text:
        yield text


def decoded(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file, block by block; raise DataError (GS501) for the first line that is not in this encoding."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with opened(path) as file:
        block = b"\n"
        while block:
            block = file.read(_BLOCK_BYTES)
            try:
                yield decoder.decode(block, final=not block)
            except UnicodeError as error:  # of UTF-16 without its mark, Python does not say where
                start, read = (error.start, error.object) if isinstance(error, UnicodeDecodeError) else (0, block)
                line += read.count(b"\n", 0, start)
                byte = f"byte 0x{read[start]:02x}"
                what, hint = f"{encoding} ({byte})", "write the `encoding` that it has"
                if encoding == "utf-8":
                    what = f"UTF-8 ({byte}, as Excel writes it)"
                    hint = "save it as UTF-8 (in Excel: CSV UTF-8), or write `encoding: cp1252`"
                raise unreadable(f"cannot be read: line {line:,} is not {what}", hint) from None
            line += block.count(b"\n")


def undecodable(path: Path, encoding: str = "utf-8") -> DataError | None:
    """Return what is wrong with a file that is not in this encoding, None if it is."""
    try:
        deque(decoded(path, encoding), maxlen=0)
    except DataError as error:
        return error
    return None


def lines(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a text."""
    return iter(lambda: file.readline(_MAX_LINE), "")


_MAX_HEADER = 1 << 24  # characters: at most this much of a header line is read
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


def header(path: Path, separator: str | None = None) -> tuple[str, list[str], int]:
    """Return the separator, the names in the first non-blank line, and the number of blank lines before it.

    The separator is the most frequent of ``,;|`` and tab in this line: guessing it from the rows would hide ragged rows.

    Raises DataError: GS501, the file begins with the mark of another encoding.
    """
    with opened_text(path, "utf-8-sig") as file:
        start = bytes(file.buffer.read(4))
        for mark, name in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                key = ", or write `encoding: utf-16`" if name == "UTF-16" else ""
                raise unreadable(f"is {name}, not UTF-8", f"save it as UTF-8{key}")
        file.seek(0)
        blank, line = 0, file.readline(_MAX_HEADER)
        while line and not line.rstrip("\r\n"):
            blank, line = blank + 1, file.readline(_MAX_HEADER)
        if separator is None:
            separator = "\t" if suffix_of(path).startswith(".tsv") else max(",;\t|", key=line.count)
        file.seek(0)
        try:
            names = next(csv.reader(islice(lines(file), blank, None), delimiter=separator), [])
        except csv.Error:
            names = []
    return separator, names, blank


def breaks_within_cells(path: Path) -> bool:
    """Return whether the first MiB has a quoted cell of several lines."""
    with opened_text(path) as file:
        return any(b"\n" in cell for cell in bytes(file.buffer.read(1 << 20)).split(b'"')[1::2])


def uneven(path: Path, separator: str, hint: str | None) -> tuple[str, str | None] | None:
    """Find the first line whose number of cells differs from the header, or two line ends: the database does not."""
    with opened_text(path) as text:
        rows = csv.reader(lines(text), delimiter=separator)
        try:
            width = len(next(row for row in rows if row))
            for line in rows:
                if line and len(line) != width:
                    return f"line {rows.line_num} has {len(line)} values, the header {width} names", hint
        except (csv.Error, StopIteration):
            return None
    ends = set()
    with opened(path) as file:
        while block := file.read(_BLOCK_BYTES):
            both = block.count(b"\r\n")
            ends |= {end for end, n in (("LF", block.count(b"\n") - both), ("CRLF", both)) if n}
    return ("its lines end in CRLF and in LF", "use one line ending") if len(ends) > 1 else None


# The lines of a table's rows in its file, as an editor counts them.
_MAX_TEXT = 1 << 26  # characters of a file whose rows are looked for one by one, about a second
_BLOCK_BYTES = 1 << 20


class Scan(NamedTuple):
    """Properties of a file's bytes."""

    rows: int  # the number of line ends plus one, an upper bound of the number of rows
    underscore: bool  # whether the file contains ``_``
    longest: int  # bytes of the longest line, to within a block of 1 MiB
    lines: int | None  # the number of lines; None if there are quotes, or other line ends than LF and CRLF


def scan(path: Path) -> Scan:
    """Read a file once, block by block."""
    rows, underscore, plain, longest, run, last = 1, False, True, 0, 0, b""
    with opened(path) as file:
        while block := file.read(_BLOCK_BYTES):
            ends = block.count(b"\n")
            if b"\r" in block or last == b"\r":
                lone = block.count(b"\r") - block.count(b"\r\n")
                ends += lone - (last == b"\r" and block[:1] == b"\n")
                plain = plain and not lone
            plain = plain and b'"' not in block
            rows += ends
            run += len(block)
            longest, run = max(longest, run), 0 if ends else run
            underscore, last = underscore or b"_" in block, block[-1:]
    return Scan(rows, underscore, longest, rows - 1 + (last not in (b"\n", b"")) if plain else None)


def row_from_1(row: int) -> str:
    """Return the words for a row of a table whose lines are unknown, given by its index from 0."""
    return f"row {row + 1:,} (counted from 1)"


def lines_of_rows(path: Path, count: int, separator: str | None, scanned: Scan) -> Sequence[int] | None:
    """Return the line in which each row begins; the first line of a file is line 1.

    Return None if the file does not have ``count`` rows, as were read, or is too large to look for them. ``separator``: of
    a file with a header, whose cells may contain line ends in quotes; None for one object a line.
    """
    header = separator is not None
    if scanned.lines == count + header:
        return range(1 + header, count + header + 1)
    try:
        found = np.fromiter(_rows(path, separator), np.int64)
    except (csv.Error, OverflowError):
        return None
    return found.tolist() if len(found) == count else None


def _text(path: Path) -> Iterator[str]:
    done = 0
    with opened_text(path, "utf-8-sig") as file:
        for line in lines(file):
            done += len(line)
            if done > _MAX_TEXT:
                raise OverflowError  # too much text to be searched
            yield line


def _rows(path: Path, separator: str | None) -> Iterator[int]:
    if separator is None:
        yield from (number for number, line in enumerate(_text(path), 1) if line.strip())
        return
    reader = csv.reader(_text(path), delimiter=separator)
    before, is_header = 0, True
    for cells in reader:
        if cells and not is_header:
            yield before + 1
        before, is_header = reader.line_num, is_header and not cells


# Texts that people read as numbers or dates, and tables do not: ``3,5``, ``1,234.50``, ``12 %``, ``$ 9.99``.
WORDS = {  # what texts can be, the most telling first
    "date": "contains dates",
    "percent": "contains percentages",
    "currency": "contains amounts with a currency",
    "thousands": "contains numbers with thousands separators",
    "decimal comma": "contains numbers with decimal commas",
    "number": "contains numbers as text",
}
_DIGITS = r"\d[\d.,'\u00a0\u202f ]*"
_CURRENCY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY)"
_PATTERNS = {
    "percent": re.compile(rf"[+-]?{_DIGITS}%"),
    "currency": re.compile(rf"[+-]?{_CURRENCY}\s*[+-]?{_DIGITS}|[+-]?{_DIGITS}{_CURRENCY}"),
    "thousands": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[+-]?\d{1,3}(?:['\u00a0\u202f ]\d{3})+(?:[.,]\d+)?"),
    "decimal comma": re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+"),
    "number": re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"),
}
GROUPED = {",": ",", ".": r"\.", " ": r"[ \x{a0}\x{202f}]", "'": r"['\x{2019}]"}  # SQL of marks of thousands
_UNITS = rf"(?:%|{_CURRENCY})"
_AMOUNT = re.compile(rf"[+-]?\s*({_UNITS})?\s*([+-]?[\d.,'’\u00a0\u202f ]*\d(?:[eE][+-]?\d+)?)\s*({_UNITS})?")
_MARKS = ((".", None), (".", ","), (",", None), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
MOSTLY = 0.9  # a column of texts with at least this part of numbers is one of numbers with words among them
_LONGEST = 40  # characters of such a text


def forms_of(text: str) -> set[str]:
    """Return what a text can be: those of ``WORDS`` that it fits. ``1,234`` has thousands separators or a decimal comma."""
    text = text.strip()
    if len(text) > _LONGEST:
        return set()
    found = {form for form, pattern in _PATTERNS.items() if pattern.fullmatch(text)}
    return found | {"date"} if "-" in text and is_date(text, None) else found


def number_pattern(decimal: str, thousands: str | None) -> str:
    """Return the regular expression of a number. Without ``thousands``, points group the digits before a decimal comma.

    Groups begin with another digit than 0: ``0,125`` has a decimal comma.
    """
    end = r"([eE][+-]?\d+)?\s*"
    if thousands is None and decimal == ",":
        return rf"\s*[+-]?(\d*|\d{{1,3}}(\.\d{{3}})+),\d+{end}"
    groups = "" if thousands is None else rf"|[1-9]\d{{0,2}}({GROUPED[thousands]}\d{{3}})+"
    mark = re.escape(decimal)
    return rf"\s*[+-]?((\d+{groups})({mark}\d*)?|{mark}\d+){end}"


def marks_of(cells: Sequence[str], share: float) -> tuple[tuple[str, str | None], set[str]] | None:
    """Return the decimal mark and the mark of thousands of cells that are numbers, and what stands beside them.

    Plain numbers have the marks ``.`` and None. If less than ``share`` of the cells are numbers, return None.
    """
    found = [match for cell in cells if len(cell) <= _LONGEST and (match := _AMOUNT.fullmatch(cell.strip()))]
    if not cells or len(found) < share * len(cells):
        return None
    units = {unit for match in found for unit in (match[1], match[3]) if unit}
    for decimal, thousands in _MARKS:
        pattern = re.sub(r"\\x\{(\w+)\}", lambda code: chr(int(code[1], 16)), number_pattern(decimal, thousands))
        fits = re.compile(pattern if (decimal, thousands) != (",", None) else rf"{pattern}|[+-]?\d+")
        if sum(bool(fits.fullmatch(match[2])) for match in found) >= share * len(cells):
            return (decimal, thousands), units
    return None
