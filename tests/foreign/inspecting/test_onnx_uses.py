"""Whether an ONNX file can be a layer, and train: with the reasons why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_files import dense, model, outside, value, write
from unfrozen import model_of, node

from graphspec.foreign.inspecting.onnx_uses import onnx_uses


def test_a_file_whose_weights_train(tmp_path: Path) -> None:
    frozen, unfrozen = onnx_uses(write(tmp_path / "a.onnx", dense()))
    assert (frozen["possible"], frozen["how"], frozen["notes"]) == (True, "{type: Onnx, file: a.onnx}", [])
    assert unfrozen["possible"]
    assert unfrozen["how"] == "{type: Onnx, file: a.onnx, trainable: true}"
    assert unfrozen["trains"] == [{"name": "W", "shape": [4, 3]}]
    assert unfrozen["elements"] == 12


def test_an_operator_without_a_gradient_is_named_with_its_node(tmp_path: Path) -> None:
    found = model_of([node("Round", "x", "r"), node("NonZero", "r", "y")], {"x": [1, 4]}, ["y"])
    found.graph.output[0].CopyFrom(value("y", [2, "k"], 7))
    frozen, unfrozen = onnx_uses(write(tmp_path / "a.onnx", found))
    assert frozen["possible"]
    assert "the first axis of 'x' is fixed" in frozen["notes"][0]
    (reason,) = unfrozen["reasons"]
    assert reason["code"] == "GS802"
    assert "NonZero ('the_y')" in reason["message"]


def test_sizes_that_must_be_fixed(tmp_path: Path) -> None:
    """Two paths to half a size that only agree for even ones, as networks of pictures have."""
    nodes = [
        node("MaxPool", "x", "small", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("Resize", "small _ twice", "large", mode="nearest"),
        node("Add", "large x", "sum"),
        node("Conv", "sum w", "y"),
    ]
    tensors = {"twice": np.array([1, 1, 2, 2], np.float32), "w": np.ones((2, 3, 1, 1), np.float32)}
    found = model_of(nodes, {"x": ["n", 3, "height", "width"]}, ["y"], tensors)
    found.graph.output[0].CopyFrom(value("y", ["n", 2, "height", "width"]))
    _, unfrozen = onnx_uses(write(tmp_path / "a.onnx", found))
    assert unfrozen["possible"]
    assert unfrozen["notes"] == ["if its inputs have fixed sizes, such as (N, 3, 320, 320)"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (outside("w.bin"), "which does not exist"),
        (model([helper.make_node("Relu", ["x"], ["y"])], inputs=[value("x", ["n"], 14)]), "cannot be fed"),
        (
            model([helper.make_node("Cast", ["x"], ["y"], to=14)], outputs=[value("y", ["batch", 4], 14)]),
            "its output 'y' complex64(batch, 4) is of no type of a spec",
        ),
        (
            model([helper.make_node("Relu", ["x"], ["y"])], inputs=[value("x", [])], outputs=[value("y", [])]),
            "it has no input with a batch axis",
        ),
        (model([helper.make_node("Evil", ["x"], ["y"])]), "No Op registered for Evil"),
    ],
)
def test_what_keeps_a_file_from_being_a_layer(found: object, words: str, tmp_path: Path) -> None:
    frozen, unfrozen = onnx_uses(write(tmp_path / "a.onnx", found))
    assert not frozen["possible"]
    assert not unfrozen["possible"]
    assert words in frozen["reasons"][0]["message"]


def test_large_files_are_left_to_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.foreign.inspecting.onnx_uses.MAX_BYTES", 10)
    frozen, unfrozen = onnx_uses(write(tmp_path / "a.onnx", dense()))
    assert (frozen["possible"], unfrozen["possible"]) == (True, False)
    assert unfrozen["reasons"][0]["message"].endswith("MiB: `validate` finds out")
