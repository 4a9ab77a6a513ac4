"""What differs between two ONNX files: operators, declared values, bytes of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper
from onnx_files import dense, value, write

from graphspec.export.inspection import file_differences, weight_differences


def test_a_file_is_equal_to_itself(tmp_path: Path) -> None:
    old, new = (write(tmp_path / name, dense()) for name in ("a.onnx", "b.onnx"))
    assert file_differences(old, new) == []
    assert weight_differences(old, new) == {"compared": 1, "different": 0, "names": []}


def test_what_was_changed_is_found(tmp_path: Path) -> None:
    other = dense()
    other.producer_version = "3"
    other.opset_import[0].version = 18
    other.graph.node[1].op_type = "Tanh"
    other.graph.input[0].CopyFrom(value("x", [None, 4]))
    other.graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.float32), "more"))
    old, new = write(tmp_path / "a.onnx", dense()), write(tmp_path / "b.onnx", other)
    assert {c.key: (c.old, c.new) for c in file_differences(old, new)} == {
        "producer": ("another 2.1", "another 3"),
        "opset.ai.onnx": (17, 18),
        "operators.Relu": (1, None),
        "operators.Tanh": (None, 1),
        "inputs.x": ("float32 (batch, 4)", "float32 (?, 4)"),
        "weights.count": (1, 2),
        "weights.bytes": (48, 56),
    }
    assert not any(c.key.startswith("inputs") for c in file_differences(old, new, declared=False))


def test_weights_with_other_bytes(tmp_path: Path) -> None:
    other = dense()
    array = numpy_helper.to_array(other.graph.initializer[0]).copy()
    array[-1, -1] += 1
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "W"))
    old, new = write(tmp_path / "a.onnx", dense()), write(tmp_path / "b.onnx", other)
    assert weight_differences(old, new) == {"compared": 1, "different": 1, "names": ["W"]}
    other.graph.initializer[0].CopyFrom(helper.make_tensor("W", 1, [2], [1.0, 2.0]))
    assert weight_differences(old, write(new, other))["different"] == 1


def test_large_weights_are_compared_to_their_end(tmp_path: Path) -> None:
    files = []
    for k in range(2):
        found = dense()
        array = np.zeros(600_000, np.float32)
        array[-1] = k
        found.graph.initializer.append(numpy_helper.from_array(array, "large"))
        files.append(write(tmp_path / f"{k}.onnx", found))
    assert weight_differences(*files)["names"] == ["large"]
