"""The bill of materials of a model: the facts of the card and of the run, in CycloneDX's form; files that belong to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cyclonedx_schema import valid
from onnx_files import dense
from paths import TESTS

import graphspec as gs
from graphspec.base.errors import UsageError
from graphspec.show.report.findings import Findings, find
from graphspec.show.report.model_bill import found_in_file, model_bill

HEAD = {"type": "Dense", "units": 3, "activation": "softmax", "name": "kind"}
FIXTURES = sorted((TESTS / "consumers" / "fixtures").glob("*/model.onnx"))
TOWNS = "A\u202e"
HOSTILE = "Which\x1b[31m \u202e<b>\x00 it is"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of few rows, whose texts steer terminals, and its file."""
    folder, rng = tmp_path_factory.mktemp("bill"), np.random.default_rng(0)
    rows = [f"{rng.normal(k % 3, 0.1):.3f},{TOWNS[k % 2]},{['low', 'mid', 'high'][k % 3]}" for k in range(60)]
    for name in ("rows", "tests"):
        (folder / f"{name}.csv").write_text("\n".join(["size,town,kind", *rows]), encoding="utf-8")
    spec = {
        "graphspec": 1,
        "name": "made",
        "description": HOSTILE,
        "inputs": {"row": {"columns": {"size": "number", "town": "category"}}},
        "layers": [HEAD],
        "outputs": {"kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}},
        "training": {"epochs": 3, "batch_size": 8, "seed": 7},
        "data": {"train": {"file": "rows.csv"}, "validation": {"split": 0.2}, "test": {"file": "tests.csv"}},
    }
    (folder / "made.json").write_text(json.dumps(spec), encoding="utf-8")
    model = gs.compile(folder / "made.json")
    model.fit(verbose=0)
    model.save(folder / "run")
    model.export(folder / "made.onnx")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Findings:
    return find(gs.load(folder / "run"), folder / "run")


def sha256(path: Path) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def values(listed: list[dict[str, str]]) -> dict[str, str]:
    return {each["name"].removeprefix("graphspec:"): each["value"] for each in listed}


def test_a_run(folder: Path, found: Findings) -> None:
    text = model_bill(found, licence="mit")
    document = valid(text)
    assert text == model_bill(find(gs.load(folder / "run"), folder / "run"), licence="mit")
    model = document["metadata"]["component"]
    assert (model["name"], model["licenses"]) == ("made", [{"expression": "MIT"}])
    assert model["description"] == "Which�[31m �<b>� it is"
    assert model["hashes"] == sha256(folder / "run" / "weights.safetensors")
    known = values(model["properties"])
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    assert (known["seed"], known["file"]) == ("7", "weights.safetensors")
    assert known["spec_sha256"] == record["spec_sha256"]
    assert known["same_bits"].startswith(f"The same bits come out with the same data, with graphspec {gs.__version__} ")
    tools = {tool["name"]: tool["version"] for tool in document["metadata"]["tools"]["components"]}
    kernels = record["plan"].get("compiled")
    compiled = {"graphspec-onnx-kernels": kernels} if kernels else {}
    assert tools == {"graphspec": gs.__version__, "Python": record["python"], **record["packages"], **compiled}
    data = {each["bom-ref"]: each for each in document["components"]}
    assert data["data:train"]["hashes"] == sha256(folder / "rows.csv")
    assert data["data:test"]["hashes"] == sha256(folder / "tests.csv")
    assert "hashes" not in data["data:validation"]
    assert data["data:validation"]["data"][0]["description"] == "the training data, 20 % of it"


def test_the_card_has_the_values_of_evaluate(folder: Path, found: Findings) -> None:
    card = valid(model_bill(found))["metadata"]["component"]["modelCard"]
    parameters = card["modelParameters"]
    assert parameters["task"] == "tabular-classification"
    assert parameters["architectureFamily"] == "feedforward neural network"
    assert [each["format"].partition(" ")[0] for each in parameters["inputs"]] == ["size:", "town:"]
    assert parameters["outputs"][0]["format"].startswith("kind: float32 (N, 3), probability of each class: 0 is 'high'")
    metrics = {m["type"]: m for m in card["quantitativeAnalysis"]["performanceMetrics"] if m["type"] != "recall"}
    for key, value in gs.load(folder / "run").evaluate().items():
        interval = found.intervals[key]
        assert metrics[key] == {
            "type": key,
            "value": f"{value:.6g}",
            "slice": "60 test rows",
            "confidenceInterval": {"lowerBound": f"{interval.low:.6g}", "upperBound": f"{interval.high:.6g}"},
        }
    recalls = [m for m in card["quantitativeAnalysis"]["performanceMetrics"] if m["type"] == "recall"]
    assert [m["slice"] for m in recalls] == [f"kind: {label}, 20 rows" for label in ("high", "low", "mid")]
    assert (
        "It was measured on 60 rows only: see how wide the intervals are."
        in card["considerations"]["technicalLimitations"]
    )


def test_a_value_that_is_not_finite_is_left_out(found: Findings) -> None:
    assert found.judged is not None
    broken = replace(found, judged=replace(found.judged, results={"loss": float("nan")}), changed=True)
    model = valid(model_bill(broken))["metadata"]["component"]
    assert {m["type"] for m in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]} == {"recall"}
    assert "have changed" in values(model["properties"])["changed"]


def test_a_file(folder: Path) -> None:
    path = folder / "made.onnx"
    text = model_bill(found_in_file(path), path)
    model = valid(text)["metadata"]["component"]
    assert model["hashes"] == sha256(path)
    assert "quantitativeAnalysis" not in model["modelCard"]
    assert "same_bits" not in values(model["properties"])
    assert json.loads(values(model["properties"])["proof"])["batches"] == [1, 2, 5]
    assert "components" not in model


@pytest.mark.slow
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.parent.name)
def test_files_for_apps(path: Path) -> None:
    found = found_in_file(path)
    model = valid(model_bill(found, path))["metadata"]["component"]
    assert model["name"] == found.model.spec.name
    parameters = model["modelCard"]["modelParameters"]
    assert len(parameters["inputs"]) == len(found.model.whole.inputs)
    assert len(parameters["outputs"]) >= len(found.model.spec.heads)


def test_a_run_with_its_file(folder: Path, found: Findings) -> None:
    model = valid(model_bill(found, folder / "made.onnx"))["metadata"]["component"]
    assert model["hashes"] == sha256(folder / "made.onnx")
    assert model["components"][0]["hashes"] == sha256(folder / "run" / "weights.safetensors")
    assert "quantitativeAnalysis" in model["modelCard"]
    assert {"proof", "same_bits"} <= values(model["properties"]).keys()


def other_weights(model: onnx.ModelProto) -> None:
    weight = max(model.graph.initializer, key=lambda w: len(w.raw_data))
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) * 2).tobytes()


def other_layers(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == "spec":
            spec = json.loads(entry.value) | {"training": {"epochs": 3}}
            spec["layers"][-1]["activation"] = "sigmoid"
            entry.value = json.dumps(spec)
            sha256 = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    next(e for e in model.metadata_props if e.key == "spec_sha256").value = sha256


def other_hash(model: onnx.ModelProto) -> None:
    next(e for e in model.metadata_props if e.key == "spec_sha256").value = "0" * 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights, "is not of this run: its answers differ"),
        (other_layers, "is not of this run: its layers differ"),
        (other_hash, "contradicts itself: its spec is not the one whose hash it names"),
    ],
)
def test_a_file_of_another_run_is_refused(
    folder: Path, found: Findings, tmp_path: Path, change: Callable[[onnx.ModelProto], None], said: str
) -> None:
    model: Any = onnx.load(folder / "made.onnx")
    change(model)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UsageError, match=said):
        model_bill(found, tmp_path / "other.onnx")


def test_networks_of_other_files_are_ancestors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    part = dense()
    part.metadata_props.add(key="license", value="apache-2.0")
    onnx.save(part, "part.onnx")
    layers = [
        {"type": "Onnx", "file": "part.onnx", "name": "body"},
        {"type": "Dense", "units": 1, "name": "price"},
    ]
    spec: dict[str, Any] = {"graphspec": 1, "name": "made", "inputs": {"x": {"shape": [4]}}, "layers": layers}
    Path("made.json").write_text(json.dumps(spec | {"outputs": {"price": {"loss": "mse"}}}), encoding="utf-8")
    model = gs.compile("made.json")
    rng = np.random.default_rng(0)
    model.fit({"x": rng.normal(size=(8, 4)).astype(np.float32)}, rng.normal(size=(8, 1)), epochs=1, verbose=0)
    model.save("run")
    found = valid(model_bill(find(gs.load("run"), Path("run"))))["metadata"]["component"]
    assert found["pedigree"]["ancestors"] == [
        {
            "type": "machine-learning-model",
            "name": "part.onnx",
            "description": "contained in the layer 'body'",
            "hashes": sha256(Path("part.onnx")),
            "licenses": [{"expression": "Apache-2.0"}],
        }
    ]
    started = {"file": "a/start.safetensors", "sha256": "0" * 64}
    run = find(gs.load("run"), Path("run"))
    run = replace(run, record={**run.record, "initial_weights": [started]})
    [first, _] = valid(model_bill(run))["metadata"]["component"]["pedigree"]["ancestors"]
    assert (first["name"], first["description"]) == ("start.safetensors", "initial weights")
