"""Pretrained networks of other programs, which `install.sh` fetches; without them the tests here are skipped."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

FILES = Path(__file__).resolve().parent / "files"
MISSING = "run `bash tests/pretrained/install.sh`, which fetches pretrained networks"
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Network:
    """A value in a file, for rows of one shape."""

    file: str
    shape: tuple[int, ...]
    output: str | None = None
    dtype: str = "float32"

    def __str__(self) -> str:
        return self.file.removesuffix(".onnx")


OCR = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
NETWORKS = (
    Network(OCR, (3, 48, 64)),
    Network("ch_PP-OCRv4_det_infer.onnx", (3, 64, 32)),
    Network("ch_PP-OCRv4_rec_infer.onnx", (3, 48, 32)),
    Network("common.onnx", (1, 64, 40), "208"),  # convolutions; the LSTM after them has its rows in axis 1
    Network("common_det.onnx", (3, 416, 416), "630"),
    Network("model.onnx", (2048,), dtype="int32"),
    Network("320n.onnx", (3, 64, 32)),
    Network("silero_vad_half.onnx", (576,), "/encoder/3/activation/Relu_output_0"),
    Network("silero_vad_16k_op15.onnx", (576,), "/model/encoder/3/activation/Relu_output_0"),
    Network("silero_vad_16k_sequence.onnx", (576,), "/Relu_3_output_0"),
    Network(
        "silero_vad_openvino_16k.onnx", (576,), "F0::If_0_then_branch__Inline_0__/encoder/3/activation/Relu_output_0"
    ),
)
"""Those that compute the rows of a batch apart; the others are refused."""


def file(name: str) -> Path:
    """The path of a file; skips the test without it."""
    if not (FILES / name).is_file():
        pytest.skip(MISSING)
    return FILES / name


def spec(folder: Path, network: Network, *layers: dict[str, Any], **more: Any) -> Path:
    """A spec beside the network, which reads ``x``; ``more`` are arguments of its layer."""
    source, target = file(network.file), folder / network.file
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
    node = {"name": "net", "type": "Onnx", "file": network.file, **more}
    if network.output is not None:
        node["output"] = network.output
    head: dict[str, Any] = {"net": {}}
    if layers:
        head = {layers[-1]["name"]: {"loss": "sparse_categorical_crossentropy"}}
    document = {
        "graphspec": 1,
        "name": "tuned",
        "inputs": {"x": {"shape": list(network.shape), "dtype": network.dtype}},
        "layers": [node, *layers],
        "outputs": head,
        "training": {"optimizer": "Adam", "batch_size": 8, "seed": 1},
    }
    path = folder / "tuned.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def rows(network: Network, count: int) -> Array:
    """Random rows: bytes, or numbers about 0."""
    random = np.random.default_rng(0)
    if network.dtype == "int32":
        return random.integers(0, 257, (count, *network.shape)).astype(np.int32)
    return random.normal(size=(count, *network.shape)).astype(np.float32)


def answers(network: Network, x: Array) -> Array:
    """What onnxruntime computes with the file, row by row, whatever batch it was made for."""
    import onnxruntime

    model = onnx.load(file(network.file))
    graph = model.graph
    wanted = network.output or graph.output[0].name
    needed, nodes = {wanted}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    inputs = [value for value in graph.input if value.name in needed]
    outputs = [helper.make_tensor_value_info(wanted, TensorProto.FLOAT, None)]
    part = helper.make_graph(nodes[::-1], "part", inputs, outputs, [t for t in graph.initializer if t.name in needed])
    versions = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx.ml")]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    content = helper.make_model(part, opset_imports=versions, ir_version=model.ir_version).SerializeToString()
    session = onnxruntime.InferenceSession(content, options)
    return np.concatenate([session.run(None, {inputs[0].name: x[k : k + 1]})[0] for k in range(len(x))])
