"""A training step by onnxruntime's WebAssembly: the same losses as natively, so the same dropped units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consumers.apps import HERE, node_with, run

import graphspec as gs
from graphspec.graph.onnx_session import session

pytestmark = pytest.mark.slow
random = np.random.default_rng(0)
NETWORKS: dict[str, tuple[list[int | None], list[dict[str, Any]]]] = {
    "pictures": (
        [12, 10, 2],
        [
            {"type": "RandomTranslation", "height_factor": 0.2, "width_factor": 0.2},
            {"type": "Conv2D", "filters": 6, "kernel_size": 3, "padding": "same"},
            {"type": "BatchNormalization"},
            {"type": "ReLU"},
            {"type": "MaxPooling2D"},
            {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": 2},
            {"type": "Flatten"},
            {"type": "Dropout", "rate": 0.4},
        ],
    ),
    "steps": (
        [None, 4],
        [
            {"type": "Masking"},
            {"type": "LSTM", "units": 6, "return_sequences": True, "recurrent_dropout": 0.2},
            {"type": "Bidirectional", "layer": {"type": "GRU", "units": 5}},
            {"type": "LayerNormalization"},
            {"type": "GaussianNoise", "stddev": 0.1},
        ],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_trains_as_natively(name: str, tmp_path: Path) -> None:
    node, (shape, layers) = node_with("onnxruntime-web"), NETWORKS[name]
    nodes = [{"name": f"n{k}", **layer} for k, layer in enumerate(layers)]
    model = gs.compile(
        {
            "graphspec": 1,
            "name": name,
            "inputs": {"x": {"shape": shape}},
            "layers": [*nodes, {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"}],
            "outputs": {"kind": {"loss": "sparse_categorical_crossentropy"}},
            "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "epochs": 1, "batch_size": 8, "seed": 1},
        }
    )
    x = random.standard_normal((8, *[n or 9 for n in shape])).astype(np.float32)
    x[:3, -2:] = 0
    model.export_training_step(tmp_path / "step.onnx", rows={"x": x})
    feeds = {"x": x, "kind": random.integers(0, 3, 8), "seed": np.array(7)}
    native, losses, start = session(tmp_path / "step.onnx"), [], session(tmp_path / "step.start.onnx")
    state = dict(zip((o.name for o in start.get_outputs()), start.run(None, {}), strict=True))
    names = [o.name for o in native.get_outputs()]
    for k in range(5):
        found = dict(zip(names, native.run(names, feeds | {"step": np.array(k)} | state), strict=True))
        losses.append(float(found["loss"]))
        state = {n.removesuffix("/next"): a for n, a in found.items() if n.endswith("/next")}
    arrays = {n: {"type": str(a.dtype), "data": a.ravel().tolist(), "dims": a.shape} for n, a in feeds.items()}
    (tmp_path / "feeds.json").write_text(json.dumps(arrays), encoding="utf-8")
    shown = run(node, HERE / "node" / "train.mjs", tmp_path)
    assert shown.returncode == 0, shown.stderr[-2000:]
    np.testing.assert_allclose(json.loads(shown.stdout), losses, rtol=2e-5)
