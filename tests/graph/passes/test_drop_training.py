"""Training operators are removed, and the graph predicts the same as its model."""

from __future__ import annotations

from pass_networks import model_of, ops, same

from graphspec.graph.builder import Target
from graphspec.graph.passes.for_export import drop_training


def test_training_operators_are_removed() -> None:
    layers = [
        {"type": "Dropout", "rate": 0.5},
        {"type": "BatchNormalization"},
        {"name": "y", "type": "Dense", "units": 2},
        {"type": "Dropout", "rate": 0.5, "name": "unused"},
    ]
    model = model_of(layers, [6])
    graph = drop_training(model.graph, Target())
    assert ops(graph)["Dropout"] == 0
    (norm,) = [n for n in graph.nodes if n.op == "BatchNormalization"]
    assert norm.attrs["training_mode"] == 0
    same(model, graph, (4, 6))
