"""Where the differentiable part of a network begins, and on which raw inputs each leaf depends."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.engine.compiler.check import check
from graphspec.graph.cuts import Frontier, frontier, part_of
from graphspec.graph.ir.graph import Graph

ID = {"name": "y", "type": "Dense", "units": 1}


def network(inputs: dict[str, Any], *layers: dict[str, Any]) -> Graph:
    spec = {"graphspec": 1, "name": "net", "inputs": inputs, "layers": [*layers, ID], "outputs": {"y": {"loss": "mse"}}}
    return check(spec).require()[1].graph


def cut(inputs: dict[str, Any], *layers: dict[str, Any]) -> Frontier:
    return frontier(network(inputs, *layers), "y")


def leaves(found: Frontier) -> dict[str, tuple[str, ...]]:
    return {leaf.value.name: leaf.sources for leaf in found.leaves}


def test_the_leaf_of_a_column_is_what_the_network_gets_from_it() -> None:
    columns = {
        "age": "number",
        "gaps": {"type": "number", "indicator": True},
        "bins": {"type": "number", "scale": {"bins": 4}},
        "job": {"type": "category", "vocabulary": ["a", "b"]},
        "town": {"type": "category", "vocabulary": ["a", "b"], "embed": 3},
        "day": "date",
    }
    found = cut({"row": {"columns": columns, "crosses": [["job", "town"]]}})
    assert sorted(leaves(found).values()) == [
        *[("age",), ("bins",), ("day",), ("gaps",), ("job",), ("job", "town")],
        ("town",),
    ]
    ops = {leaf.sources: leaf.value.node.op for leaf in found.leaves if leaf.value.node is not None}
    assert ops["age",] == "Div", "the standardized number"
    assert ops["town",] == "Gather", "the embedding's output"
    assert ops["gaps",] == "Concat", "the standardized number, and whether one is missing"


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_leaf_of_a_picture_is_its_raw_pixels(dtype: str) -> None:
    scaled = {"name": "scaled", "type": "Rescaling", "scale": 2 / 255, "offset": -1.0}
    found = cut({"image": {"shape": [4, 4, 3], "dtype": dtype}}, scaled, {"name": "flat", "type": "Flatten"})
    (leaf,) = found.leaves
    assert leaf.sources == ("image",)
    assert leaf.value.shape == ("N", 4, 4, 3)
    assert leaf.value.node is None or leaf.value.node.op == "Cast"


def test_an_array_moves_element_by_element() -> None:
    scaled = {"name": "scaled", "type": "Normalization", "mean": [1.0, 2.0], "variance": [1.0, 4.0]}
    (leaf,) = cut({"x": {"shape": [2]}}, scaled).leaves
    assert leaf.value.node is not None
    assert leaf.value.node.op == "Div"
    assert leaves(cut({"x": {"shape": [2]}})) == {"x": ("x",)}


def test_a_value_that_is_read_twice_has_one_baseline() -> None:
    found = cut(
        {"x": {"shape": [2]}},
        {"name": "scaled", "type": "Normalization", "mean": [1.0, 2.0], "variance": [1.0, 4.0]},
        {"name": "both", "type": "Concatenate", "inputs": ["x", "scaled"]},
    )
    assert leaves(found) == {"x": ("x",)}


def test_masks_stay_as_they_are() -> None:
    embed = {"name": "embed", "type": "Embedding", "input_dim": 9, "output_dim": 2, "mask_zero": True}
    mean = {"name": "mean", "type": "GlobalAveragePooling1D"}
    found = cut({"words": {"shape": [None], "dtype": "int64"}}, embed, mean)
    assert leaves(found) == {"embed/Gather": ("words",)}
    assert found.sides, "how many words there are"
    found = cut({"x": {"shape": [3, 2]}}, {"name": "masked", "type": "Masking"}, mean)
    assert leaves(found) == {"x": ("x",)}
    assert {v.name for v in found.sides} == {"masked/Cast", "mean/Cast"}


def test_what_rounding_makes_is_a_leaf() -> None:
    binned = {"name": "bins", "type": "Discretization", "bin_boundaries": [0.0, 1.0], "output_mode": "one_hot"}
    (leaf,) = cut({"x": {"shape": [2]}}, binned, {"name": "flat", "type": "Flatten"}).leaves
    assert leaf.value.node is not None
    assert leaf.sources == ("x",)


def test_a_part_of_a_graph_computes_its_outputs_from_given_values() -> None:
    graph = network({"x": {"shape": [2]}}, {"name": "hidden", "type": "Dense", "units": 3, "activation": "relu"})
    hidden = next(n for n in graph.nodes if n.op == "Relu").outputs[0]
    part = part_of(graph, {"y": graph.outputs["y"]}, [hidden.name], frozen=True)
    assert list(part.inputs) == [hidden.name]
    assert sorted(part.params) == ["y/bias", "y/kernel"]
    assert not any(p.trainable for p in part.params.values())
    assert all(p.trainable for p in graph.params.values()), "the whole graph is unchanged"
