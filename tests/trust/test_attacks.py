"""A few cases of every attack; ``python -m tests.trust`` tries many."""

from __future__ import annotations

import errno
from itertools import islice
from pathlib import Path

import pytest

from trust import attack_faults, frame

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


def test_every_module_that_writes_files_is_attacked() -> None:
    reached = {call.module for name in attack_faults.OPERATIONS for call in attack_faults.undisturbed(name)[0]}
    assert attack_faults.writers() - reached == attack_faults.UNDISTURBED.keys()


@pytest.mark.parametrize(
    ("name", "module", "number"),
    [
        ("train", "show.page.build", 1),  # the page of a complete run
        ("train copies from a cache", "engine.compiler.spec_files", 1),  # spec.json, after the copy of an ONNX file
        # checkpoint.json of a copy, after its checkpoint
        ("train copies from a cache", "engine.training.checkpoint", 4),
        ("search", "search.study", 25),  # a value of a trial
        ("search", "show.report.comparison", 0),  # the report of a trial
    ],
)
def test_faults_that_were_found(name: str, module: str, number: int) -> None:
    calls, _ = attack_faults.undisturbed(name)
    moments = [moment for moment, call in enumerate(calls, 1) if call.module == f"graphspec.{module}"]
    assert [*attack_faults.disturbed(name, moments[number], errno.EIO)] == []
