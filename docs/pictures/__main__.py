"""Draw the pictures: all, or those that are named."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.pictures import PICTURES
from graphspec.base.files import write_atomic

HERE = Path(__file__).parent

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        write_atomic(HERE / f"{name}.svg", PICTURES[name]())
