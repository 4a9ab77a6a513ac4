"""Operations that mix rows: refused where a batch is divided, and recognized without false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.compiler.check import check
from graphspec.training.mixed_rows import mixing


def spec(*layers: dict[str, Any], **training: Any) -> dict[str, Any]:
    h = {"name": "h", "type": "Dense", "units": 6, "inputs": "x"}
    y = {"name": "y", "type": "Dense", "units": 1}
    return {
        "graphspec": 1,
        "name": "s",
        "inputs": {"x": {"shape": [4]}},
        "layers": [h, *layers, y],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": {"epochs": 1, "batch_size": 8, "optimizer": "sgd", **training},
    }


MIXED: list[list[dict[str, Any]]] = [
    [{"name": "m", "type": "ops.mean", "axis": 0}, {"type": "ops.subtract", "inputs": ["h", "m"]}],
    [{"type": "ops.cumsum", "axis": 0}],
    [{"type": "ops.flip", "axis": 0}],
    [{"type": "ops.roll", "shift": 1, "axis": 0}],
    [{"type": "ops.sort", "axis": 0}],
    [{"name": "m", "type": "ops.max"}, {"type": "ops.divide", "inputs": ["h", "m"]}],
    [
        {"name": "t", "type": "ops.transpose"},
        {"name": "p", "type": "ops.matmul", "inputs": ["h", "t"]},
        {"type": "ops.matmul", "inputs": ["p", "h"]},
    ],
    [{"type": "onnx.Softmax", "axis": 0}],
    [{"name": "m", "type": "ops.take", "inputs": ["h", 0], "axis": 0}, {"type": "ops.add", "inputs": ["h", "m"]}],
    [{"name": "t", "type": "ops.transpose"}, {"type": "ops.reshape", "newshape": [-1, 6]}],
    [
        {"name": "e", "type": "ops.einsum", "subscripts": "ni,nj->ij", "inputs": ["h", "h"]},
        {"type": "ops.matmul", "inputs": ["h", "e"]},
    ],
]
APART: list[list[dict[str, Any]]] = [
    [{"type": "ops.softmax"}, {"type": "ops.multiply", "inputs": ["h", 2.0]}, {"type": "ops.cumsum", "axis": 1}],
    [{"type": "ops.mean", "axis": -1, "keepdims": True}],
    [{"type": "ops.reshape", "newshape": [-1, 2, 3]}, {"type": "ops.flip", "axis": 2}, {"type": "ops.max", "axis": 1}],
    [{"name": "t", "type": "ops.transpose"}, {"type": "ops.sort", "axis": 0}, {"type": "ops.transpose"}],
    [
        {"name": "a", "type": "ops.expand_dims", "axis": -1},
        {"name": "b", "type": "ops.expand_dims", "axis": 1},
        {"type": "ops.squeeze", "axis": 1},
        {"type": "ops.squeeze", "axis": -1},
    ],
    [
        {"type": "ops.concatenate", "inputs": ["h", "h"], "axis": 1},
        {"type": "ops.take", "inputs": ["h", [0, 2]], "axis": 1},
    ],
    [{"type": "ops.stack", "inputs": ["h", "h"], "axis": 0}, {"type": "ops.sum", "axis": 0}],
    [{"name": "v", "type": "Parameter", "shape": [6, 3]}, {"type": "ops.matmul", "inputs": ["h", "v"]}],
    [{"type": "ops.sort"}, {"type": "ops.roll", "shift": 1, "axis": 1}, {"type": "ops.top_k", "k": 2}],
    [{"type": "ops.ravel"}, {"type": "ops.tanh"}, {"type": "ops.reshape", "newshape": [-1, 6]}],
    [{"type": "ops.split", "indices_or_sections": 2, "axis": 1}, {"type": "ops.tile", "repeats": [1, 2]}],
    [{"type": "ops.einsum", "subscripts": "ni,nj->nij", "inputs": ["h", "h"]}, {"type": "Flatten"}],
]


@pytest.mark.parametrize("layers", MIXED, ids=lambda layers: layers[-1]["type"] + layers[0]["type"])
def test_mixed_rows_are_refused(layers: list[dict[str, Any]]) -> None:
    record, lowered = check(spec(*layers)).require()
    assert mixing(record, lowered.graph) is not None


@pytest.mark.parametrize("layers", APART, ids=lambda layers: layers[0]["type"])
def test_operations_that_keep_rows_apart(layers: list[dict[str, Any]]) -> None:
    record, lowered = check(spec(*layers)).require()
    assert mixing(record, lowered.graph) is None


X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
Y = X[:, :1]


@pytest.mark.parametrize("training", [{"workers": 2}, {"shards": 2}], ids=["workers", "shards"])
def test_a_divided_batch(training: dict[str, Any]) -> None:
    with pytest.raises(gs.UsageError, match=r"ops.cumsum '.*' may mix its rows"):
        gs.compile(spec(*MIXED[1], **training)).fit(X, Y)


def test_the_number_of_workers_may_be_chosen() -> None:
    model = gs.compile(spec(*MIXED[1], workers="auto"))
    model.fit(X, Y)
    assert model.workers == 1


def test_two_workers_take_operations() -> None:
    """Their sums are those of one worker, up to rounding."""
    found = []
    for training in ({}, {"shards": 2}):
        model = gs.compile(spec(*APART[2], **training))
        model.fit(X, Y)
        found.append(model.weights)
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], rtol=1e-5, atol=1e-6)
