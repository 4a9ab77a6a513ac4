"""Data files by their kind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from graphspec.codes import Code
from graphspec.data.database import Table
from graphspec.data.source import _KINDS, NO_ROWS, DataError, Source
from graphspec.files import ARCHIVE, DATA_SUFFIXES


def open_source(path: Path, most: int | None = None) -> Source:
    """Open a data file, of which at most so many rows are read.

    Raises:
        DataError: GS501 no such file, or none that can be read; GS105 an unknown kind of file.
    """
    suffix = path.suffix.lower()
    if suffix not in DATA_SUFFIXES:
        raise DataError(Code.VALUE_NOT_ALLOWED, "is of an unknown kind", f"data come from {', '.join(DATA_SUFFIXES)}")
    if _size(path) == 0:
        raise DataError(Code.TOO_FEW_ROWS, "is empty", NO_ROWS)
    if suffix == ARCHIVE:
        from graphspec.data.archives import Npz

        return Npz(path, most)

    table = open_table(path)
    table.most = most
    return table


def _size(path: Path) -> int:
    """The size of a regular file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise DataError(Code.UNREADABLE_FILE, "does not exist", _near(path)) from None
    except OSError as error:
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {error.strerror or error}") from None
    except ValueError as error:  # an embedded null byte, half a character
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        what = next((what for test, what in _KINDS if test(found.st_mode)), "a device")
        raise DataError(Code.UNREADABLE_FILE, f"is {what}, not a regular file", "write the data to a file")
    if not os.access(path, os.R_OK):
        raise DataError(Code.UNREADABLE_FILE, f"cannot be opened: {os.strerror(13)}")
    return found.st_size


def _near(path: Path) -> str | None:
    from graphspec.errors import did_you_mean

    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'; files are named relative to the spec"
    known = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in DATA_SUFFIXES)
    return did_you_mean(path.name, known) or "files are named relative to the spec"


def open_table(path: Path) -> Table:
    """Open a table by the suffix of its name.

    Raises:
        DataError: GS501, it cannot be read.
    """
    from graphspec.data.delimited import Delimited
    from graphspec.data.typed import Lines, Parquet

    match path.suffix.lower():
        case ".parquet":
            return Parquet(path)
        case ".jsonl":
            return Lines(path)
        case _:
            return Delimited(path)
