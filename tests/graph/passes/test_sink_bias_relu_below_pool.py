"""ReLU and the bias of a convolution after max pooling: the same values and gradients as before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphs import without

from graphspec.engine.runtime import bind as building
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.passes import FOR_PROGRAM
from graphspec.graph.passes.for_program import sink_bias_relu_below_pool

pytestmark = pytest.mark.usefixtures("kernels_that_pay")
Network = Callable[[Builder, Value], Value]
GLOROT = INITIALIZERS.parse("glorot_uniform")


def pooled(g: Builder, x: Value, **attributes: Any) -> Value:
    """Emit a pooling of a transposed ReLU of integers, many of them equal."""
    made: Value = g.MaxPool(g.Transpose(g.Relu(scaled(g, x)), perm=(0, 1, 3, 2)), **attributes)
    return made


def scaled(g: Builder, x: Value) -> Value:
    """Emit integers, channels first, with weights that have a gradient."""
    scale = g.param("scale", (7, 9, 3), INITIALIZERS.parse("ones"))
    made: Value = g.Transpose(g.Mul(x, scale), perm=(0, 3, 1, 2))
    return made


def convolved(g: Builder, x: Value, bias: Value | None = None) -> Value:
    """Emit sums of integers under windows, with a bias of ones."""
    ones = INITIALIZERS.parse("ones")
    image, kernel = g.Transpose(x, perm=(0, 3, 1, 2)), g.param("kernel", (4, 3, 2, 2), ones)
    made: Value = g.Conv(image, kernel, bias or g.param("bias", (4,), ones), kernel_shape=(2, 2))
    return made


def bounded(g: Builder, X: Value) -> Value:
    """Emit a ReLU with a maximum that some of the integers exceed."""
    made: Value = g.Clip(X, g.constant(0.0), g.constant(2.0))
    return made


POOL: dict[str, Any] = {"kernel_shape": (2, 2), "strides": (2, 2)}
BIASED: dict[str, Network] = {
    "bias": lambda g, x: g.MaxPool(convolved(g, x), **POOL),
    "bias and relu": lambda g, x: g.MaxPool(g.Relu(convolved(g, x)), **POOL),
    "bias and relu with a maximum": lambda g, x: g.MaxPool(bounded(g, convolved(g, x)), **POOL),
    "transposed to and fro": lambda g, x: g.MaxPool(
        g.Transpose(g.Relu(g.Transpose(convolved(g, x), perm=(0, 2, 3, 1))), perm=(0, 3, 1, 2)), **POOL
    ),
}
NETWORKS: dict[str, Network] = {
    "apart": lambda g, x: pooled(g, x, kernel_shape=(2, 2), strides=(2, 2)),
    "a maximum": lambda g, x: g.MaxPool(
        bounded(g, scaled(g, x)), kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)
    ),
    "overlapping": lambda g, x: pooled(g, x, kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)),
    "every place": lambda g, x: pooled(g, x, kernel_shape=(3, 2), auto_pad="SAME_UPPER"),
}
STAYING: dict[str, Network] = {
    "bias of an axis that is no channel": lambda g, x: g.MaxPool(g.Transpose(convolved(g, x)), **POOL),
    "a bias that is computed": lambda g, x: g.MaxPool(
        convolved(g, x, g.Exp(g.param("log", (4,), INITIALIZERS.parse("zeros")))), **POOL
    ),
    "a bound that is computed": lambda g, x: g.MaxPool(
        g.Clip(convolved(g, x), g.constant(0.0), g.ReduceMax(x, axes=None, keepdims=0)), **POOL
    ),
    "dilated": lambda g, x: pooled(g, x, kernel_shape=(2, 2), dilations=(2, 2)),
    "rounded up": lambda g, x: pooled(g, x, kernel_shape=(2, 2), strides=(2, 2), ceil_mode=1),
    "read twice": lambda g, x: g.Add(g.MaxPool(h := g.Relu(g.Transpose(x, perm=(0, 3, 1, 2))), kernel_shape=(1, 1)), h),
}


def graph_of(network: Network) -> tuple[Graph, Value]:
    graph = Graph("test")
    graph.inputs["x"] = Value("x", Type("float32", ("N", 7, 9, 3)), "input")
    return graph, network(Builder(graph, "node"), graph.inputs["x"])


def order(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes if node.op in ("Relu", "Clip", "MaxPool")]


@pytest.mark.parametrize("name", [*NETWORKS, *BIASED])
def test_moving_changes_no_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, y = graph_of((NETWORKS | BIASED)[name])
    random = np.random.default_rng(0)
    x = random.integers(-4, 3, (5, 7, 9, 3)).astype(np.float32)
    g = Builder(graph, "loss")
    weights = g.constant(random.standard_normal(y.shape[1:]), "float32")
    loss = g.ReduceMean(g.Mul(y, weights), axes=None, keepdims=0)

    results = []
    for passes in (FOR_PROGRAM, without(sink_bias_relu_below_pool)):
        monkeypatch.setattr(building, "FOR_PROGRAM", passes)
        parameters = Parameters(graph)
        parameters.initialize(1)
        gradient = np.zeros_like(parameters.vectors["trainable"])
        program = building.build_program(
            graph.with_outputs({"y": y}, loss), parameters, Target({"x": x.shape}), gradient=gradient, training=True
        )
        program.feeds["x"][...] = x
        program.run()
        results.append((program.fetches["y"].copy(), gradient))
    moved_graph = sink_bias_relu_below_pool(graph.with_outputs({"y": y}), Target())
    moved_below = [] if name == "bias" else ["Clip"] if "maximum" in name else ["Relu"]
    assert order(moved_graph) == ["MaxPool", *moved_below]
    operators = [node.op for node in moved_graph.nodes]
    assert name not in BIASED or operators.index("Add") > operators.index("MaxPool")
    assert np.any(results[0][1])
    for moved, plain in zip(*results, strict=True):
        if moved is results[0][1] and name in BIASED:  # the bias's gradient is summed in another order
            np.testing.assert_allclose(moved, plain, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(moved, plain)


@pytest.mark.parametrize("name", STAYING)
def test_relu_stays_if_another_node_reads_it_or_a_window_may_be_empty(name: str) -> None:
    graph, y = graph_of(STAYING[name])
    graph = graph.with_outputs({"y": y})
    assert sink_bias_relu_below_pool(graph, Target()) is graph


def test_relu_stays_if_it_is_fetched() -> None:
    graph, y = graph_of(NETWORKS["apart"])
    relu = next(node for node in graph.nodes if node.op == "Relu").outputs[0]
    assert order(sink_bias_relu_below_pool(graph.with_outputs({"y": y, "relu": relu}), Target())) == ["Relu", "MaxPool"]
