"""Whether a launcher such as ``mpiexec`` or ``srun`` has started this process as one of several; without loading MPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLES = (
    ("mpiexec", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("mpiexec", "PMI_RANK", "PMI_SIZE"),  # MPICH and Intel MPI, also under srun
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # SLURM_NTASKS is also set where only the job script runs
)


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that a launcher has started.

    Attributes:
        command: the launcher.
    """

    command: str
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
