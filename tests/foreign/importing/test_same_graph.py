"""Graphs are the same if they compute the same from the same weights, whatever their nodes are called."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.engine.compiler.check import check
from graphspec.foreign.importing.importer import difference
from graphspec.graph.ir.graph import Graph

LEFT = {"name": "a", "type": "Dense", "units": 4, "inputs": "x"}
RIGHT = {"name": "b", "type": "Dense", "units": 4, "activation": "relu", "inputs": "x"}
END = {"name": "y", "type": "Subtract", "inputs": ["a", "b"]}


def graph(*layers: dict[str, Any]) -> Graph:
    data = {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [3]}}, "layers": [*layers]}
    return check(data | {"outputs": {"y": {"loss": "mse"}}}).require()[1].graph


def same(name: str) -> str:
    return name


def test_the_order_and_names_of_nodes_do_not_matter() -> None:
    assert difference(graph(LEFT, RIGHT, END), graph(RIGHT, LEFT, END), same) is None
    renamed = graph({**LEFT, "name": "c"}, RIGHT, {**END, "inputs": ["c", "b"]})
    assert difference(graph(LEFT, RIGHT, END), renamed, lambda name: name.replace("a/", "c/")) is None


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ([{**LEFT, "activation": "relu"}, RIGHT, END], "is not Relu"),
        ([{**LEFT, "units": 1}, RIGHT, END], "a/"),
        ([LEFT, RIGHT, {**END, "inputs": ["b", "a"]}], "is not"),
        ([{**LEFT, "kernel_initializer": "zeros"}, RIGHT, END], "weight a/kernel is not a/kernel"),
        ([{**LEFT, "trainable": False}, RIGHT, END], "weight a/"),
        ([LEFT, {"name": "b", "share": "a", "inputs": "x"}, END], "weights b/bias, b/kernel"),
    ],
)
def test_what_differs_is_said(other: list[dict[str, Any]], found: str) -> None:
    text = difference(graph(LEFT, RIGHT, END), graph(*other), same)
    assert text is not None
    assert found in text
