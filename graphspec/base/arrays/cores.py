"""The processor cores that this process may use, and the number of BLAS threads that the user has set.

Nothing here imports NumPy: the command line limits BLAS before that.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*_VARIABLES, "VECLIB_MAXIMUM_THREADS"), "1")
"""Environment variables that limit any BLAS to one thread when a process starts."""


def threads_set() -> int | None:
    """Return the number of threads that the user has set, by the first of the variables; None if none is set."""
    given = next((value for name in ONE_THREAD if (value := os.environ.get(name))), None)
    number = re.match(r"\s*(\d{1,4})", given or "")  # OpenMP allows `4,2`
    return None if given is None else max(1, int(number[1])) if number else 1


def usable_cores() -> int:
    """Return the number of cores that this process may use: those of its affinity, within its container's CPU quota."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        cores = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(int(cores), int(cpu_quota() or cores)))


@cache
def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the cores that Linux's control groups, of both versions, give this process; None for no limit.

    The limits of all parents of its group hold, too. In a container the path of the group may be that of the host, while
    its files are at the top. ``root`` is the folder with ``proc`` and ``sys``.
    """
    limits, lines = list[float](), list[str]()
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        group, tops, files = PurePosixPath(path), ["", "unified"], ["cpu.max"]
        if controllers:  # version 1
            tops = ["cpu", controllers] if "cpu" in controllers.split(",") else []
            files = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        for folder in (top / str(g).lstrip("/") for top in map(Path, tops) for g in (group, *group.parents)):
            with suppress(OSError, ValueError):  # no such file, or `max`
                texts = [(root / "sys/fs/cgroup" / folder / file).read_text() for file in files]
                quota, period = map(int, " ".join(texts).split())
                limits += [quota / period] if quota > 0 < period else []  # -1 is no limit
    return min(limits, default=None)
