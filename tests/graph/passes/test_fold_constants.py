"""Nodes that depend only on weights and constants are computed once."""

from __future__ import annotations

from functools import partial

from pass_networks import model_of, same

from graphspec.export.onnx import constants_of
from graphspec.graph.builder import Target
from graphspec.graph.passes.for_export import fold_constants


def test_constants_are_computed_once() -> None:
    layers = [{"type": "LSTM", "units": 3}, {"name": "y", "type": "Dense", "units": 2}]
    model = model_of(layers, [None, 4])
    graph = fold_constants(model.graph, Target(compute=partial(constants_of, model.parameters)))
    for node in graph.nodes:
        assert any(v is not None and v.kind in ("input", "op") for v in node.inputs), node.name
    same(model, graph, (2, 5, 4))
