"""Layers that learn from rows: learn in batches, and compute what a layer makes of an array in both engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.prepared_rows import Prelude
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.layer import Layer
from graphspec.vocabulary.layers.learners import Learner

Array = np.ndarray[Any, Any]


def value_of(X: Array) -> Value:
    """An input of the type of the rows ``X``."""
    return Value("x", Type("string" if X.dtype == object else X.dtype.name, ("N", *X.shape[1:])), "input")


def learn(learner: Learner, batches: Sequence[Array], most: int = 8) -> dict[str, Any]:
    """What is learnt from the batches, in at most so many passes."""
    for _ in range(most):
        for batch in batches:
            learner.add(batch)
        if learner.end_pass():
            return learner.state()
    raise AssertionError(f"more than {most} passes")


def adapted(layer: str | dict[str, Any], X: Array) -> Layer:
    """The layer that has learnt from the rows ``X``."""
    parsed: Layer = LAYERS.parse(layer)
    assert parsed.learns
    found = parsed.with_learnt(learn(parsed.learner(value_of(X)), np.array_split(X, 3)))
    assert not found.learns
    return found


def graph_of(layer: str | dict[str, Any] | Layer, X: Array) -> Graph:
    """The graph of a layer called ``y`` on rows of the type of ``X``."""
    graph = Graph("test")
    x = graph.inputs["x"] = value_of(X)
    with Builder(graph, "y") as g:
        outputs = LAYERS.parse(layer).lower(g, x)
    for k, output in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)):
        graph.outputs[str(k)] = output
    return graph


def in_onnxruntime(layer: str | dict[str, Any] | Layer, X: Array) -> list[Array]:
    """The outputs of the layer for the rows ``X``, from onnxruntime."""
    return list(Prelude(graph_of(layer, X)).run({"x": X}).values())


def in_both(layer: str | dict[str, Any] | Layer, X: Array) -> list[Array]:
    """The outputs of the layer, which onnxruntime and NumPy agree on."""
    graph = graph_of(layer, X)
    program = build_program(graph, Parameters(graph, np.float32), Target({"x": X.shape}))
    program.feeds["x"][...] = X
    program.run()
    found = [array.copy() for array in program.fetches.values()]
    for ours, theirs in zip(found, in_onnxruntime(layer, X), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)
    return found
