"""One rank of a job that runs a command, in which rank 1 is stopped: ``python mpi_stopped.py SIGNAL STEP ARGUMENT …``."""

from __future__ import annotations

import os
import signal
import sys

from graphspec.__main__ import main
from graphspec.engine.parallel import ranks as transport


def stop_rank_1(number: int, step: int) -> None:
    """Send rank 1 a signal in the middle of its step ``step``, from 1."""
    scatter, steps = transport.Exchange._scatter_gradients, [0]

    def scatter_and_stop(self: transport.Exchange) -> None:
        steps[0] += 1
        if self.group.rank == 1 and steps[0] == step:
            os.kill(os.getpid(), number)
        scatter(self)

    transport.Exchange._scatter_gradients = scatter_and_stop  # type: ignore[method-assign]


if __name__ == "__main__":
    _, name, step, *sys.argv[1:] = sys.argv
    stop_rank_1(getattr(signal, name), int(step))
    main()
