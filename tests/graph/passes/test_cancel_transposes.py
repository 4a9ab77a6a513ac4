"""Opposite Transposes cancel, and the values stay the same."""

from __future__ import annotations

import pytest
from pass_networks import CONV, model_of, ops, same
from sketching import sketch

from graphspec.export.onnx import prepare
from graphspec.graph.builder import Target
from graphspec.graph.passes.for_export import cancel_transposes


def test_a_channels_last_network_keeps_one_transpose() -> None:
    layers = [
        CONV,
        {"type": "MaxPooling2D"},
        {"type": "BatchNormalization"},
        CONV | {"name": "a"},
        CONV | {"name": "b", "inputs": "max_pooling2d_1"},
        {"name": "join", "type": "Concatenate", "inputs": ["a", "b"]},
        {"type": "ReLU"},
        CONV,
        {"type": "GlobalAveragePooling2D"},
        {"name": "y", "type": "Dense", "units": 2},
    ]
    model = model_of(layers, [8, 8, 3])
    graph = prepare(model.graph, model.parameters)
    assert ops(graph)["Transpose"] == 1
    assert ops(model.graph)["Transpose"] > 8
    same(model, graph, (2, 8, 8, 3))


def test_a_pending_transpose_is_emitted_before_flatten_and_at_a_head() -> None:
    flat = model_of([CONV, {"type": "Flatten"}, {"name": "y", "type": "Dense", "units": 2}], [6, 5, 3])
    same(flat, cancel_transposes(flat.graph, Target()), (3, 6, 5, 3))
    head = model_of([CONV, CONV | {"name": "y"}], [6, 5, 3])
    graph = cancel_transposes(head.graph, Target())
    assert ops(graph)["Transpose"] == 2
    same(head, graph, (3, 6, 5, 3))


@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_move_their_axes(keepdims: bool) -> None:
    model = model_of([CONV, {"name": "y", "type": "GlobalMaxPooling2D", "keepdims": keepdims}], [4, 5, 2])
    same(model, cancel_transposes(model.graph, Target()), (2, 4, 5, 2))


def test_a_node_in_a_layer_called_transpose_keeps_its_name() -> None:
    """The Transpose that is emitted for its result has another one: nodes of one name would count as one."""
    g, x = sketch({"x": ("N", 3, 4)})
    with g.part("Transpose"):
        doubled = g.Add(g.Transpose(x, perm=(0, 2, 1)), g.constant(1.0))
    graph = g.graph.with_outputs({"y": g.ReduceL2(g.Softmax(doubled, axis=-1), keepdims=0), "z": doubled})
    names = [node.name for node in cancel_transposes(graph, Target()).nodes]
    assert len(set(names)) == len(names) == 4
