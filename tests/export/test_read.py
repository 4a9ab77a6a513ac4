"""Files with what a network has learnt: read, and refused if the record is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.export.read import read_exported
from graphspec.language.declarations import LABEL
from specs import dense_spec

X = np.array([[1, np.nan], [2, 5], [4, 6]], np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a learnt median of two columns, and its model."""
    layers = [{"name": "full", "type": "Impute", "inputs": "x"}, {"name": "kind", "type": "Dense", "units": 3}]
    spec = dense_spec(inputs={"x": {"shape": [2]}}, layers=layers)
    model = gs.compile(spec)
    model.install(Adapted(layers={"full": {"fill_value": [2.0, 5.5]}}, rows=3))
    path = tmp_path_factory.mktemp("file") / "net.onnx"
    model.export(path)
    full = path.with_suffix(".npz")
    np.savez(full, kind=model.predict(X))
    return path


def changed(file: Path, folder: Path, adapted: Any) -> Path:
    """Write the file again with another record; None removes it."""
    model = onnx.load(file)
    kept = [p for p in model.metadata_props if p.key != "adapted"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if adapted is not None:
        text = adapted if isinstance(adapted, str) else json.dumps(adapted)
        model.metadata_props.add(key="adapted", value=text)
    onnx.save(model, folder / "a.onnx")
    return folder / "a.onnx"


def test_what_was_learnt_is_in_the_file(file: Path) -> None:
    found = read_exported(file)
    assert not found.graph.learnt
    with np.load(file.with_suffix(".npz")) as expected:
        np.testing.assert_allclose(found.run({"x": X})["kind"], expected["kind"], rtol=1e-5, atol=1e-6)
    record = json.loads({p.key: p.value for p in onnx.load(file).metadata_props}["adapted"])
    assert record == {"format": 1, "rows": 3, "layers": {"full": {"fill_value": [2.0, 5.5]}}, "heads": {}}


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[" * 100_000,
        "7",
        {"format": 2, "rows": 3, "layers": {}, "heads": {}},
        {"format": 1, "rows": 3, "layers": {"other": {"fill_value": 1.0}}, "heads": {}},
        {"format": 1, "rows": 3, "layers": {"full": {"fill_value": "\x1b[2J"}}, "heads": {}},
        {"format": 1, "rows": 3, "layers": {"full": {"axis": 1}}, "heads": {}},
        {"format": 1, "rows": 3, "layers": {}, "heads": {"no": {"labels": ["a"]}}},
    ],
)
def test_a_wrong_record(record: Any, file: Path, tmp_path: Path) -> None:
    with pytest.raises(gs.GraphspecError) as caught:
        read_exported(changed(file, tmp_path, record))
    assert "a.onnx" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_record_without_end(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.export.read._MAX_ADAPTED", 1000)
    long = {"format": 1, "rows": 3, "layers": {"full": {"fill_value": [1.0] * 1000}}, "heads": {}}
    with pytest.raises(gs.UsageError, match="more than"):
        read_exported(changed(file, tmp_path, long))


def test_labels_that_are_learnt(file: Path, tmp_path: Path) -> None:
    record = {
        "format": 1,
        "rows": 3,
        "layers": {"full": {"fill_value": [2.0, 5.5]}},
        "heads": {"kind": {"labels": ["a", "b", "c"]}},
    }
    found = read_exported(changed(file, tmp_path, record))
    assert found.outputs.keys() == {"kind"}  # the file has no labels
    assert "kind" + LABEL not in found.outputs
