"""Records that arrive one by one, as JSON Lines: read in batches, so the whole need not fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from graphspec.base.arrays.memory import human
from graphspec.base.arrays.strings import Strings
from graphspec.base.codes import Code
from graphspec.base.errors import did_you_mean
from graphspec.data.convert import as_array
from graphspec.data.filling import assemble
from graphspec.data.source import DataError, Problems, Request, placed
from graphspec.graph.ir.graph import Array

MAX_LINE = 1 << 24  # bytes
_BATCH_BYTES = 1 << 24  # of lines that are parsed together
_READ_BYTES = 1 << 16
_HINT = "each line is one JSON object"
_SHOWN = 20  # keys in a message


@dataclass(frozen=True)
class Records:
    """Consecutive records.

    Attributes:
        rows: the objects.
        lines: the number of each one's line, from 1.
        first: the index of the first one; blank lines do not count.
        item: what the numbers count, ``line`` or ``row``.
    """

    rows: Sequence[Mapping[str, Any]]
    lines: Sequence[int]
    first: int
    item: str = "line"


class Stream(Protocol):
    """A buffered binary stream, such as standard input."""

    def read1(self, size: int, /) -> bytes:
        """Wait for bytes, and return those that are there."""

    def fileno(self) -> int:
        """Return its descriptor; raise OSError if it has none."""


def read_records(stream: Stream, size: int) -> Iterator[Records]:
    """Yield at most ``size`` records at a time, fewer if their lines are long, or if no more have arrived yet.

    Blank lines are skipped.

    Raises:
        DataError: GS501 for a line that is not a JSON object, or too long.
    """
    rows: list[Mapping[str, Any]] = []
    lines: list[int] = []
    first = number = nbytes = 0
    for text in _lines(stream):
        if text is not None:
            number += 1
            if not text.strip():
                continue
            rows.append(_record(text, number))
            lines.append(number)
            nbytes += len(text)
        if rows and (text is None or len(rows) == size or nbytes >= _BATCH_BYTES):
            yield Records(rows, lines, first)
            rows, lines, first, nbytes = [], [], first + len(rows), 0
    if rows:
        yield Records(rows, lines, first)


def read_document(path: Path) -> Records:
    """Return the rows of a JSON file, one object or a list of objects. Raises DataError (GS501) for anything else."""
    try:
        found = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        hint = "a JSON file of rows is one object, or a list of objects; a file of one object per line ends in .jsonl"
        raise DataError(Code.UNREADABLE_FILE, "cannot be read: it has no rows in JSON", hint)
    return Records(rows, range(1, len(rows) + 1), 0, "row")


def _lines(stream: Stream) -> Iterator[bytes | None]:
    """Yield the lines of a stream; None where the next read would wait."""
    parts: list[bytes] = []
    number, length = 1, 0
    while True:
        if not _ready(stream):
            yield None
        if not (block := stream.read1(_READ_BYTES)):
            break
        *complete, rest = block.split(b"\n")
        for line in complete:
            yield _whole([*parts, line], number)
            parts, number, length = [], number + 1, 0
        parts.append(rest)
        length += len(rest)
        if length > MAX_LINE:
            _whole(parts, number)
    if length:
        yield _whole(parts, number)


def _whole(parts: Sequence[bytes], number: int) -> bytes:
    if sum(map(len, parts)) > MAX_LINE:
        said = f"cannot be read: line {number} has more than {human(MAX_LINE)}"
        raise DataError(Code.UNREADABLE_FILE, said, "store long texts and lists in a file")
    return b"".join(parts)


def _ready(stream: Stream) -> bool:
    """Return whether a read would not wait; True if the system cannot tell."""
    import select

    try:
        return bool(select.select([stream.fileno()], [], [], 0)[0])
    except (OSError, ValueError):  # a stream in memory, a pipe on Windows
        return True


def _record(text: bytes, number: int) -> Mapping[str, Any]:
    try:
        record = json.loads(text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of thousands of digits, brackets without end
        record = None
    if not isinstance(record, dict):
        raise DataError(Code.UNREADABLE_FILE, f"cannot be read: line {number} is not a JSON object", _HINT)
    return record


class RecordSource:
    """Records as an opened data file (:class:`graphspec.data.source.Source`).

    A key that a record lacks is an error unless values of the request may be missing; null stands for a missing value. Other
    keys are ignored.

    Args:
        columns: the keys that will be requested, also if no record has them.
    """

    item = "key"
    max_rows: int | None = None

    def __init__(self, records: Records, columns: Iterable[str]) -> None:
        self._records = records
        self.names: Sequence[str] = list(dict.fromkeys([*columns, *chain.from_iterable(records.rows)]))
        self.ambiguous: Mapping[str, str] = {}

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Strings | Problems]:
        """Return the arrays by the requests' names, or the problems of each."""
        return {r.name: self._filled(r) for r in requests}

    def _filled(self, request: Request) -> Array | Strings | Problems:
        found = assemble(request, [self._column(c, request) for c in request.columns])
        return {k: placed(error, self.place) for k, error in found.items()} if isinstance(found, dict) else found

    def place(self, row: int) -> str:
        return f"{self._records.item} {self._records.lines[row]:,}"

    def values(self, key: str) -> Array:
        """Return the values of a key as objects; None where it is missing."""
        array = np.empty(len(self._records.rows), object)
        for k, row in enumerate(self._records.rows):
            array[k] = row.get(key)
        return array

    def _column(self, key: str, request: Request) -> Array | DataError:
        values, item = [], self._records.item
        for row, line in zip(self._records.rows, self._records.lines, strict=True):
            if key not in row and not request.gaps:
                keys = list(row)
                hint = did_you_mean(key, keys) or f"{item} {line} has {', '.join(keys[:_SHOWN]) or 'no keys'}"
                return DataError(Code.MISSING_ARRAY, f"is missing in {item} {line}", f"{hint}; null is a missing value")
            values.append(row.get(key))
        try:
            return _objects(values) if request.type.is_string else as_array(values)
        except DataError as error:
            return self._of_two_kinds(values) or error

    def _of_two_kinds(self, values: Sequence[Any]) -> DataError | None:
        """Return the error for lists beside single values."""
        are_lists = [isinstance(value, list) for value in values]
        if len(set(are_lists)) < 2:
            return None
        first, other = self.place(are_lists.index(True)), self.place(are_lists.index(False))
        text = f"has a list in {first}, and a single value in {other}"
        return DataError(Code.WRONG_ARRAY_SHAPE, text, f"write a list in every {self._records.item}, or in none")


def _objects(values: list[Any]) -> Array:
    """Return values, or lists of values of one length, as an array of objects."""
    array = np.array(values, dtype=object) if values else np.empty(0, object)
    if array.ndim == 1 and any(isinstance(v, list) for v in values):
        raise DataError(Code.WRONG_ARRAY_SHAPE, "has lists of different lengths", "fill shorter ones up with null")
    return array
