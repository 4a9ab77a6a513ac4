"""Who has started this process."""

from __future__ import annotations

import pytest

from graphspec.engine.parallel.launch import Launch, launch_of


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Launch("mpiexec", 1, 2)),
        ({"PMI_RANK": "0", "PMI_SIZE": "4"}, Launch("mpiexec", 0, 4)),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "8"}, Launch("srun", 3, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # a job script: `srun` has not started this process
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"PMI_RANK": "0", "PMI_SIZE": "many"}, None),
    ],
)
def test_launch_of(environment: dict[str, str], expected: Launch | None) -> None:
    assert launch_of(environment) == expected
