"""``.npz`` archives. Arrays of Python objects are pickles and stay unread."""

from __future__ import annotations

import math
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from graphspec.arrays.memory_maps import map_file
from graphspec.codes import Code
from graphspec.data.filling import assemble
from graphspec.data.source import DataError, Problems, Request, Room, why

if TYPE_CHECKING:
    from graphspec.ir.graph import Array

MAPPED = 1 << 26
"""Bytes from which on an array that is not compressed is mapped, not read."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # a 2.0 header whose text is UTF-8, which is ASCII for what is read
}


class _Header(NamedTuple):
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype
    length: int
    """Bytes before the first number."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Npz:
    """An opened ``.npz`` archive: its list of arrays, none of which has been read."""

    kind = "array"

    def __init__(self, path: Path, most: int | None = None) -> None:
        self._path, self.most = path, most
        try:
            with path.open("rb") as file:
                single = file.read(6) == b"\x93NUMPY"
            if not single:
                with zipfile.ZipFile(path) as archive:
                    entries = archive.infolist()
        except Exception as error:
            said = "it is no zip archive" if isinstance(error, zipfile.BadZipFile) else why(error)
            raise DataError(Code.UNREADABLE_FILE, f"cannot be read as .npz: {said}", "write it with np.savez") from None
        if single:
            raise DataError(Code.UNREADABLE_FILE, "is a single array, not an .npz archive", "write it with np.savez")
        self._entries = {e.filename.removesuffix(".npy"): e for e in entries}
        self.names: Sequence[str] = list(self._entries)
        counts = Counter(e.filename.removesuffix(".npy") for e in entries)
        self.doubtful: Mapping[str, str] = {n: f"has {k} arrays called '{n}'" for n, k in counts.items() if k > 1}

    def fill(self, requests: Sequence[Request]) -> dict[str, Array | Problems]:
        arrays = self.read(sorted({column for request in requests for column in request.columns}))
        return {r.name: assemble(r, [arrays[c] for c in r.columns]) for r in requests}

    def read(self, names: Sequence[str]) -> dict[str, Array | DataError]:
        """Arrays as they are in the archive, or what is wrong with each; large ones are mapped.

        Raises:
            DataError: GS501 the archive has gone or changed, GS602 there is not as much memory.
        """
        room = Room()
        try:
            with self._path.open("rb") as file, zipfile.ZipFile(file) as archive:
                headers = {name: self._header(archive, name) for name in names}
                for name, header in headers.items():
                    if isinstance(header, _Header) and not self._mappable(name, header):
                        room.take(header.nbytes)
                return {
                    name: header if isinstance(header, DataError) else self._one(file, archive, name, header)
                    for name, header in headers.items()
                }
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(Code.UNREADABLE_FILE, f"cannot be read: {why(error)}", "write the file again") from None

    def _header(self, archive: zipfile.ZipFile, name: str) -> _Header | DataError:
        """What an entry says it holds, checked against the bytes that it has."""
        entry = self._entries[name]
        try:
            with archive.open(entry) as member:
                magic = member.read(6)
                if magic != b"\x93NUMPY":
                    return DataError(
                        Code.UNREADABLE_FILE,
                        "is no array: it does not begin as .npy files do",
                        "write it with np.savez",
                    )
                version = tuple(member.read(2))
                if version not in _HEADERS:
                    return DataError(
                        Code.UNREADABLE_FILE, "is damaged: it has an unknown version", "write the file again"
                    )
                shape, by_columns, dtype = _HEADERS[version](member)
                length = member.tell()
        except Exception as error:
            return _damaged(error)
        if dtype.hasobject:
            hint = "save numbers or fixed-width text: np.asarray(values, dtype=…)"
            return DataError(Code.LOSSY_CONVERSION, "holds Python objects, which are pickles and are never read", hint)
        header = _Header(tuple(shape), by_columns, dtype, length)
        have = entry.file_size - length
        if any(n < 0 for n in header.shape) or header.nbytes != have:
            text = f"is damaged: shape {header.shape} and dtype {dtype} make {header.nbytes} bytes, it has {have}"
            return DataError(Code.UNREADABLE_FILE, text, "write the file again")
        whole = self.most is None or not header.shape or (header.by_columns and len(header.shape) > 1)
        return header if whole else header._replace(shape=(min(header.shape[0], self.most or 0), *header.shape[1:]))

    def _mappable(self, name: str, header: _Header) -> bool:
        """Whether a large array lies in the archive as it is: ``np.savez`` does not compress."""
        entry = self._entries[name]
        return entry.compress_type == zipfile.ZIP_STORED and header.nbytes >= MAPPED and not entry.flag_bits & 1

    def _one(self, file: IO[bytes], archive: zipfile.ZipFile, name: str, header: _Header) -> Array | DataError:
        entry = self._entries[name]
        try:
            if self._mappable(name, header):
                file.seek(entry.header_offset + 26)  # the lengths of what stands between there and the data
                start = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4))) + header.length
                return map_file(file, header.dtype, start, header.shape, "F" if header.by_columns else "C")
            with archive.open(entry) as member:
                if self.most is not None and not header.by_columns:
                    member.read(header.length)
                    return np.frombuffer(member.read(header.nbytes), header.dtype).reshape(header.shape)
                array: Array = np.lib.format.read_array(member, allow_pickle=False)
                member.read(1)  # at the end, where the checksum is compared
            return array[: self.most] if array.ndim else array
        except MemoryError:
            raise
        except Exception as error:
            return _damaged(error)


def _damaged(error: Exception) -> DataError:
    return DataError(Code.UNREADABLE_FILE, f"is damaged: {why(error)}", "write the file again")
