"""Reading of HDF5 files by pyfive, with a budget: no other file is opened, and a file that refers to itself ends."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from graphspec.base.errors import SpecError, UsageError
from graphspec.base.libraries import missing_library
from graphspec.foreign.keras_files.problems import Problems

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array

MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_GROUPS = 200_000
MAX_LEVELS = 40
MAX_AXES = 32
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
    """An open HDF5 file.

    Args:
        file: the file.
        place: its name in messages.

    Raises:
        UsageError: pyfive is not installed.
        SpecError: GS801, it is no sound file.
    """

    def __init__(self, file: IO[bytes], place: str, problems: Problems) -> None:
        try:
            import pyfive
        except ImportError:
            raise UsageError(f"weights of Keras's files need pyfive: {missing_library('pyfive')}") from None
        self._kinds = pyfive.Group, pyfive.Dataset
        self._problems, self.place = problems, place
        self._raw = file
        self._file = _Counted(file)
        self._groups = 0
        try:
            self.root = self._tried(lambda: pyfive.File(self._file), place)
            self._tried(lambda: self._bound(self.root._dataobjects, "/"), place)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def members(self, group: Any, place: str) -> Iterator[tuple[str, Any, bool]]:
        """Yield the members of a group: name, object, and whether it is a group. Links elsewhere are refused."""
        if not self.is_group(group):
            raise self._problems.fail(place, f"{place} is an array, not a group")
        names = self._tried(lambda: sorted(str(name) for name in group), place)
        self._groups += 1
        if self._groups > MAX_GROUPS:
            raise self._problems.fail(place, f"{self.place} has more than {MAX_GROUPS:,} groups")
        for name in names:
            found = self._tried(lambda name=name: self._member(group, name), f"{place}/{name}")
            yield name, found, isinstance(found, self._kinds[0])

    def find(self, group: Any, path: str) -> Any:
        """Return the object at a path below a group; None if there is none."""
        found = group
        for name in path.split("/"):
            if not isinstance(found, self._kinds[0]):
                return None
            here = found
            if name not in self._tried(lambda here=here: set(here), path):
                return None
            found = self._tried(lambda here=here, name=name: self._member(here, name), path)
        return found

    def is_group(self, found: Any) -> bool:
        """Return whether an object is a group."""
        return isinstance(found, self._kinds[0])

    def attribute(self, group: Any, name: str, place: str) -> Any:
        """Return an attribute: text, a list of texts, or what it is; None if there is none."""
        found = self._tried(lambda: group.attrs.get(name), f"{place}: {name}")
        if isinstance(found, np.ndarray) and found.ndim == 1:
            return [_text(item) for item in found.tolist()]
        return _text(found)

    def shape(self, dataset: Any) -> tuple[int, ...]:
        """Return the shape of a dataset."""
        found = tuple(int(n) for n in dataset.shape)
        if len(found) > MAX_AXES:
            place = f"{self.place}{dataset.name}"
            raise self._problems.fail(place, f"{place} has {len(found)} axes, more than {MAX_AXES}")
        return found

    def dtype(self, dataset: Any, place: str) -> np.dtype[Any]:
        """Return the dtype of a dataset."""
        return self._tried(lambda: np.dtype(dataset.dtype), place)  # type: ignore[no-any-return]

    def address(self, group: Any) -> int:
        """Return where a group is in the file: one that has several names has one address."""
        return int(group._dataobjects.offset)

    def array(self, dataset: Any, place: str) -> Array:
        """Return the numbers of a dataset as float32 (integers and bools as they are).

        Raises:
            SpecError: GS801, it is larger than the file; GS802, its numbers are compressed, or are none.
        """
        shape, kind = self.shape(dataset), self.dtype(dataset, place)
        if self._tried(lambda: dataset.id.layout_class, place) not in _CONTIGUOUS:
            text = f"the weight {place} is stored in pieces or compressed, which Keras does not do"
            self._problems.unsupported(place, text, "save the model again with Keras")
            raise SpecError(self._problems.found)
        if kind.kind not in "fiub" or kind.itemsize > 8:
            self._problems.unsupported(place, f"the weight {place} has the dtype {kind}", "weights are numbers")
            raise SpecError(self._problems.found)
        if math.prod(shape) * kind.itemsize > self._file.size:
            raise self._problems.fail(place, f"the weight {place} of shape {shape} is larger than its file")
        found = self._tried(lambda: np.asarray(dataset[()]), place)
        half = self._tried(lambda: dataset.attrs.get("dtype"), place)
        if _text(half) == "bfloat16" and found.dtype.itemsize == 2:
            found = (found.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if found.shape != shape:
            raise self._problems.fail(place, f"the weight {place} of shape {shape} has the values of {found.shape}")
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
            raise self._problems.fail(place, f"{self.place} declares more than fits into memory") from None
        except Exception as error:
            reason = "a part of it does not have its form" if isinstance(error, AssertionError) else str(error)
            reason = reason.splitlines()[0][:_MAX_REASON] if reason else type(error).__name__
            raise self._problems.fail(place, f"{self.place} is no sound HDF5 file: {reason}") from None


def _attribute_value(read: Any, kind: Any, buffer: bytes, count: int, offset: int) -> Any:
    """Return the values of an attribute, each of which takes at least a byte of its buffer."""
    if count > len(buffer):
        raise ValueError(f"an attribute claims {count:,} values in {len(buffer):,} bytes")
    return read(kind, buffer, count, offset)


def _text(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
