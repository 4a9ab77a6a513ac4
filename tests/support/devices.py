"""Device nodes for tests of writing."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest


def full_device(folder: Path) -> Path:
    """A device that is always full: that of the system, else one made in ``folder``, which takes root; else skip."""
    device = Path("/dev/full")
    if device.exists() and stat.S_ISCHR(device.stat().st_mode):
        return device
    if sys.platform != "linux":
        pytest.skip("there is no device that is always full")
    made = folder / "full"
    try:
        os.mknod(made, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        with made.open("rb"):
            return made
    except OSError:
        pytest.skip("there is no device that is always full")
