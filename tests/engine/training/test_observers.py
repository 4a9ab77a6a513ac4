"""What ``fit`` prints, by its ``verbose``."""

from __future__ import annotations

import re

import pytest

import graphspec as gs
from specs import blobs, dense_spec


def shown(capsys: pytest.CaptureFixture[str], **arguments: object) -> list[int]:
    """The epochs that have a line."""
    capsys.readouterr()
    gs.compile(dense_spec()).fit(*blobs(24), validation_split=0.25, **arguments)  # type: ignore[arg-type]
    return [int(number) for number in re.findall(r"^epoch +(\d+)/\d+ ", capsys.readouterr().out, re.M)]


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    few = [1, 2, *range(5, 46, 5)]
    assert shown(capsys, epochs=45) == shown(capsys, epochs=45, verbose=1) == few
    assert shown(capsys, epochs=45, verbose=True) == shown(capsys, epochs=45, verbose="auto") == few
    assert shown(capsys, epochs=45, verbose=2) == [*range(1, 46)]
    assert shown(capsys, epochs=45, verbose=0) == []


def test_the_last_epoch_of_a_stopped_fit_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    stop = {"type": "EarlyStopping", "patience": 3, "min_delta": 100.0}
    assert shown(capsys, epochs=1000, callbacks=[stop]) == [1, 2, 4]


def test_a_reduced_learning_rate_is_shown_with_its_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    reduce = {"type": "ReduceLROnPlateau", "patience": 3, "min_delta": 100.0, "min_lr": 1e-4}
    gs.compile(dense_spec()).fit(*blobs(24), validation_split=0.25, epochs=100, callbacks=[reduce])
    lines = capsys.readouterr().out.splitlines()
    first = next(k for k, line in enumerate(lines) if line == "  learning rate reduced to 0.0001")
    assert lines[first - 1].startswith("epoch ")
