"""Open a data file's bytes or text; ``.gz`` files are decompressed while they are read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from graphspec.base.codes import Code
from graphspec.base.files import suffix_of
from graphspec.data.source import DataError, first_line

_MAX_LINE = 1 << 24  # characters: longer lines are read in pieces, since a small file may decompress to a huge line


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes.

    Raises:
        DataError: GS501 if a compressed file is damaged, when that is noticed.
    """
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path) as file:
            yield file  # type: ignore[misc]  # a GzipFile
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        text = f"cannot be decompressed: {first_line(error)}"
        raise DataError(Code.UNREADABLE_FILE, text, "compress it again with gzip") from None


@contextmanager
def opened_text(path: Path, encoding: str = "utf-8") -> Iterator[io.TextIOWrapper]:
    """Open a file to read its text, with line ends as they are; characters that are wrong are replaced."""
    with opened(path) as file, io.TextIOWrapper(file, encoding, "replace", newline="") as text:
        yield text


def decoded(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file, block by block.

    Raises:
        DataError: GS501 for the first line that is not in this encoding.
    """
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with opened(path) as file:
        while True:
            block = file.read(1 << 20)
            try:
                yield decoder.decode(block, final=not block)
            except UnicodeError as error:  # of UTF-16 without its mark, Python does not say where
                start = error.start if isinstance(error, UnicodeDecodeError) else 0
                read = error.object if isinstance(error, UnicodeDecodeError) else block
                line += read.count(b"\n", 0, start)
                byte = f"byte 0x{read[start]:02x}"
                text = f"cannot be read: line {line:,} is not {encoding} ({byte})"
                hint = "write the `encoding` that it has"
                if encoding == "utf-8":
                    text = f"cannot be read: line {line:,} is not UTF-8 ({byte}, as Excel writes it)"
                    hint = "save it as UTF-8 (in Excel: CSV UTF-8), or write `encoding: cp1252`"
                raise DataError(Code.UNREADABLE_FILE, text, hint) from None
            if not block:
                return
            line += block.count(b"\n")


def undecodable(path: Path, encoding: str = "utf-8") -> DataError | None:
    """Return what is wrong with a file that is not in this encoding, None if it is."""
    try:
        for _ in decoded(path, encoding):
            pass
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

    Raises:
        DataError: GS501, the file begins with the mark of another encoding.
    """
    with opened_text(path, "utf-8-sig") as file:
        start = bytes(file.buffer.read(4))
        for mark, name in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                key = ", or write `encoding: utf-16`" if name == "UTF-16" else ""
                raise DataError(Code.UNREADABLE_FILE, f"is {name}, not UTF-8", f"save it as UTF-8{key}")
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
