"""Commands take a spec, a run or an ONNX file, and say so if they get something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec, project

import graphspec as gs


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, a run and an ONNX file."""
    folder = tmp_path_factory.mktemp("home")
    spec = project(folder)
    result = graphspec("train", spec, "--out", folder / "run", "--export", folder / "tiny.onnx")
    assert result.exit_code == 0, result.stderr
    return folder


def test_summary_and_plot_are_the_same_of_all_three(home: Path) -> None:
    for command in ("summary", "plot"):
        results = [graphspec(command, home / name) for name in ("tiny.yaml", "run", "tiny.onnx")]
        assert [r.exit_code for r in results] == [0, 0, 0], results[-1].stderr
        assert results[0].stdout == results[1].stdout == results[2].stdout
        assert "hidden" in results[0].stdout


def test_data_of_all_three(home: Path) -> None:
    spec, run = (graphspec("data", home / name) for name in ("tiny.yaml", "run"))
    assert spec.exit_code == run.exit_code == 0
    assert run.stdout == spec.stdout
    result = graphspec("data", home / "tiny.onnx")
    assert result.exit_code == 2
    assert "add `--data DIR`" in result.stderr
    assert graphspec("data", home / "tiny.onnx", "--data", home).stdout == spec.stdout


def test_validate_of_all_three(home: Path) -> None:
    result = graphspec("validate", *(home / name for name in ("tiny.yaml", "run", "tiny.onnx")))
    assert result.exit_code == 0
    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == ["ok (49 parameters, 3 layers)"] * 3
    assert graphspec("validate", home / "run", "--data").exit_code == 0
    result = graphspec("validate", home / "tiny.onnx", "--data")
    assert result.exit_code == 2
    assert "contains no data" in result.stderr


def test_a_spec_that_starts_from_weights_is_used_without_training(home: Path, tmp_path: Path) -> None:
    weights = gs.load(home / "run").weights
    np.savez(home / "part.npz", **{name: array for name, array in weights.items() if name.startswith("hidden")})
    text = (home / "tiny.yaml").read_text(encoding="utf-8")
    started = "training:\n  initial_weights: {file: part.npz, allow_missing: [answer/*]}"
    spec = home / "started.yaml"
    spec.write_text(text.replace("training:", started), encoding="utf-8")
    known = "initial weights: 2 of 4 from part.npz; 2 start new: answer/kernel, answer/bias\n"
    assert graphspec("validate", spec).stdout.endswith(known)
    said = graphspec("summary", spec).stdout
    assert known in said
    assert said.splitlines()[-1].split(maxsplit=1) == ["answer/bias", "starts new: not in the file"]
    for command in (("evaluate", spec), ("predict", spec, home / "test.npz")):
        done = graphspec(*command)
        assert (done.exit_code, done.stderr) == (0, f"{known}note: 2 of its weights are new, and not trained\n")
        assert done.stdout
    explained = graphspec("predict", spec, home / "test.npz", "--explain")
    assert explained.exit_code == 2
    assert "is a spec, but this needs a run; train it first" in " ".join(explained.stderr.split())


def test_validate_finds_damage_in_a_run(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    weights = tmp_path / "run" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\2\3\4")
    result = graphspec("validate", tmp_path / "run", home / "tiny.yaml", "--format", "json")
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)
    assert (found["code"], found["severity"]) == ("GS603", "error")
    result = graphspec("validate", tmp_path / "run", home / "tiny.yaml")
    assert "1 error" in result.stdout
    assert "tiny.yaml: ok" in result.stdout


def test_validate_finds_a_foreign_file_among_others(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"not ONNX")
    others = tmp_path / "other.onnx", home / "tiny.yaml", tmp_path / "absent.onnx"
    result = graphspec("validate", *others)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "'other.onnx' is not an ONNX file" in result.stdout
    assert "tiny.yaml: ok" in result.stdout
    assert "no such file" in result.stdout
    found = json.loads(graphspec("validate", *others, "--format", "json").stdout)
    assert [(each["code"], Path(each["file"]).name) for each in found] == [
        ("GS101", "other.onnx"),
        ("GS101", "absent.onnx"),
    ]


@pytest.mark.parametrize("command", ["summary", "plot", "data", "validate"])
@pytest.mark.parametrize("name", ["run", "tiny.onnx"])
def test_overrides_are_for_specs(command: str, name: str, home: Path) -> None:
    result = graphspec(command, home / name, "--set", "training.epochs=2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--set changes a spec" in result.stderr


@pytest.mark.parametrize("command", ["summary", "plot", "data", "evaluate", "predict", "export"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train.npz", "is a data file, which `graphspec data` shows"),
        ("a.h5", "a file of Keras"),
        ("a.pkl", "never opens"),
        ("empty", "not a run"),
    ],
)
def test_other_files(command: str, name: str, said: str, home: Path, tmp_path: Path) -> None:
    if command == "data" and name == "train.npz":
        assert graphspec(command, home / name).exit_code == 0
        return
    (home / "empty").mkdir(exist_ok=True)
    more = {"predict": [home / "test.npz"], "export": ["-o", tmp_path / "x.onnx"]}.get(command, [])
    result = graphspec(command, home / name, *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "run directory" in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_a_spec_has_no_weights(command: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(home / "tiny.yaml", "my net.yaml")
    more = {"predict": [home / "test.npz"], "export": ["-o", "x.onnx"]}.get(command, [])
    result = graphspec(command, "my net.yaml", *more)
    assert result.exit_code == 2
    assert "train it first: `graphspec train 'my net.yaml'`" in result.stderr
    shutil.copytree(home / "run", "runs/tiny")
    result = graphspec(command, "my net.yaml", *more)
    assert f"`graphspec {command} {Path('runs/tiny')}`" in result.stderr


def test_an_onnx_file_is_exported_already(home: Path, tmp_path: Path) -> None:
    result = graphspec("export", home / "tiny.onnx", "-o", tmp_path / "x.onnx")
    assert result.exit_code == 2
    assert "is an ONNX file already" in result.stderr


@pytest.mark.parametrize("name", ["x.tflite", "x.h5", "x.PT", "x.csv"])
def test_only_onnx_is_written(name: str, home: Path, tmp_path: Path) -> None:
    for command in (
        ("train", home / "tiny.yaml", "--out", tmp_path / "run", "--export"),
        ("export", home / "run", "-o"),
    ):
        result = graphspec(*command, tmp_path / name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "graphspec writes ONNX" in result.stderr
        assert "x.onnx" in result.stderr
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_for_a_spec_that_names_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = project(tmp_path)
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text[: text.index("data:")], encoding="utf-8")
    for words in (("train", spec), ("data", spec)):
        assert "--data FILE" in graphspec(*words).stderr
    shown = graphspec("data", spec, "--data", "train.npz")
    assert (shown.exit_code, shown.stdout.startswith("train: train.npz, 80 rows")) == (0, True), shown.stderr
    Path("train.npz").rename("my rows, ${x}.npz")
    words = ("train", spec, "--data", "my rows, ${x}.npz", "--set", "data.validation.split=0.25")
    result = graphspec(*words)
    assert (result.exit_code, "validation: 20 rows" in result.stdout) == (0, True), result.stderr
    assert graphspec(*words, "--resume", "--set", "training.epochs=4").exit_code == 0
    assert (judged := graphspec("evaluate", "runs/tiny", "--data", "test.npz")).exit_code == 0, judged.stderr
    gone = graphspec("train", spec, "--data", "gone.npz", "--overwrite")
    assert (gone.exit_code, "gone.npz does not exist" in gone.stderr) == (2, True)
