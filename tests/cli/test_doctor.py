"""``graphspec doctor``: everything is fine here, and each fault is found with what to do."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec

from graphspec.base.arrays import cores, memory
from graphspec.cli import doctor


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "other_distribution", lambda: None)


def found(*, status: int = 1) -> dict[str, dict[str, Any]]:
    """What is found by topic."""
    result = graphspec("doctor", "--json")
    assert result.exit_code == status, result.stdout
    return {finding["topic"]: finding for finding in json.loads(result.stdout)["findings"]}


def test_all_is_fine_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    home = str(Path.home())
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: home)
    result = graphspec("doctor")
    assert result.exit_code == 0, result.stdout
    assert "problem" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "temporary files: ~ can be written to" in result.stdout
    topics = found(status=0)
    assert f"numpy {importlib.metadata.version('numpy')}" in topics["libraries"]["text"]
    assert "trained, exported, and computed with the same numbers" in topics["onnxruntime"]["text"]


def test_the_home_folder_is_shortened_only_where_a_path_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.Path, "home", lambda: Path("/root"))
    for text, short in (
        ("in /root/x, '/root' and /rootless", "in ~/x, '~' and /rootless"),
        ("/srv/root/x can be written to", "/srv/root/x can be written to"),
    ):
        assert doctor._short(text) == short


def test_libraries_that_are_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("networkx", "pygls"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.4" if name == "numpy" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    topics = found()
    assert (topics["networkx"]["level"], topics["networkx"]["text"]) == ("problem", "is not installed")
    assert '`pip install "networkx' in topics["networkx"]["hint"]
    assert topics["numpy"]["text"].startswith("1.4 is here, and graphspec needs >=")
    assert "not installed: editor (pygls)" in topics["extras"]["text"]


def test_without_metadata_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert found(status=0)["libraries"]["level"] == "note"


def test_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in cores.ONE_THREAD:
        monkeypatch.setenv(variable, "4")
    monkeypatch.setattr(memory, "free", lambda: 100 << 20)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: 1.5)
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    topics = found()
    assert topics["BLAS"]["level"] == "note"
    assert "4 threads" in topics["BLAS"]["text"]
    assert "with a quota of 1.5" in topics["cores"]["text"]
    assert topics["memory"]["level"] == topics["temporary files"]["level"] == "problem"
    assert topics["memory"]["text"].startswith("100")
    assert "cannot be written to: No such file or directory" in topics["temporary files"]["text"]


def test_another_distribution_and_a_runtime_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr("graphspec.Model.export", broken)
    monkeypatch.setattr(doctor, "other_distribution", lambda: "the distribution `graphspec` 1.0.0 is installed, too")
    topics = found()
    assert topics["distribution"]["level"] == "problem"
    assert "a small network fails: RuntimeError: no such instruction" in topics["onnxruntime"]["text"]
    assert "GRAPHSPEC_DEBUG=1" in topics["onnxruntime"]["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("value", ["compiled", "nonsense"])
def test_a_wrong_choice_of_kernels_is_a_finding(value: str) -> None:
    """In a process of its own: the variable is read once."""
    environment = {**os.environ, "GRAPHSPEC_KERNELS": value}
    command = [sys.executable, "-m", "graphspec", "doctor"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if value == "compiled" and done.returncode == 0:
        assert "kernels: compiled" in done.stdout  # they are installed here
        return
    assert done.returncode == 1
    assert "problem  kernels: GRAPHSPEC_KERNELS" in done.stdout
    assert done.stdout.count("problem") == 2  # and nothing can be computed
