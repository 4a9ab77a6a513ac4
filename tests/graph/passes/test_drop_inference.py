"""In training, what acts at inference alone is not there; in a program for prediction and in a file it is."""

from __future__ import annotations

import pytest
from pass_networks import model_of, ops

from graphspec.graph.builder import Target
from graphspec.graph.passes import FOR_PROGRAM, prepare
from graphspec.graph.passes.for_program import drop_inference

LAYERS = [
    {"name": "scaled", "type": "Rescaling", "scale": 0.5},
    {"name": "conv", "type": "Conv2D", "filters": 3, "kernel_size": 2},
    {"name": "pooled", "type": "GlobalAveragePooling2D"},
    {"name": "both", "type": "FlipMean", "inputs": ["pooled", "scaled"]},
    {"name": "y", "type": "Dense", "units": 2},
]


@pytest.mark.parametrize(("training", "passes"), [(True, 1), (False, 2)])
def test_a_mean_over_mirror_images_costs_nothing_in_training(training: bool, passes: int) -> None:
    graph = model_of(LAYERS, [5, 4, 1]).graph
    assert (ops(graph)["Conv"], ops(graph)["MeanAtInference"]) == (2, 1)
    target = Target({"x": (3, 5, 4, 1)}, training=training)
    for found in (drop_inference(graph, target), prepare(graph, FOR_PROGRAM, target)):
        needed = found.needed(found.roots())
        assert sum("Conv" in node.op for node in needed) == passes
        assert sum(node.op == "MeanAtInference" for node in needed) == passes - 1
