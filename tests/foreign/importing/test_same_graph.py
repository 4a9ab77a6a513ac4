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


def graph(*layers: dict[str, Any], **more: Any) -> Graph:
    data = {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [3]}}, "layers": [*layers]}
    return check(data | {"outputs": {"y": {"loss": "mse"}}} | more).require()[1].graph


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


def layer(name: str, kind: str, inputs: Any = "x", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "inputs": inputs, **more}


Y = layer("y", "Dense", units=4)
TWO = {"x": {"shape": [3]}, "z": {"shape": [3]}}
STEPS = {"inputs": {"x": {"shape": [5, 3]}}}
A, B = layer("a", "Dense", units=4), layer("b", "Dense", units=4)
ADDED = graph(layer("y", "Rescaling", scale=1.0, offset=-2.0))
MASKED = layer("m", "Masking")


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (graph(Y), graph(layer("y", "Dense", "z", units=4), inputs={"z": {"shape": [3]}}), "inputs ['x'], not ['z']"),
        (graph(Y), graph(Y, outputs={"h": {"layer": "y", "loss": "mse"}}), "outputs ['y'], not ['h']"),
        (graph(Y), graph({**Y, "activity_regularizer": "l2"}), "0 penalties, not 1"),
        (
            graph(layer("y", "Rescaling", scale=2.0)),
            graph(layer("y", "Rescaling", scale=3.0)),
            "constant y/const is not",
        ),
        (
            graph(layer("y", "Subtract", ["x", "z"]), inputs=TWO),
            graph(layer("y", "Subtract", ["z", "x"]), inputs=TWO),
            "input z, not x",
        ),
        (graph(A, B, END), graph(A, B, {**END, "inputs": ["b", "a"]}), "weight b/bias is not a/bias"),
        (
            graph(layer("r", "ReLU"), layer("y", "Add", ["r", "r"])),
            graph(layer("r", "ReLU"), layer("s", "ReLU"), layer("y", "Add", ["r", "s"])),
            "r/Relu is s/Relu and r/Relu",
        ),
        (
            graph(MASKED, layer("y", "ReLU", "m"), **STEPS),
            graph(MASKED, layer("y", "ops.relu", "m"), **STEPS),
            "is missing",
        ),
        (ADDED, graph({"name": "y", "type": "Formula", "value": "x - 2"}), None),
        (ADDED, graph({"name": "y", "type": "Formula", "value": "x - 3"}), "Add y/Add is not Sub"),
    ],
)
def test_parts_that_differ(one: Graph, other: Graph, found: str | None) -> None:
    text = difference(one, other, same)
    assert text is None if found is None else text is not None and found in text
