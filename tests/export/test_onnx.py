"""The file is self-contained, with the names, labels and layouts of ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import graphspec as gs
from graphspec.graph.onnx_session import session
from specs import blobs, dense_spec, pairs, two_heads_spec


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
