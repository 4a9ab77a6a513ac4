"""The specs in `specs/` on four MPI ranks: steps have the losses of one process up to rounding, and with shards its bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mpi import HERE, job, why_not
from mpi_specs import train
from test_specs import SPECS, garments, newswires, sentences, written_words

pytestmark = pytest.mark.slow

__all__ = ["garments", "newswires", "sentences", "written_words"]  # fixtures

STEPS, SHARDS = 3, 8


@pytest.fixture
def paths(garments: Path, newswires: Any, sentences: Any, written_words: Any) -> list[Path]:
    """All specs, beside data that are there or made up."""
    made_up = {
        path.stem: path for folder in (garments, sentences[0], written_words[0]) for path in folder.glob("*.yaml")
    }
    made_up["newswires"] = newswires[0]
    return [made_up.get(name, path) for name, path in SPECS.items()]


def test_four_ranks_have_the_losses_and_bits_of_one_process(paths: list[Path], tmp_path: Path) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    result = tmp_path / "logs.json"
    done = job([HERE / "mpi_specs.py", result, STEPS, SHARDS, *paths], ranks=4)
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    assert found.keys() == SPECS.keys()
    for path in paths:
        logs, weights = found[path.stem]
        expected, _ = train(str(path), STEPS, None)
        assert len(expected) > 1
        for step, (ours, theirs) in enumerate(zip(logs, expected, strict=True), 1):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7), f"{path.stem}, step {step}"
        assert train(str(path), STEPS, SHARDS) == (logs, weights), path.stem
