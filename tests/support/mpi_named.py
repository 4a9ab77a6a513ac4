"""One rank of a job that runs a command, and first writes its process to a file in FOLDER.

``python mpi_named.py FOLDER ARGUMENT …``
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def rank() -> str:
    """The number of this rank, by what launchers set."""
    return next(os.environ[name] for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK") if name in os.environ)


if __name__ == "__main__":
    _, folder, *sys.argv[1:] = sys.argv
    new = Path(folder, f"{rank()}.new")
    new.write_text(str(os.getpid()))
    new.rename(Path(folder, rank()))  # whole or not there
    from graphspec.__main__ import main

    main()
