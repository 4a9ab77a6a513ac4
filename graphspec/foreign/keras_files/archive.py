"""The parts of a ``.keras`` file: a ZIP archive whose entries are read by name, and never unpacked to paths."""

from __future__ import annotations

import errno
import struct
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, Any

from graphspec.foreign.keras_files.problems import Problems

MAX_ENTRIES = 10_000
MAX_RATIO = 200
"""How many times larger an entry may be than its compressed bytes."""
SMALL = 16 << 20
"""Bytes up to which the ratio does not count."""
_IN_MEMORY = 64 << 20
_PIECE = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """A ``.keras`` file.

    Args:
        path: the file.
        problems: where problems are noted.

    Raises:
        SpecError: GS801, it is no sound archive.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        self._problems = problems
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, OSError, struct.error) as error:
            raise problems.fail("", f"it is no sound ZIP archive: {error}") from None
        if len(entries) > MAX_ENTRIES:
            raise problems.fail("", f"the archive has {len(entries):,} entries, more than {MAX_ENTRIES:,}")
        twice = [name for name, count in Counter(entry.filename for entry in entries).items() if count > 1]
        if twice:
            raise problems.fail(twice[0], f"the archive has two entries '{twice[0]}'")
        self._entries = {entry.filename: entry for entry in entries}

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """The names of all entries."""
        return list(self._entries)

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a small entry.

        Raises:
            SpecError: GS801, it has more than ``limit`` bytes, or is damaged.
        """
        if (size := self._checked(name).file_size) > limit:
            raise self._problems.fail(name, f"{name} has {size:,} bytes, more than {limit:,}")
        with self.open(name) as file:
            return bytes(file.read())

    def open(self, name: str) -> IO[bytes]:
        """Return the content of an entry as a file with random access; the checksum has been compared.

        Raises:
            SpecError: GS801, the entry is damaged, encrypted, or grows too much.
        """
        entry = self._checked(name)
        file: IO[Any] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        try:
            with self._zip.open(entry) as source:
                left = entry.file_size
                while piece := source.read(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise ValueError("it is larger than it declares")
                    file.write(piece)
            if left:
                raise ValueError("it is shorter than it declares")
        except Exception as error:
            file.close()
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
                raise  # a full disk is no fault of the file; an offset before its beginning is
            raise self._problems.fail(name, f"{name} cannot be unpacked: {error}") from None
        file.seek(0)
        return file

    def _checked(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise self._problems.fail(name, f"{name} is encrypted")
        if entry.compress_type not in _METHODS:
            raise self._problems.fail(name, f"{name} is compressed by the unusual method {entry.compress_type}")
        if entry.file_size > max(SMALL, MAX_RATIO * entry.compress_size):
            sizes = f"{entry.compress_size:,} bytes, which claim to be {entry.file_size:,}"
            raise self._problems.fail(name, f"{name} has {sizes}: more than any weights can be compressed")
        return entry
