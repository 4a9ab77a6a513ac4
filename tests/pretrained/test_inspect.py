"""What `graphspec inspect` says of real files: whether they can be layers, and what trains."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from graphspec.cli.app import app
from pretrained import file

pytestmark = pytest.mark.slow

FROZEN = "can be a frozen layer"
SAID = {
    "320n.onnx": (FROZEN, "127 tensors of 3,009,158 numbers would train", "AGPL-3.0"),
    "ch_PP-OCRv4_det_infer.onnx": (FROZEN, "would train"),
    "ch_PP-OCRv4_rec_infer.onnx": (FROZEN, "would train"),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (FROZEN, "143 tensors of 129,356 numbers would train", "PaddlePaddle"),
    "common.onnx": (FROZEN, "47 tensors of 13,520,258 numbers would train", "the first axis of 'input1' is fixed"),
    "common_det.onnx": (FROZEN, "166 tensors of 5,024,202 numbers would train"),
    "common_old.onnx": (FROZEN, "its weights cannot train", "DynamicQuantizeLinear"),
    "model.onnx": (FROZEN, "10 tensors of 784,214 numbers would train", "tf2onnx"),
    "silero_vad.onnx": (FROZEN,),
    "silero_vad_16k.safetensors": ("309,633", "PyTorch's names and layout"),
    "silero_vad_16k_op15.onnx": (FROZEN,),
    "silero_vad_16k_sequence.onnx": (FROZEN,),
    "silero_vad_half.onnx": (FROZEN, "its weights cannot train", "If"),
    "silero_vad_op18_ifless.onnx": (FROZEN,),
    "silero_vad_openvino_16k.onnx": (FROZEN,),
}


@pytest.mark.parametrize("name", SAID)
def test_a_file_is_described(name: str) -> None:
    done = CliRunner().invoke(app, ["inspect", str(file(name))], env={"COLUMNS": "400"})
    assert done.exit_code == 0, done.output
    assert [text for text in SAID[name] if text not in done.output] == []
