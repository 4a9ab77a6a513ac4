"""Convolution and pooling: shapes, weights, the lowering of windows, and varying axes under onnxruntime."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from golden_run import onnx_outputs, run, store_of
from lowering import IMAGE, TIME, Dims, lower, weights

from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.kernels import compiled as choice
from graphspec.vocabulary.layers.pooling import even, windows

VOLUME = ("N", 6, 8, 5, 2)
FIRST = ("N", 4, 8, 6)
K3: dict[str, Any] = {"filters": 4, "kernel_size": 3}
SHAPES: list[tuple[str, dict[str, Any], Dims, Dims]] = [
    ("Conv3D", K3, VOLUME, ("N", 4, 6, 3, 4)),
    ("Conv3D", {**K3, "strides": [1, 2, 3], "padding": "same"}, VOLUME, ("N", 6, 4, 2, 4)),
    ("Conv3D", {**K3, "groups": 2, "data_format": "channels_first"}, ("N", 2, 4, "h", 5), ("N", 4, 2, "h-2", 3)),
    ("Conv1DTranspose", K3, TIME, ("N", "time+2", 4)),
    ("Conv1DTranspose", {**K3, "strides": 2, "padding": "same"}, TIME, ("N", "time*2", 4)),
    ("Conv1DTranspose", {**K3, "strides": 2, "output_padding": 0}, TIME, ("N", "time*2+1", 4)),
    ("Conv2DTranspose", {**K3, "strides": 4}, IMAGE, ("N", 32, 24, 4)),
    ("Conv2DTranspose", {**K3, "strides": 2, "padding": "same", "output_padding": [0, 1]}, IMAGE, ("N", 15, 12, 4)),
    ("Conv2DTranspose", {**K3, "dilation_rate": 2, "data_format": "channels_first"}, FIRST, ("N", 4, 12, 10)),
    ("Conv3DTranspose", {**K3, "strides": [1, 2, 1], "padding": "same"}, VOLUME, ("N", 6, 16, 5, 4)),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, TIME, ("N", "time-2", 6)),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, IMAGE, ("N", 4, 3, 3)),
    ("SeparableConv1D", {**K3, "strides": 2, "padding": "same"}, TIME, ("N", "(time+1)//2", 4)),
    ("SeparableConv2D", {**K3, "data_format": "channels_first"}, FIRST, ("N", 4, 6, 4)),
    ("MaxPooling1D", {"padding": "same"}, TIME, ("N", "(time+1)//2", 3)),
    ("MaxPooling3D", {}, VOLUME, ("N", 3, 4, 2, 2)),
    ("AveragePooling3D", {"pool_size": 2, "padding": "same"}, VOLUME, ("N", 3, 4, 3, 2)),
    ("GlobalMaxPooling3D", {}, ("N", "d", "h", 2, 3), ("N", 3)),
    ("GlobalAveragePooling3D", {"keepdims": True}, VOLUME, ("N", 1, 1, 1, 2)),
    ("AdaptiveAveragePooling1D", {"output_size": 3}, ("N", 7, 3), ("N", 3, 3)),
    ("AdaptiveAveragePooling2D", {"output_size": [3, 2]}, IMAGE, ("N", 3, 2, 3)),
    ("AdaptiveAveragePooling3D", {"output_size": 3}, VOLUME, ("N", 3, 3, 3, 2)),
    ("AdaptiveMaxPooling1D", {"output_size": 9}, ("N", 7, 3), ("N", 9, 3)),
    ("AdaptiveMaxPooling2D", {"output_size": 3, "data_format": "channels_first"}, FIRST, ("N", 4, 3, 3)),
    ("AdaptiveMaxPooling3D", {"output_size": [3, 2, 5]}, VOLUME, ("N", 3, 2, 5, 2)),
]


@pytest.mark.parametrize(("kind", "args", "shape", "expected"), SHAPES, ids=[case[0] for case in SHAPES])
def test_shape(kind: str, args: dict[str, Any], shape: Dims, expected: Dims) -> None:
    _, (output,) = lower({"type": kind, **args}, shape)
    assert output.shape == expected


WEIGHTS: list[tuple[dict[str, Any], Dims, dict[str, Dims]]] = [
    ({"type": "Conv3D", **K3, "groups": 2}, VOLUME, {"kernel": (3, 3, 3, 1, 4), "bias": (4,)}),
    ({"type": "Conv2DTranspose", **K3}, IMAGE, {"kernel": (3, 3, 4, 3), "bias": (4,)}),
    (
        {"type": "DepthwiseConv2D", "kernel_size": [3, 2], "depth_multiplier": 2},
        IMAGE,
        {"kernel": (3, 2, 3, 2), "bias": (6,)},
    ),
    (
        {"type": "SeparableConv1D", **K3, "depth_multiplier": 2, "use_bias": False},
        TIME,
        {"depthwise_kernel": (3, 3, 2), "pointwise_kernel": (1, 6, 4)},
    ),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), WEIGHTS, ids=[case[0]["type"] for case in WEIGHTS])
def test_weights(layer: dict[str, Any], shape: Dims, expected: dict[str, Dims]) -> None:
    graph, _ = lower(layer, shape)
    assert weights(graph) == expected
    for name, param in graph.params.items():
        logical = np.arange(param.size, dtype=np.float32).reshape(param.shape)
        stored = param.layout.pack(logical)
        assert stored.shape == param.stored_shape == graph.values[name].shape
        np.testing.assert_array_equal(param.layout.unpack(stored, param.shape), logical)


PERMUTED: list[tuple[dict[str, Any], Dims, str]] = [
    ({"type": "Conv1D", **K3}, TIME, "kernel"),
    ({"type": "Conv2D", **K3}, IMAGE, "kernel"),
    ({"type": "Conv3D", **K3, "groups": 2}, VOLUME, "kernel"),
    ({"type": "Conv2DTranspose", **K3}, IMAGE, "kernel"),
    ({"type": "SeparableConv2D", **K3}, IMAGE, "pointwise_kernel"),
    ({"type": "ConvLSTM1D", **K3}, ("N", 2, 5, 3), "recurrent_kernel"),
]


@pytest.mark.parametrize(("layer", "shape", "role"), PERMUTED, ids=[case[0]["type"] for case in PERMUTED])
def test_kernels_have_the_layout_of_keras(layer: dict[str, Any], shape: Dims, role: str) -> None:
    graph, _ = lower(layer, shape)
    parameters = Parameters(graph)
    parameters.initialize(0)
    segment = next(s for s in parameters.segments["trainable"] if s.param.name == f"y/{role}")
    kernel = parameters.get()[f"y/{role}"]
    np.testing.assert_array_equal(parameters.vectors["trainable"][segment.start : segment.stop], kernel.reshape(-1))
    np.testing.assert_array_equal(parameters.view(f"y/{role}"), segment.param.layout.pack(kernel))


@pytest.mark.parametrize(("kind", "groups"), [("Conv1D", 1), ("Conv2D", 1), ("Conv2D", 2), ("Conv3D", 1)])
def test_a_convolution_does_not_copy_its_kernel(kind: str, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not copy the gradient either, unless every row of it contains several groups."""
    monkeypatch.setattr(choice, "FAST", False)
    rank = int(kind[-2])
    graph, (Y,) = lower({"type": kind, **K3, "groups": groups}, ("N", *(7, 6, 5)[:rank], 2))
    loss = Builder(graph, "loss").ReduceMean(Y, axes=None, keepdims=0)
    parameters = Parameters(graph)
    gradient = np.zeros_like(parameters.vectors["trainable"])
    shapes = {"x0": (3, *(7, 6, 5)[:rank], 2)}
    program = build_program(graph.with_outputs({}, loss), parameters, Target(shapes), gradient=gradient, training=True)
    for vector, copied in ((parameters.vectors["trainable"], False), (gradient, groups > 1)):
        kernel = parameters.view("y/kernel", vector)
        users = {
            f for f, *args in program.calls for a in args if isinstance(a, np.ndarray) and np.shares_memory(a, kernel)
        }
        assert (np.copyto in users) == copied
        assert users & {np.matmul, np.dot, np.copyto}


def test_a_depthwise_kernel_uses_its_own_arguments() -> None:
    layer = {
        "type": "DepthwiseConv1D",
        "kernel_size": 3,
        "depthwise_initializer": "ones",
        "depthwise_regularizer": "L2",
    }
    graph, _ = lower(layer, TIME)
    kernel = graph.params["y/kernel"]
    assert type(kernel.initializer).__name__ == "Ones"
    assert type(kernel.regularizer).__name__ == "L2"


def test_adaptive_windows() -> None:
    assert windows(7, 3) == [range(3), range(2, 5), range(4, 7)]
    assert windows(3, 4) == [range(1), range(2), range(1, 3), range(2, 3)]
    assert [even(*sizes) for sizes in ((7, 3), (6, 3), (6, 1), (5, 4), (5, 3), (3, 4), (2, 4))] == [
        (3, 2),
        (2, 2),
        (6, 6),
        (2, 1),
        None,
        None,
        None,
    ]


def test_even_matches_the_windows() -> None:
    for size in range(1, 12):
        for out in range(1, 12):
            made = windows(size, out)
            pair = even(size, out)
            steps = {b.start - a.start for a, b in pairwise(made)}
            alike = len({len(w) for w in made}) == 1 and len(steps) <= 1 and steps != {0}
            assert (pair is not None) == alike
            assert pair is None or made == [range(k * pair[1], k * pair[1] + pair[0]) for k in range(out)]


def ops(layer: dict[str, Any], shape: Dims) -> list[str]:
    graph, _ = lower(layer, shape)
    return [node.op for node in graph.nodes if node.op != "Transpose"]


def test_an_adaptive_pooling_of_even_windows_is_an_ordinary_one() -> None:
    assert ops({"type": "AdaptiveMaxPooling2D", "output_size": [4, 1]}, IMAGE) == ["MaxPool"]
    assert ops({"type": "AdaptiveAveragePooling2D", "output_size": [4, 4]}, IMAGE) == ["MatMul", "MatMul"]
    assert ops({"type": "AdaptiveMaxPooling1D", "output_size": 3}, ("N", 5, 3)) == ["Gather", "ReduceMax"]


VARYING: list[dict[str, Any]] = [
    {"type": "Conv1D", **K3, "strides": 2, "padding": "same"},
    {"type": "Conv1D", **K3, "kernel_size": 2, "strides": 3, "padding": "same"},
    {"type": "Conv1D", **K3, "strides": 5, "padding": "same"},
    {"type": "Conv1D", **K3, "dilation_rate": 2, "padding": "same"},
    {"type": "DepthwiseConv1D", "kernel_size": 4, "strides": 2, "padding": "same"},
    {"type": "DepthwiseConv1D", "kernel_size": 2, "strides": 3, "dilation_rate": 1, "padding": "same"},
    {"type": "SeparableConv1D", **K3, "dilation_rate": 3, "padding": "same"},
    {"type": "Conv1DTranspose", **K3, "strides": 2, "padding": "same"},
    {"type": "Conv1DTranspose", **K3, "strides": 4, "output_padding": 3},
    *({"type": kind, "pool_size": 3, "strides": 2, "padding": "same"} for kind in ("MaxPooling1D", "AveragePooling1D")),
    *({"type": kind, "pool_size": 2, "strides": 3, "padding": "same"} for kind in ("MaxPooling1D", "AveragePooling1D")),
    *({"type": kind, "pool_size": 2, "padding": "same"} for kind in ("MaxPooling1D", "AveragePooling1D")),
]


@pytest.mark.parametrize("layer", VARYING, ids=[layer["type"] for layer in VARYING])
def test_an_axis_that_varies_under_onnxruntime(layer: dict[str, Any]) -> None:
    """One export works for every length, with the padding of a fixed axis of that length."""
    random = np.random.default_rng(0)

    def graph(time: int | None) -> Any:
        inputs = {"x": {"shape": [time, 3]}}
        spec = {"graphspec": 1, "name": "v", "inputs": inputs, "layers": [{"name": "y", **layer}], "outputs": {"y": {}}}
        return check(spec).require()[1].graph

    varying = graph(None)
    values = {name: random.standard_normal(p.shape).astype(np.float32) for name, p in varying.params.items()}
    for time in range(1, 8):
        x = {"x": random.standard_normal((2, time, 3)).astype(np.float32)}
        fixed = graph(time)
        expected = run(fixed, store_of(fixed, values), x, fixed.outputs)[0]["y"]
        ours = run(varying, store_of(varying, values), x, varying.outputs)[0]["y"]
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(onnx_outputs(varying, values, x)["y"], expected, rtol=1e-4, atol=1e-5)
