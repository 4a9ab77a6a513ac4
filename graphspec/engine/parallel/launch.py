"""How processes of a training are started together and stopped: launchers such as ``mpiexec``, and signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

# Whether a launcher such as ``mpiexec`` or ``srun`` has started this process as one of several; without loading MPI.
_VARIABLES = (
    ("mpiexec", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("mpiexec", "PMI_RANK", "PMI_SIZE"),  # MPICH and Intel MPI, also under srun
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # SLURM_NTASKS is also set where only the job script runs
)


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that a launcher has started."""

    command: str  # the launcher
    rank: int
    size: int


def launch_of(environment: Mapping[str, str]) -> Launch | None:
    """Return this process's place by the variables that launchers set; None if it was started alone."""
    for command, rank, size in _VARIABLES:
        try:
            found = Launch(command, int(environment[rank]), int(environment[size]))
        except (KeyError, ValueError):
            continue
        if found.size > 1:
            return found
    return None


# Signals that stop a training: rank 0 handles them, and the other workers, which may get them too, ignore them.
STOPS: tuple[int, ...] = tuple(
    int(getattr(signal, name)) for name in ("SIGTERM", "SIGUSR1", "SIGBREAK") if hasattr(signal, name)
)
"""Signals besides Ctrl-C that stop ``graphspec train``: batch systems, containers, consoles of Windows send them."""


@contextmanager
def held_back() -> Iterator[None]:
    """Start workers inside the ``with`` block: all signals to stop wait until a worker calls :func:`ignore`.

    For this process they wait until the end of the block. Windows cannot hold signals back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, *STOPS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore all signals to stop, also those that were held back.

    Batch systems signal every process of a job at once. A worker that ended then would keep rank 0 from finishing its step
    and writing its checkpoint. Workers end when rank 0 does: that closes their standard input.
    """
    for number in (signal.SIGINT, *STOPS):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, *STOPS))
