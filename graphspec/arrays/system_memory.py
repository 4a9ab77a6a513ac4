"""How much memory there is, and how much of it is free."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple


def available() -> int:
    """Bytes that this process may ever use: the machine's memory, or the limit of its container if that is less.

    The measure of what a spec needs: the same answer whatever else is running.
    """
    return min([_physical(), *(limit for limit, _ in _container_limits(Path("/")))])


def free() -> int:
    """Bytes that may be taken now without swapping: the measure of what is about to be allocated.

    Where the system does not tell, the whole of its memory.
    """
    return max(min([_unused(Path("/")), *(limit - used for limit, used in _container_limits(Path("/")))]), 0)


def _container_limits(root: Path) -> list[tuple[int, int]]:
    """The memory limits of this process's control group and of those above it, and what is in use of each.

    cgroup v2 and v1; none elsewhere. Pages of files that can be dropped are not in use.
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
                most = _number(folder / limit)
                if most is not None:
                    used = (_number(folder / usage) or 0) - _field(folder / "memory.stat", cache)
                    limits.append((most, max(used, 0)))
    return limits


_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


_V2 = "memory.max", "memory.current", "inactive_file"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" where there is no limit


def _field(file: Path, name: str) -> int:
    """The first number behind a name in a table of the kernel; 0 where there is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    found = (line.split() for line in lines)
    return next((int(words[1]) for words in found if len(words) > 1 and words[0].rstrip(":") == name), 0)


def _unused(root: Path) -> int:
    """What the machine has left, its caches included."""
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
            ("rest", ctypes.c_ulonglong * 5),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return _Memory(status.total, status.unused)


def human(nbytes: int) -> str:
    """``1.5 GiB``."""
    size = float(min(nbytes, 1 << 100))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"
