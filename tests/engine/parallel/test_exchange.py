"""Training by MPI ranks gives the bits of as many local workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mpi import HERE, job, trained, why_not
from same_products import SAME_PRODUCTS
from sharing import CASES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train all cases in one job: starting it takes seconds."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("ranks")
    result = job([HERE / "mpi.py", folder, 0, 1, *CASES])
    assert result.returncode == 0, result.stderr
    return folder


@SAME_PRODUCTS
@pytest.mark.parametrize("name", CASES)
def test_ranks_give_the_bits_of_local_workers(name: str, folder: Path, two_cores: None) -> None:
    expected = trained(name, 2)
    with np.load(folder / f"{name}.npz") as found:
        assert found.keys() == expected.keys()
        wrong = [key for key, array in expected.items() if not np.array_equal(found[key], array)]
    assert wrong == []
