"""A network that cannot be exported is reported before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.cli.train import train
from graphspec.graph.ops import OPS
from graphspec.graph.ops.formulas import Unary
from graphspec.vocabulary.layers import LAYERS, Layer
from specs import blobs, dense_spec

HIDDEN = {"type": "Dense", "units": 8}
KIND = {"name": "kind", "type": "Dense", "units": 3}


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
    """An operator that ONNX does not have."""

    exported = False

    formula = staticmethod(lambda X: X)


class NotExported(Layer):
    """A layer that stays in inference mode and cannot be exported."""

    def lower(self, g: Any, X: Any) -> Any:
        return g.OfTraining(X)


@pytest.fixture
def not_exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A spec with two heads; one depends on an operator that ONNX does not have."""
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
        assert found.message == "'odd' needs OfTraining, which is not an ONNX operator"
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


def test_more_weights_than_a_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.base.budget.Budget.WEIGHTS", 100)
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(dense_spec()).export(tmp_path / "net.onnx")
    assert [d.code for d in caught.value.diagnostics] == ["GS702"]
    assert not list(tmp_path.iterdir())
