"""The record of a file: what graphspec has written of itself, what another program has, and what does not agree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_files import check, dense, outside, write
from paths import TESTS

from graphspec.export.inspection import inspect_file

FIXTURES = TESTS / "consumers" / "fixtures"
KEYS = [
    *("format", "kind", "file", "bytes", "name", "description", "producer", "model_version", "ir_version", "opset"),
    *("domains", "inputs", "outputs", "symbols", "example", "weights", "external_data", "parameters", "trainable"),
    *("multiply_adds", "assumed_lengths", "operators", "functions", "subgraphs", "runtime", "runs_on", "spec", "proof"),
    *("quantization", "metadata", "problems"),
]


def by_name(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["name"]: record for record in records}


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir()))
def test_a_file_of_graphspec_says_all(name: str) -> None:
    path = FIXTURES / name / "model.onnx"
    record = inspect_file(path)
    assert list(record) == KEYS
    assert (record["kind"], record["problems"]) == ("graphspec", [])
    assert record["bytes"] == path.stat().st_size
    lacks = ["DequantizeLinear", "QuantizeLinear"] if name.endswith("_int8") else []
    assert record["runtime"]["lacks"] == lacks
    assert record["runs_on"]["onnxruntime"] == "1.14"
    quantized = record["quantization"]
    assert (quantized is None) == (not name.endswith(("_int8", "_float16")))
    proof = record["proof"] if quantized is None else quantized["proof_of_float32"]
    assert proof["batches"] == [1, 2, 5]
    assert record["metadata"] == {}
    proto = onnx.load(path)
    metadata = {p.key: p.value for p in proto.metadata_props}
    assert record["spec"]["sha256"] == metadata["spec_sha256"]
    signature = json.loads(metadata["graphspec.signature"])
    assert record["example"] == signature["example"]
    inputs = by_name(record["inputs"])
    for told in signature["inputs"]:
        assert {key: inputs[told["name"]][key] for key in told} == told
    for told in signature["outputs"]:
        found = by_name(record["outputs"])[told["name"]]
        assert (
            found["labels"] is None
            or list(found["labels"][1:]) == json.loads(metadata["labels"])[told["name"].removesuffix("_label")][1:]
        )
    assert json.loads(json.dumps(record)) == record


def test_what_an_input_may_be() -> None:
    inputs = by_name(inspect_file(FIXTURES / "table" / "model.onnx")["inputs"])
    assert inputs["town"]["known"] == {"count": 4, "values": ["İzmir", "Zürich", "Köln", "東京"]}
    assert (inputs["town"]["missing"], inputs["age"]["missing"], inputs["code"]["missing"]) == ("", "NaN", -(2**63))
    assert inputs["age"]["known"] is None


def test_numbers_of_a_network_are_those_of_its_weights() -> None:
    record = inspect_file(FIXTURES / "image" / "model.onnx")
    assert record["parameters"] == 122  # 3·3·3·4 + 4 of the convolution, 4·2 + 2 of the classes
    assert record["multiply_adds"] > 0
    assert sum(part["bytes"] for part in record["weights"]["dtypes"].values()) == record["weights"]["bytes"]


def test_a_file_of_another_program(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", dense())
    check(path)
    record = inspect_file(path)
    assert list(record) == KEYS
    assert (record["kind"], record["spec"], record["proof"], record["parameters"]) == ("onnx", None, None, None)
    assert record["symbols"] == ["batch"]
    assert record["weights"] == {
        "count": 1,
        "elements": 12,
        "bytes": 48,
        "dtypes": {"float32": {"elements": 12, "bytes": 48}},
    }
    assert record["operators"] == [
        {"domain": "ai.onnx", "name": "MatMul", "count": 1},
        {"domain": "ai.onnx", "name": "Relu", "count": 1},
    ]
    assert set(record["inputs"][0]) == set(inspect_file(FIXTURES / "table" / "model.onnx")["inputs"][0])
    assert set(record["outputs"][0]) == set(inspect_file(FIXTURES / "table" / "model.onnx")["outputs"][0])


def test_weights_in_another_file_are_measured_and_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", outside("w.bin"))
    assert inspect_file(path)["problems"] == ["'w.bin' is missing"]
    (tmp_path / "w.bin").write_bytes(bytes(40))
    assert inspect_file(path)["problems"] == ["'w.bin' has 40 bytes, and the model needs 48"]
    (tmp_path / "w.bin").write_bytes(np.zeros(12, np.float32).tobytes())
    record = inspect_file(path)
    assert record["problems"] == []
    assert record["external_data"] == [{"file": "w.bin", "bytes": 48, "needed": 48, "problem": None}]
    assert record["runs_on"]["onnxruntime"] == "1.14"


def changed(folder: Path, **metadata: str | None) -> Path:
    """A file of graphspec with other metadata."""
    proto = onnx.load(FIXTURES / "image" / "model.onnx")
    for prop in proto.metadata_props:
        prop.value = metadata.get(prop.key) or prop.value
    return write(folder / "a.onnx", proto)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"spec": "[]"}, "its spec is not a JSON mapping"),
        ({"spec": "{" * 5000}, "its spec is not a JSON mapping"),
        ({"spec_sha256": "0" * 64}, "its spec is not the one whose hash it names"),
        ({"spec": '{"graphspec": 1}'}, "its spec is not valid for this version of graphspec"),
        ({"adapted": '{"format": 7}'}, "its spec is not valid for this version of graphspec"),
    ],
)
def test_what_does_not_agree_is_said(metadata: dict[str, str], words: str, tmp_path: Path) -> None:
    problems = inspect_file(changed(tmp_path, **metadata))["problems"]
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize("text", ["[1]", "nonsense", '{"batches": 3, "rows": []}', "null"])
def test_strange_records_are_left_out(text: str, tmp_path: Path) -> None:
    record = inspect_file(changed(tmp_path, proof=text, **{"graphspec.signature": text}))
    assert record["example"] is None
    assert record["kind"] == "graphspec"


def test_inputs_that_the_spec_does_not_have(tmp_path: Path) -> None:
    proto = onnx.load(FIXTURES / "image" / "model.onnx")
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "strange"
    record = inspect_file(write(tmp_path / "a.onnx", proto))
    assert "its inputs are not those of its spec" in record["problems"]


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    monkeypatch.setattr("onnx.load", refuse)
    shutil.copy(FIXTURES / "table" / "model.onnx", tmp_path / "a.onnx")
    assert inspect_file(tmp_path / "a.onnx")["kind"] == "graphspec"
