"""What older releases wrote is read by this one: specs, runs that were stopped, exported files (`make.py` made them).

Weights of other versions are taken to the bit; what is computed with them may round otherwise, as docs/compatibility.md
says.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import promises
import pytest
from commands import graphspec
from safetensors.numpy import load_file

import graphspec as gs

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("[0-9]*"))
NAMES = sorted(path.stem for path in (HERE / "specs").glob("*.yaml"))
pytestmark = pytest.mark.parametrize(("version", "name"), [(v, n) for v in VERSIONS for n in NAMES])
ROWS = {
    "penguins": {"measures": [[39.1, 18.7, 181.0], [46.5, 17.9, 192.0], [47.6, 14.5, 215.0]]},
    "pictures": {"picture": np.linspace(-1, 2, 192).reshape(3, 8, 8, 1)},
    "words": {"words": [[3, 5, 0, 0], [1, 2, 4, 6], [7, 3, 19, 0]]},
}


def rows(name: str) -> dict[str, np.ndarray]:
    return {k: np.asarray(v, np.int64 if k == "words" else np.float32) for k, v in ROWS[name].items()}


def answers(file: Path, name: str) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(file).run(None, rows(name))[0])


@pytest.fixture
def run(tmp_path: Path, version: str, name: str) -> Path:
    """A copy of the stopped run, beside copies of the specs with their data, as it was made."""
    shutil.copytree(HERE / "specs", tmp_path / "specs")
    shutil.copytree(HERE / version / name, tmp_path / version / name)
    return tmp_path / version / name


def test_a_run_says_its_version(version: str, name: str) -> None:
    assert json.loads((HERE / version / name / "run.json").read_text(encoding="utf-8"))["graphspec"] == version


def test_a_stopped_run_goes_on_as_it_would_have(run: Path, version: str, name: str) -> None:
    assert graphspec("train", f"{run}/../../specs/{name}.yaml", "--resume", "--out", run, "--no-report").exit_code == 0
    with (run / "history.csv").open() as now, (HERE / version / f"{name}.csv").open() as then:
        found, expected = list(csv.DictReader(now)), list(csv.DictReader(then))
    assert [row["epoch"] for row in found] == ["1", "2", "3", "4"]
    for key in expected[0]:
        np.testing.assert_allclose([float(r[key]) for r in found], [float(r[key]) for r in expected], rtol=1e-5)
    resumed = gs.load(run).predict(rows(name))
    np.testing.assert_allclose(resumed, answers(HERE / version / f"{name}.onnx", name), rtol=1e-4, atol=1e-5)


def test_a_run_is_read_evaluated_and_exported(run: Path, version: str, name: str, tmp_path: Path) -> None:
    saved = load_file(run / "weights.safetensors")
    model = gs.load(run)
    assert all(np.array_equal(model.weights[key], saved[key]) for key in model.weights)
    assert graphspec("evaluate", run, "--part", "train").exit_code == 0
    assert graphspec("export", run, "-o", tmp_path / "new.onnx").exit_code == 0
    np.testing.assert_allclose(answers(tmp_path / "new.onnx", name), model.predict(rows(name)), rtol=1e-5, atol=1e-6)


def test_a_run_is_judged_as_it_was(run: Path, version: str, name: str) -> None:
    then = json.loads((HERE / version / "answers.json").read_text(encoding="utf-8"))[name]
    data = next(path for path in (HERE / "specs").glob(f"{name}.*") if path.suffix != ".yaml")
    result = graphspec("evaluate", run, "--data", data)
    assert result.exit_code == 0, result.stderr
    assert promises.values(result.stdout) == pytest.approx(then, rel=2e-6)


def test_an_exported_file_is_described_and_answers(version: str, name: str, tmp_path: Path) -> None:
    file = HERE / version / f"{name}.onnx"
    assert graphspec("inspect", file, "--json").exit_code == 0
    np.savez(tmp_path / "rows.npz", **rows(name))
    assert graphspec("predict", file, tmp_path / "rows.npz", "-o", tmp_path / "answers.npz").exit_code == 0
    with np.load(tmp_path / "answers.npz") as found:
        np.testing.assert_array_equal(next(iter(found.values())), answers(file, name))
