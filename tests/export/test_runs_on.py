"""Who can run a file: versions of onnxruntime, targets, domains of operators."""

from __future__ import annotations

from collections import Counter

import pytest

from graphspec.export.targets import TARGETS, kernels, runs_on
from graphspec.vocabulary.onnx_files.model_file import Declared, ModelFile, Weight


def a_file(*operators: tuple[str, str], opset: int = 17, ir: int = 8) -> ModelFile:
    return ModelFile(opsets={"": opset}, ir_version=ir, operators=Counter(operators))


@pytest.mark.parametrize(
    ("opset", "ir", "version"),
    [
        (17, 8, "1.14"),
        (18, 8, "1.15"),
        (17, 10, "1.18"),
        (21, 10, "1.18"),
        (28, 14, "1.32"),
        (29, 14, None),
        (17, 15, None),
    ],
)
def test_the_first_version_of_onnxruntime(opset: int, ir: int, version: str | None) -> None:
    found = runs_on(a_file(("", "Relu"), opset=opset, ir=ir))
    assert found["onnxruntime"] == version
    assert bool(found["packages"]) == (version is not None)
    assert version is not None or "newer than graphspec knows" in found["notes"][0]


def test_a_plain_file_runs_everywhere() -> None:
    found = runs_on(a_file(("", "Relu")))
    assert set(found["targets"]) == set(TARGETS)
    assert (found["notes"], found["domains"], found["texts"]) == ([], {}, False)


def test_operators_of_onnxruntime_are_not_for_other_runtimes() -> None:
    found = runs_on(a_file(("com.microsoft", "Tokenizer"), ("ai.onnx.ml", "LabelEncoder")))
    assert "onnx" not in found["targets"]
    assert found["domains"] == {"ai.onnx.ml": ["LabelEncoder"], "com.microsoft": ["Tokenizer"]}
    assert [note.partition(":")[0] for note in found["notes"]] == ["Tokenizer", "LabelEncoder"]


def test_operators_of_a_stranger() -> None:
    found = runs_on(a_file(("mine", "Twice"), ("mine", "Thrice")))
    assert (found["onnxruntime"], found["targets"], found["packages"]) == (None, [], {})
    assert found["notes"] == ["operators of mine need a library of whoever made them: Thrice, Twice"]
    own = a_file(("mine", "Twice"))
    own.functions = ["mine.Twice"]
    assert runs_on(own)["onnxruntime"] == "1.14"


def test_notes_about_dtypes_opsets_and_other_files() -> None:
    found = a_file(("", "Relu"), opset=6, ir=3)
    found.inputs = [Declared("a", dtype="string", shape=("N",)), Declared("b", dtype="int64", shape=("N",))]
    found.weights = [Weight("W", "float32", (2,), 2, 8, ("w.bin", 0, 8))]
    notes = " ".join(runs_on(found)["notes"])
    for words in ("opset 6 is older", "string tensors", "BigInt", "externalData"):
        assert words in notes


def test_operators_that_the_runtime_lacks() -> None:
    found = a_file(
        ("", "Relu"), ("", "Loop"), ("ai.onnx.ml", "ZipMap"), ("ai.onnx.ml", "LabelEncoder"), ("mine", "Relu")
    )
    assert kernels(found) == {
        "lacks": ["Loop", "ai.onnx.ml.ZipMap", "mine.Relu"],
        "by_onnxruntime": ["ai.onnx.ml.LabelEncoder"],
    }
