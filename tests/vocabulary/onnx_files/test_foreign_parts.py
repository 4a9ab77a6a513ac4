"""Operators of other domains: those that graphspec writes, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from graphspec.vocabulary.onnx_files.model_file import declarations


def foreign(folder: Path, op: str, domain: str) -> str | None:
    node = helper.make_node(op, ["x"], ["y"], domain=domain)
    texts = [helper.make_tensor_value_info(name, TensorProto.STRING, ["N", 1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", texts[:1], texts[1:]))
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    found = declarations(folder / "a.onnx")
    return found.foreign or found.merged


@pytest.mark.parametrize(
    ("op", "domain"),
    [
        ("LabelEncoder", "ai.onnx.ml"),
        ("Tokenizer", "com.microsoft"),
        ("MurmurHash3", "com.microsoft"),
        ("Relu", ""),
        ("Relu", "ai.onnx"),
    ],
)
def test_operators_that_graphspec_writes(op: str, domain: str, tmp_path: Path) -> None:
    assert foreign(tmp_path, op, domain) is None


@pytest.mark.parametrize(
    ("op", "domain"),
    [
        ("Inverse", "com.microsoft"),
        ("LabelEncoder", "com.microsoft"),
        ("Relu", "com.microsoft"),
        ("Scaler", "ai.onnx.ml"),
        ("BertTokenizer", "ai.onnx.contrib"),
        ("Tokenizer", "\x1b[2J"),
    ],
)
def test_other_operators_are_named(op: str, domain: str, tmp_path: Path) -> None:
    found = foreign(tmp_path, op, domain)
    assert found == f"the operator {op} of {domain}".replace("\x1b", "\\x1b")
