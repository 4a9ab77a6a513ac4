"""Only arithmetic that changes nothing is removed."""

from __future__ import annotations

import numpy as np
from pass_networks import model_of, ops, same

from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.passes.for_export import drop_training, remove_identity_arithmetic


def test_identity_arithmetic_is_removed() -> None:
    layers = [
        {"type": "Rescaling", "scale": [1.0, 1.0, 1.0], "offset": 0.0},
        {"type": "Normalization", "mean": 0.0, "variance": 1.0, "axis": None},
        {"type": "Rescaling", "scale": [1.0, 2.0, 1.0], "offset": 1.0},
        {"type": "SpatialDropout1D", "rate": 0.5},
        {"name": "y", "type": "GaussianNoise", "stddev": 0.5},
    ]
    model = model_of(layers, [2, 3])
    graph = remove_identity_arithmetic(drop_training(model.graph, Target()), Target())
    assert ops(graph) == {"Mul": 1, "Add": 1}
    same(model, graph, (4, 2, 3))


def test_a_constant_that_broadcasts_stays() -> None:
    graph = Graph("net")
    g = Builder(graph, "y")
    graph.inputs["x"] = x = Value("x", Type("float32", ("N", 1)), "input")
    graph.outputs["y"] = g.Sub(g.constant(0.0), g.Mul(x, g.constant(np.ones(3))))
    assert ops(remove_identity_arithmetic(graph, Target())) == {"Mul": 1, "Sub": 1}
