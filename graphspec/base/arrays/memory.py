"""Memory: its size, its free part, and maps of data files."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.errors import Code, Diagnostic, SpecError


# The size of the system's memory, and the free part of it.
def available() -> int:
    """Return the bytes that this process can use at most: the machine's memory, or its container's limit if smaller.

    The result does not depend on other processes, so a spec's needs are compared with it.
    """
    return min([_physical(), *(limit for limit, _ in _container_limits(Path("/"), measure=False))])


def free() -> int:
    """Return the bytes that can be allocated now without swapping.

    If the system does not report it, this is the size of its memory.
    """
    return max(min([_unused(Path("/")), *(limit - used for limit, used in _container_limits(Path("/")))]), 0)


def peak() -> int | None:
    """Return the most bytes of memory that this process has had at a time; None if the system does not report it."""
    if own := _field(Path("/proc/self/status"), "VmHWM"):
        return own * 1024
    try:  # `resource` may name that of the process which started this one
        import resource
    except ImportError:  # not on Windows
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def give_back(array: Array) -> None:
    """Let the system take the pages that lie within an array, whose elements are then zeros; only Linux can."""
    import ctypes

    start = array.ctypes.data + -array.ctypes.data % mmap.PAGESIZE
    size = (array.ctypes.data + array.nbytes - start) // mmap.PAGESIZE * mmap.PAGESIZE
    if sys.platform == "linux" and size > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


def _container_limits(root: Path, *, measure: bool = True) -> list[tuple[int, int]]:
    """Return (limit, used) in bytes for this process's control group and each of its parents, for cgroup v1 and v2.

    Cached pages of files are not counted as used, since the kernel can drop them. Without cgroups the list is empty.
    """
    limits = []
    for line in _lines(root / "proc/self/cgroup"):
        controllers, path = line.split(":", 2)[1:]
        if controllers in ("", "memory"):
            mount = root / ("sys/fs/cgroup/memory" if controllers else "sys/fs/cgroup")
            limit, usage, cache = _V1 if controllers else _V2
            group = Path(path.lstrip("/"))
            for folder in {mount / part for part in (group, *group.parents)}:
                if (maximum := _number(folder / limit)) is not None:
                    used = (_number(folder / usage) or 0) - _field(folder / "memory.stat", cache) if measure else 0
                    limits.append((maximum, max(used, 0)))
    return limits


_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
_V2 = "memory.max", "memory.current", "inactive_file"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def _number(file: Path) -> int | None:
    text = "".join(_lines(file)).strip()
    return int(text) if text.isdigit() else None  # the file contains "max" if there is no limit


def _field(file: Path, name: str) -> int:
    """Return the first number after ``name`` in one of the kernel's tables; 0 if the table does not contain it."""
    entries = (line.split() for line in _lines(file))
    return next((int(words[1]) for words in entries if len(words) > 1 and words[0].rstrip(":") == name), 0)


def _unused(root: Path) -> int:
    if sys.platform == "win32":
        return _windows()[1]
    return _field(root / "proc/meminfo", "MemAvailable") * 1024 or _physical()


def _physical() -> int:
    if sys.platform == "win32":
        return _windows()[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 1 << 62  # unknown: nothing is refused


def _windows() -> tuple[int, int]:
    """Return the bytes of memory, and those that are free."""
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            *(("length", ctypes.c_ulong), ("load", ctypes.c_ulong), ("total", ctypes.c_ulonglong)),
            *(("unused", ctypes.c_ulonglong), ("other_fields", ctypes.c_ulonglong * 5)),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return status.total, status.unused


def human(nbytes: int) -> str:
    """Format a number of bytes with a binary unit, such as ``1.5 GiB``."""
    size = float(min(nbytes, 1 << 100))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


# Memory maps of data files: find the file behind an array, and detect that the file was changed.
class MappedFile:
    """A mapped file, kept open: the map refers to the same file even if the path is renamed, replaced or removed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.name = file.name
        self.fd = os.dup(file.fileno())
        self._state = _state(self.fd)

    def __del__(self) -> None:
        os.close(self.fd)

    def check(self) -> None:
        """Raise GS501 if somebody has written to the file since it was mapped: its size or time has changed."""
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
    return list({id(f): f for a in arrays if (f := getattr(map_of(a), "source", None)) is not None}.values())


def describe_map(array: Array) -> dict[str, Any] | None:
    """Describe a memory-mapped array (file, offset, layout) as plain JSON for :func:`open_map`; None if it is not one."""
    owner = map_of(array)
    if owner is None or owner.mode not in ("r", "r+") or owner.filename is None:
        return None
    source: MappedFile | None = getattr(owner, "source", None)
    return {
        "file": os.fsdecode(os.path.abspath(owner.filename)),  # noqa: PTH100 (a path may be bytes or text)
        "fd": None if source is None or sys.platform == "win32" else source.fd,
        "offset": owner.offset + array.ctypes.data - owner.ctypes.data,
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "strides": list(array.strides),
    }


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
