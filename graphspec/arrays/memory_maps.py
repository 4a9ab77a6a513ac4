"""Memory maps of data files: who maps what, and whether the file is still what it was."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np

from graphspec.arrays.layout import Array
from graphspec.codes import Code
from graphspec.errors import Diagnostic, SpecError


class Held:
    """A file that is mapped, kept open: what is mapped stays the same file, whatever becomes of its name."""

    def __init__(self, file: IO[bytes]) -> None:
        self.name = file.name
        self.fd = os.dup(file.fileno())
        self._state = _state(self.fd)

    def __del__(self) -> None:
        os.close(self.fd)

    def check(self) -> None:
        """Raises SpecError (GS501) where the file has been written to since it was mapped."""
        if _state(self.fd) != self._state:
            text = f"data file '{self.name}' was changed while it was used"
            hint = "write the new file under another name and rename it: what is in use stays as it is then"
            raise SpecError([Diagnostic(Code.UNREADABLE_FILE, text, file=self.name, hint=hint)])


def _state(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns


class Map(np.memmap[Any, Any]):
    """A memory map that keeps its file open."""

    held: Held | None = None


def map_file(file: IO[bytes], dtype: np.dtype[Any], offset: int, shape: tuple[int, ...], order: Any) -> Array:
    """An array that lies in an open file."""
    array: Map = Map(file, dtype, "r", offset, shape, order)
    array.held = Held(file)
    return array


def map_of(array: Array) -> np.memmap[Any, Any] | None:
    """The memory map that an array is, or is a view of; None for one in memory."""
    owner: Any = array
    while owner is not None and not (isinstance(owner, np.memmap) and isinstance(owner.base, mmap.mmap)):
        owner = getattr(owner, "base", None)
    return owner


def held_by(arrays: Iterable[Array]) -> list[Held]:
    """The files of which these arrays are maps, each once."""
    found = {id(h): h for a in arrays if (h := getattr(map_of(a), "held", None)) is not None}
    return list(found.values())


def mapped(array: Array) -> dict[str, Any] | None:
    """Where a file holds this array, if it is a memory map of one: plain JSON for :func:`open_map`."""
    owner = map_of(array)
    if owner is None or owner.mode not in ("r", "r+") or owner.filename is None:
        return None
    offset = owner.offset + array.ctypes.data - owner.ctypes.data
    file = os.path.abspath(owner.filename)  # noqa: PTH100 (a path may be bytes or text)
    layout = {"dtype": array.dtype.str, "shape": list(array.shape), "strides": list(array.strides)}
    held: Held | None = getattr(owner, "held", None)
    fd = None if held is None or sys.platform == "win32" else held.fd
    return {"file": os.fsdecode(file), "fd": fd, "offset": offset, **layout}


def open_map(where: Mapping[str, Any]) -> Array:
    """The array of :func:`mapped`, for reading; by the descriptor, if this process was given it."""
    if where["fd"] is None:
        whole = np.memmap(where["file"], np.uint8, "r")
    else:
        with open(where["fd"], "rb", closefd=False) as file:
            whole = Map(file, np.uint8, "r")
            whole.held = Held(file)
    return np.ndarray(where["shape"], where["dtype"], whole, where["offset"], where["strides"])
