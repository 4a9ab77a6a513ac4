"""Networks that compare the rows of a batch with each other train in one process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.compiler.check import check
from graphspec.errors import UsageError
from graphspec.graph.rows_together import compares_rows
from graphspec.training.choose_workers import choose_workers

X = {"inputs": "x"}
ALONE = [
    [{"type": "ops.mean", "axis": 1, "keepdims": True} | X],
    [{"type": "ops.softmax", "axis": -1} | X],
    [{"type": "BatchNormalization"} | X],
    [{"type": "Dot", "axes": 1, "inputs": ["x", "x"]}],
    [{"type": "onnx.Transpose", "perm": [1, 0]} | X, {"type": "onnx.Transpose", "perm": [1, 0]}],
]
TOGETHER = [
    {"type": "ops.mean", "axis": 0} | X,
    {"type": "ops.max"} | X,
    {"type": "onnx.Softmax", "axis": 0} | X,
    {"type": "onnx.Gemm", "transB": 1, "inputs": ["x", "x"]},
    {"type": "ops.flip", "axis": 0} | X,
]


def spec_of(*nodes: dict[str, Any], **training: Any) -> dict[str, Any]:
    """The last node is `z`; a term of the loss multiplies it by the head `y`."""
    y = {"name": "y", "type": "Dense", "units": 1, "inputs": "x"}
    cost = {"name": "cost", "type": "Multiply", "inputs": ["y", "z"]}
    return {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [4]}},
        "layers": [*nodes[:-1], nodes[-1] | {"name": "z"}, y, cost],
        "outputs": {"y": {"loss": "mse"}, "more": {"layer": "cost", "loss": "value"}},
        "training": training,
    }


@pytest.mark.parametrize("nodes", ALONE, ids=lambda nodes: nodes[0]["type"])
def test_rows_that_do_not_see_each_other(nodes: list[dict[str, Any]]) -> None:
    checked = check(spec_of(*nodes, workers=2))
    assert not checked.errors
    assert compares_rows(checked.require()[1].graph) is None


@pytest.mark.parametrize("node", TOGETHER, ids=lambda node: node["type"])
def test_rows_that_are_compared(node: dict[str, Any]) -> None:
    assert not check(spec_of(node)).errors
    for training in ({"workers": 2}, {"shards": 4}):
        found = [f"{d.code}: {d.message}" for d in check(spec_of(node, **training)).errors]
        key = next(iter(training))
        text = "is not possible: 'z' compares all rows of a batch, but each process has a part of them"
        assert found == [f"GS105: `{key}` {text}"]


@pytest.mark.usefixtures("two_cores")
def test_auto_takes_one_worker(capsys: pytest.CaptureFixture[str]) -> None:
    model = gs.compile(spec_of(TOGETHER[0], workers="auto"))
    model.fit(np.ones((8, 4), "float32"), {"y": np.ones(8, "float32")}, epochs=1, verbose=2)
    assert model.workers == 1
    assert "one worker: 'z' compares all rows of a batch" in capsys.readouterr().out


def test_ranks_are_refused() -> None:
    model = gs.compile(spec_of(TOGETHER[0]))
    steps: Any = SimpleNamespace(model=model, ranks=SimpleNamespace(size=2), shards=None)
    with pytest.raises(UsageError, match="ranks cut the batch into parts, but 'z' compares all its rows"):
        choose_workers(steps, 1, range(1), print)
