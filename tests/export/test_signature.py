"""What an app reads of a file: inputs, outputs, and an example that it can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.export.onnx import KEY, _plain
from graphspec.graph.onnx_session import session
from specs import blobs, dense_spec


def metadata(path: Path) -> dict[str, str]:
    return {p.key: p.value for p in onnx.load(path).metadata_props}


def test_the_signature_in_the_file_and_beside_it(tmp_path: Path) -> None:
    spec = dense_spec()
    spec["outputs"]["kind"]["labels"] = ["red", "green", "blue"]
    model = gs.compile(spec)
    x, y = blobs()
    model.fit(x, y, epochs=1, verbose=0)
    model.export(tmp_path / "net.onnx", signature=tmp_path / "net.json")
    found = json.loads((tmp_path / "net.json").read_text())
    assert json.loads(metadata(tmp_path / "net.onnx")[KEY]) == found
    assert found["format"] == 1
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["N", 4], "column": "x", "missing": None}]
    assert found["outputs"] == [
        {"name": "kind", "dtype": "float32", "shape": ["N", 3]},
        {"name": "kind_label", "dtype": "string", "shape": ["N"], "labels": ["red", "green", "blue"]},
    ]
    example = found["example"]
    np.testing.assert_array_equal(np.float32(example["inputs"]["x"]), model.sample_rows["x"][:1])
    runner = session(tmp_path / "net.onnx", threads=1)
    kind, label = runner.run(["kind", "kind_label"], {"x": np.float32(example["inputs"]["x"])})
    np.testing.assert_allclose(np.float32(example["outputs"]["kind"]), kind, rtol=1e-6)
    assert example["outputs"]["kind_label"] == label.tolist()


def test_columns_and_missing_numbers(tmp_path: Path) -> None:
    inputs: dict[str, Any] = {"x": {"shape": [1]}, "zip": {"shape": [1], "dtype": "int64"}, "z": {"shape": [2]}}
    layers = [
        {"name": "full", "type": "Impute", "strategy": "zero", "inputs": "x"},
        {"name": "code", "type": "Impute", "strategy": "zero", "inputs": "zip"},
        {"name": "all", "type": "Concatenate", "inputs": ["full", "code", "z"]},
        {"name": "kind", "type": "Dense", "units": 2},
    ]
    spec = dense_spec(inputs=inputs, layers=layers, outputs={"kind": {}})
    spec["data"] = {"train": {"file": "none.csv", "inputs": {"x": "Weight in kg", "z": ["a", "b"]}}}
    rows = {
        "x": np.array([[np.nan]], np.float32),
        "zip": np.array([[-(2**63)]]),
        "z": np.array([[1.5, 0.1]], np.float32),
    }
    gs.compile(spec).export(tmp_path / "net.onnx", rows=rows)
    facts = metadata(tmp_path / "net.onnx")
    found = json.loads(facts[KEY])
    assert [(i["name"], i["column"], i["missing"]) for i in found["inputs"]] == [
        ("x", "Weight in kg", "NaN"),
        ("zip", "zip", -(2**63)),
        ("z", ["a", "b"], None),
    ]
    assert found["example"]["inputs"] == {"x": [[None]], "zip": [[None]], "z": [[1.5, 0.1]]}
    assert json.loads(facts["proof"])["unusual_rows"] > 0


def test_an_example_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    layers = [{"name": "kind", "type": "GlobalAveragePooling2D"}]
    spec = dense_spec(inputs={"x": {"shape": [80, 80, 3]}}, layers=layers, outputs={"kind": {}})
    gs.compile(spec).export(tmp_path / "net.onnx")
    assert json.loads(metadata(tmp_path / "net.onnx")[KEY])["example"] is None


def test_values_as_json() -> None:
    assert _plain(np.array([[0.1, np.nan], [np.inf, -2.5]], np.float32)) == [[0.1, None], [None, -2.5]]
    assert _plain(np.array([True, False])) == [True, False]
    assert _plain(np.array([["é", ""]], object)) == [["é", ""]]
    assert json.dumps(_plain(np.array([2**40, -(2**63)]))) == "[1099511627776, null]"


def test_the_signature_on_the_command_line(tmp_path: Path) -> None:
    gs.compile(dense_spec()).save(tmp_path / "run")
    result = graphspec("export", tmp_path / "run", "-o", tmp_path / "a.onnx", "--signature", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "a.json").read_text())["name"] == dense_spec()["name"]
    result = graphspec("export", tmp_path / "run", "-o", tmp_path / "b.onnx", "--signature", tmp_path / "no" / "a.json")
    assert result.exit_code == 2
    assert not (tmp_path / "b.onnx").exists()


def test_no_signature_without_a_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gs.Model.run
    monkeypatch.setattr(gs.Model, "run", lambda self, feeds: {n: a + 1 for n, a in honest(self, feeds).items()})
    with pytest.raises(gs.SpecError):
        gs.compile(dense_spec()).export(tmp_path / "net.onnx", signature=tmp_path / "net.json")
    assert not list(tmp_path.iterdir())
