"""The lines of a table's rows in its file, as an editor counts them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from graphspec.data.compressed import lines, opened, opened_text

_MAX_TEXT = 1 << 26  # characters of a file whose rows are looked for one by one, about a second
_BLOCK_BYTES = 1 << 20


def row_from_1(row: int) -> str:
    """Return the words for a row of a table whose lines are unknown, given by its index from 0."""
    return f"row {row + 1:,} (counted from 1)"


def lines_of_rows(path: Path, count: int, separator: str | None) -> Sequence[int] | None:
    """Return the line in which each row begins; the first line of a file is line 1.

    Args:
        count: the number of rows that were read: lines are returned only if as many are found in the file.
        separator: of a file with a header, whose cells may contain line ends in quotes; None for one object a line.

    Returns:
        None if the rows are not found, or if the file is too large to look for them.
    """
    header = separator is not None
    if (ends := _plain_lines(path)) is not None and ends == count + header:
        return range(1 + header, count + header + 1)
    starts = _lines_with_text(path) if separator is None else islice(_records(path, separator), 1, None)
    try:
        found = np.fromiter(starts, np.int64)
    except (csv.Error, _TooLong):
        return None
    return found.tolist() if len(found) == count else None


class _TooLong(Exception):  # noqa: N818
    """A file has too much text to be searched."""


def _plain_lines(path: Path) -> int | None:
    """Return the number of lines of a file without quotes, None if it has quotes or other line ends than LF and CRLF."""
    ends, last = 0, b"\n"
    with opened(path) as file:
        while block := file.read(_BLOCK_BYTES):
            if b'"' in block or block.count(b"\r") != block.count(b"\r\n"):
                return None
            ends, last = ends + block.count(b"\n"), block[-1:]
    return ends + (last != b"\n")


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
