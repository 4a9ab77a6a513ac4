"""Data files: ``.npz`` archives, and tables read by DuckDB. Nothing is ever unpickled."""

from __future__ import annotations

import csv
import glob
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zipfile import ZIP_STORED

import numpy as np

if TYPE_CHECKING:
    from graphspec.compiler.ir import Array

NO_ROWS = "a data file has a row for each sample"
MAPPED = 1 << 26
"""Bytes from which on an array that is not compressed is mapped, not read."""
SUFFIXES = (".npz", ".csv", ".tsv", ".jsonl", ".parquet")


class DataError(Exception):
    """Something is wrong with a file or an array; the caller knows the place in the spec."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class Source(Protocol):
    """An opened data file."""

    kind: str
    """What it holds by name: ``array`` or ``column``."""
    names: list[str]

    def read(self, names: Iterable[str]) -> dict[str, Array | DataError]:
        """The arrays of these names, all of which exist; or what is wrong with each."""


def open_source(path: Path) -> Source:
    """Open a data file.

    Raises:
        DataError: GS501 no such file, or none that can be read; GS105 an unknown kind of file.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError("GS105", f"'{path}' is no data file", f"data come from {', '.join(SUFFIXES)}")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError("GS501", f"data file '{path}' {what}", _near(path))
    if path.stat().st_size == 0:
        raise DataError("GS508", f"data file '{path}' is empty", NO_ROWS)
    return Npz(path) if suffix == ".npz" else Table(path)


def _near(path: Path) -> str | None:
    from graphspec.errors import did_you_mean

    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'; files are named relative to the spec"
    known = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in SUFFIXES)
    return did_you_mean(path.name, known) or "files are named relative to the spec"


class Npz:
    """An ``.npz`` archive; arrays of Python objects are pickles and stay unread."""

    kind = "array"

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                archive = np.load(file, allow_pickle=False)
                if isinstance(archive, np.lib.npyio.NpzFile):
                    self.names = list(archive.files)
                    return
        except Exception as error:
            why = "it is no zip archive" if "pickle" in str(error) else _why(error)
            raise DataError("GS501", f"'{path}' cannot be read as .npz: {why}", "write it with np.savez") from None
        raise DataError("GS501", f"'{path}' is a single array, not an .npz archive", "write it with np.savez")

    def read(self, names: Iterable[str]) -> dict[str, Array | DataError]:
        with self._path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: self._one(archive, name) for name in names}

    def _one(self, archive: np.lib.npyio.NpzFile, name: str) -> Array | DataError:
        try:
            mapped = self._map(archive, name)
            return archive[name] if mapped is None else mapped
        except ValueError as error:
            if "allow_pickle" in str(error):
                hint = "save numbers or fixed-width text: np.asarray(values, dtype=…)"
                return DataError("GS504", "holds Python objects, which are pickles and are never read", hint)
            return DataError("GS501", f"is damaged: {_why(error)}", "write the file again")
        except Exception as error:
            return DataError("GS501", f"is damaged: {_why(error)}", "write the file again")

    def _map(self, archive: np.lib.npyio.NpzFile, name: str) -> Array | None:
        """A large array as a memory map, if it is in the archive as it is: ``np.savez`` does not compress."""
        assert archive.zip is not None
        entry = next(e for e in archive.zip.infolist() if e.filename.removesuffix(".npy") == name)
        if entry.compress_type != ZIP_STORED or entry.file_size < MAPPED:
            return None
        with self._path.open("rb") as file:
            file.seek(entry.header_offset + 26)  # the lengths of what stands between there and the data
            file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
            read = _HEADERS.get(np.lib.format.read_magic(file))
            if read is None:
                return None
            shape, by_columns, dtype = read(file)
            if dtype.hasobject:
                return None
            return np.memmap(self._path, dtype, "r", file.tell(), shape, "F" if by_columns else "C")


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Table:
    """A table of rows: ``.csv`` and ``.tsv`` with a header, ``.jsonl`` with one object a line, ``.parquet``."""

    kind = "column"

    def __init__(self, path: Path) -> None:
        import duckdb

        locked = ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions")
        self._error = duckdb.Error
        try:
            # One thread: a process with database threads must not be forked.
            base = duckdb.connect(":memory:", config={**dict.fromkeys(locked, "false"), "threads": "1"})
            name = glob.escape(str(path))
            allowed = ", ".join(_quoted(n, "'") for n in (str(path), name))
            base.execute(f"SET allowed_paths = [{allowed}]")
            base.execute("SET enable_external_access = false")
            base.execute("SET lock_configuration = true")
            match path.suffix.lower():
                case ".parquet":
                    self._rows = base.read_parquet(name)
                case ".jsonl":
                    self._rows = base.read_json(name, format="newline_delimited", sample_size=-1)
                case suffix:
                    # Text stays text: a label "no" is no boolean, a label "2020-01-01" no date.
                    self._rows = base.read_csv(
                        name,
                        header=True,
                        skiprows=0,
                        sample_size=-1,
                        sep="\t" if suffix == ".tsv" else _separator(path),
                        quotechar='"',
                        escapechar='"',
                        comment="",
                        auto_type_candidates=["BIGINT", "DOUBLE", "VARCHAR"],
                    )
            self.names = list(self._rows.columns)
        except duckdb.Error as error:
            kind = path.suffix.lower()
            why = (_ragged(path) if kind in (".csv", ".tsv") else None) or _why(error)
            raise DataError("GS501", f"'{path}' cannot be read: {why}", _HINT.get(kind)) from None

    def read(self, names: Iterable[str]) -> dict[str, Array | DataError]:
        wanted = list(names)
        if not wanted:
            return {}
        try:
            columns = self._rows.project(", ".join(_quoted(n, '"') for n in wanted)).fetchnumpy()
        except self._error as error:
            problem = DataError("GS501", f"cannot be read: {_why(error)}", "write the file again")
            return dict.fromkeys(wanted, problem)
        return {n: _plain(c) for n, c in zip(wanted, columns.values(), strict=True)}


_HINT = {
    ".csv": "a table starts with a line of column names",
    ".tsv": "a table starts with a line of column names",
    ".jsonl": "each line is one JSON object",
}


def _separator(path: Path) -> str:
    """The character of ``,;|`` and tab that the header has most of; guessing from the rows hides ragged ones."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline(1 << 20)
    return max(",;\t|", key=header.count)


def _ragged(path: Path) -> str | None:
    """The first line with another number of values than the header: the database names none."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else _separator(path))
        try:
            width = len(next(lines))
            for line in lines:
                if line and len(line) != width:
                    return f"line {lines.line_num} has {len(line)} values, the header {width} names"
        except (csv.Error, StopIteration):
            pass
    return None


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark + mark) + mark


def _why(error: Exception) -> str:
    """The first line of an error, without the database's name for its kind."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("Invalid Input Error: ").removeprefix("IO Error: ").rstrip(". ")


def _plain(column: Array) -> Array | DataError:
    """A column without a mask: missing numbers are NaN, missing text is None; lists of one length become rows."""
    if isinstance(column, np.ma.MaskedArray):
        missing = np.ma.getmaskarray(column)
        if missing.any():
            if column.dtype.kind in "iufb":
                return np.where(missing, np.nan, column.data.astype(np.float64))
            column = np.where(missing, None, column.data)  # type: ignore[call-overload]
        else:
            column = column.data
    if column.dtype != object or not any(isinstance(x, np.ndarray | list) for x in column[:100]):
        return np.asarray(column)
    try:
        return _stack(list(column))
    except DataError as error:
        return error
    except (TypeError, ValueError):
        return DataError("GS504", "lists hold something else than numbers")


def _stack(values: list[Any]) -> Array:
    """Lists of one length as an array with an axis more; what is missing is NaN."""
    values = [None if v is np.ma.masked else v for v in values]
    if not any(isinstance(v, np.ndarray | list) for v in values):
        return np.array([np.nan if v is None else v for v in values])
    for row, value in enumerate(values):
        if np.shape(value)[:1] != np.shape(values[0])[:1]:
            n = "nothing" if value is None else len(value)
            text = f"lists differ in length: that of row 0 has {len(values[0])} values, that of row {row} {n}"
            raise DataError("GS503", text, "pad them to one length")
    return np.stack([np.asarray(v) if _plain_numbers(v) else _stack(list(v)) for v in values])


def _plain_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype != object and not isinstance(value, np.ma.MaskedArray)
