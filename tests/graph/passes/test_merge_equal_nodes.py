"""Equal nodes are merged; nodes that differ in anything, or draw random numbers, stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pass_networks import model_of, ops, same
from sketching import sketch

from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Type
from graphspec.graph.passes.for_export import merge_equal_nodes


def test_equal_chains_become_one_and_keep_the_first_name() -> None:
    g, x, y = sketch({"x": ("N", 4), "y": ("N", 4)})
    first, second = (g.Tanh(g.Add(x, g.constant(np.ones(4)))) for _ in range(2))
    other = g.Tanh(g.Add(y, g.constant(np.ones(4))))
    graph = g.graph.with_outputs({"a": first, "b": second, "c": other})
    merged = merge_equal_nodes(graph, Target())
    assert ops(merged) == {"Add": 2, "Tanh": 2}
    assert merged.outputs["a"] is merged.outputs["b"]
    assert merged.outputs["a"].name == first.name
    assert merged.outputs["c"].name == other.name


@pytest.mark.parametrize(
    ("one", "other"), [(1.0, 1.0 + 1e-6), (0.0, -0.0), (1.0, np.ones(1)), (np.ones(4), np.ones((1, 4)))]
)
def test_constants_that_differ_in_value_sign_or_shape_are_not_equal(one: Any, other: Any) -> None:
    g, x = sketch({"x": ("N", 4)})
    graph = g.graph.with_outputs({"y": g.Sub(g.Add(x, g.constant(one)), g.Add(x, g.constant(other)))})
    assert ops(merge_equal_nodes(graph, Target())) == {"Add": 2, "Sub": 1}


def test_attributes_and_the_order_of_operands_count() -> None:
    g, x, y = sketch({"x": ("N", 4), "y": ("N", 4)})
    sums = g.ReduceSum(x, g.constant([1]), keepdims=1), g.ReduceSum(x, g.constant([1]), keepdims=0)
    graph = g.graph.with_outputs(
        dict(enumerate((*sums, g.Sub(x, y), g.Sub(y, x), g.Cast(x, to="int64"), g.Cast(x, to="bool"))))
    )
    assert len(merge_equal_nodes(graph, Target()).nodes) == 6


def test_random_draws_are_not_merged() -> None:
    g, x = sketch({"x": ("N", 4)})
    graph = g.graph.with_outputs({"y": g.Add(g.Dropout(x, g.constant(0.5)), g.Dropout(x, g.constant(0.5)))})
    assert ops(merge_equal_nodes(graph, Target()))["Dropout"] == 2


def test_layers_that_read_one_value() -> None:
    same_pooling = [{"name": n, "type": "MaxPooling2D", "inputs": "x"} for n in ("a", "b")]
    model = model_of([*same_pooling, {"name": "y", "type": "Add", "inputs": ["a", "b"]}], [6, 4, 2])
    merged = merge_equal_nodes(model.graph, Target())
    assert (ops(model.graph)["MaxPool"], ops(merged)["MaxPool"]) == (2, 1)
    same(model, merged, (3, 6, 4, 2))


def test_dtypes_of_constants_count() -> None:
    g, ids = sketch({"ids": Type("int64", ("N",))})
    outputs = g.Cast(g.constant(1), to="float32"), g.Cast(g.constant(1.0), to="float32"), g.Cast(ids, to="float32")
    assert len(merge_equal_nodes(g.graph.with_outputs(dict(enumerate(outputs))), Target()).nodes) == 3
