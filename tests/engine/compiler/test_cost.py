"""Costs counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import Cost, NodeCost, cost


def _cost(inputs: dict[str, Any], layers: list[dict[str, Any]], batch_size: int = 1) -> Cost:
    last = layers[-1]["name"]
    document = {"graphspec": 1, "name": "x", "inputs": inputs, "layers": layers, "outputs": {last: {}}}
    spec, lowered = check(document).require()
    return cost(spec, lowered, batch_size)


def test_dense() -> None:
    costs = _cost({"x": {"shape": [10]}}, [{"name": "d", "type": "Dense", "units": 4}], 8)
    assert costs.nodes["d"] == NodeCost(trainable=44, frozen=0, multiply_adds=8 * 10 * 4, activations=8 * 4 * 4)
    assert (costs.shapes, costs.lengths) == ({"x": (8, 10)}, {})


def test_dense_over_time() -> None:
    costs = _cost({"x": {"shape": ["time", 10]}}, [{"name": "d", "type": "Dense", "units": 4}], 2)
    assert costs.lengths == {"time": 16}
    assert costs.nodes["d"].multiply_adds == 2 * 16 * 10 * 4


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(groups: int) -> None:
    layer = {"name": "c", "type": "Conv2D", "filters": 6, "kernel_size": 3, "groups": groups}
    node = _cost({"x": {"shape": [8, 8, 4]}}, [layer]).nodes["c"]
    assert node.trainable == 9 * 4 // groups * 6 + 6
    assert node.multiply_adds == 6 * 6 * 6 * 9 * 4 // groups
    assert node.activations >= 6 * 6 * 6 * 4


@pytest.mark.parametrize(("kind", "gates"), [("SimpleRNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent(kind: str, gates: int) -> None:
    node = _cost({"x": {"shape": [5, 3]}}, [{"name": "r", "type": kind, "units": 7}], 2).nodes["r"]
    assert node.multiply_adds == 2 * 5 * gates * 7 * (3 + 7)


def test_frozen_shared_and_statistics() -> None:
    layers: list[dict[str, Any]] = [
        {"name": "a", "type": "Dense", "units": 3, "trainable": False},
        {"name": "b", "type": "BatchNormalization"},
        {"name": "c", "type": "Dense", "units": 3, "use_bias": False},
        {"name": "d", "share": "c"},
    ]
    costs = _cost({"x": {"shape": [3]}}, layers)
    assert [(n.trainable, n.frozen) for n in costs.nodes.values()] == [(0, 12), (6, 6), (9, 0), (0, 0)]
    assert costs.nodes["d"].multiply_adds == 9
    total = costs.total()
    assert (total.trainable, total.frozen, total.multiply_adds) == (15, 18, 27)


def test_nodes_of_blocks_and_parts_of_wrappers() -> None:
    document = {
        "graphspec": 1,
        "name": "x",
        "inputs": {"x": {"shape": [4, 3]}},
        "blocks": {
            "b": {
                "inputs": ["i"],
                "layers": [
                    {"name": "r", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 2}, "inputs": "i"}
                ],
                "outputs": ["r"],
            }
        },
        "layers": [{"name": "m", "block": "b"}],
        "outputs": {"y": {"layer": "m"}},
    }
    spec, lowered = check(document).require()
    costs = cost(spec, lowered, 1)
    assert costs.nodes["m/r"].trainable == 2 * (3 * 8 + 2 * 8 + 8)


def test_a_length_that_the_network_takes() -> None:
    layer = {"name": "c", "type": "Conv1D", "filters": 2, "kernel_size": 20}
    assert _cost({"x": {"shape": [None, 1]}}, [layer]).lengths == {"x_1": 64}


def test_what_no_head_needs_costs_nothing() -> None:
    layers = [{"name": "dead", "type": "Dense", "units": 3}, {"name": "d", "type": "Dense", "units": 2, "inputs": "x"}]
    costs = _cost({"x": {"shape": [3]}}, layers)
    assert (costs.nodes["dead"].trainable, costs.nodes["dead"].multiply_adds) == (12, 0)
