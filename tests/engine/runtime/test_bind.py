"""Tests of the binder: gradients of values with several or no uses, reuse of memory, the order of calls."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.graph.builder import Builder, Target
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.graph import Graph, Type, Value

GLOROT = INITIALIZERS.parse("glorot_uniform")


def graph_of(shape: tuple[int, ...] = (4, 5)) -> tuple[Graph, Builder, Value]:
    graph = Graph("test")
    x = Value("x", Type("float32", ("N", *shape[1:])), "input")
    graph.inputs["x"] = x
    return graph, Builder(graph, "node"), x


def mean(g: Builder, x: Value) -> Value:
    return g.ReduceMean(x, axes=None, keepdims=0)


class Net:
    """A bound float64 graph that checks the gradients of its weights along a random direction."""

    def __init__(self, graph: Graph, loss: Value, x: np.ndarray[Any, Any]) -> None:
        self.parameters = Parameters(graph, np.float64)
        self.parameters.initialize(1)
        self.gradient = np.zeros_like(self.parameters.vectors["trainable"])
        self.program: Program = build_program(
            graph.with_outputs({"loss": loss}, loss),
            self.parameters,
            Target({"x": x.shape}),
            gradient=self.gradient,
            training=True,
        )
        self.program.feeds["x"][...] = x

    def value(self) -> float:
        self.program.run()
        return float(self.program.fetches["loss"])

    def check(self) -> None:
        self.value()
        exact = self.gradient.copy()
        weights = self.parameters.vectors["trainable"]
        direction = np.random.default_rng(2).standard_normal(weights.shape) * (exact != 0)
        start = weights.copy()
        weights[:] = start + 1e-6 * direction
        up = self.value()
        weights[:] = start - 1e-6 * direction
        down = self.value()
        weights[:] = start
        assert (up - down) / 2e-6 == pytest.approx(float(exact @ direction), rel=1e-6, abs=1e-9)


def test_a_weight_used_twice_gets_both_gradients() -> None:
    graph, g, x = graph_of()
    w = g.param("kernel", (5, 5), GLOROT)
    h = g.Tanh(g.MatMul(g.Tanh(g.MatMul(x, w)), w))
    Net(graph, mean(g, g.Mul(h, h)), np.random.default_rng(0).standard_normal((4, 5))).check()


def test_a_value_read_by_three_nodes() -> None:
    graph, g, x = graph_of()
    h = g.Relu(g.MatMul(x, g.param("a", (5, 6), GLOROT)))
    both = g.Concat(g.Sigmoid(h), g.Add(h, h), g.Transpose(g.Transpose(h, perm=(1, 0)), perm=(1, 0)), axis=1)
    Net(graph, mean(g, g.Mul(both, both)), np.random.default_rng(0).standard_normal((4, 5))).check()


def test_a_concatenation_shares_one_gradient_block() -> None:
    """Both branches receive slices of one gradient: its block must live until the last slice has been consumed."""
    graph, g, x = graph_of()
    a = g.Tanh(g.MatMul(x, g.param("a", (5, 8), GLOROT)))
    b = g.Tanh(g.MatMul(g.Tanh(g.MatMul(x, g.param("b", (5, 8), GLOROT))), g.param("c", (8, 8), GLOROT)))
    h = g.Tanh(g.Concat(a, b, axis=1))
    Net(graph, mean(g, g.Mul(h, h)), np.random.default_rng(0).standard_normal((4, 5))).check()


def test_a_weight_that_does_not_reach_the_loss_has_gradient_zero() -> None:
    graph, g, x = graph_of()
    used = g.MatMul(x, g.param("used", (5, 3), GLOROT))
    g.param("unused", (7,), GLOROT)
    net = Net(graph, mean(g, used), np.ones((2, 5)))
    net.gradient[:] = np.nan
    net = Net(graph, mean(g, used), np.ones((2, 5)))
    net.value()
    assert not np.isnan(net.gradient).any()
    assert (net.parameters.view("node/unused", net.gradient) == 0).all()


def test_no_gradient_for_inputs_and_frozen_weights() -> None:
    graph, g, x = graph_of()
    g.trainable = False
    h = g.Relu(g.MatMul(x, g.param("frozen", (5, 6), GLOROT)))
    g.trainable = True
    loss = mean(g, g.MatMul(h, g.param("kernel", (6, 2), GLOROT)))
    net = Net(graph, loss, np.ones((3, 5)))
    backward = [name for phase, name, start, stop in net.program.spans if phase == "backward" and stop > start]
    assert backward == ["node/ReduceMean", "node/MatMul_2"]
    assert net.parameters.vectors["frozen"].size >= 30


def test_the_same_step_twice_gives_the_same_bits() -> None:
    graph, g, x = graph_of()
    h = g.Softmax(g.MatMul(x, g.param("kernel", (5, 6), GLOROT)), axis=-1)
    net = Net(graph, mean(g, g.Mul(h, h)), np.random.default_rng(0).standard_normal((4, 5)))
    net.value()
    first = net.gradient.copy()
    net.value()
    np.testing.assert_array_equal(first, net.gradient)


def test_gradients_reuse_the_memory_of_values_that_have_been_read() -> None:
    """When the gradient of the wide first layer is computed, the values of the later layers are no longer needed."""
    rows, widths = 64, (1024, *[256] * 8)
    graph, g, x = graph_of((rows, 4))
    h = x
    for k, (inner, width) in enumerate(zip((4, *widths), widths, strict=False)):
        h = g.Tanh(g.MatMul(h, g.param(f"k{k}", (inner, width), GLOROT)))
    parameters = Parameters(graph)
    gradient = np.zeros_like(parameters.vectors["trainable"])
    loss = mean(g, h)
    program = build_program(
        graph.with_outputs({}, loss), parameters, Target({"x": (rows, 4)}), gradient=gradient, training=True
    )
    temporary = max(widths)
    assert program.nbytes < (sum(widths) + temporary + 2 * 256) * rows * 4


def test_inference_reuses_memory() -> None:
    graph, g, x = graph_of((64, 256))
    h = x
    for k in range(20):
        h = g.Tanh(g.MatMul(h, g.param(f"k{k}", (256, 256), GLOROT)))
    parameters = Parameters(graph)
    parameters.initialize(0)
    program = build_program(graph.with_outputs({"y": h}), parameters, Target({"x": (64, 256)}))
    assert program.nbytes < 6 * 64 * 256 * 4
    program.feeds["x"][...] = 1.0
    program.run()
    first = program.fetches["y"].copy()
    program.run()
    np.testing.assert_array_equal(first, program.fetches["y"])


def test_a_step_does_not_grow() -> None:
    graph, g, x = graph_of((64, 128))
    h = g.Relu(g.Gemm(x, g.param("kernel", (128, 64), GLOROT), g.param("bias", (64,), GLOROT)))
    net = Net(graph, mean(g, g.Mul(h, h)), np.ones((64, 128)))
    net.value()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(1000):
            net.program.run()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
    assert peak - before < 128 * 1024
