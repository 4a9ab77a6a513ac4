"""Operators of losses: extreme numbers, wrong labels, and inputs that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import build, run

from graphspec.base.errors import ShapeError
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target

Array = np.ndarray[Any, Any]


def test_everything_masked_gives_0() -> None:
    values, mask = np.array([1.0, 2.0], np.float32), np.zeros(2, bool)
    for reduction in ("sum", "mean", "sum_over_batch_size", "mean_with_sample_weight"):
        (loss,) = run("ReduceLoss", [values, None, mask], reduction=reduction)
        assert loss == 0


@pytest.mark.parametrize("classes", [3, 100])
def test_softmax_cross_entropy_at_extremes(classes: int) -> None:
    logits = np.zeros((2, classes), np.float32)
    logits[:, 0] = [1e4, -1e4]
    labels = np.array([1, 0])
    (sparse,) = run("SparseSoftmaxCrossEntropy", [logits, labels])
    (dense,) = run("SoftmaxCrossEntropy", [logits, np.eye(classes, dtype=np.float32)[labels]])
    expected = [1e4, 1e4 + np.log(classes - 1)]
    np.testing.assert_allclose(sparse, expected, rtol=1e-6)
    np.testing.assert_allclose(dense, expected, rtol=1e-6)


def test_sigmoid_cross_entropy_at_extremes() -> None:
    logits = np.array([[-1e4, 1e4, -1e4, 1e4, -20.0, 20.0]], np.float32)
    targets = np.array([[0, 1, 1, 0, 0, 1]], np.float32)
    (values,) = run("SigmoidCrossEntropy", [logits, targets])
    np.testing.assert_allclose(values, [[0, 0, 1e4, 1e4, 2.0611537e-09, 2.0611537e-09]], rtol=1e-6)


def test_label_that_is_no_class_is_an_error() -> None:
    graph, loss = build("SparseSoftmaxCrossEntropy", [np.zeros((2, 3), np.float32), np.array([0, 4])])
    total = Builder(graph, "loss").ReduceLoss(loss)
    shapes = {n: v.shape for n, v in graph.inputs.items()}
    program = build_program(
        graph.with_outputs({"loss": total}, total), Parameters(graph), Target(shapes, input_grads=["x0"])
    )
    program.feeds["x1"][...] = [0, 4]
    with pytest.raises(IndexError):
        program.run()


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("SparseSoftmaxCrossEntropy", [np.zeros((2, 3)), np.zeros(3, np.int64)]),
        ("SparseSoftmaxCrossEntropy", [np.zeros((2, 3)), np.zeros(2)]),
        ("SoftmaxCrossEntropy", [np.zeros((2, 3)), np.zeros((2, 1))]),
        ("SigmoidCrossEntropy", [np.zeros((2, 3)), np.zeros((2, 1))]),
        ("SquaredError", [np.zeros((2, 3)), np.zeros(2)]),
        ("ReduceLoss", [np.zeros((2, 3)), np.zeros(3)]),
        ("ReduceLoss", [np.zeros((2, 3)), None, np.zeros(2)]),
        ("CTCLoss", [np.zeros((2, 3)), np.zeros((2, 1), np.int64)]),
        ("CTCLoss", [np.zeros((2, 3, 4)), np.zeros((1, 1), np.int64)]),
        ("CTCLoss", [np.zeros((2, 3, 4)), np.zeros((2, 1))]),
    ],
)
def test_loss_operators_are_strict(op: str, inputs: list[Array | None]) -> None:
    with pytest.raises(ShapeError):
        build(op, inputs)
