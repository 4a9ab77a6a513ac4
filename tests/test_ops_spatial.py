"""Convolution, pooling, normalization, resizing and dropout: against onnxruntime, and their gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import graphs
import numpy as np
import pytest
from graphs import build, check_gradients, dtype_name, feed, run, scalar_loss
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import ort_run

from graphspec.compiler.build import Builder
from graphspec.compiler.ir import Graph, Type, Value
from graphspec.runtime.bind import bind
from graphspec.runtime.store import Store

Array = np.ndarray[Any, Any]
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> None:
    """One operator of ours and onnxruntime's give the same."""
    ours = run(op, inputs, constants, **attrs)
    theirs = ort_run(op, inputs, attrs, constants=constants, outputs=len(ours))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@contextmanager
def lying(perm: tuple[int, ...]) -> Iterator[None]:
    """Inside, the first input of every operator goes through a Transpose first: its memory has another axis order."""

    def build_transposed(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> Any:
        graph = Graph("test")
        g = Builder(graph, "node")
        values: list[Any] = []
        for k, array in enumerate(inputs):
            value = None if array is None else Value(f"x{k}", Type(dtype_name(array), array.shape), "input")
            if value is not None:
                graph.inputs[value.name] = value
            values.append(g.Transpose(value, perm=perm) if k == 0 else value)
        out = getattr(g, op)(*values, **attrs)
        for k, value in enumerate(out if isinstance(out, tuple) else (out,)):
            graph.outputs[f"y{k}"] = value
        return graph, out

    with patch.object(graphs, "build", build_transposed):
        yield


def both_layouts(op: str, inputs: list[Array | None], wrt: list[int], seed: int = 0, **attrs: Any) -> None:
    """Values and gradients do not depend on the order of the first input's axes in memory."""
    X = inputs[0]
    assert X is not None
    expected = run(op, inputs, **attrs)
    check_gradients(op, inputs, wrt, outputs=[0], **attrs)
    channels_last = (0, *range(2, X.ndim), 1)
    for order in (channels_last, tuple(np.random.default_rng(seed).permutation(X.ndim))):
        moved = [np.ascontiguousarray(X.transpose(order)), *inputs[1:]]
        with lying(tuple(int(i) for i in np.argsort(order))):
            for a, b in zip(run(op, moved, **attrs), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
            check_gradients(op, moved, wrt, outputs=[0], **attrs)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[Array | None], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    few = st.integers(1, 3)
    channels, out, batch = group * draw(few), group * draw(few), draw(few)
    vector = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, strides = vector(1, 4 if rank < 3 else 3), vector(1, 3)
    auto_pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    dilations = vector(1, 2) if auto_pad in ("NOTSET", "VALID") else (1,) * rank  # onnxruntime refuses it for SAME
    attrs: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group, "auto_pad": auto_pad}
    pads = (0,) * (2 * rank)
    if auto_pad == "NOTSET":
        pads = attrs["pads"] = vector(0, 2) + vector(0, 2)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    spatial = [
        draw(st.integers(max(1, e if auto_pad == "VALID" else e - pads[k] - pads[k + rank]), e + 6))
        for k, e in enumerate(extent)
    ]
    seed = draw(st.integers(0, 1000))
    bias = normal(seed + 2, out) if draw(st.booleans()) else None
    X, W = normal(seed, batch, channels, *spatial), normal(seed + 1, out, channels // group, *kernel)
    return [X, W, bias], attrs


@SETTINGS
@given(convolutions())
def test_conv_matches_onnxruntime(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    same("Conv", inputs, **attrs)


@SETTINGS
@given(convolutions())
def test_conv_gradients(case: tuple[list[Array | None], dict[str, Any]]) -> None:
    inputs, attrs = case
    both_layouts("Conv", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], **attrs)


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Array, dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    vector = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, strides = vector(1, 4 if rank < 3 else 3), vector(1, 4)
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad.startswith("SAME"):  # onnxruntime computes negative padding for strides beyond the window
        strides = tuple(min(s, k) for s, k in zip(strides, kernel, strict=True))
    attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "auto_pad": auto_pad}
    pads = (0,) * (2 * rank)
    if auto_pad == "NOTSET":
        pads = attrs["pads"] = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
        attrs["ceil_mode"] = draw(st.integers(0, 1))
    spatial = [draw(st.integers(max(1, k - pads[i] - pads[i + rank]), k + 6)) for i, k in enumerate(kernel)]
    if auto_pad == "VALID":
        spatial = [max(s, k) for s, k in zip(spatial, kernel, strict=True)]
    X = normal(draw(st.integers(0, 1000)), draw(st.integers(1, 3)), draw(st.integers(1, 4)), *spatial)
    if draw(st.booleans()):
        X = np.round(X)  # many equal numbers
    return X, attrs


@SETTINGS
@given(poolings(), st.integers(1, 2))
def test_max_pool_matches_onnxruntime(case: tuple[Array, dict[str, Any]], dilation: int) -> None:
    X, attrs = case
    extents = [(k - 1) * dilation + 1 for k in attrs["kernel_shape"]]
    if attrs["auto_pad"] == "NOTSET" and all(s >= e for s, e in zip(X.shape[2:], extents, strict=True)):
        attrs = attrs | {"dilations": (dilation,) * (X.ndim - 2)}
    same("MaxPool", [X], **attrs)


@SETTINGS
@given(poolings(), st.integers(0, 1))
def test_average_pool_matches_onnxruntime(case: tuple[Array, dict[str, Any]], include: int) -> None:
    X, attrs = case
    same("AveragePool", [X], count_include_pad=include, **attrs)


@SETTINGS
@given(poolings(), st.integers(0, 1))
def test_pool_gradients(case: tuple[Array, dict[str, Any]], include: int) -> None:
    X, attrs = case
    distinct = np.random.default_rng(0).permutation(X.size).reshape(X.shape) / X.size
    both_layouts("MaxPool", [distinct], [0], **attrs)
    both_layouts("AveragePool", [distinct], [0], count_include_pad=include, **attrs)


@pytest.mark.parametrize(("kernel", "strides"), [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((2, 3), (1, 2))])
def test_max_pool_gradient_goes_to_the_first_maximum(kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    X = np.random.default_rng(0).integers(0, 2, (2, 3, 7, 6)).astype(np.float32)
    graph, _ = build("MaxPool", [X], kernel_shape=kernel, strides=strides)
    loss = scalar_loss(graph, {"y0": np.ones(graph.outputs["y0"].shape, np.float32)})
    program = bind(graph, Store(graph), fetches={"loss": loss}, loss=loss, shapes={"x0": X.shape}, input_grads=["x0"])
    feed(graph, program, {"x0": X})
    program.run()
    expected = np.zeros_like(X)
    for n, c, i, j in np.ndindex(*graph.outputs["y0"].shape):
        top, left = i * strides[0], j * strides[1]
        window = X[n, c, top : top + kernel[0], left : left + kernel[1]]
        di, dj = np.unravel_index(window.argmax(), window.shape)
        expected[n, c, top + di, left + dj] += 1
    np.testing.assert_array_equal(program.grads["x0"], expected)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4, 5, 2), (1, 1, 2, 3, 4)])
def test_global_pooling(op: str, shape: tuple[int, ...]) -> None:
    X = normal(0, *shape)
    same(op, [X])
    both_layouts(op, [X], [0])


@st.composite
def batches(draw: st.DrawFn) -> list[Array]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=5)))
    seed, count = draw(st.integers(0, 1000)), shape[1]
    X = normal(seed, *shape) * 2 + draw(st.sampled_from([0, 3]))
    mean, var = normal(seed + 3, count), np.abs(normal(seed + 4, count)) + 0.1
    return [X, normal(seed + 1, count), normal(seed + 2, count), mean, var]


@SETTINGS
@given(batches(), st.sampled_from([1e-5, 1e-3]))
def test_batch_normalization_matches_onnxruntime(inputs: list[Array], epsilon: float) -> None:
    same("BatchNormalization", inputs, epsilon=epsilon)
    same("BatchNormalization", inputs, epsilon=epsilon, momentum=0.7, training_mode=1)


@SETTINGS
@given(batches())
def test_batch_normalization_gradients(inputs: list[Array]) -> None:
    both_layouts("BatchNormalization", inputs, [0, 1, 2], epsilon=1e-2)
    both_layouts("BatchNormalization", inputs, [0, 1, 2], epsilon=1e-2, training_mode=1)


@st.composite
def layers(draw: st.DrawFn) -> tuple[list[Array | None], int]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    axis = draw(st.integers(1, len(shape) - 1))
    seed = draw(st.integers(0, 1000))
    B = normal(seed + 2, *shape[axis:]) if draw(st.booleans()) else None
    return [normal(seed, *shape) + 1, normal(seed + 1, *shape[axis:]), B], draw(
        st.sampled_from([axis, axis - len(shape)])
    )


@SETTINGS
@given(layers(), st.sampled_from([1e-5, 1e-3]))
def test_layer_normalization_matches_onnxruntime(case: tuple[list[Array | None], int], epsilon: float) -> None:
    inputs, axis = case
    same("LayerNormalization", inputs, axis=axis, epsilon=epsilon)


@SETTINGS
@given(layers())
def test_layer_normalization_gradients(case: tuple[list[Array | None], int]) -> None:
    inputs, axis = case
    both_layouts("LayerNormalization", inputs, [0, 1] if inputs[2] is None else [0, 1, 2], axis=axis, epsilon=1e-2)
