"""Export: proved or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.cli.train import train
from graphspec.export.session import session
from graphspec.layers import LAYERS, Layer
from graphspec.ops import OPS
from graphspec.ops.unary import Unary
from specs import blobs, dense_spec, pairs, two_heads_spec

HIDDEN = {"type": "Dense", "units": 8}
KIND = {"name": "kind", "type": "Dense", "units": 3}


def test_the_file_stands_alone(tmp_path: Path) -> None:
    import onnx

    spec = dense_spec()
    spec["outputs"]["kind"]["labels"] = ["red", "green", "blue"]
    model = gs.compile(spec)
    x, y = blobs()
    model.fit(x, y, verbose=0)
    proof = model.export(tmp_path / "blobs.onnx")
    assert proof.batches == [1, 2, 5]
    assert proof.differences["kind"] < 1e-6
    runner = session(tmp_path / "blobs.onnx", threads=1)
    values, names = runner.run(["kind", "kind_label"], {"x": x})
    np.testing.assert_allclose(values, model.predict(x), rtol=1e-5, atol=1e-6)
    assert list(names) == [["red", "green", "blue"][k] for k in values.argmax(1)]
    file = onnx.load(tmp_path / "blobs.onnx")
    assert (file.ir_version, file.opset_import[0].version) == (8, 17)
    assert [n.name for n in file.graph.node][:2] == ["hidden/Gemm", "hidden/Relu"]
    assert file.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    facts = {p.key: p.value for p in file.metadata_props}
    assert json.loads(facts["spec"]) == model.spec.document
    assert json.loads(facts["labels"]) == {"kind": ["red", "green", "blue"]}
    assert json.loads(facts["proof"])["batches"] == [1, 2, 5]
    assert [p.name for p in tmp_path.iterdir()] == ["blobs.onnx"]


def test_two_heads_and_time_that_varies(tmp_path: Path) -> None:
    model = gs.compile(two_heads_spec())
    proof = model.export(tmp_path / "pairs.onnx")
    assert len(proof.lengths) == 3
    runner = session(tmp_path / "pairs.onnx", threads=1)
    for time in (1, 4, 33):
        x, _ = pairs(6, time)
        got = dict(zip([o.name for o in runner.get_outputs()], runner.run(None, x), strict=True))
        expected = model.predict(x)
        np.testing.assert_allclose(got["gap"], expected["gap"], rtol=1e-5, atol=1e-6)
        assert list(got["same_label"]) == ["yes" if p > 0.5 else "no" for p in got["same"][:, 0]]


def test_numbers_that_differ_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gs.compile(dense_spec())
    honest = gs.Model.run

    def off(self: gs.Model, feeds: Any) -> Any:
        return {head: values + np.float32(1e-3) for head, values in honest(self, feeds).items()}

    monkeypatch.setattr(gs.Model, "run", off)
    (tmp_path / "old.onnx").write_bytes(b"before")
    with pytest.raises(gs.SpecError) as caught:
        model.export(tmp_path / "old.onnx")
    assert [d.code for d in caught.value.diagnostics] == ["GS701"]
    assert "head 'kind' at batch size 1" in str(caught.value)
    assert (tmp_path / "old.onnx").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["old.onnx"]


def test_an_operator_that_the_target_lacks(tmp_path: Path) -> None:
    spec = dense_spec()
    spec["layers"].insert(0, {"name": "norm", "type": "LayerNormalization"})
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(spec).export(tmp_path / "net.onnx", opset=16)
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("GS702", "layers.norm.type")
    assert not list(tmp_path.iterdir())
    gs.compile(dense_spec()).export(tmp_path / "net.onnx", opset=15)


class OfTraining(Unary):
    """An operator that ONNX has not."""

    exported = False

    @staticmethod
    def forward(ctx: Any, X: Any, Y: Any) -> Any:
        return [(np.copyto, Y, X)]


class NotExported(Layer):
    """A layer that stays in inference mode and cannot be exported."""

    def lower(self, g: Any, X: Any) -> Any:
        return g.OfTraining(X)


@pytest.fixture
def not_exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A spec with two heads, one of which depends on an operator that ONNX has not."""
    monkeypatch.setitem(OPS, "OfTraining", OfTraining)
    monkeypatch.setitem(LAYERS._classes, "NotExported", NotExported)
    spec = dense_spec()
    spec["layers"].insert(1, {"name": "odd", "type": "NotExported"})
    return spec


def test_what_cannot_be_exported_is_said_when_validating(not_exported: dict[str, Any]) -> None:
    assert gs.validate(not_exported) == []
    for level in ({"opset": 17}, {"target": "ort-1.30"}):
        (found,) = gs.validate(not_exported, **level)
        assert (found.code, found.path) == ("GS702", "layers.odd.type")
        assert found.message == "'odd' needs OfTraining, which is no operator of ONNX"
    not_exported["outputs"] = {"hidden": {"loss": "mse"}}
    assert not [d for d in gs.validate(not_exported, opset=17) if d.is_error]


def test_validating_for_export_on_the_command_line(tmp_path: Path) -> None:
    spec = dense_spec()
    spec["layers"].insert(0, {"name": "norm", "type": "LayerNormalization"})
    path = tmp_path / "net.json"
    path.write_text(json.dumps(spec))
    for options, status in (([], 0), (["--opset", 17], 0), (["--target", "ort-1.30"], 0), (["--opset", 16], 1)):
        result = graphspec("validate", path, *options)
        assert result.exit_code == status, result.stdout
        assert ("GS702" in result.stdout) == (status == 1)
    assert "net.json:1:" in result.stdout


def test_what_cannot_be_exported_is_not_trained(
    not_exported: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = blobs()
    np.savez(tmp_path / "rows.npz", x=x, kind=y)
    not_exported["data"] = {"train": {"file": "rows.npz"}}
    (tmp_path / "net.json").write_text(json.dumps(not_exported))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gs.SpecError) as caught:
        train(Path("net.json"), onnx=Path("net.onnx"))
    assert [d.code for d in caught.value.diagnostics] == ["GS702"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.json", "rows.npz"]


def test_what_vanishes_or_is_computed_before_is_no_obstacle() -> None:
    layers = [{"name": f"noise{k}", "type": t} for k, t in enumerate(["Dropout", "GaussianNoise", "SpatialDropout1D"])]
    layers = [layer | {"rate" if "Dropout" in layer["type"] else "stddev": 0.5} for layer in layers]
    spec = dense_spec(inputs={"x": {"shape": [3, 4]}}, outputs={"kind": {}})
    spec["layers"] = [*layers, {"type": "BatchNormalization"}, {"type": "SpectralNormalization", "layer": HIDDEN}, KIND]
    assert not [d for d in gs.validate(spec, opset=17) if d.is_error]


def test_targets(tmp_path: Path) -> None:
    model = gs.compile(dense_spec())
    model.export(tmp_path / "net.onnx", target="ort-1.20")
    with pytest.raises(gs.UsageError, match="unknown target"):
        model.export(tmp_path / "net.onnx", target="ort-9")
    with pytest.raises(gs.UsageError, match="opset 9"):
        model.export(tmp_path / "net.onnx", opset=9)


def test_kernels_are_written_in_onnxs_layout(tmp_path: Path) -> None:
    import onnx

    layers = [{"name": "a", "type": "Conv2D", "filters": 5, "kernel_size": [2, 3]}]
    layers += [{"name": "b", "type": "Conv2DTranspose", "filters": 4, "kernel_size": 2}]
    spec = dense_spec(inputs={"x": {"shape": [6, 7, 3]}}, layers=layers, outputs={"b": {}})
    model = gs.compile(spec)
    model.export(tmp_path / "net.onnx")
    written = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "net.onnx").graph.initializer}
    for name in ("a/kernel", "b/kernel"):
        np.testing.assert_array_equal(written[name], model.weights[name].transpose(3, 2, 0, 1))


def test_one_value_as_two_heads(tmp_path: Path) -> None:
    spec = dense_spec(outputs={"kind": {}, "again": {"layer": "kind"}})
    model = gs.compile(spec)
    model.export(tmp_path / "net.onnx")
    x, _ = blobs(4)
    kind, again = session(tmp_path / "net.onnx", threads=1).run(["kind", "again"], {"x": x})
    assert np.array_equal(kind, again)


def test_more_weights_than_a_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.export.check.LARGEST", 100)
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(dense_spec()).export(tmp_path / "net.onnx")
    assert [d.code for d in caught.value.diagnostics] == ["GS702"]
    assert not list(tmp_path.iterdir())
