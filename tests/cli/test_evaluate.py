"""``graphspec evaluate``: parts of the data, and ONNX files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from commands import SPEC, graphspec, project

import graphspec as gs

STOPPING = "  callbacks: [{type: EarlyStopping, monitor: val_loss, patience: 50, restore_best_weights: true}]\n"
PLAIN = SPEC.replace(STOPPING, "")


def values(text: str) -> dict[str, float]:
    """Return the printed losses and metrics."""
    return {key: float(value) for key, value in (line.split()[:2] for line in text.splitlines() if line)}


def last_epoch(run: Path, prefix: str) -> dict[str, float]:
    with (run / "history.csv").open() as file:
        row = list(csv.DictReader(file))[-1]
    return {key.removeprefix(prefix): float(value) for key, value in row.items() if key.startswith(prefix)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with its data beside it."""
    folder = tmp_path_factory.mktemp("run")
    assert graphspec("train", project(folder), "--out", folder / "run").exit_code == 0
    return folder / "run"


def test_evaluate(run: Path) -> None:
    result = graphspec("evaluate", run)
    assert result.exit_code == 0
    figures = dict(line.split() for line in result.stdout.splitlines())
    assert figures == {k: f"{v:.6g}" for k, v in gs.load(run).evaluate().items()}


def test_evaluate_other_rows(run: Path) -> None:
    result = graphspec("evaluate", run, "--data", run.parent / "train.npz")
    assert result.exit_code == 0
    assert result.stdout != graphspec("evaluate", run).stdout
    result = graphspec("evaluate", run, "--data", "missing.npz")
    assert result.exit_code == 1
    assert "error[GS501]" in result.stderr


@pytest.mark.parametrize(
    "split", ["{split: 0.25}", "{split: 0.25, stratify: answer}", "{split: {last: 0.25}}", "{file: test.npz}"]
)
def test_validation_rows_are_those_of_the_training(split: str, tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN.replace("{split: 0.25}", split))
    run = tmp_path / "run"
    assert graphspec("train", spec, "--out", run, "--export", tmp_path / "a.onnx").exit_code == 0
    wanted = last_epoch(run, "val_")
    result = graphspec("evaluate", run, "--part", "validation")
    assert result.exit_code == 0, result.stderr
    assert values(result.stdout) == pytest.approx(wanted, rel=1e-5)
    result = graphspec("evaluate", tmp_path / "a.onnx", "--part", "validation", "--data", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert values(result.stdout) == pytest.approx(wanted, rel=1e-4)
    train = graphspec("evaluate", run, "--part", "train")
    assert train.exit_code == 0
    assert values(train.stdout)["loss"] != pytest.approx(wanted["loss"], rel=1e-5)


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN.replace("  test: {file: test.npz}\n", ""))
    run = tmp_path / "my run"
    assert graphspec("train", spec, "--out", run).exit_code == 0
    result = graphspec("evaluate", run)
    assert result.exit_code == 2
    assert f"`graphspec evaluate '{run}' --part validation`" in result.stderr
    assert graphspec("evaluate", run, "--part", "validation").exit_code == 0


def test_an_onnx_file(tmp_path: Path) -> None:
    spec, file = project(tmp_path, PLAIN), tmp_path / "a.onnx"
    assert graphspec("train", spec, "--out", tmp_path / "run", "--export", file).exit_code == 0
    result = graphspec("evaluate", file)
    assert result.exit_code == 2
    assert "--data" in result.stderr
    for data in ("test.npz", "train.npz"):
        run = graphspec("evaluate", tmp_path / "run", "--data", tmp_path / data)
        result = graphspec("evaluate", file, "--data", tmp_path / data)
        assert result.exit_code == 0, result.stderr
        assert values(result.stdout) == pytest.approx(values(run.stdout), rel=1e-4)
    result = graphspec("evaluate", tmp_path / "none.onnx", "--data", tmp_path)
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
    (tmp_path / "none.onnx").write_bytes(b"not ONNX")
    assert graphspec("evaluate", tmp_path / "none.onnx", "--data", tmp_path).exit_code == 2


def test_penalties_are_not_in_an_onnx_file(tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN.replace("units: 8,", "units: 8, kernel_regularizer: l2,"))
    assert graphspec("train", spec, "--out", tmp_path / "run", "--export", tmp_path / "a.onnx").exit_code == 0
    run = values(graphspec("evaluate", tmp_path / "run").stdout)
    result = graphspec("evaluate", tmp_path / "a.onnx", "--data", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert "lacks the penalties" in result.stderr
    found = values(result.stdout)
    assert found["accuracy"] == run["accuracy"]
    assert found["loss"] < run["loss"]
