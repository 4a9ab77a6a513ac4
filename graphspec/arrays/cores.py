"""The processor cores that this process may use, and the number of BLAS threads that the user has set.

Nothing here imports NumPy: the command line limits BLAS before that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*_VARIABLES, "VECLIB_MAXIMUM_THREADS"), "1")
"""Environment variables that limit any BLAS to one thread when a process starts."""


def threads_set() -> int | None:
    """Return the number of threads that the user has set, by the first of the variables; None if none is set."""
    values = (os.environ.get(name) for name in ONE_THREAD)
    given = next((value for value in values if value), None)
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
    quota = _quota()
    return int(cores) if quota is None else max(1, min(int(cores), int(quota)))


@cache
def _quota() -> float | None:
    return cpu_quota(Path("/"))


def cpu_quota(root: Path) -> float | None:
    """Return how many seconds of CPU time Linux's control groups give this process per second; None for no limit.

    The limits of all parents of its group hold, too. In a container the path of the group may be that of the host, while
    its files are at the top.

    Args:
        root: the folder with ``proc`` and ``sys``.
    """
    return min((limit for folder in _groups(root) if (limit := _limit(folder)) is not None), default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups that may limit CPU time, and of their parents."""
    mounted, lines = root / "sys/fs/cgroup", list[str]()
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        group = PurePosixPath("/", path)
        if controllers and "cpu" not in controllers.split(","):
            continue
        tops = ("cpu", controllers) if controllers else ("", "unified")  # version 1, and version 2 alone or beside it
        for top in dict.fromkeys(tops):
            yield from (mounted / top / str(each).lstrip("/") for each in (group, *group.parents))


def _limit(folder: Path) -> float | None:
    """Return the limit of one group, in cores."""
    with suppress(OSError, ValueError, IndexError, ZeroDivisionError):
        if (file := folder / "cpu.max").is_file():
            quota, period = file.read_text().split()[:2]  # `max 100000` for no limit
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        cores = int(quota) / int(period)
        return cores if cores > 0 else None  # version 1 says -1 for no limit
    return None
