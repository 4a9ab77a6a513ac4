"""Losses over pairs and triplets against PyTorch (`golden/section_pairs.py`): values, scalar, gradients, workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import assert_close, run
from workers import by_workers

from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.losses import LOSSES, reduce
from graphspec.vocabulary.losses.pairs import OfNodes

CASES = load("pairs")
KINDS = {"cosine", "contrastive", "triplet", "info_nce", "clip"}


def test_every_loss_has_cases() -> None:
    assert {case.args["loss"]["type"] for case in CASES} == KINDS


def lowered(case: Case) -> tuple[Graph, dict[str, Value], dict[str, Any], list[str]]:
    """A graph of the loss alone, the values to fetch, the arrays to feed, and the names of the nodes."""
    loss = LOSSES.parse(case.args["loss"])
    graph, arrays = Graph(case.id), {}
    for name in ("x0", "x1", "x2", "y_true", "sample_weight"):
        if name in case:
            array = arrays[name] = case[name]
            shape = ("N", *array.shape[1:]) if array.ndim else ()
            graph.inputs[name] = Value(name, Type("float32", shape), "input")
    names = [name for name in graph.inputs if name.startswith("x")]
    nodes = [graph.inputs[name] for name in names]
    assert loss.check_values(nodes) == []
    g = Builder(graph, "loss")
    with g:
        values = loss.lower_values(g, graph.inputs.get("y_true"), nodes)
    weight = graph.inputs.get("sample_weight")
    with g:
        scalar = reduce(g, values, weight=weight, mask=None, reduction=loss.reduction)
    return graph, {"values": values, "loss": scalar}, arrays, names


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_values_loss_and_gradients_are_those_of_pytorch(case: Case, dtype: Any) -> None:
    graph, fetches, arrays, names = lowered(case)
    found, _, gradients = run(graph, Parameters(graph, dtype), arrays, fetches, loss=fetches["loss"], input_grads=names)
    assert_close(found, {"values": case["values"], "loss": case["loss"]})
    assert_close(gradients, {name: case[f"gradient{name[1:]}"] for name in names})


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("case", [case for case in CASES if "learnt" not in case.id], ids=lambda case: case.id)
def test_workers_see_the_rows_of_all(case: Case, size: int) -> None:
    graph, fetches, arrays, names = lowered(case)
    for name in names:
        loss, gradient = by_workers(graph, fetches["loss"], arrays, size, name)
        assert_close({"loss": np.array(loss), "x": gradient}, {"loss": case["loss"], "x": case[f"gradient{name[1:]}"]})


def node(*shape: int | str, dtype: str = "float32") -> Value:
    return Value("x", Type(dtype, shape), "input")


@pytest.mark.parametrize(
    ("loss", "nodes", "says"),
    [
        (
            "cosine",
            [node("N", 3, 4), node("N", 4)],
            "compares vectors (batch, features), but a node has shape (N, 3, 4)",
        ),
        ("triplet", [node("N", 4), node("N", 4), node("N", 5)], "of one size, got (N, 4) and (N, 4) and (N, 5)"),
        ("info_nce", [node("N", 4), node("N", 4, dtype="int64")], "needs float32 values, got int64"),
        ("clip", [node("N", 4), node("N", 4), node("N", 1)], "one number as its third node"),
    ],
)
def test_nodes_that_do_not_fit(loss: str, nodes: list[Value], says: str) -> None:
    parsed = LOSSES.parse(loss)
    assert isinstance(parsed, OfNodes)
    (problem,) = parsed.check_values(nodes)
    assert says in problem.message
    assert (problem.code, problem.severity) == ("GS402", "error")
