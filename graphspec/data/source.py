"""Data files: ``.npz`` archives, and tables read by DuckDB. Nothing is ever unpickled."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from graphspec.graph.memory_estimate import free, human

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Type

NO_ROWS = "a data file has a row for each sample"
SUFFIXES = (".npz", ".csv", ".tsv", ".jsonl", ".parquet")


class DataError(Exception):
    """Something is wrong with a file or an array; the caller knows the place in the spec."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


@dataclass(frozen=True)
class Request:
    """An array of the graph that is wanted from a file.

    Attributes:
        columns: the arrays or columns it is made of.
        together: these are numbers that stand side by side in a row.
        is_input: for an input, not for a target.
        labels: class names that text may have.
    """

    name: str
    columns: Sequence[str]
    together: bool
    kind: Type
    is_input: bool
    labels: Sequence[str] | None = None


Problems = dict[int, DataError]
"""What is wrong with which of a request's columns."""


class Source(Protocol):
    """An opened data file."""

    kind: str
    """What it holds by name: ``array`` or ``column``."""
    names: Sequence[str]
    doubtful: Mapping[str, str]
    """Names that stand for more than one column, and what to say of them."""
    most: int | None
    """How many rows to read, from the first on; None for all."""

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Problems]:
        """The arrays by the requests' names, converted to their types; or what is wrong with each.

        All columns exist, and none is doubtful.

        Raises:
            DataError: the file as a whole cannot be read.
        """


class Room:
    """Memory for arrays, promised before they are filled."""

    def __init__(self, path: Path) -> None:
        self._path, self._free, self._promised = path, free(), 0

    def fits(self, nbytes: int) -> bool:
        return self._promised + nbytes <= self._free

    def take(self, nbytes: int) -> None:
        """Promise memory; GS602 where there is not as much."""
        self._promised += nbytes
        if self._promised > self._free:
            text = f"reading '{self._path}' needs {human(self._promised)} of memory, {human(self._free)} are free"
            raise DataError("GS602", text, "use fewer rows or columns, or an .npz file that is not compressed")


def open_source(path: Path, most: int | None = None) -> Source:
    """Open a data file, of which at most so many rows are read.

    Raises:
        DataError: GS501 no such file, or none that can be read; GS105 an unknown kind of file.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError("GS105", f"'{path}' is no data file", f"data come from {', '.join(SUFFIXES)}")
    if _size(path) == 0:
        raise DataError("GS508", f"data file '{path}' is empty", NO_ROWS)
    if suffix == ".npz":
        from graphspec.data.archives import Npz

        return Npz(path, most)
    from graphspec.data.database import open_table

    table = open_table(path)
    table.most = most
    return table


_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def _size(path: Path) -> int:
    """The size of a regular file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise DataError("GS501", f"data file '{path}' does not exist", _near(path)) from None
    except OSError as error:
        raise DataError("GS501", f"data file '{path}' cannot be opened: {error.strerror or error}") from None
    except ValueError as error:  # an embedded null byte, half a character
        raise DataError("GS501", f"data file {str(path)!r} cannot be opened: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        what = next((what for test, what in _KINDS if test(found.st_mode)), "a device")
        raise DataError("GS501", f"data file '{path}' is {what}, not a regular file", "write the data to a file")
    if not os.access(path, os.R_OK):
        raise DataError("GS501", f"data file '{path}' cannot be opened: {os.strerror(13)}")
    return found.st_size


def _near(path: Path) -> str | None:
    from graphspec.errors import did_you_mean

    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'; files are named relative to the spec"
    known = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in SUFFIXES)
    return did_you_mean(path.name, known) or "files are named relative to the spec"


def why(error: BaseException) -> str:
    """The first line of an error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
