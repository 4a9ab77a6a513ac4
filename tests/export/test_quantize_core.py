"""The core of a file: where it begins and ends, and what its nodes see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from quantizing import dense, text

import graphspec as gs
from graphspec.export.quantize import Core
from graphspec.graph.onnx_session import session


def exported(make: Any, folder: Path) -> tuple[gs.Model, Any, dict[str, Any]]:
    spec, x, y = make()
    model = gs.compile(spec)
    model.fit(x, y, epochs=1, verbose=0)
    model.export(folder / "a.onnx", rows=x)
    return model, onnx.load(folder / "a.onnx"), x


def test_a_core_begins_and_ends_at_weights(tmp_path: Path) -> None:
    _, proto, _ = exported(text, tmp_path)
    core = Core(proto)
    kinds = [node.op_type for node in core.nodes]
    assert kinds == ["Gemm", "Relu", "Gemm"]
    everything = [node.op_type for node in proto.graph.node]
    assert {"Tokenizer", "Sigmoid"} <= {*everything} - {*kinds}
    (entry,), (end,) = core.inputs, core.outputs
    assert entry in core.nodes[0].input
    assert end == core.nodes[-1].output[0]


def test_what_enters_it_and_its_largest_value(tmp_path: Path) -> None:
    model, proto, x = exported(text, tmp_path)
    core = Core(proto)
    (hot,) = core.feeds(x).values()
    assert hot.shape == (160, model.weights["hidden/kernel"].shape[0])
    assert set(np.unique(hot)) == {0.0, 1.0}
    kernel = model.weights["hidden/kernel"]
    kernel[0] = 1e9  # a word that no row need have
    model.set_weights({"hidden/kernel": kernel})
    model.export(tmp_path / "b.onnx", rows=x)
    assert Core(onnx.load(tmp_path / "b.onnx")).largest(x) >= 1e9
    assert core.largest(x) < 100


def test_an_unchanged_core_gives_the_same_answers(tmp_path: Path) -> None:
    for make in (dense, text):
        _, proto, x = exported(make, tmp_path)
        new = Core(proto).replaced_by(Core(proto).model())
        onnx.checker.check_model(new, full_check=make is dense)
        a, b = (session(p.SerializeToString(), threads=1).run(None, x) for p in (proto, new))
        for one, two in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, two)
        assert new.metadata_props == proto.metadata_props


def test_a_file_without_weights() -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N"])
    result = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [value], [result])
    assert Core(helper.make_model(graph)).nodes == []


@pytest.mark.parametrize("shared", ["const", "kernel"])
def test_what_others_read_too_stays_as_it_was(shared: str, tmp_path: Path) -> None:
    """A constant of the core that other nodes read, too, is copied for the core."""
    from onnx import TensorProto, helper, numpy_helper

    from graphspec.export.quantize import quantized

    kernel = np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32)
    both = {"kernel": kernel, "const": np.float32([2.0])}
    first = ["x", "const"] if shared == "const" else ["x", "kernel"]
    nodes = [
        helper.make_node("Mul" if shared == "const" else "Add", first, ["scaled"], name="first"),
        helper.make_node("MatMul", ["scaled", "kernel"], ["h"], name="h"),
        helper.make_node("Mul", ["h", "const"], ["m"], name="m"),
        helper.make_node("MatMul", ["m", "kernel"], ["y"], name="y"),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [32 if n == "x" else None, 32]) for n in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(a, n) for n, a in both.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    rows = np.random.default_rng(2).normal(size=(32, 32)).astype(np.float32)
    (wanted,) = session(model.SerializeToString(), threads=1).run(None, {"x": rows})
    for kind in ("int8", "float16"):
        new, done = quantized(model, kind, dict)
        assert done.weights > 0
        kept = {i.name: numpy_helper.to_array(i) for i in new.graph.initializer}
        np.testing.assert_array_equal(kept[shared], both[shared])
        (found,) = session(new.SerializeToString(), threads=1).run(None, {"x": rows})
        assert 0 < np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()


def test_values_that_hide_steps_from_a_softmax_do_not_count(tmp_path: Path) -> None:
    """They are about -2e38 where attention reads padded words, and float16 has values that are low enough."""
    random = np.random.default_rng(1)
    ids = random.integers(1, 30, (60, 6))
    ids[np.arange(6) >= random.integers(2, 7, 60)[:, None]] = 0
    layers = [
        {"name": "look", "type": "Embedding", "input_dim": 30, "output_dim": 8, "mask_zero": True},
        {"name": "mix", "type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "inputs": ["look", "look"]},
        {"name": "mean", "type": "GlobalAveragePooling1D"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    spec = {"graphspec": 1, "name": "m", "inputs": {"ids": {"shape": [6], "dtype": "int64"}}, "layers": layers}
    x, y = {"ids": ids}, {"y": ids[:, :1].astype(np.float32)}
    model = gs.compile({**spec, "outputs": {"y": {"loss": "mse"}}})
    model.fit(x, y, epochs=1, verbose=0)
    model.export(tmp_path / "a.onnx", rows=x)
    assert Core(onnx.load(tmp_path / "a.onnx")).largest(x) < 100
    model.export(tmp_path / "b.onnx", rows=x, quantize="float16", validation_data=(x, y))
    (found,) = session(tmp_path / "b.onnx", threads=1).run(["y"], x)
    np.testing.assert_allclose(found, model.predict(x), atol=0.05)
