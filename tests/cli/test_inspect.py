"""``graphspec inspect``: files of graphspec and of others, runs, JSON, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import graphspec, project
from onnx_files import dense, hostile, outside, write
from paths import TESTS
from safetensors.numpy import save_file
from trust.hostile_files.keras_models import functional, keras, layer, start, text

from graphspec.base.text import display_width

FIXTURES = sorted((TESTS / "consumers" / "fixtures").glob("*/model.onnx"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    assert graphspec("train", project(folder), "--out", folder / "run").exit_code == 0
    return folder / "run"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_file_fits_the_terminal(path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("COLUMNS", str(width))
    result = graphspec("inspect", "model.onnx")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert [line for line in result.stdout.splitlines() if display_width(line) > width] == []


def test_what_is_said_of_a_file_of_graphspec() -> None:
    path = TESTS / "consumers" / "fixtures" / "image" / "model.onnx"
    lines = graphspec("inspect", path).stdout.splitlines()
    assert lines[0] == f"{path}: an ONNX file of graphspec, 'image'"
    assert "  photo  uint8 (N, photo_1, photo_2, 3)" in lines
    assert "  animal  float32 (N, 2)  probability of each class: 0 is 'cat', 1 is 'dog'" in lines
    found = {line[:12].strip(): line[12:] for line in lines if line[:12].strip() and not line.startswith(" ")}
    assert found["parameters"] == "122; multiply-adds per row: 3,896, with photo_1 = 16, photo_2 = 16"
    assert found["runs on"] == "onnxruntime 1.14 or later: Python, Node, web, C#, Java"
    assert found["opset"] == "17, IR version 8"
    assert found["graphspec"] == "its runtime has all operators"
    assert found["proof"].startswith("equal to graphspec's runtime under onnxruntime ")
    assert found["operators"].startswith("13 nodes: ArgMax 1, ")
    assert lines[lines.index("example") + 2].startswith('  → {"animal": [0.5')


def test_what_is_said_of_another_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", dense())
    text = graphspec("inspect", path).stdout
    assert f"{path}: an ONNX file, 'g'" in text
    assert "made by     another 2.1" in text
    assert "  x  float32 (batch, 4)" in text
    assert "parameters" not in text
    assert "proof" not in text


def test_what_is_missing_is_a_problem_and_no_error(tmp_path: Path) -> None:
    result = graphspec("inspect", write(tmp_path / "a.onnx", outside("w.bin")))
    assert result.exit_code == 0
    assert "w.bin (missing)" in result.stdout
    assert "problem     'w.bin' is missing" in result.stdout


def test_texts_of_a_stranger_do_not_control_the_terminal(tmp_path: Path) -> None:
    found = dense()
    found.doc_string = "one\x1b[31mtwo\u202ethree"
    found.metadata_props.add(key="a\x1bkey", value="v\x1b]0;title\x07" + "x" * 5000)
    text = graphspec("inspect", write(tmp_path / "a.onnx", found)).stdout
    assert "one\ufffd[31mtwo\ufffdthree" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert len(text) < 3000


@pytest.mark.parametrize("name", sorted(hostile()))
def test_a_hostile_file_ends_with_a_code(name: str, tmp_path: Path) -> None:
    result = graphspec("inspect", write(tmp_path / "a.onnx", hostile()[name][0]))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error[GS703]: 'a.onnx' " in result.stderr


def test_json(tmp_path: Path, run: Path) -> None:
    record = json.loads(graphspec("inspect", FIXTURES[0], "--json").stdout)
    assert record["kind"] == "graphspec"
    assert json.loads(graphspec("inspect", write(tmp_path / "a.onnx", dense()), "--json").stdout)["kind"] == "onnx"
    found = json.loads(graphspec("inspect", run, "--json").stdout)
    assert (found["kind"], found["epochs"], found["parameters"], found["problems"]) == ("run", 3, 49, [])
    assert found["outputs"][1]["labels"] == ["no", "yes"]
    assert found["run"]["seed"] == 5
    assert "onnx" in found["targets"]


def test_a_run(run: Path) -> None:
    text = graphspec("inspect", run).stdout
    assert f"{run}: a run, 'tiny'" in text
    assert "trained     3 epochs, seed 5" in text
    assert "export      for ort-1.14 to ort-1.32, onnx" in text


def test_the_file_of_a_run_says_the_same_of_its_network(run: Path, tmp_path: Path) -> None:
    assert graphspec("export", run, "-o", tmp_path / "a.onnx").exit_code == 0
    of_run, of_file = (json.loads(graphspec("inspect", path, "--json").stdout) for path in (run, tmp_path / "a.onnx"))
    for key in ("parameters", "trainable", "multiply_adds"):
        assert of_run[key] == of_file[key]
    assert [i["name"] for i in of_run["inputs"]] == [i["name"] for i in of_file["inputs"]]
    assert (
        sum(onnx.numpy_helper.to_array(w).size for w in onnx.load(tmp_path / "a.onnx").graph.initializer if w.dims)
        >= 49
    )


def test_a_run_that_has_not_ended(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "weights.safetensors").unlink()
    assert "it has no weights" in graphspec("inspect", tmp_path / "run").stdout
    (tmp_path / "run" / "history.csv").write_text("epoch,loss\n1,nothing\n", encoding="utf-8")
    assert "error[GS603]" in graphspec("inspect", tmp_path / "run").stderr


def test_what_is_said_of_weights_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    save_file({f"encoder.{k}.fc.weight": np.ones((3, 4), np.float32) for k in range(3)}, "w.safetensors")
    lines = graphspec("inspect", "w.safetensors").stdout.splitlines()
    assert lines[:4] == [
        "w.safetensors: weights, a file of safetensors",
        "",
        "arrays of float32",
        "  encoder.{0..2}.fc  weight (3, 4)",
    ]
    assert "layout      PyTorch's names and layout" in lines
    assert "            `initial_weights: {file: w.safetensors, layout: torch}`" in lines
    (tmp_path / "net.json").write_bytes(text(functional(start(), layer("Lambda", "l", "x"))))
    lines = graphspec("inspect", "net.json").stdout.splitlines()
    assert lines[0] == "net.json: a model of Keras without weights, 'net'"
    assert lines[-2:] == [
        "here        it cannot be imported:",
        "            - net.json: layers[1] 'l' (Lambda): 'l' is Python code",
    ]
    assert json.loads(graphspec("inspect", "net.json", "--json").stdout)["uses"][0]["reasons"][0]["code"] == "GS802"
    (tmp_path / "net.keras").write_bytes(keras())
    lines = graphspec("inspect", "net.keras").stdout.splitlines()
    assert "here        it can be imported: `graphspec import net.keras -o net.yaml`" in lines


@pytest.mark.parametrize("name", ["none.onnx", "none.keras", "net.yaml", "net.json", "rows.csv", "net.pt", "folder"])
def test_other_files_are_wrong_usage(name: str, tmp_path: Path) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif not name.startswith("none"):
        (tmp_path / name).write_text("graphspec: 1\n", encoding="utf-8")
    result = graphspec("inspect", tmp_path / name)
    assert result.exit_code == 2
    assert "name an ONNX file, a model of Keras, a file of weights or a run directory" in result.stderr
