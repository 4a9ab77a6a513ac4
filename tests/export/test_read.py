"""Files with what a network has learnt: read, and refused if the record is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
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


def other_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "\x1b[31mq"
    for node in model.graph.node:
        node.input[:] = ["\x1b[31mq" if name == "x" else name for name in node.input]


def three_rows(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3


def head(op: str, *more: str, **attributes: Any) -> Callable[[onnx.ModelProto], None]:
    """Compute the head by one more operator; the file says nothing of its shape."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = ["before" if name == "kind" else name for name in node.output]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 1, 10**6]), "far"))
        model.graph.node.append(onnx.helper.make_node(op, ["before", *more], ["kind"], **attributes))
        to = attributes.get("to", onnx.TensorProto.FLOAT)
        model.graph.output[0].type.CopyFrom(onnx.helper.make_tensor_type_proto(to, None))

    return change


def no_head(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "before"
    for node in model.graph.node:
        node.output[:] = ["before" if name == "kind" else name for name in node.output]


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Nothing"


MISMATCH = "does not match the spec that it contains: "


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_input, rf"{MISMATCH}input '\x1b[31mq' is not in the spec"),
        (no_head, f"{MISMATCH}there is no output 'kind'"),
        (three_rows, f"{MISMATCH}input 'x' accepts only 3 rows, but the batch axis must be free"),
        (
            head("Cast", to=onnx.TensorProto.DOUBLE),
            f"{MISMATCH}output 'kind' is tensor(double), but must be tensor(float)",
        ),
        (head("ReduceSum", keepdims=0), "'kind'"),
        (head("Concat", "before", axis=0), "returns 'kind' as (6, 3) for 3 rows, its spec requires (3, 3)"),
        (head("Gather", "far", axis=1), "onnxruntime fails to run"),
        (unknown_operator, "onnxruntime does not load"),
    ],
)
def test_a_file_that_is_not_of_its_spec(change: Callable[[Any], None], says: str, file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    change(model)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(gs.UsageError) as caught:
        read_exported(tmp_path / "a.onnx").run({"x": X})
    assert says in str(caught.value)


def test_outputs_that_do_not_fit_into_memory(file: Path) -> None:
    with pytest.raises(gs.RunError, match=r"GS602.*the outputs need .* of memory"):
        read_exported(file).refuse_too_large(10**15)


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
