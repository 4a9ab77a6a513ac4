"""The size of the system's memory, and the free part of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple


def available() -> int:
    """Return the bytes that this process can use at most: the machine's memory, or its container's limit if smaller.

    The result does not depend on other processes, so a spec's needs are compared with it.
    """
    return min([_physical(), *(limit for limit, _ in _container_limits(Path("/")))])


def free() -> int:
    """Return the bytes that can be allocated now without swapping.

    If the system does not report it, this is the size of its memory.
    """
    return max(min([_unused(Path("/")), *(limit - used for limit, used in _container_limits(Path("/")))]), 0)


def peak() -> int | None:
    """Return the most bytes of memory that this process has had at a time; None if the system does not report it."""
    if own := _field(
        Path("/proc/self/status"), "VmHWM"
    ):  # `resource` may name that of the process which started this one
        return own * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def _container_limits(root: Path) -> list[tuple[int, int]]:
    """Return (limit, used) in bytes for this process's control group and each of its parents, for cgroup v1 and v2.

    Cached pages of files are not counted as used, since the kernel can drop them. Without cgroups the list is empty.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in groups:
        controllers, path = line.split(":", 2)[1:]
        if controllers in ("", "memory"):
            mount = root / ("sys/fs/cgroup/memory" if controllers else "sys/fs/cgroup")
            limit, usage, cache = _V1 if controllers else _V2
            group = Path(path.lstrip("/"))
            for folder in {mount / part for part in (group, *group.parents)}:
                maximum = _number(folder / limit)
                if maximum is not None:
                    used = (_number(folder / usage) or 0) - _field(folder / "memory.stat", cache)
                    limits.append((maximum, max(used, 0)))
    return limits


_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


_V2 = "memory.max", "memory.current", "inactive_file"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # the file contains "max" if there is no limit


def _field(file: Path, name: str) -> int:
    """Return the first number after ``name`` in one of the kernel's tables; 0 if the table does not contain it."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    entries = (line.split() for line in lines)
    return next((int(words[1]) for words in entries if len(words) > 1 and words[0].rstrip(":") == name), 0)


def _unused(root: Path) -> int:
    """Return the machine's free bytes, including its caches."""
    if sys.platform == "win32":
        return _windows().unused
    return _field(root / "proc/meminfo", "MemAvailable") * 1024 or _physical()


def _physical() -> int:
    if sys.platform == "win32":
        return _windows().total
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 1 << 62  # unknown: nothing is refused


class _Memory(NamedTuple):
    total: int
    unused: int


def _windows() -> _Memory:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("unused", ctypes.c_ulonglong),
            ("other_fields", ctypes.c_ulonglong * 5),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return _Memory(status.total, status.unused)


def human(nbytes: int) -> str:
    """Format a number of bytes with a binary unit, such as ``1.5 GiB``."""
    size = float(min(nbytes, 1 << 100))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"
