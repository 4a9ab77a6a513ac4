"""Other work on every core: an endless loop of the lowest priority, which gets what the contenders leave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from graphspec.base.arrays.cores import usable_cores

LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(1_000_000):\n        pass\n"
"""It ends with the process that started it, however that ends."""
NICE = 19


def _loop(core: int) -> subprocess.Popen[bytes]:
    """A loop on a core, where processes can be kept on one."""
    if sys.platform == "win32":
        return subprocess.Popen([sys.executable, "-c", LOOP], creationflags=subprocess.IDLE_PRIORITY_CLASS)
    start = f"import os\nos.nice({NICE})\n"
    if sys.platform == "linux":
        start += f"os.sched_setaffinity(0, [{core}])\n"
    return subprocess.Popen([sys.executable, "-c", start + LOOP])


@contextmanager
def busy(wanted: bool) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Within it, if wanted, a loop runs on each core that this process may use."""
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else range(usable_cores())
    loops = [_loop(core) for core in cores] if wanted else []
    try:
        yield loops
    finally:
        for loop in loops:
            loop.terminate()
        for loop in loops:
            loop.wait()
