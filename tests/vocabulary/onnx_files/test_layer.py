"""ONNX files as layers: shapes, training, exports that contain their nodes."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from commands import graphspec
from onnx import TensorProto, helper, numpy_helper
from onnx_files import model, value

import graphspec as gs
from graphspec.base.errors import RunError, SpecError, UsageError
from graphspec.engine.compiler.check import check
from graphspec.engine.training.run_directory import install_adapted
from graphspec.export.read import read_exported

Array = np.ndarray[Any, Any]


def weight(name: str, *shape: int) -> Any:
    random = np.random.default_rng(len(name) + sum(shape))
    return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)


def backbone(rows: int | str = "batch", opset: int = 13) -> Any:
    """Convolutions over pictures with channels first, and a mean: (rows, 3, height, width) → (rows, 6)."""
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["map"]),
        helper.make_node("ReduceMean", ["map"], ["y"], axes=[2, 3], keepdims=0),
    ]
    inputs, outputs = [value("x", [rows, 3, "h", "w"])], [value("y", [rows, 6])]
    return model(nodes, [weight("W", 6, 3, 3, 3)], inputs=inputs, outputs=outputs, opsets={"": opset})


def spec(folder: Path, proto: Any, node: dict[str, Any] | None = None, **more: Any) -> Path:
    """A spec beside the file, for pictures, with a Dense layer after the file."""
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    layers = [
        {"name": "turned", "type": "Permute", "dims": [3, 1, 2]},
        {"name": "features", "type": "Onnx", "file": "net.onnx", **(node or {})},
        {"name": "y", "type": "Dense", "units": 2, "activation": "softmax"},
    ]
    document = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"image": {"shape": [8, 12, 3]}},
        "layers": layers,
        "outputs": {"y": {"loss": "sparse_categorical_crossentropy"}},
        **more,
    }
    path = folder / "net.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def rows(count: int = 40) -> tuple[Array, Array]:
    random = np.random.default_rng(1)
    return random.random((count, 8, 12, 3), np.float32), random.integers(0, 2, count)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_head_is_trained_and_exported_as_one_file(tmp_path: Path, batch: int | str) -> None:
    x, y = rows()
    network = gs.compile(spec(tmp_path, backbone(batch)))
    before = network.evaluate(x, y, verbose=0)
    network.fit(x, y, epochs=2, verbose=0)
    assert network.evaluate(x, y, verbose=0) != before
    network.export(tmp_path / "out.onnx", rows=x)
    found = onnx.load(tmp_path / "out.onnx")
    assert [n.name for n in found.graph.node if n.op_type == "Conv"] == ["features/OnnxFile/Conv_0"]
    runner = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    np.testing.assert_allclose(runner.run(None, {"image": x})[0], network.predict(x), rtol=1e-5, atol=1e-6)
    source = onnxruntime.InferenceSession(backbone().SerializeToString())
    turned = source.run(None, {"x": x.transpose(0, 3, 1, 2)})[0]
    logits = turned @ network.weights["y/kernel"] + network.weights["y/bias"]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(network.predict(x), expected, rtol=1e-4, atol=1e-6)


def test_features_are_computed_for_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.runtime.prepared_rows.NETWORK_ROWS", 16)
    x, y = rows()
    network = gs.compile(spec(tmp_path, backbone()))
    assert network.prelude is not None
    sizes: list[int] = []
    run = network.prelude.run
    monkeypatch.setattr(network.prelude, "run", lambda feeds: sizes.append(len(feeds["image"])) or run(feeds))
    network.fit(x, y, epochs=2, verbose=0)
    assert sorted(sizes) == [8, 16, 16]  # cores compute them, so any may be first


@pytest.mark.parametrize(
    ("proto", "node", "text"),
    [
        (backbone(), {"file": "none.onnx"}, "the file 'none.onnx' of 'features' does not exist"),
        (backbone(), {"output": "mop"}, "did you mean 'map'?"),
        (
            backbone(),
            {"inputs": "image"},
            "the file has channels first: put `{type: Permute, dims: [3, 1, 2]}` before it",
        ),
        (backbone(), {"inputs": ["turned", "turned"]}, "list them in this order: 'x' float32(batch, 3, h, w)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, proto: Any, node: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        gs.compile(spec(tmp_path, proto, node))
    assert text in str(caught.value)


def steps(*nodes: Any, weights: Sequence[Any] = (), **more: Any) -> Any:
    """A file whose nodes read ``x``, (batch, 4), and compute ``y``."""
    return model(list(nodes), list(weights), **{"outputs": [value("y", ["batch", 4])], **more})


def branch(op: str, name: str) -> Any:
    return helper.make_graph([helper.make_node(op, ["h"], [name])], name, [], [value(name, ["batch", 4])])


def control() -> Any:
    """An ``If`` in a file, whose branches read a value outside of them; a number in its inputs decides."""
    nodes = [
        helper.make_node("Abs", ["x"], ["h"]),
        helper.make_node("Equal", ["rate", "one"], ["is_one"]),
        helper.make_node("If", ["is_one"], ["y"], then_branch=branch("Neg", "a"), else_branch=branch("Sqrt", "b")),
    ]
    inputs = [value("x", ["batch", 4]), value("rate", [], TensorProto.INT64)]
    return steps(*nodes, weights=[numpy_helper.from_array(np.array(1), "one")], inputs=inputs)


def halves() -> Any:
    """Half-precision weights and results."""
    weights = [numpy_helper.from_array(np.linspace(-1, 1, 12).astype(np.float16).reshape(4, 3), "W")]
    half = TensorProto.FLOAT16
    kinds = {"inputs": [value("x", ["batch", 4], half)], "outputs": [value("y", ["batch", 3], half)]}
    return steps(helper.make_node("MatMul", ["x", "W"], ["y"]), weights=weights, **kinds)


def fused() -> Any:
    """An operator of onnxruntime itself."""
    node = helper.make_node("FastGelu", ["x"], ["y"], domain="com.microsoft")
    return steps(node, opsets={"": 17, "com.microsoft": 1})


def layers_of(*nodes: dict[str, Any]) -> dict[str, Any]:
    head = {"name": "y", "type": "Dense", "units": 2}
    return {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [4]}},
        "layers": [*nodes, head],
        "outputs": {"y": {"loss": "mean_squared_error"}},
    }


def written(folder: Path, proto: Any, *nodes: dict[str, Any]) -> Path:
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    path = folder / "net.yaml"
    path.write_text(json.dumps(layers_of(*nodes)), encoding="utf-8")
    return path


X = np.random.default_rng(2).normal(size=(20, 4)).astype(np.float32)
Y = np.random.default_rng(3).normal(size=(20, 2)).astype(np.float32)
FILES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "then": (control(), {"inputs": ["x", 1]}, lambda x: -np.abs(x)),
    "else": (control(), {"inputs": ["x", 2]}, lambda x: np.sqrt(np.abs(x))),
    "unused": (control(), {"inputs": ["x"], "output": "h"}, np.abs),
    "float16": (halves(), {}, lambda x: x @ np.linspace(-1, 1, 12).astype(np.float16).reshape(4, 3)),
    "contrib": (fused(), {}, lambda x: x / 2 * (1 + np.tanh(0.79788456 * (x + 0.044715 * x**3)))),
    "newer": (steps(helper.make_node("Gelu", ["x"], ["y"]), opsets={"": 20}), {}, None),
}


@pytest.mark.parametrize("name", FILES)
def test_operators_and_types_of_all_kinds(tmp_path: Path, name: str) -> None:
    """Trained for a step, exported with a proof, and read back; a newer opset raises that of the file."""
    proto, node, function = FILES[name]
    network = gs.compile(written(tmp_path, proto, {"name": "f", "type": "Onnx", "file": "net.onnx", **node}))
    network.fit(X, Y, epochs=1, verbose=0)
    network.export(tmp_path / "out.onnx", rows=X)
    found = network.predict(X)
    if function is not None:
        expected = function(X) @ network.weights["y/kernel"] + network.weights["y/bias"]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    answer = read_exported(tmp_path / "out.onnx").run({"x": X})["y"]
    np.testing.assert_allclose(answer, found, rtol=1e-4, atol=1e-5)
    opset = max(17, *(o.version for o in proto.opset_import if not o.domain))
    assert {o.domain: o.version for o in onnx.load(tmp_path / "out.onnx").opset_import}[""] == opset


def test_two_nodes_of_one_file_and_several_outputs(tmp_path: Path) -> None:
    """Both outputs of one node, another node of the file, and one that shares it."""
    nodes = (
        {"name": "a", "type": "Onnx", "file": "net.onnx", "output": ["h", "y"], "inputs": ["x", 1]},
        {"name": "b", "type": "Onnx", "file": "net.onnx", "output": "h", "inputs": ["x"]},
        {"name": "c", "share": "b", "inputs": ["a:1"]},
        {"name": "sum", "type": "Add", "inputs": ["a:0", "a:1", "b", "c"]},
    )
    network = gs.compile(written(tmp_path, control(), *nodes))
    network.fit(X, Y, epochs=1, verbose=0)
    network.export(tmp_path / "out.onnx", rows=X)
    again = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    expected = 2 * np.abs(X) @ network.weights["y/kernel"] + network.weights["y/bias"]
    np.testing.assert_allclose(network.predict(X), expected, rtol=1e-4, atol=1e-5)


def test_sizes_that_vary(tmp_path: Path) -> None:
    """A convolution over time: its number of steps is a formula of the input's."""
    conv = helper.make_node("Conv", ["x", "W"], ["y"], strides=[2], pads=[1, 0])
    kinds = {"inputs": [value("x", ["batch", 3, None])], "outputs": [value("y", ["batch", 5, None])]}
    proto = steps(conv, weights=[weight("W", 5, 3, 4)], **kinds)
    path = written(tmp_path, proto, {"name": "f", "type": "Onnx", "file": "net.onnx"}, {"type": "GlobalMaxPooling1D"})
    document = json.loads(path.read_text()) | {"inputs": {"x": {"shape": [3, "time"]}}}
    document["layers"][1]["data_format"] = "channels_first"
    network = gs.compile(_rewritten(path, document))
    shapes = {n: v[0].shape for n, v in check(path).require()[1].outputs.items() if v is not None}
    assert shapes["f"] == ("N", 5, "(time-3)//2+1")
    for time in (9, 10):
        x = np.random.default_rng(time).normal(size=(6, 3, time)).astype(np.float32)
        network.fit(x, Y[:6], epochs=1, verbose=0)
    network.export(tmp_path / "out.onnx")


def _rewritten(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


MIXED = {
    "mean of rows": steps(
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1), helper.make_node("Sub", ["x", "m"], ["y"])
    ),
    "sums of rows before": steps(
        helper.make_node("CumSum", ["x", "zero"], ["y"]), weights=[numpy_helper.from_array(np.array(0), "zero")]
    ),
    "one row": steps(
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
        weights=[numpy_helper.from_array(np.array([1, -1]), "shape")],
        inputs=[value("x", [1, 4])],
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_files_that_mix_rows_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"GS802.*does not compute the rows of a batch apart"):
        gs.compile(written(tmp_path, MIXED[name], {"name": "f", "type": "Onnx", "file": "net.onnx"}))


def test_random_layers_before_a_file(tmp_path: Path) -> None:
    """It is then computed in every step, with a warning; the bits do not depend on a rerun. Trained layers are refused."""
    noise, file = {"type": "GaussianNoise", "stddev": 0.5, "seed": 1}, {"name": "f", "type": "Onnx", "file": "net.onnx"}
    path = written(tmp_path, halves(), noise, file)
    (found,) = gs.validate(path)
    assert (found.code, found.is_error) == ("GS309", False)
    assert "it is computed in every step, 12 multiply-adds per row" in found.message
    weights = []
    for _ in range(2):
        network = gs.compile(path)
        network.fit(X, Y, epochs=2, verbose=0)
        weights.append(network.weights["y/kernel"])
    np.testing.assert_array_equal(*weights)
    plain = gs.compile(written(tmp_path, halves(), file))
    plain.fit(X, Y, epochs=2, verbose=0)
    assert (plain.weights["y/kernel"] != weights[0]).any()
    network.export(tmp_path / "out.onnx", rows=X)
    (found,) = gs.validate(written(tmp_path, halves(), {"type": "Dense", "units": 4}, file))
    assert (found.code, found.is_error) == ("GS309", True)
    frozen = {"type": "Dense", "units": 4, "trainable": False}
    assert [d.is_error for d in gs.validate(written(tmp_path, halves(), frozen, file))] == [False]


def test_features_are_kept_for_the_next_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows()
    np.savez(tmp_path / "rows.npz", image=x, y=y)
    spec(tmp_path, backbone(), data={"train": {"file": "rows.npz"}}, training={"epochs": 1})
    monkeypatch.chdir(tmp_path)
    first = graphspec("train", "net.yaml", "--no-report")
    assert (first.exit_code, first.stderr) == (0, "")
    monkeypatch.setattr("graphspec.engine.runtime.prepared_rows.Prelude.run", None)  # it is not called again
    again = graphspec("train", "net.yaml", "--no-report", "--overwrite", "--set", "layers.2.use_bias=false")
    assert (again.exit_code, again.stderr) == (0, "")


def test_a_run_needs_its_file_no_more(tmp_path: Path) -> None:
    """It has a copy; a changed file is noticed when it is resumed; what a file says of itself is in the exported one."""
    proto = halves()
    onnx.helper.set_model_props(proto, {"license": "CC-BY-4.0", "author": "somebody"})
    path = written(tmp_path, proto, {"name": "f", "type": "Onnx", "file": "net.onnx"})
    network = gs.compile(path)
    network.fit(X, Y, epochs=1, verbose=0)
    network.save(tmp_path / "run")
    (copy,) = (tmp_path / "run" / "onnx_files").iterdir()
    assert copy.name == f"{hashlib.sha256(copy.read_bytes()).hexdigest()}.onnx"
    (tmp_path / "net.onnx").unlink()
    loaded = gs.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))
    loaded.fit(X, Y, epochs=1, verbose=0)
    loaded.export(tmp_path / "out.onnx", rows=X)
    said = {p.key: p.value for p in onnx.load(tmp_path / "out.onnx").metadata_props}
    assert (said["f/license"], said["f/author"], said["f/file"]) == ("CC-BY-4.0", "somebody", "net.onnx")
    assert gs.validate(tmp_path / "run" / "spec.json") == []  # a run goes on without the file
    written(tmp_path, control(), {"name": "f", "type": "Onnx", "file": "net.onnx", "output": "h"})
    with pytest.raises(UsageError, match="the ONNX file of 'f' has changed since"):
        install_adapted(gs.compile(path), tmp_path / "run")
    copy.unlink()
    with pytest.raises(
        RunError, match=r"GS603: the ONNX file 'net\.onnx' .* is neither in the run nor beside the spec"
    ):
        gs.load(tmp_path / "run").predict(X)


def test_a_head_with_its_rows_on_another_axis(tmp_path: Path) -> None:
    """Recognizers of texts have time in front: such values are not kept by row, but computed when they are needed."""
    nodes = [*backbone().graph.node[:2], helper.make_node("Transpose", ["map"], ["y"], perm=[2, 0, 1, 3])]
    inputs, outputs = [value("x", ["batch", 3, "h", "w"])], [value("y", ["h2", "batch", 6, "w2"])]
    proto = model(nodes, [weight("W", 6, 3, 3, 3)], inputs=inputs, outputs=outputs, opsets={"": 13})
    x, _ = rows(7)
    path = spec(tmp_path, proto, outputs={"features": {}})
    path.write_text(json.dumps({**(document := json.loads(path.read_text())), "layers": document["layers"][:2]}))
    network = gs.compile(path)
    assert network.predict(x).shape == (4, 7, 6, 6)
    network.export(tmp_path / "out.onnx", rows=x)
