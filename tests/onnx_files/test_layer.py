"""ONNX files as layers: shapes, training, exports that contain their nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx_files import model, value

import graphspec as gs
from graphspec.errors import SpecError

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
    monkeypatch.setattr("graphspec.runtime.prepared.NETWORK_ROWS", 16)
    x, y = rows()
    network = gs.compile(spec(tmp_path, backbone()))
    assert network.prelude is not None
    sizes: list[int] = []
    run = network.prelude.run
    monkeypatch.setattr(network.prelude, "run", lambda feeds: sizes.append(len(feeds["image"])) or run(feeds))
    network.fit(x, y, epochs=2, verbose=0)
    assert sizes == [16, 16, 8]


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
