"""``graphspec export``: what it writes, and what it refuses before it does any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import SPEC, graphspec, project

WIDE = SPEC.replace("units: 8", "units: 320").replace("epochs: 3", "epochs: 12")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("export")
    assert graphspec("train", project(home, WIDE), "--out", home / "run").exit_code == 0
    return home / "run"


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_quantized_file_and_folders_of_it(run: Path, tmp_path: Path) -> None:
    places = (tmp_path / "a.onnx", tmp_path / "mlflow", tmp_path / "models")
    more = ("-o", places[0], "--mlflow", places[1], "--triton", places[2])
    result = graphspec("export", run, *more, "--quantize", "int8", "--max-loss", "0.2")
    assert result.exit_code == 0, result.stderr
    said = words(result.stdout)
    assert said.startswith(f"{places[0]}: the float32 file is equal to the runtime")
    assert "quantized to int8: dynamic, per channel; compared on 20 test rows" in said
    assert f"{places[1]}: the same model" in said
    content = places[0].read_bytes()
    assert (places[1] / "model.onnx").read_bytes() == (places[2] / "tiny" / "1" / "model.onnx").read_bytes() == content
    assert "No dynamic_batching" in (places[2] / "tiny" / "config.pbtxt").read_text()


def test_a_folder_suffices(run: Path, tmp_path: Path) -> None:
    result = graphspec("export", run, "--triton", tmp_path / "models")
    assert result.exit_code == 0, result.stderr
    assert words(result.stdout).startswith(f"{tmp_path / 'models' / 'tiny'}: equal to the runtime")
    assert [p.name for p in tmp_path.iterdir()] == ["models"]


def test_what_loses_too_much_is_not_written(run: Path, tmp_path: Path) -> None:
    places = ("-o", tmp_path / "a.onnx", "--mlflow", tmp_path / "mlflow", "--triton", tmp_path / "models")
    result = graphspec(
        "export", run, *places, "--signature", tmp_path / "a.json", "--quantize", "int8", "--max-loss", "0"
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "GS704" in result.stderr
    assert "as int8 the network is worse on 20 test rows, more than `--max-loss 0` allows" in words(result.stderr)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name what to write: a file with `-o`, or a folder with `--mlflow` or `--triton`"),
        (["--mlflow", "file"], "is not a folder"),
        (["--triton", "file"], "is not a folder"),
        (["-o", "a.onnx", "--max-loss", "0.1"], "needs a kind of quantization"),
        (["-o", "a.onnx", "--quantize", "int4"], "int4"),
        (["-o", "a.onnx", "--quantize", "int8", "--max-loss", "-1"], "a number from 0 on"),
    ],
)
def test_refused(options: list[str], message: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    result = graphspec("export", run, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in words(result.stderr)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_training_step_beside_a_file_or_alone(run: Path, tmp_path: Path) -> None:
    step, file = tmp_path / "step.onnx", tmp_path / "net.onnx"
    result = graphspec("export", run, "--training-step", step, "--trainable", "*/bias", "-o", file)
    assert (result.exit_code, result.stderr) == (0, "")
    said = words(result.stdout)
    assert said.startswith(f"{step}: 10 steps on rows of ")
    assert f"{file}: equal to the runtime" in said
    assert graphspec("export", run, "--training-step", step).exit_code == 0
    refused = graphspec("export", run, "--trainable", "*/bias", "-o", file)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "add `--training-step FILE`" in words(refused.stderr)
    refused = graphspec("export", run, "--training-step", tmp_path / "step.h5")
    assert refused.exit_code == 2
    assert "graphspec writes ONNX" in words(refused.stderr)
