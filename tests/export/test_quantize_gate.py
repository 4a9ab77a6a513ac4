"""The gate: what is compared, what is refused, and what the file says of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import SPEC, graphspec, project
from quantizing import dense

import graphspec as gs
from graphspec.export import quantize as quantize_gate
from graphspec.export.onnx import KEY, NOTE
from graphspec.graph.onnx_session import session

WIDE = SPEC.replace("units: 8", "units: 320").replace("epochs: 3", "epochs: 20")


def trained() -> tuple[gs.Model, dict[str, Any], dict[str, Any]]:
    spec, x, y = dense()
    model = gs.compile(spec)
    model.fit(x, y, verbose=0)
    return model, x, y


def with_kernel(model: gs.Model, layer: str, change: Any) -> None:
    kernel = model.weights[f"{layer}/kernel"]
    change(kernel)
    model.set_weights({f"{layer}/kernel": kernel})


def test_outliers_ruin_a_network_and_nothing_is_written(tmp_path: Path) -> None:
    """A weight that meets only zeros does nothing, but takes all the steps of an int8 channel."""
    model, x, y = trained()

    def outlier(kernel: np.ndarray[Any, Any]) -> None:
        kernel[3] = 3e4

    with_kernel(model, "hidden", outlier)
    path, described = tmp_path / "a.onnx", tmp_path / "a.json"
    with pytest.raises(gs.SpecError) as caught:
        model.export(path, signature=described, quantize="int8", validation_data=(x, y))
    (problem,) = caught.value.diagnostics
    assert problem.code == "GS704"
    assert "as int8 the network is worse on 240 rows given" in problem.message
    for key in ("'loss' goes from ", "'kind_accuracy' goes from ", "'price_mae' goes from "):
        assert key in problem.message
    assert "float16" in (problem.hint or "")
    assert [*tmp_path.iterdir()] == []
    verdict = model.export(path, quantize="float16", validation_data=(x, y)).quantized
    assert verdict is not None
    assert abs(verdict.changes["kind_accuracy"].worse or 0) < 0.01


def test_values_beyond_float16_are_refused_whatever_the_limit(tmp_path: Path) -> None:
    """onnxruntime computes float16 in float32 on a CPU: the metrics do not show what a GPU would compute."""
    model, x, y = trained()

    def larger(kernel: np.ndarray[Any, Any]) -> None:
        kernel *= 1e5

    def smaller(kernel: np.ndarray[Any, Any]) -> None:
        kernel /= 1e5

    for layer, by in (("hidden", larger), ("kind", smaller), ("price", smaller)):
        with_kernel(model, layer, by)
    with pytest.raises(gs.SpecError, match=r"GS704.*values up to .*, and float16 ends at 65,504"):
        model.export(tmp_path / "a.onnx", quantize="float16", max_loss=1e9, validation_data=(x, y))
    assert [*tmp_path.iterdir()] == []


def test_values_that_are_not_finite_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = trained()
    wrong = quantize_gate.answers_of

    def not_finite(found: Any, rows: Any, size: int) -> dict[str, Any]:
        answers = wrong(found, rows, size)
        if found.file.name == "int8.onnx":
            answers["kind"][7, 0] = np.nan
        return answers

    monkeypatch.setattr(quantize_gate, "answers_of", not_finite)
    with pytest.raises(gs.SpecError, match=r"GS704.*values of 'kind' that are not finite"):
        model.export(tmp_path / "a.onnx", quantize="int8", max_loss=1e9, validation_data=(x, y))
    assert [*tmp_path.iterdir()] == []


def test_a_network_that_is_too_small(tmp_path: Path) -> None:
    path = project(tmp_path)
    model = gs.compile(path)
    model.fit(verbose=0)
    with pytest.raises(gs.SpecError, match=r"GS704.*no matrix of weights has 1024 elements"):
        model.export(tmp_path / "a.onnx", quantize="int8")
    proof = model.export(tmp_path / "a.onnx", quantize="float16")
    assert "compared on 20 test rows" in str(proof)


def test_the_limit_is_the_limit(tmp_path: Path) -> None:
    model, x, y = trained()
    found = model.export(tmp_path / "a.onnx", quantize="int8", max_loss=10, validation_data=(x, y)).quantized
    assert found is not None
    worst = max(each.worse for each in found.changes.values() if each.worse is not None)
    assert worst > 0
    model.export(tmp_path / "b.onnx", quantize="int8", max_loss=worst, validation_data=(x, y))
    with pytest.raises(gs.SpecError, match="GS704"):
        model.export(tmp_path / "c.onnx", quantize="int8", max_loss=worst * 0.999, validation_data=(x, y))


def test_the_file_says_what_was_done(tmp_path: Path) -> None:
    model, x, y = trained()
    path, beside = tmp_path / "a.onnx", tmp_path / "a.json"
    proof = model.export(path, signature=beside, quantize="int8", max_loss=0.5, validation_data=(x, y))
    texts = {p.key: p.value for p in onnx.load(path).metadata_props}
    note = json.loads(texts[NOTE])
    assert "proof" not in texts  # the proof is of another file
    assert note["proof_of_float32"] == proof.to_json()
    assert {k: note[k] for k in ("kind", "method", "calibration_rows", "rows", "max_loss")} == {
        "kind": "int8",
        "method": "dynamic, per channel",
        "calibration_rows": 0,
        "rows": "240 rows given",
        "max_loss": 0.5,
    }
    before = model.evaluate(x, y)
    assert note["metrics"].keys() == before.keys()
    for key, value in before.items():
        assert note["metrics"][key]["before"] == pytest.approx(value, rel=1e-4)
    found = json.loads(texts[KEY])
    assert found == json.loads(beside.read_text())
    example = found["example"]
    runner = session(path, threads=1)
    for name, array in zip(
        [o.name for o in runner.get_outputs()],
        runner.run(None, {"x": np.float32(example["inputs"]["x"])}),
        strict=True,
    ):
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, np.float32(example["outputs"][name]), rtol=1e-6)
        else:
            assert array.tolist() == example["outputs"][name]


@pytest.mark.slow
def test_evaluating_the_file_gives_the_values_of_the_table(tmp_path: Path) -> None:
    path = project(tmp_path, WIDE)
    assert graphspec("train", path, "--out", tmp_path / "run").exit_code == 0
    file = tmp_path / "a.onnx"
    result = graphspec("export", tmp_path / "run", "-o", file, "--quantize", "int8", "--max-loss", "0.1")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    (loss,) = [words for words in lines if words[0] == "loss"]
    again = graphspec("evaluate", file, "--data", tmp_path / "test.npz")
    assert again.stdout.split()[:2] == ["loss", loss[2]]
    assert any(words[:2] == ["file", "(kB)"] for words in lines)
    assert ["float32", "int8", "change"] in lines


def test_validation_rows_if_there_are_no_test_rows(tmp_path: Path) -> None:
    path = project(tmp_path, WIDE.replace("  test: {file: test.npz}\n", ""))
    model = gs.compile(path)
    model.fit(verbose=0)
    assert "compared on 20 validation rows" in str(model.export(tmp_path / "a.onnx", quantize="int8", max_loss=0.1))
    none = gs.compile(project(tmp_path, WIDE.partition("data:")[0].replace("val_loss", "loss")))
    with pytest.raises(gs.UsageError, match=r"add `data\.test` or `data\.validation`"):
        none.export(tmp_path / "b.onnx", quantize="int8")
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "int4"}, "'int8' or 'float16', got 'int4'"),
        ({"quantize": "int8", "max_loss": -1}, "`max_loss` must be a number from 0 on"),
        ({"quantize": "int8", "max_loss": math.nan}, "`max_loss` must be a number from 0 on"),
        ({"max_loss": 0.1}, "needs a kind of quantization"),
        ({"quantize": "int8", "validation_data": 3}, "`validation_data` must be"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    model, _, _ = trained()
    with pytest.raises(gs.UsageError, match=message):
        model.export(tmp_path / "a.onnx", **arguments)
    assert [*tmp_path.iterdir()] == []


def test_a_network_without_a_loss_cannot_be_judged(tmp_path: Path) -> None:
    spec, x, _ = dense()
    spec["outputs"] = {"kind": {}, "price": {}}
    with pytest.raises(gs.UsageError, match="no head has a loss"):
        gs.compile(spec).export(tmp_path / "a.onnx", rows=x, quantize="int8", validation_data=(x, {}))
    assert [*tmp_path.iterdir()] == []
