"""Labels in NumPy and in files: those of CTC heads are letters that begin at a step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from graphspec.export.onnx import joined, letter_nodes, predicted_letters, with_labels
from graphspec.vocabulary.metrics.sequences import greedy_decode

CLASSES = ["-", "a", "b", "ß"]
MODEL: Any = SimpleNamespace(labels={"y": CLASSES}, cutoffs={"y": 0.5}, needed=SimpleNamespace(ctc={"y"}))
RNG = np.random.default_rng(0)


def values(*steps: int) -> np.ndarray:
    """Values (1, time, 4) whose best classes are ``steps``."""
    return np.eye(4, dtype=np.float32)[list(steps)][None]


def in_file(head: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    nodes, constants = letter_nodes("y", CLASSES, None if mask is None else "y/mask")
    inputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "T", 4])]
    if mask is not None:
        inputs.append(helper.make_tensor_value_info("y/mask", TensorProto.BOOL, ["N", "T"]))
    outputs = [helper.make_tensor_value_info("y_label", TensorProto.STRING, ["N", "T"])]
    graph = helper.make_graph(nodes, "letters", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"y": head} | ({} if mask is None else {"y/mask": mask}))[0]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([0, 1, 1, 0, 2], "ab"),
        ([1, 1, 0, 1], "aa"),
        ([1, 2, 1], "aba"),
        ([0, 0, 0], ""),
        ([3, 3, 0, 0], "ß"),
    ],
)
def test_repeats_collapse_before_blanks_are_left_out(steps: list[int], text: str) -> None:
    found = with_labels({"y": values(*steps)}, MODEL, {"y": None})["y_label"]
    assert found.shape == (1, len(steps))
    assert joined(found).tolist() == [text]
    assert in_file(values(*steps), None).tolist() == found.tolist()


def test_letters_are_those_of_the_metric_and_of_the_file() -> None:
    head = RNG.normal(size=(40, 9, 4)).astype(np.float32)
    found = with_labels({"y": head}, MODEL, {"y": None})["y_label"]
    decoded, lengths = greedy_decode(head, np.full(40, 9))
    expected = ["".join(CLASSES[k] for k in row[:n]) for row, n in zip(decoded, lengths, strict=True)]
    assert joined(found).tolist() == expected
    assert "-" not in "".join(expected), "the blank has no text, whatever its label"
    assert in_file(head, None).tolist() == found.tolist()


def test_masked_steps_at_the_end_are_left_out_and_those_between_stay() -> None:
    head = values(1, 0, 1, 2, 2)
    mask = np.array([[True, False, True, False, False]])
    assert predicted_letters(head, mask).tolist() == [[1, 0, 1, 0, 0]]
    assert predicted_letters(head, np.zeros((1, 5), bool)).tolist() == [[0] * 5]
    head, mask = RNG.normal(size=(40, 9, 4)).astype(np.float32), RNG.random((40, 9)) < 0.3
    found = with_labels({"y": head}, MODEL, {"y": mask})["y_label"]
    assert in_file(head, mask).tolist() == found.tolist()


def test_steps_of_each_row_end_its_text() -> None:
    labels = np.array([["a", "", "b"], ["a", "", "b"]])
    assert joined(labels, np.array([3, 2])).tolist() == ["ab", "a"]
    assert joined(labels[:, :0]).tolist() == ["", ""]
