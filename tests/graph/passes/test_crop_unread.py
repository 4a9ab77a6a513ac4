"""Elements that no window reads are not computed: smaller convolutions and poolings, the same values and gradients."""

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
from graphspec.graph.passes.for_program import crop_unread

pytestmark = pytest.mark.usefixtures("kernels_that_pay")
Network = Callable[[Builder, Value], Value]
GLOROT = INITIALIZERS.parse("glorot_uniform")
HALF: dict[str, Any] = {"kernel_shape": (2, 2), "strides": (2, 2)}


def conv(g: Builder, x: Value, name: str, *, bias: bool = False, **attributes: Any) -> Value:
    """Emit a 3×3 convolution with four filters."""
    spatial = (3,) * (x.rank - 2)
    inputs = [x, g.param(f"{name}/kernel", (4, x.fixed(1), *spatial), GLOROT)]
    if bias:
        inputs.append(g.param(f"{name}/bias", (4,), INITIALIZERS.parse("ones")))
    made: Value = g.Conv(*inputs, **attributes)
    return made


def twice(g: Builder, x: Value) -> Value:
    h = g.MaxPool(g.Relu(conv(g, x, "a", bias=True)), **HALF)
    made: Value = g.MaxPool(g.Relu(conv(g, h, "b", bias=True)), **HALF)
    return made


def residual(g: Builder, x: Value) -> Value:
    h = conv(g, x, "a")
    made: Value = g.MaxPool(g.Add(h, g.Relu(h)), **HALF)
    return made


def transposed(g: Builder, x: Value) -> Value:
    h = g.Tanh(g.Transpose(conv(g, x, "a", bias=True), perm=(0, 2, 3, 1)))
    made: Value = g.AveragePool(g.Transpose(h, perm=(0, 3, 1, 2)), **HALF)
    return made


CROPPED: dict[str, tuple[Network, dict[str, tuple[Any, ...]]]] = {
    "conv": (lambda g, x: g.MaxPool(conv(g, x, "a"), **HALF), {"Conv": (8, 6)}),
    "its input, too": (twice, {"MaxPool": (6, 4), "Conv": (12, 8)}),
    "same": (lambda g, x: g.MaxPool(conv(g, x, "a", auto_pad="SAME_UPPER"), **HALF), {"Conv": (10, 8)}),
    "padding behind": (lambda g, x: g.MaxPool(conv(g, x, "a", pads=(0, 1, 2, 0)), **HALF), {"Conv": (10, 8)}),
    "strides": (lambda g, x: g.MaxPool(conv(g, x, "a", strides=(1, 2), pads=(0, 2, 0, 0)), **HALF), {"Conv": (8, 4)}),
    "dilated": (
        lambda g, x: g.MaxPool(conv(g, x, "a", dilations=(2, 1)), kernel_shape=(2, 3), strides=(2, 3)),
        {"Conv": (6, 6)},
    ),
    "a mean, turned to and fro": (transposed, {"Conv": (8, 6)}),
    "padding counts": (
        lambda g, x: g.AveragePool(conv(g, x, "a"), pads=(1, 1, 0, 0), count_include_pad=1, **HALF),
        {"Conv": (9, 7)},
    ),
    "pooling of pooling": (
        lambda g, x: g.AveragePool(g.MaxPool(conv(g, x, "a"), kernel_shape=(2, 2), strides=(1, 1)), **HALF),
        {"Conv": (9, 7), "MaxPool": (8, 6)},
    ),
    "windows that overlap": (
        lambda g, x: g.MaxPool(conv(g, x, "a"), kernel_shape=(3, 3), strides=(2, 3)),
        {"Conv": (9, 6)},
    ),
    "by a convolution": (lambda g, x: conv(g, conv(g, x, "a"), "b", strides=(3, 3)), {"Conv": (9, 6)}),
    "a channel's factor": (
        lambda g, x: g.MaxPool(g.Mul(g.param("scale", (4, 1, 1), GLOROT), conv(g, x, "a")), **HALF),
        {"Conv": (8, 6)},
    ),
}
WHOLE: dict[str, Network] = {
    "nothing left over": lambda g, x: g.MaxPool(conv(g, x, "a"), kernel_shape=(3, 7), strides=(3, 7)),
    "rounded up": lambda g, x: g.MaxPool(conv(g, x, "a"), ceil_mode=1, **HALF),
    "no windows before": lambda g, x: g.MaxPool(g.Relu(x), **HALF),
    "a mean of all": lambda g, x: g.Add(g.GlobalAveragePool(h := conv(g, x, "a")), g.MaxPool(h, **HALF)),
    "statistics": lambda g, x: g.MaxPool(g.Softmax(conv(g, x, "a"), axis=2), **HALF),
}


def graph_of(network: Network, *spatial: Any) -> tuple[Graph, Value]:
    graph = Graph("test")
    graph.inputs["x"] = Value("x", Type("float32", ("N", 3, *spatial)), "input")
    return graph, network(Builder(graph, "node"), graph.inputs["x"])


def sizes(graph: Graph, op: str) -> tuple[Any, ...]:
    """Return the spatial shape of the output of the first operator ``op``."""
    return next(node for node in graph.nodes if node.op == op).outputs[0].shape[2:]


def results(
    graph: Graph, y: Value, x: np.ndarray[Any, Any], monkeypatch: pytest.MonkeyPatch, *, cropped: bool
) -> list[np.ndarray[Any, Any]]:
    """Return the output, and the gradients of the weights and of x."""
    if not cropped:
        monkeypatch.setattr(building, "FOR_PROGRAM", without(crop_unread))
    g = Builder(graph, "loss")
    loss = g.ReduceMean(g.Mul(y, g.Sin(y)), axes=None, keepdims=0)
    parameters = Parameters(graph, np.float64)
    parameters.initialize(1)
    gradient = np.zeros_like(parameters.vectors["trainable"])
    program = building.build_program(
        graph.with_outputs({"y": y}, loss),
        parameters,
        Target({"x": x.shape}, input_grads=["x"]),
        gradient=gradient,
        training=True,
    )
    program.feeds["x"][...] = x
    program.run()
    return [program.fetches["y"].copy(), gradient, program.grads["x"].copy()]


@pytest.mark.parametrize("name", CROPPED)
def test_cropping_changes_no_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, expected = CROPPED[name]
    spatial = (15, 13) if network is twice else (11, 9)
    graph, y = graph_of(network, *spatial)
    made = crop_unread(graph.with_outputs({"y": y}), Target())
    assert {op: sizes(made, op) for op in expected} == expected
    assert made.outputs["y"].shape == y.shape
    x = np.random.default_rng(0).standard_normal((5, 3, *spatial))
    for a, b in zip(*(results(graph, y, x, monkeypatch, cropped=c) for c in (True, False)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        assert np.any(a)


@pytest.mark.parametrize("spatial", [(7,), (5, 7, 9)])
def test_any_number_of_axes(spatial: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    two = (2,) * len(spatial)
    graph, y = graph_of(lambda g, x: g.MaxPool(conv(g, x, "a"), kernel_shape=two, strides=two), *spatial)
    assert sizes(crop_unread(graph.with_outputs({"y": y}), Target()), "Conv") == tuple(
        (n - 2) // 2 * 2 for n in spatial
    )
    x = np.random.default_rng(0).standard_normal((2, 3, *spatial))
    for a, b in zip(*(results(graph, y, x, monkeypatch, cropped=c) for c in (True, False)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", WHOLE)
def test_elements_that_are_read_stay(name: str) -> None:
    graph, y = graph_of(WHOLE[name], 11, 9)
    graph = graph.with_outputs({"y": y})
    assert crop_unread(graph, Target()) is graph


def test_fetched_elements_stay() -> None:
    graph, y = graph_of(lambda g, x: g.MaxPool(conv(g, x, "a"), **HALF), 11, 9)
    whole = next(node for node in graph.nodes if node.op == "Conv").outputs[0]
    graph = graph.with_outputs({"y": y, "whole": whole})
    assert crop_unread(graph, Target()) is graph


def test_a_symbolic_axis_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, y = graph_of(lambda g, x: g.MaxPool(conv(g, x, "a", pads=(1, 1, 1, 2)), **HALF), "H", 10)
    made = crop_unread(graph.with_outputs({"y": y}), Target())
    assert sizes(made, "Conv") == ("H", 10)
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 10))
    for a, b in zip(*(results(graph, y, x, monkeypatch, cropped=c) for c in (True, False)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    graph, y = graph_of(lambda g, x: g.MaxPool(conv(g, x, "a", auto_pad="SAME_UPPER"), **HALF), "H", 9)
    graph = graph.with_outputs({"y": y})
    assert crop_unread(graph, Target()) is graph
