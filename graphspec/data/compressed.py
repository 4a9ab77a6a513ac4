"""Open a data file's bytes or text; ``.gz`` files are decompressed while they are read."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from graphspec.base.codes import Code
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
