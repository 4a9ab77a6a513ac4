"""``.npz`` archives. Arrays of Python objects are pickles, which are never read."""

from __future__ import annotations

import math
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from graphspec.base.arrays.memory import map_file
from graphspec.data.convert import assemble, chunks
from graphspec.data.source import DataError, Filled, MemoryBudget, Request, Source, first_line, lossy, unreadable
from graphspec.graph.ir.graph import Array

MAPPED = 1 << 26  # bytes: uncompressed arrays of at least this size are memory-mapped, not read
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # a 2.0 header in UTF-8; only structured dtypes need more than ASCII
}


class _Header(NamedTuple):
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype
    length: int  # Bytes before the first element

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Npz(Source):
    """An opened ``.npz`` archive: its list of arrays; none has been read."""

    item = "array"

    def __init__(self, path: Path, max_rows: int | None = None) -> None:
        self._path, self.max_rows = path, max_rows
        try:
            with path.open("rb") as file:
                single = file.read(6) == b"\x93NUMPY"
            if not single:
                with zipfile.ZipFile(path) as archive:
                    entries = archive.infolist()
        except Exception as error:
            said = "it is not a zip archive" if isinstance(error, zipfile.BadZipFile) else first_line(error)
            raise unreadable(f"cannot be read as .npz: {said}", "write it with np.savez") from None
        if single:
            raise unreadable("is a single array, not an .npz archive", "write it with np.savez")
        self._entries = {e.filename.removesuffix(".npy"): e for e in entries}
        self.names: Sequence[str] = list(self._entries)
        counts = Counter(e.filename.removesuffix(".npy") for e in entries)
        self.ambiguous: Mapping[str, str] = {n: f"has {k} arrays called '{n}'" for n, k in counts.items() if k > 1}

    def fill(self, requests: Sequence[Request]) -> Filled:
        arrays = self.read(sorted({column for request in requests for column in request.columns}))
        return {r.name: assemble(r, [arrays[c] for c in r.columns]) for r in requests}

    def cells(self, column: str, *, raw: bool) -> Iterator[tuple[int, Array]]:
        array = self.read([column])[column]
        if not isinstance(array, DataError) and array.ndim:
            yield from chunks(array)

    def read(self, names: Sequence[str]) -> dict[str, Array | DataError]:
        """Return each array as it is in the archive, or its error; large arrays are memory-mapped.

        Raises DataError: GS501 if the archive was removed or changed, GS602 if there is too little memory.
        """
        budget = MemoryBudget()
        try:
            with self._path.open("rb") as file, zipfile.ZipFile(file) as archive:
                headers = {name: self._header(archive, name) for name in names}
                for name, header in headers.items():
                    if isinstance(header, _Header) and not self._mappable(name, header):
                        budget.reserve(header.nbytes)
                return {
                    name: header if isinstance(header, DataError) else self._one(file, archive, name, header)
                    for name, header in headers.items()
                }
        except (OSError, zipfile.BadZipFile) as error:
            raise unreadable(f"cannot be read: {first_line(error)}", "write the file again") from None

    def _header(self, archive: zipfile.ZipFile, name: str) -> _Header | DataError:
        """Read the header of an entry, and compare it with the size of the entry."""
        entry = self._entries[name]
        try:
            with archive.open(entry) as member:
                magic = member.read(6)
                if magic != b"\x93NUMPY":
                    return unreadable("is not an array: it does not start like an .npy file", "write it with np.savez")
                version = tuple(member.read(2))
                if version not in _HEADERS:
                    return unreadable("is damaged: it has an unknown version", "write the file again")
                shape, by_columns, dtype = _HEADERS[version](member)
                length = member.tell()
        except Exception as error:
            return _damaged(error)
        if dtype.hasobject:
            hint = "save numbers or fixed-width text: np.asarray(values, dtype=…)"
            return lossy("contains Python objects, which are pickles and are never read", hint)
        header = _Header(tuple(shape), by_columns, dtype, length)
        have = entry.file_size - length
        if any(n < 0 for n in header.shape) or header.nbytes != have:
            text = f"is damaged: shape {header.shape} and dtype {dtype} need {header.nbytes} bytes, it has {have}"
            return unreadable(text, "write the file again")
        whole = self.max_rows is None or not header.shape or (header.by_columns and len(header.shape) > 1)
        return header if whole else header._replace(shape=(min(header.shape[0], self.max_rows or 0), *header.shape[1:]))

    def _mappable(self, name: str, header: _Header) -> bool:
        """Return whether an array is large and neither compressed nor encrypted; ``np.savez`` does not compress."""
        entry = self._entries[name]
        return entry.compress_type == zipfile.ZIP_STORED and header.nbytes >= MAPPED and not entry.flag_bits & 1

    def _one(self, file: IO[bytes], archive: zipfile.ZipFile, name: str, header: _Header) -> Array | DataError:
        entry = self._entries[name]
        try:
            if self._mappable(name, header):
                # At 26: the lengths of the name and of the extra field, which precede the data.
                file.seek(entry.header_offset + 26)
                start = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4))) + header.length
                return map_file(file, header.dtype, start, header.shape, "F" if header.by_columns else "C")
            with archive.open(entry) as member:
                if self.max_rows is not None and not header.by_columns:
                    member.read(header.length)
                    return np.frombuffer(member.read(header.nbytes), header.dtype).reshape(header.shape)
                array: Array = np.lib.format.read_array(member, allow_pickle=False)
                member.read(1)  # reading the end compares the checksum
            return array[: self.max_rows] if array.ndim else array
        except MemoryError:
            raise
        except Exception as error:
            return _damaged(error)


def _damaged(error: Exception) -> DataError:
    return unreadable(f"is damaged: {first_line(error)}", "write the file again")
