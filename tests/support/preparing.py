"""Lower one layer of texts, integers or numbers, and run its graph in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.engine.runtime.prepared_rows import Prelude
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.layers import LAYERS, Layer

Array = np.ndarray[Any, Any]


def layer_of(config: dict[str, Any] | Layer) -> Layer:
    """The layer of a mapping with ``type``."""
    made: Layer = LAYERS.parse(config)
    return made


def texts(given: Any) -> Array:
    """Nested lists of texts as an array of ``object``."""
    return np.array(given, object)


def inputs_of(graph: Graph, arrays: tuple[Array, ...]) -> list[Value]:
    """Inputs of the graph for these arrays, called ``x0``, ``x1``, …; their first axis is the batch."""
    for k, array in enumerate(arrays):
        dtype = "string" if array.dtype == object else array.dtype.name
        graph.inputs[f"x{k}"] = Value(f"x{k}", Type(dtype, ("N", *array.shape[1:])), "input")
    return list(graph.inputs.values())


def lowered(config: dict[str, Any] | Layer, *arrays: Array, learning: bool = False) -> tuple[Graph, Value]:
    """The graph of a layer, or of what it learns from, and its output ``y``."""
    graph, layer = Graph("test"), layer_of(config)
    method = layer.learning_input if learning else layer.lower
    with Builder(graph, "node") as g:
        value: Any = method(g, *inputs_of(graph, arrays))
    return graph.with_outputs({"y": value}), value


def prepared(config: dict[str, Any] | Layer, *arrays: Array, learning: bool = False) -> Array:
    """What onnxruntime computes of the layer's graph; its shape and dtype are those that were inferred."""
    graph, value = lowered(config, *arrays, learning=learning)
    if value.kind == "input":
        return arrays[0]
    result = Prelude(graph).run({f"x{k}": array for k, array in enumerate(arrays)})["y"]
    assert result.ndim == value.rank
    assert all(isinstance(d, str) or d == n for d, n in zip(value.shape, result.shape, strict=True)), value.shape
    assert result.dtype == (object if value.type.is_string else np.dtype(value.dtype))
    if value.range is not None and result.size:
        assert value.range.low <= result.min() <= result.max() <= value.range.high
    return result


def learnt(config: dict[str, Any] | Layer, *batches: Array) -> Layer:
    """The layer with what it learns from the batches."""
    layer = layer_of(config)
    assert layer.learns
    _, value = lowered(layer, batches[0], learning=True)
    learner = layer.learner(value)
    while True:
        for batch in batches:
            learner.add(prepared(layer, batch, learning=True))
        if learner.end_pass():
            return layer.with_learnt(learner.state())
