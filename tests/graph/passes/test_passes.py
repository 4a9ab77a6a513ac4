"""The passes: the same numbers from fewer nodes."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.export.onnx import constants_of, prepare
from graphspec.graph.builder import Builder
from graphspec.graph.passes.cancel_transposes import cancel_transposes
from graphspec.graph.passes.drop_training import drop_training
from graphspec.graph.passes.fold_constants import fold_constants
from graphspec.graph.passes.remove_identity_arithmetic import remove_identity_arithmetic
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Type, Value
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Store

CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}


def model_of(layers: list[dict[str, Any]], shape: list[int | None], head: str = "y") -> gs.Model:
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": shape}},
        "layers": layers,
        "outputs": {head: {}},
        "training": {"seed": 5},
    }
    return gs.compile(spec)


def ops(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def values(graph: Graph, store: Store, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    program = build_program(graph, store, fetches=graph.outputs, shapes={"x": x.shape})
    program.feeds["x"][...] = x
    program.run()
    return next(iter(program.fetches.values())).copy()


def same(model: gs.Model, graph: Graph, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(values(graph, model.store, x), model.run({"x": x})["y"], rtol=1e-5, atol=1e-6)


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
    graph = prepare(model.graph, model.store)
    assert ops(graph)["Transpose"] == 1
    assert ops(model.graph)["Transpose"] > 8
    same(model, graph, (2, 8, 8, 3))


def test_a_pending_transpose_is_written_before_flatten_and_at_a_head() -> None:
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


def test_training_operators_vanish() -> None:
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


def test_what_changes_nothing_vanishes() -> None:
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


def test_a_constant_that_widens_stays() -> None:
    graph = Graph("net")
    g = Builder(graph, "y")
    graph.inputs["x"] = x = Value("x", Type("float32", ("N", 1)), "input")
    graph.outputs["y"] = g.Sub(g.constant(0.0), g.Mul(x, g.constant(np.ones(3))))
    assert ops(remove_identity_arithmetic(graph, Target())) == {"Mul": 1, "Sub": 1}


def test_constants_are_computed_once() -> None:
    layers = [{"type": "LSTM", "units": 3}, {"name": "y", "type": "Dense", "units": 2}]
    model = model_of(layers, [None, 4])
    graph = fold_constants(model.graph, Target(compute=partial(constants_of, model.store)))
    for node in graph.nodes:
        assert any(v is not None and v.kind in ("input", "op") for v in node.inputs), node.name
    same(model, graph, (2, 5, 4))


def test_a_graph_is_not_changed_by_its_passes() -> None:
    model = model_of([CONV, {"name": "y", "type": "Flatten"}], [4, 4, 1])
    before = [(n.name, tuple(v.name for v in n.inputs if v), dict(n.attrs)) for n in model.graph.nodes]
    prepare(model.graph, model.store)
    assert before == [(n.name, tuple(v.name for v in n.inputs if v), dict(n.attrs)) for n in model.graph.nodes]
