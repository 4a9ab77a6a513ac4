"""The lines of a table's rows in its file, as an editor counts them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graphspec.data.compressed import lines, opened, opened_text

_MAX_TEXT = 1 << 26  # characters of a file whose rows are looked for one by one, about a second
_BLOCK_BYTES = 1 << 20


class Scan(NamedTuple):
    """Properties of a file's bytes.

    Attributes:
        rows: the number of line ends plus one, an upper bound of the number of rows.
        underscore: whether the file contains ``_``.
        longest: bytes of the longest line, to within a block of 1 MiB.
        lines: the number of lines; None if there are quotes, or other line ends than LF and CRLF.
    """

    rows: int
    underscore: bool
    longest: int
    lines: int | None


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
            longest = max(longest, run)
            run = 0 if ends else run
            underscore, last = underscore or b"_" in block, block[-1:]
    return Scan(rows, underscore, longest, rows - 1 + (last not in (b"\n", b"")) if plain else None)


def row_from_1(row: int) -> str:
    """Return the words for a row of a table whose lines are unknown, given by its index from 0."""
    return f"row {row + 1:,} (counted from 1)"


def lines_of_rows(path: Path, count: int, separator: str | None, scanned: Scan) -> Sequence[int] | None:
    """Return the line in which each row begins; the first line of a file is line 1.

    Args:
        count: the number of rows that were read: lines are returned only if as many are found in the file.
        separator: of a file with a header, whose cells may contain line ends in quotes; None for one object a line.

    Returns:
        None if the rows are not found, or if the file is too large to look for them.
    """
    header = separator is not None
    if scanned.lines == count + header:
        return range(1 + header, count + header + 1)
    starts = _lines_with_text(path) if separator is None else islice(_records(path, separator), 1, None)
    try:
        found = np.fromiter(starts, np.int64)
    except (csv.Error, _TooLong):
        return None
    return found.tolist() if len(found) == count else None


class _TooLong(Exception):  # noqa: N818
    """A file has too much text to be searched."""


def _text(path: Path) -> Iterator[str]:
    done = 0
    with opened_text(path, "utf-8-sig") as file:
        for line in lines(file):
            done += len(line)
            if done > _MAX_TEXT:
                raise _TooLong
            yield line


def _lines_with_text(path: Path) -> Iterator[int]:
    return (number for number, line in enumerate(_text(path), 1) if line.strip())


def _records(path: Path, separator: str) -> Iterator[int]:
    """Yield the line in which each record begins, the header first."""
    reader = csv.reader(_text(path), delimiter=separator)
    before = 0
    for cells in reader:
        if cells:
            yield before + 1
        before = reader.line_num
