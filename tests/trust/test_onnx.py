"""Files that say they were exported by graphspec: ``predict`` compares them with their spec, or says what is wrong."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import graphspec
from onnx import TensorProto, helper

import graphspec as gs
from graphspec.export.read import read_exported
from graphspec.vocabulary.onnx_files.model_file import declarations
from specs import dense_spec
from trust.attack_onnx import native_errors, problems
from trust.hostile_onnx import files

pytestmark = pytest.mark.slow


def answer(folder: Path, model: onnx.ModelProto | bytes) -> str:
    """What is said of a file that is refused with status 1 or 2, in good form."""
    (folder / "a.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    np.savez(folder / "rows.npz", **files()[0][1])
    assert problems(folder) == []
    result = graphspec("predict", folder / "a.onnx", folder / "rows.npz")
    assert result.exit_code in (1, 2), result.stdout
    return result.stderr


@pytest.fixture
def right() -> onnx.ModelProto:
    return copy.deepcopy(files()[0][0])


def metadata(model: onnx.ModelProto, spec: str) -> onnx.ModelProto:
    for entry in model.metadata_props:
        if entry.key == "spec":
            entry.value = spec
    return model


def renamed(model: onnx.ModelProto, *nodes: Any) -> onnx.ModelProto:
    """The head computed from ``before`` by ``nodes``."""
    for node in model.graph.node:
        node.input[:] = ["before" if n == "kind" else n for n in node.input]
        node.output[:] = ["before" if n == "kind" else n for n in node.output]
    model.graph.node.extend(nodes)
    return model


def test_a_right_file_is_predicted_with(right: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(right.SerializeToString())
    np.savez(tmp_path / "rows.npz", **files()[0][1])
    result = graphspec("predict", tmp_path / "a.onnx", tmp_path / "rows.npz")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "kind_red,kind_green,kind_blue,kind_label"
    found = declarations(tmp_path / "a.onnx")
    assert found.metadata.keys() == {p.key for p in right.metadata_props}
    assert found.foreign is None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[]", "", "9" * 5000, "{"])
def test_metadata_that_are_no_spec(text: str, right: onnx.ModelProto, tmp_path: Path) -> None:
    assert "contains no spec" in answer(tmp_path, metadata(right, text))


def test_metadata_that_are_no_right_spec(right: onnx.ModelProto, tmp_path: Path) -> None:
    said = answer(tmp_path, metadata(right, '{"graphspec": 1, "name": 7}'))
    assert "a.onnx: error[GS" in said
    large = json.dumps(dense_spec(description="x" * (17 << 20)))
    assert "MiB" in answer(tmp_path, metadata(right, large))


def test_the_spec_of_another_network(right: onnx.ModelProto, tmp_path: Path) -> None:
    for change, word in (
        ({"inputs": {"x": {"shape": [5]}}}, "input 'x' is (N, 4), but must be (N, 5)"),
        ({"outputs": {"hidden": {}}}, "there is no output 'hidden'"),
        ({"inputs": {"x": {"shape": [4], "dtype": "uint8"}}}, "input 'x' is tensor(float), but must be tensor(uint8)"),
        ({"inputs": {"other": {"shape": [4]}}}, "input 'x' is not in the spec"),
    ):
        assert word in answer(tmp_path, metadata(copy.deepcopy(right), json.dumps(dense_spec(**change))))


def test_an_input_more(right: onnx.ModelProto, tmp_path: Path) -> None:
    right.graph.input.append(helper.make_tensor_value_info("\x1b[31mmore", TensorProto.FLOAT, ["N"]))
    assert r"input '\x1b[31mmore' is not in the spec" in answer(tmp_path, right)


def test_a_batch_that_is_fixed(right: onnx.ModelProto, tmp_path: Path) -> None:
    right.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    assert "input 'x' accepts only 3 rows" in answer(tmp_path, right)


@pytest.mark.parametrize("declared", [True, False])
def test_odd_outputs(declared: bool, right: onnx.ModelProto, tmp_path: Path) -> None:
    """What the file says of its outputs, and what comes where it says nothing."""
    free = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    cases: list[tuple[Any, Any, str]] = [
        (helper.make_node("ReduceSum", ["before"], ["kind"], keepdims=0), free, "'kind'"),
        (helper.make_node("Concat", ["before", "before"], ["kind"], axis=0), free, "for 5 rows"),
        (helper.make_node("SequenceConstruct", ["before"], ["kind"]), helper.make_sequence_type_proto(free), "seq("),
        (
            helper.make_node("Cast", ["before"], ["kind"], to=TensorProto.BFLOAT16),
            helper.make_tensor_type_proto(TensorProto.BFLOAT16, None),
            "bfloat16",
        ),
    ]
    for node, kind, word in cases:
        model = renamed(copy.deepcopy(right), node)
        if declared:
            model.graph.output[0].type.CopyFrom(kind)
        said = answer(tmp_path, model)
        assert not declared or word in said


def test_no_outputs(right: onnx.ModelProto, tmp_path: Path) -> None:
    del right.graph.output[:]
    assert "error:" in answer(tmp_path, right)


def test_a_graph_that_fails_while_it_runs(right: onnx.ModelProto, tmp_path: Path) -> None:
    right.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 1, 10**6]), "places"))
    gather = helper.make_node("Gather", ["before", "places"], ["kind"], name="\x1b[2J", axis=1)
    said = answer(tmp_path, renamed(right, gather))
    assert "onnxruntime fails to run" in said


def test_what_graphspec_never_writes(right: onnx.ModelProto, tmp_path: Path) -> None:
    """Loops, which onnxruntime may run forever while it loads a file; functions; weights in other files."""
    body = helper.make_graph([], "body", [], [])
    loop = helper.make_node("Loop", ["x"], ["y"], name="endless", body=body)
    within = copy.deepcopy(right)
    within.graph.node.append(loop)
    assert "a graph inside Loop" in answer(tmp_path, within)
    scan = helper.make_node("Scan", ["x"], ["y"], body=helper.make_graph([loop], "step", [], []), num_scan_inputs=1)
    within = copy.deepcopy(right)
    within.graph.node.append(scan)
    assert "a graph inside Loop" in answer(tmp_path, within)
    function = helper.make_function("f", "F", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    with_function = copy.deepcopy(right)
    with_function.functions.append(function)
    assert "local functions" in answer(tmp_path, with_function)
    tensor = right.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/dev/zero")
    assert "weights in other files" in answer(tmp_path, right)


def test_what_is_no_file(right: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = right.SerializeToString()
    for content in (b"", data[: len(data) // 2], data[:-1], b"nothing", b"\x3a\xff\xff\xff\xff\x7f", b"\x80" * 20):
        assert "a.onnx" in answer(tmp_path, content)
    rows = tmp_path / "rows.npz"
    places = [tmp_path / "none.onnx", *([Path("/dev/zero"), Path("/dev/null")] if os.name == "posix" else [])]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.onnx")
        places.append(tmp_path / "pipe.onnx")
    for place in places:
        assert graphspec("predict", place, rows).exit_code == 2
    monkeypatch.setattr("graphspec.base.budget.Budget.FILE", 1000)
    assert "an ONNX file has at most" in answer(tmp_path, data)
    monkeypatch.setattr("graphspec.base.budget.Budget.FILE", 2**31)
    monkeypatch.setattr("graphspec.base.budget.Budget.FIELDS", 20)
    assert "more than" in answer(tmp_path, data)


def test_outputs_larger_than_memory(right: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.onnx").write_bytes(right.SerializeToString())
    exported = read_exported(tmp_path / "a.onnx")
    exported.refuse_too_large(1000)
    with pytest.raises(gs.RunError, match="GS602"):
        exported.refuse_too_large(10**15)


def test_labels_that_are_too_long(right: onnx.ModelProto, tmp_path: Path) -> None:
    (words,) = (t for t in right.graph.initializer if t.data_type == TensorProto.STRING)
    words.string_data[:] = [b"x" * 1_000_000] * 3
    assert "more than 4096 characters" in answer(tmp_path, right)


def test_onnxruntime_writes_nothing_itself(right: onnx.ModelProto, tmp_path: Path) -> None:
    right.graph.node[0].op_type = "\x1b[31mNothing"
    (tmp_path / "a.onnx").write_bytes(right.SerializeToString())
    with native_errors(tmp_path) as native, pytest.raises(gs.UsageError, match="does not load"):
        read_exported(tmp_path / "a.onnx")
    assert native == [""]
