"""The containers that Keras saves into: a ZIP archive, HDF5, JSON; and what is wrong with them.

All are read with a budget, and nothing in them is run.
"""

from __future__ import annotations

import errno
import io
import json
import math
import struct
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from graphspec.base import errors
from graphspec.base.budget import Budget
from graphspec.base.errors import Code, Mark, SpecError, UsageError, shorten
from graphspec.base.libraries import missing_library
from graphspec.base.text import printable

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array


class ArchiveProblems(errors.Problems):
    """Collects what is wrong with a file, or cannot be taken from it, each with its place in the file.

    What is noted is returned as an error with everything found so far: raise it if the file is unreadable from here on.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def invalid(self, place: str, message: str, hint: str | None = None) -> SpecError:
        """Note what makes the file invalid (GS801)."""
        hint = hint or "save the model again with Keras, or get the file again"
        return self._add(Code.INVALID_FILE, place, message, hint)

    def unsupported(self, place: str, message: str, hint: str) -> SpecError:
        """Note what a sound file has that a spec cannot say (GS802)."""
        return self._add(Code.UNSUPPORTED_FILE, place, message, hint)

    def _add(self, code: Code, place: str, message: str, hint: str) -> SpecError:
        if len(self.found) < Budget.PROBLEMS:
            text, path = printable(shorten(message, 600)), printable(shorten(place, 300))
            self.at(Mark(self.file), code, text, path=path, subject=text, hint=printable(hint))
        return SpecError(self.found)


# JSON from a file of another program: bounded, without duplicate keys, and never evaluated.
_SHOWN = 100  # characters of a key


def parse_json(text: bytes | str, place: str, problems: ArchiveProblems) -> Any:
    """Return the value of a JSON text; GS801 if it is none, is too large or too deep, or an object has a key twice."""

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise problems.invalid(place, f"{place} has an object with the key '{twice[:_SHOWN]}' twice")
        return found

    if len(text) > Budget.CONFIG:
        limit = f"more than the {Budget.CONFIG:,} of any configuration"
        raise problems.invalid(place, f"{place} has {len(text):,} bytes, {limit}")
    try:
        found = json.loads(text, object_pairs_hook=made)
    except RecursionError:
        raise problems.invalid(place, f"{place} has more than {Budget.LEVELS} levels") from None
    except ValueError as error:
        raise problems.invalid(place, f"{place} is no JSON: {error}") from None
    _bound(found, place, problems)
    return found


def _bound(found: Any, place: str, problems: ArchiveProblems) -> None:
    """Raise GS801 if a value has too many levels or values."""
    level, count = [found], 0
    for _ in range(Budget.LEVELS):
        parts = (value.values() if isinstance(value, dict) else value for value in level)
        level = [child for part in parts if not isinstance(part, str | int | float | None) for child in part]
        count += len(level)
        if count > Budget.VALUES:
            raise problems.invalid(place, f"{place} has more than {Budget.VALUES:,} values")
        if not level:
            return
    raise problems.invalid(place, f"{place} has more than {Budget.LEVELS} levels")


# The parts of a ``.keras`` file: a ZIP archive whose entries are read by name, and never unpacked to paths.
_IN_MEMORY = 64 << 20
_PIECE = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """A ``.keras`` file; GS801 if it is no sound archive."""

    def __init__(self, path: Path, problems: ArchiveProblems) -> None:
        self._problems = problems
        try:
            self._zip = zipfile.ZipFile(path)
            self.close, entries = self._zip.close, self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, OSError, struct.error) as error:
            raise problems.invalid("", f"it is no sound ZIP archive: {error}") from None
        if len(entries) > Budget.ENTRIES:
            raise problems.invalid("", f"the archive has {len(entries):,} entries, more than {Budget.ENTRIES:,}")
        twice = [name for name, count in Counter(entry.filename for entry in entries).items() if count > 1]
        if twice:
            raise problems.invalid(twice[0], f"the archive has two entries '{twice[0]}'")
        self.entries = {entry.filename: entry for entry in entries}

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a small entry; GS801 if it has more than ``limit`` bytes, or is damaged."""
        if (size := self._checked(name).file_size) > limit:
            raise self._problems.invalid(name, f"{name} has {size:,} bytes, more than {limit:,}")
        with self.open(name) as file:
            return bytes(file.read())

    def open(self, name: str) -> IO[bytes]:
        """Return the content of an entry as a file with random access; the checksum has been compared.

        GS801: the entry is damaged, encrypted, or grows too much.
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
            raise self._problems.invalid(name, f"{name} cannot be unpacked: {error}") from None
        file.seek(0)
        return file

    def _checked(self, name: str) -> zipfile.ZipInfo:
        entry = self.entries[name]
        if entry.flag_bits & 1:
            raise self._problems.invalid(name, f"{name} is encrypted")
        if entry.compress_type not in _METHODS:
            raise self._problems.invalid(name, f"{name} is compressed by the unusual method {entry.compress_type}")
        if entry.file_size > max(Budget.SMALL, Budget.RATIO * entry.compress_size):
            sizes = f"{entry.compress_size:,} bytes, which claim to be {entry.file_size:,}"
            raise self._problems.invalid(name, f"{name} has {sizes}: more than any weights can be compressed")
        return entry


# Reading of HDF5 files by pyfive, with a budget: no other file is opened, and a file that refers to itself ends.
MAGIC = b"\x89HDF\r\n\x1a\n"
_EXTERNAL = 7  # the message of an array whose values are in other files
_MAX_REASON = 200
_CONTIGUOUS = (0, 1)  # pyfive's classes of layouts: within the header, in one piece


class _BudgetError(Exception):
    """The file made pyfive read more than any sound file needs."""


class _Counted(io.RawIOBase):
    """A file that counts the bytes and the calls of reads, and ends them when they are too many."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._bytes_left = 8 * self.size + (64 << 20)
        self._calls_left = 20_000 + self.size // 8

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and not 0 <= offset <= self.size:
            raise ValueError(f"it refers to byte {offset:,} of {self.size:,}")
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        found = self._file.read(min(self.size, -1 if size is None or size < 0 else size) if size else 0)
        self._bytes_left -= len(found)
        self._calls_left -= 1
        if self._bytes_left < 0 or self._calls_left < 0:
            raise _BudgetError("it refers to itself, or to the same bytes over and over")
        return found

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class Hdf5:
    """An open HDF5 file, with its name in messages; GS801 if it is not sound, UsageError if pyfive is not installed."""

    def __init__(self, file: IO[bytes], place: str, problems: ArchiveProblems) -> None:
        try:
            import pyfive
        except ImportError:
            file.close()
            raise UsageError(f"weights of Keras's files need pyfive: {missing_library('pyfive')}") from None
        self._kinds = pyfive.Group, pyfive.Dataset
        self._problems, self.place = problems, place
        self.close = file.close
        self._file = _Counted(file)
        self._groups = 0
        try:
            self.root = self._tried(lambda: pyfive.File(self._file), place)
            self._tried(lambda: self._bound(self.root._dataobjects, "/"), place)
        except BaseException:
            self.close()
            raise

    def members(self, group: Any, place: str) -> Iterator[tuple[str, Any, bool]]:
        """Yield the members of a group: name, object, and whether it is a group. Links elsewhere are refused."""
        if not self.is_group(group):
            raise self._problems.invalid(place, f"{place} is an array, not a group")
        names = self._tried(lambda: sorted(str(name) for name in group), place)
        self._groups += 1
        if self._groups > Budget.GROUPS:
            raise self._problems.invalid(place, f"{self.place} has more than {Budget.GROUPS:,} groups")
        for name in names:
            found = self._tried(partial(self._member, group, name), f"{place}/{name}")
            yield name, found, self.is_group(found)

    def find(self, group: Any, path: str) -> Any:
        """Return the object at a path below a group; None if there is none."""
        for name in path.split("/"):
            if not self.is_group(group):
                return None
            has_member = self._tried(lambda here=group, name=name: name in set(here), path)
            group = self._tried(partial(self._member, group, name), path) if has_member else None
        return group

    def is_group(self, found: Any) -> bool:
        return isinstance(found, self._kinds[0])

    def attribute(self, group: Any, name: str, place: str) -> Any:
        """Return an attribute: text, a list of texts, or what it is; None if there is none."""
        found = self._tried(lambda: group.attrs.get(name), f"{place}: {name}")
        if isinstance(found, np.ndarray) and found.ndim == 1:
            return [_text(item) for item in found.tolist()]
        return _text(found)

    def shape(self, dataset: Any) -> tuple[int, ...]:
        found = tuple(int(n) for n in dataset.shape)
        if len(found) > Budget.AXES:
            place = f"{self.place}{dataset.name}"
            raise self._problems.invalid(place, f"{place} has {len(found)} axes, more than {Budget.AXES}")
        return found

    def dtype(self, dataset: Any, place: str) -> np.dtype[Any]:
        return self._tried(lambda: np.dtype(dataset.dtype), place)  # type: ignore[no-any-return]

    def address(self, group: Any) -> int:
        """Return where a group is in the file: one that has several names has one address."""
        return int(group._dataobjects.offset)

    def array(self, dataset: Any, place: str) -> Array:
        """Return the numbers of a dataset as float32 (integers and bools as they are).

        GS801: it is larger than the file; GS802: its numbers are compressed, or are none.
        """
        shape, kind = self.shape(dataset), self.dtype(dataset, place)
        if self._tried(lambda: dataset.id.layout_class, place) not in _CONTIGUOUS:
            text = f"the weight {place} is stored in pieces or compressed, which Keras does not do"
            raise self._problems.unsupported(place, text, "save the model again with Keras")
        if kind.kind not in "fiub" or kind.itemsize > 8:
            raise self._problems.unsupported(place, f"the weight {place} has the dtype {kind}", "weights are numbers")
        if math.prod(shape) * kind.itemsize > self._file.size:
            raise self._problems.invalid(place, f"the weight {place} of shape {shape} is larger than its file")
        found = self._tried(lambda: np.asarray(dataset[()]), place)
        if _text(self._tried(lambda: dataset.attrs.get("dtype"), place)) == "bfloat16" and found.dtype.itemsize == 2:
            found = (found.view("<u2").astype(np.uint32) << 16).view(np.float32)
        if found.shape != shape:
            raise self._problems.invalid(place, f"the weight {place} of shape {shape} has the values of {found.shape}")
        return np.array(found, np.float32, order="C") if found.dtype.kind == "f" else found

    def _member(self, group: Any, name: str) -> Any:
        address = group._links.get(name)
        if not isinstance(address, int):
            raise ValueError(f"'{name}' is a link to another place or file")
        self._bound(group.file._get_dataobjects(address), name)
        found = group.get_lazy_view(name)
        if not isinstance(found, self._kinds) or found.name != f"{group.name.rstrip('/')}/{name}":
            raise ValueError(f"'{name}' is a link to another place or file")
        return found

    @staticmethod
    def _bound(objects: Any, name: str) -> None:
        """Refuse values in other files, and attributes that claim more values than there are bytes for them."""
        if objects.find_msg_type(_EXTERNAL):
            raise ValueError(f"'{name}' has its values in another file")
        if "_attr_value" not in vars(objects):
            objects._attr_value = partial(_attribute_value, objects._attr_value)

    def _tried(self, read: Any, place: str) -> Any:
        """Return ``read()``. What pyfive raises for a damaged file is of many kinds."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what pyfive warns of is either unused or an error below
                return read()
        except SpecError:
            raise
        except MemoryError:
            raise self._problems.invalid(place, f"{self.place} declares more than fits into memory") from None
        except Exception as error:
            reason = "a part of it does not have its form" if isinstance(error, AssertionError) else str(error)
            reason = reason.splitlines()[0][:_MAX_REASON] if reason else type(error).__name__
            raise self._problems.invalid(place, f"{self.place} is no sound HDF5 file: {reason}") from None


def _attribute_value(read: Any, kind: Any, buffer: bytes, count: int, offset: int) -> Any:
    """Return the values of an attribute, each of which takes at least a byte of its buffer."""
    if count > len(buffer):
        raise ValueError(f"an attribute claims {count:,} values in {len(buffer):,} bytes")
    return read(kind, buffer, count, offset)


def _text(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
