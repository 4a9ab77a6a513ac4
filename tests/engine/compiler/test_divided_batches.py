"""Networks that mix the rows of a batch: refused where a batch is divided, and recognized without false alarms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.errors import UsageError
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.training_checks import mixing
from graphspec.engine.training.choose_workers import choose_workers

Nodes = list[dict[str, Any]]
X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
Y = X[:, :1]


def spec(*layers: dict[str, Any], **training: Any) -> dict[str, Any]:
    """`h` is (N, 6); the last node is `y`."""
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


def joined(*nodes: dict[str, Any]) -> Nodes:
    """`z`, the last of these nodes, is multiplied by `h`."""
    *before, last = nodes
    return [*before, last | {"name": "z"}, {"type": "ops.multiply", "inputs": ["h", "z"]}]


MIXED: list[Nodes] = [
    joined({"type": "ops.mean", "axis": 0}),
    joined({"type": "ops.max"}),
    [{"type": "ops.cumsum", "axis": 0}],
    [{"type": "ops.flip", "axis": 0}],
    [{"type": "ops.roll", "shift": 1, "axis": 0}],
    [{"type": "ops.sort", "axis": 0}],
    [{"type": "onnx.Softmax", "axis": 0}],
    [{"name": "t", "type": "ops.transpose"}, {"type": "ops.softmax"}, {"type": "ops.transpose"}],
    joined({"type": "ops.take", "inputs": ["h", 0], "axis": 0}),
    [{"name": "t", "type": "ops.transpose"}, {"type": "ops.reshape", "newshape": [-1, 6]}],
    [
        {"name": "t", "type": "ops.transpose"},
        {"name": "p", "type": "ops.matmul", "inputs": ["h", "t"]},
        {"type": "ops.matmul", "inputs": ["p", "h"]},
    ],
    [
        {"name": "p", "type": "onnx.Gemm", "transB": 1, "inputs": ["h", "h"]},
        {"type": "ops.matmul", "inputs": ["p", "h"]},
    ],
    [
        {"name": "p", "type": "onnx.Gemm", "transA": 1, "inputs": ["h", "h"]},
        {"type": "ops.matmul", "inputs": ["h", "p"]},
    ],
    [
        {"name": "e", "type": "ops.einsum", "subscripts": "ni,nj->ij", "inputs": ["h", "h"]},
        {"type": "ops.matmul", "inputs": ["h", "e"]},
    ],
    [
        {"name": "a", "type": "ops.expand_dims", "axis": 0},
        {"name": "b", "type": "ops.expand_dims", "axis": 1, "inputs": "h"},
        {"type": "ops.subtract", "inputs": ["b", "a"]},
        {"type": "ops.sum", "axis": 1},
    ],
    [
        {"type": "ops.reshape", "newshape": [-1, 2, 3]},
        {"type": "TimeDistributed", "layer": {"type": "ops.flip", "axis": 0}},
        {"type": "Flatten"},
    ],
    [
        {"name": "t", "type": "ops.transpose"},
        {"type": "Activation", "activation": "softmax"},
        {"type": "ops.transpose"},
    ],
]
APART: list[Nodes] = [
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
    [
        {"name": "v", "type": "Parameter", "shape": [2, 6]},
        {"name": "t", "type": "onnx.Gemm", "transB": 1, "inputs": ["v", "h"]},
        {"type": "onnx.Transpose", "perm": [1, 0], "inputs": "t"},
    ],
    [{"type": "ops.sort"}, {"type": "ops.roll", "shift": 1, "axis": 1}, {"type": "ops.top_k", "k": 2}],
    [{"type": "ops.ravel"}, {"type": "ops.tanh"}, {"type": "ops.reshape", "newshape": [-1, 6]}],
    [{"type": "ops.split", "indices_or_sections": 2, "axis": 1}, {"type": "ops.tile", "repeats": [1, 2]}],
    [{"type": "ops.einsum", "subscripts": "ni,nj->nij", "inputs": ["h", "h"]}, {"type": "Flatten"}],
    [{"type": "ops.einsum", "subscripts": "...i,...i->...i", "inputs": ["h", "h"]}],
    [{"type": "BatchNormalization"}, {"type": "Dropout", "rate": 0.5}],
    [{"type": "Dot", "axes": 1, "inputs": ["h", "h"]}],
    [
        {"type": "Reshape", "target_shape": [2, 3]},
        {"type": "Masking"},
        {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, "dropout": 0.5}},
    ],
    [
        {"type": "Reshape", "target_shape": [2, 3]},
        {"type": "TimeDistributed", "layer": {"type": "ops.flip", "axis": 1}},
        {"type": "Flatten"},
    ],
]


def name_of(nodes: Nodes) -> str:
    return "-".join(node["type"] for node in nodes)


@pytest.mark.parametrize("nodes", MIXED, ids=name_of)
def test_mixed_rows_are_found(nodes: Nodes) -> None:
    record, lowered = check(spec(*nodes)).require()
    assert mixing(record, lowered.graph) is not None


@pytest.mark.parametrize("nodes", APART, ids=name_of)
def test_rows_that_stay_apart(nodes: Nodes) -> None:
    assert not check(spec(*nodes, workers=2)).errors


@pytest.mark.parametrize("training", [{"workers": 2}, {"shards": 4}], ids=["workers", "shards"])
def test_the_report_has_the_position_of_the_key_and_names_the_node(training: dict[str, Any]) -> None:
    (key,) = training
    found = check(spec(*MIXED[0], **training)).errors
    text = "is not possible: 'z' mixes the rows of a batch (ReduceMean), but each process has a part of them"
    assert [f"{d.code}: {d.message}" for d in found] == [f"GS105: `{key}` {text}"]
    assert found[0].path == f"training.{key}"
    assert [ref.name for ref in found[0].nodes] == ["z"]


def test_masks_and_penalties_of_mixed_values() -> None:
    mixed = [
        {"name": "m", "type": "ops.flip", "axis": 0},
        {"name": "p", "type": "ActivityRegularization", "l2": 0.1},
        {"name": "same", "type": "Identity", "inputs": "h"},
    ]
    record, lowered = check(spec(*mixed)).require()
    node = mixing(record, lowered.graph)
    assert node is not None
    assert node.owner == "m"
    assert not check(spec({"type": "ActivityRegularization", "l2": 0.1}, workers=2)).errors


@pytest.mark.usefixtures("two_cores")
def test_auto_takes_one_worker(capsys: pytest.CaptureFixture[str]) -> None:
    model = gs.compile(spec(*MIXED[0], workers="auto"))
    model.fit(X, Y, epochs=1, verbose=2)
    assert model.workers == 1
    assert "one worker: 'z' mixes the rows of a batch (ReduceMean)" in capsys.readouterr().out


def test_ranks_are_refused() -> None:
    model = gs.compile(spec(*MIXED[0]))
    steps: Any = SimpleNamespace(model=model, ranks=SimpleNamespace(size=2), shards=None)
    with pytest.raises(UsageError, match=r"ranks divide each batch, but 'z' mixes the rows of a batch \(ReduceMean\)"):
        choose_workers(steps, 1, range(1), print)


def test_parts_of_a_batch_take_operations() -> None:
    """Their sums are those of one worker, up to rounding."""
    found = []
    for training in ({}, {"shards": 2}):
        model = gs.compile(spec(*APART[2], **training))
        model.fit(X, Y)
        found.append(model.weights)
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], rtol=1e-5, atol=1e-6)
