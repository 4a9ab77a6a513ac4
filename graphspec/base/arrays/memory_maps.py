"""Memory maps of data files: find the file behind an array, and detect that the file was changed."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, SpecError


class MappedFile:
    """A mapped file, kept open: the map refers to the same file even if the path is renamed, replaced or removed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.name = file.name
        self.fd = os.dup(file.fileno())
        self._state = _state(self.fd)

    def __del__(self) -> None:
        os.close(self.fd)

    def check(self) -> None:
        """Check that nobody has written to the file since it was mapped.

        Raises:
            SpecError: GS501, the size or the modification time has changed.
        """
        if _state(self.fd) != self._state:
            text = f"data file '{self.name}' was changed while it was in use"
            hint = "write the new data to another file and rename that: the file in use then stays unchanged"
            raise SpecError([Diagnostic(Code.UNREADABLE_FILE, text, file=self.name, hint=hint)])


def _state(fd: int) -> tuple[int, int]:
    stat = os.fstat(fd)
    return stat.st_size, stat.st_mtime_ns


class Map(np.memmap[Any, Any]):
    """A memory map that keeps its file open."""

    source: MappedFile | None = None


def map_file(file: IO[bytes], dtype: np.dtype[Any], offset: int, shape: tuple[int, ...], order: Any) -> Array:
    """Map a part of an open file as a read-only array."""
    array: Map = Map(file, dtype, "r", offset, shape, order)
    array.source = MappedFile(file)
    return array


def map_of(array: Array) -> np.memmap[Any, Any] | None:
    """Return the memory map that ``array`` is or views; None for an array in memory."""
    owner: Any = array
    while owner is not None and not (isinstance(owner, np.memmap) and isinstance(owner.base, mmap.mmap)):
        owner = getattr(owner, "base", None)
    return owner


def mapped_files(arrays: Iterable[Array]) -> list[MappedFile]:
    """Return the files that these arrays map, each once."""
    files = {id(f): f for a in arrays if (f := getattr(map_of(a), "source", None)) is not None}
    return list(files.values())


def describe_map(array: Array) -> dict[str, Any] | None:
    """Describe a memory-mapped array (file, offset, layout) as plain JSON for :func:`open_map`; None if it is not one."""
    owner = map_of(array)
    if owner is None or owner.mode not in ("r", "r+") or owner.filename is None:
        return None
    offset = owner.offset + array.ctypes.data - owner.ctypes.data
    file = os.path.abspath(owner.filename)  # noqa: PTH100 (a path may be bytes or text)
    layout = {"dtype": array.dtype.str, "shape": list(array.shape), "strides": list(array.strides)}
    source: MappedFile | None = getattr(owner, "source", None)
    fd = None if source is None or sys.platform == "win32" else source.fd
    return {"file": os.fsdecode(file), "fd": fd, "offset": offset, **layout}


def open_map(where: Mapping[str, Any]) -> Array:
    """Map the array that :func:`describe_map` described, read-only.

    The file is opened by its descriptor if this process inherited one, else by its path.
    """
    if where["fd"] is None:
        content = np.memmap(where["file"], np.uint8, "r")
    else:
        with open(where["fd"], "rb", closefd=False) as file:
            content = Map(file, np.uint8, "r")
            content.source = MappedFile(file)
    return np.ndarray(where["shape"], where["dtype"], content, where["offset"], where["strides"])
