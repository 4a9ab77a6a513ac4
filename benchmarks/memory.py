"""Bytes that processes hold."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

KIB = 1024


def _status(key: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return int(next(line for line in status.read_text().splitlines() if line.startswith(key)).split()[1]) * KIB


def peak() -> int:
    """The most that this process has had resident, since :func:`forget_peak` where there is such a thing (Linux)."""
    if (most := _status("VmHWM")) is not None:  # getrusage also counts what the parent had before exec
        return most
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def forget_peak() -> int:
    """Let the peak be counted from now on. What is resident now; the peak so far where that is not to be had."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    now = _status("VmRSS")
    return peak() if now is None else now


def of_children() -> int:
    """What the children of this process hold, without the pages that they share: those are in this process's account.

    Where pages cannot be told apart (without ``smaps_rollup``), all that is resident; 0 where nothing is to be learnt.
    """
    pids = [pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
    files = [Path(f"/proc/{pid}/smaps_rollup") for pid in pids]
    if files and all(file.exists() for file in files):
        lines = [line for file in files for line in file.read_text().splitlines()]
        return sum(int(line.split()[1]) * KIB for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return _resident_children()


def _resident_children() -> int:
    import os

    try:
        table = subprocess.run(
            ["ps", "-A", "-o", "ppid=,rss=,args="], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    rows = [line.split(maxsplit=2) for line in table.splitlines()]
    return sum(int(rss) * KIB for ppid, rss, args in rows if int(ppid) == os.getpid() and not args.startswith("ps "))
