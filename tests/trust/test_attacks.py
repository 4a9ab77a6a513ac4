"""A few cases of every attack; ``python -m tests.trust`` tries many."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from trust import frame

pytestmark = pytest.mark.slow

CASES = [
    (name, seed)
    for name in frame.names()
    for seed in islice(frame.seeds(name, 0), getattr(frame.module(name), "CASES", 3))
]


# What is made to be odd is warned of: archives with a name twice, damaged ones that NumPy leaves open.
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning", "ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "seed"), CASES)
def test_cases(name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert frame.tried(frame.module(name), seed) == []
